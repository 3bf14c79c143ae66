"""Rows per second of every text rule of `curate filter`, images per second of the image rules.

    python benchmarks/filters.py --rows 100000 --images 400

Texts are generated with a seed: captions of 40 to 90 words, closed questions, a few faults. The
time is that of one process; polars uses the threads that POLARS_MAX_THREADS allows.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from curate.filter.imagestats import WORK_PIXELS, measure
from curate.filter.options import FilterOptions
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Rule
from pairwright.images import open_image

TEXT = (
    "the a man woman dog bus street red blue small large stands sits walks holds near under behind "
    "with and of in on table window tree light shadow people group image shows scene background "
    "appears wearing shirt several two three sign building sky water grass plate cup chair"
)


def make_rows(count: int) -> Rows:
    """Seeded conversations of an average length like LLaVA's."""
    generator, words = random.Random(7), TEXT.split()

    def sentence() -> str:
        return " ".join(generator.choices(words, k=generator.randint(8, 18))).capitalize() + "."

    conversations = []
    for number in range(count):
        if number % 3 == 0:
            question, answer = f"Is there a {generator.choice(words)} in the image?", "yes"
        else:
            question = "Describe the image."
            answer = " ".join(sentence() for _ in range(generator.randint(4, 6)))
        if number % 200 == 1:
            answer += f" Call +1 212 736 {number % 10_000:04d}."
        if number % 200 == 2:
            answer = answer[: len(answer) // 2]
        conversations.append(
            [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        )
    frame = pl.DataFrame(
        {
            "sample_id": [str(n) for n in range(count)],
            "image_ids": [[] for _ in range(count)],
            "messages": conversations,
        },
        schema_overrides={"image_ids": pl.List(pl.String)},
    )
    return Rows(frame)


def timed(name: str, count: int, work: Callable[[], Any]) -> float:
    """Run, print seconds and rate."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"| {name:<16} | {seconds:6.2f} | {cpu:6.2f} | {count / seconds:>10,.0f} |")
    return seconds


def time_texts(count: int) -> None:
    """Every text rule on the same rows."""
    rows = make_rows(count)
    options = FilterOptions(preset="llava", language="en", pii="all", min_answer_words=1)
    chars = int(rows.turns["text"].str.len_chars().sum())
    print(f"{count:,} rows, {chars / count:.0f} characters each, {os.cpu_count()} cores\n")
    print("| rule             | wall s | CPU s  |     rows/s |")
    print("|------------------|-------:|-------:|-----------:|")
    fresh = Rows(rows.samples)
    inputs: Any = Inputs(
        dataset=None,  # type: ignore[arg-type]
        runs={},
        removed=np.zeros(count, dtype=bool),
        unreadable={},
    )
    total = timed("(turns)", count, lambda: (fresh.turns, fresh.answers, fresh.questions))

    def work(rule: Rule) -> Any:
        return lambda: list(rule.find(fresh, options.of(rule), inputs))

    for rule in options.rules_on():
        if not rule.needs:
            total += timed(rule.name, count, work(rule))
    print(f"| all              | {total:6.2f} |        | {count / total:>10,.0f} |")


def time_images(count: int) -> None:
    """Decode and measure JPEGs of 1024 x 768, in as many threads as there are cores."""
    from concurrent.futures import ThreadPoolExecutor

    generator = np.random.default_rng(3)
    files = []
    for _ in range(16):
        coarse = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((1024, 768)).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        timed(
            "images", count,
            lambda: list(pool.map(lambda n: measure(open_image(files[n % 16], fit=WORK_PIXELS)), range(count))),
        )  # fmt: skip


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=400)
    given = parser.parse_args()
    time_texts(given.rows)
    time_images(given.images)


if __name__ == "__main__":
    main()
