r"""Rows that train the shipped judge to compare: two answers, a letter.

    python pairwise_rows.py --out /tmp/pairwise
    curate ingest /tmp/pairwise/rows.json -o /tmp/pairwise/data --license mit
    train sft /tmp/pairwise/data --model ../../pairwright/demo/models/judge \
        --rank 64 --lr 1e-3 --batch-size 32 --epochs 3 --run pairwise

The judge was trained on one prompt, which shows one answer. These rows show a right and a wrong one
of the same kind, in an order sampled by a seed, about the half of the official train images that the
judge was trained on; the official test split is not used. `benchmarks/judge_easy_vqa.py
--pairs-adapter FOLDER` uses the same prompt.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from pathlib import Path

from pairwright.demo.data import image_paths, image_split, other_answers, questions

WORDS = "question: {question}\nA: {first}\nB: {second}\nbetter?"


def main() -> None:
    """Parse and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1_500)
    parser.add_argument("--questions", type=int, default=5, help="most questions an image")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    numbers = rng.sample(image_split().judge, given.images)
    about: dict[int, list[tuple[str, str]]] = {}
    for one in questions(numbers):
        about.setdefault(one.image, []).append((one.text, one.answer))
    files = image_paths("train")
    (given.out / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in numbers:
        shutil.copyfile(files[number], given.out / "images" / f"{number}.png")
        mine = about[number]
        for question, answer in rng.sample(mine, min(given.questions, len(mine))):
            wrong = rng.choice(other_answers(answer))
            letter = rng.choice("AB")
            first, second = (answer, wrong) if letter == "A" else (wrong, answer)
            text = WORDS.format(question=question, first=first, second=second)
            rows.append(
                {
                    "id": f"p{len(rows)}",
                    "image": f"images/{number}.png",
                    "conversations": [
                        {"from": "human", "value": f"<image>\n{text}"},
                        {"from": "gpt", "value": letter},
                    ],
                }
            )
    rng.shuffle(rows)
    (given.out / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
