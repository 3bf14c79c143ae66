"""Seconds and memory of `curate report` on a synthetic dataset with five decisions runs.

python benchmarks/report.py --rows 1000000
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from running import keep_bytecode

from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset

BATCH = 50_000
SHORT = np.array(["yes", "no", "red", "blue", "2"])
WORDS = np.array([f"w{n}" for n in range(20_000)] + ["the", "a", "is", "of", "red", "car"] * 300)
STEPS = (
    ("dedup", 0.2, ("exact", "near_text", "near_image")),
    ("filter-rules", 0.1, ("blur", "truncated_answer", "refusal", "templated", "language", "pii")),
    ("filter", 0.08, ("score",)),
    ("decontaminate", 0.005, ("benchmark_image", "benchmark_text")),
    ("select", 0.5, ("not_selected",)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keep_bytecode()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        made = time.monotonic()
        # In a process of its own: a child's peak counts what it was forked from.
        maker = multiprocessing.get_context("spawn").Process(
            target=make, args=(data, options.rows, np.random.default_rng(options.seed))
        )
        maker.start()
        maker.join()
        assert maker.exitcode == 0
        print(f"{options.rows:,} samples made in {time.monotonic() - made:.0f} s")
        program = "from pairwright.programs import curate; curate()"
        command = [sys.executable, "-c", program, "report", str(data), "--json", "--quiet"]
        started = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        out = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.monotonic() - started
        assert status == 0
        summary = json.loads(out)
        print(f"kept {summary['samples_kept']:,} of {summary['samples_read']:,}")
        print(
            f"wall {seconds:.1f} s, CPU {used.ru_utime + used.ru_stime:.1f} s, "
            f"peak memory {used.ru_maxrss / 1e6:.2f} GB, "
            f"page {(data / 'reports/report.html').stat().st_size / 1e6:.1f} MB"
        )


def make(path: Path, rows: int, rng: np.random.Generator) -> None:
    """Samples on 20 % as many images, scores, conflicts and the decisions of `STEPS`."""
    dataset = Dataset.create(path)
    images = write_images(dataset, max(1, rows // 5), rng)
    alive = write_samples(dataset, rows, images, rng)
    for step, share, reasons in STEPS:
        alive = decide(dataset, step, alive, share, reasons, rng)
        if step == "dedup":
            write_scores(dataset, alive, rng)


def write_images(dataset: Dataset, n: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct files of a few images: what follows a JPEG's end does not change it."""
    contents = []
    for number in range(64):
        pixels = rng.integers(0, 255, (96, 64 + 4 * number, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    ids: list[str] = []
    with dataset.write("images", "made", step="ingest", config={}, rejects=False) as writer:
        for start in range(0, n, BATCH):
            part = []
            for number in range(start, min(n, start + BATCH)):
                content = contents[number % 64] + b"#%d" % number
                part.append(
                    {"image_id": hashlib.sha256(content).hexdigest(), "bytes": content,
                     "format": "jpeg", "width": 64 + 4 * (number % 64), "height": 96,
                     "n_bytes": len(content), "phash": number}
                )  # fmt: skip
            ids += [row["image_id"] for row in part]
            writer.add(part)
    return np.array(ids)


def write_samples(
    dataset: Dataset, rows: int, images: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One question and answer a sample; a third of the answers short."""
    ids: list[str] = []
    with dataset.write("samples", "made", step="ingest", config={}) as writer:
        for start in range(0, rows, BATCH):
            n = min(BATCH, rows - start)
            questions = texts(rng.integers(5, 20, n), rng)
            answers = texts(np.clip(rng.lognormal(2.5, 0.9, n).astype(int), 1, 400), rng)
            short, words = rng.random(n) < 0.3, SHORT[rng.integers(0, len(SHORT), n)]
            mine = [hashlib.md5(b"%d" % (start + k)).hexdigest() for k in range(n)]
            ids += mine
            writer.add(
                pl.DataFrame(
                    {
                        "sample_id": mine,
                        "image_ids": [[i] for i in images[rng.integers(0, len(images), n)]],
                        "messages": [
                            [{"role": "user", "content": f"<image>\n{questions[k]}?"},
                             {"role": "assistant",
                              "content": str(words[k]) if short[k] else answers[k]}]
                            for k in range(n)
                        ],
                        "source": [f"source-{k % 7}" for k in range(n)],
                        "source_id": [str(start + k) for k in range(n)],
                        "license": ["mit" if k % 3 else None for k in range(n)],
                        "task": [f"task {k % 23}" for k in range(n)],
                    }
                )
            )  # fmt: skip
    return np.array(ids)


def texts(lengths: np.ndarray, rng: np.random.Generator) -> list[str]:
    words = WORDS[rng.integers(0, len(WORDS), lengths.sum())]
    return [" ".join(part) for part in np.split(words, np.cumsum(lengths)[:-1])]


def decide(
    dataset: Dataset, step: str, alive: np.ndarray, share: float, reasons: tuple[str, ...],
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """A decisions run that drops a share; returns what is left."""
    n, gone = len(alive), rng.random(len(alive)) < share
    stays = alive[~gone]
    frame = pl.DataFrame(
        {
            "sample_id": alive,
            "run": step,
            "kept": ~gone,
            "reason": np.where(gone, np.array(reasons)[rng.integers(0, len(reasons), n)], "kept"),
            "method": step,
            "similarity": rng.uniform(0.7, 1, n),
            "kept_id": stays[rng.integers(0, len(stays), n)],
        }
    )
    stands = ~pl.col("kept") & pl.lit(step == "dedup")
    frame = frame.with_columns(pl.when(stands).then("kept_id").alias("kept_id"))
    inputs = dataset.sample_inputs(for_run=RunKey(step, f"decisions/{step}"))
    settings = {"config": {"threshold": 0.7}, "inputs": inputs, "rejects": False}
    with dataset.write("decisions", step, step=step, **settings) as writer:
        for start in range(0, n, BATCH):
            writer.add(frame[start : start + BATCH])
    return stays


def write_scores(dataset: Dataset, alive: np.ndarray, rng: np.random.Generator) -> None:
    """Two criteria a sample, and contradictions of a twentieth of them."""
    with dataset.write("scores", "score", step="score", config={}) as writer:
        for criterion in ("accuracy", "relevance"):
            marks = rng.normal(3.5, 0.8, len(alive)).clip(1, 5)
            frame = pl.DataFrame({"target_id": alive, "criterion": criterion, "score": marks})
            writer.add(
                frame.with_columns(
                    pl.lit("r").alias("rubric"), pl.lit("j").alias("judge"),
                    pl.lit(0, pl.Int32).alias("repeat"), pl.lit("sample").alias("target_kind"),
                    pl.lit(1.0).alias("label_mass"), pl.lit("x").alias("rubric_hash"),
                    pl.lit("y").alias("prompt_hash"),
                )
            )  # fmt: skip
    n = max(1, len(alive) // 20)
    a, b = (alive[rng.integers(0, len(alive), n)] for _ in range(2))
    with dataset.write("conflicts", "dedup", step="dedup", config={}, rejects=False) as writer:
        writer.add(
            pl.DataFrame(
                {"conflict_id": [hashlib.md5(b"c%d" % k).hexdigest() for k in range(n)],
                 "run": "dedup", "group_id": a, "sample_id": a, "other_id": b,
                 "question": "is it red?", "answer": "yes", "other_answer": "no",
                 "similarity": 1.0}
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
