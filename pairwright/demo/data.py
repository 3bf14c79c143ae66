"""The demo's raw data: easy-vqa as a LLaVA file, with the faults that real instruction sets have.

Easy-VQA (MIT, `pip install easy-vqa`) has 5,000 images of one colored shape and about ten
questions each. Three disjoint sets of images come from it: the judge learns on one half of the
official train images, the policy and the curation use the other, and the official test split is
for evaluation only.

`write_raw` plants duplicates, wrong answers and a yes-bias in the curation half and writes what it
did to a key that nothing but the demo's final report reads.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

SPLIT_SEED = 20261124
SHAPES = ("circle", "rectangle", "triangle")
COLORS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")

# Fractions of the clean rows; `YES_BIAS_FRACTION` is of the rows whose true answer is "no".
EXACT_FRACTION = 0.02
REENCODED_FRACTION = 0.02
REWORDED_FRACTION = 0.03
WRONG_FRACTION = 0.05
YES_BIAS_FRACTION = 0.5

# Templates of the dataset with the same meaning, with {} for the shape or the color.
SAME_MEANING = (
    (
        "does the image contain a {}?",
        "is there a {}?",
        "is there a {} in the image?",
        "is a {} present?",
    ),
    (
        "does the image not contain a {}?",
        "is there not a {}?",
        "is there not a {} in the image?",
        "is no {} present?",
    ),
    ("what color is the {}?", "what is the color of the {}?"),
    (
        "what shape is in the image?",
        "what shape does the image contain?",
        "what shape is present?",
    ),
)


class ImageSplit(NamedTuple):
    """Two disjoint halves of the official train images, by number."""

    judge: list[int]
    curation: list[int]


class Question(NamedTuple):
    """One official question."""

    image: int
    text: str
    answer: str


@dataclass(slots=True)
class _Row:
    """A raw row before it has an id."""

    question: str
    answer: str
    truth: str
    image: str
    meaning: str
    fault: str = "none"
    original: _Row | None = None
    row_id: str = ""


def image_split() -> ImageSplit:
    """The judge's and the curation's halves of the official train images."""
    from easy_vqa import get_train_image_paths

    numbers = sorted(get_train_image_paths())
    random.Random(SPLIT_SEED).shuffle(numbers)
    half = len(numbers) // 2
    return ImageSplit(judge=sorted(numbers[:half]), curation=sorted(numbers[half:]))


def questions(images: Iterable[int]) -> list[Question]:
    """The official train questions about `images`, with their true answers."""
    from easy_vqa import get_train_questions

    wanted = set(images)
    rows = (
        Question(n, text, answer) for text, answer, n in zip(*get_train_questions(), strict=True)
    )
    return [row for row in rows if row.image in wanted]


def official_test_questions() -> list[Question]:
    """The official test questions; for evaluation only."""
    from easy_vqa import get_test_questions

    return [
        Question(n, text, answer) for text, answer, n in zip(*get_test_questions(), strict=True)
    ]


def image_paths(split: str) -> dict[int, Path]:
    """Image files of the official "train" or "test" split, by number."""
    import easy_vqa

    read = {"train": easy_vqa.get_train_image_paths, "test": easy_vqa.get_test_image_paths}[split]
    return {number: Path(path) for number, path in read().items()}


def other_answers(answer: str) -> tuple[str, ...]:
    """Wrong answers of the same type as `answer`."""
    for group in (SHAPES, COLORS, ("no", "yes")):
        if answer in group:
            return tuple(a for a in group if a != answer)
    raise ValueError(f"{answer!r} is no answer of easy-vqa")


def write_raw(out: Path, *, num_images: int | None, seed: int, key_path: Path) -> Path:
    """Write the faulty raw data set and, elsewhere, the key to its faults.

    Args:
        out: Folder to fill with `train.json` (LLaVA format, one row a question) and `images/`.
        num_images: How many curation images to use; None for all.
        seed: Chooses the images, the faults and the order of the rows.
        key_path: File for the answer key, as JSON lines; must be outside `out`, where no step
            that reads the raw data can stumble on it.

    Returns:
        The path of `train.json`.
    """
    out, key_path = out.resolve(), key_path.resolve()
    if key_path.is_relative_to(out):
        raise ValueError(f"the answer key must not lie inside the raw data: {key_path}")
    rng = random.Random(seed)
    numbers = image_split().curation
    if num_images is not None:
        numbers = sorted(rng.sample(numbers, min(num_images, len(numbers))))
    folder = out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    files = _FileNames(rng)
    names = {number: files.take(".png") for number in numbers}
    sources = image_paths("train")
    for number, name in names.items():
        shutil.copyfile(sources[number], folder / name)

    rows = [
        _Row(
            q.text, q.answer, q.answer, f"images/{names[q.image]}", f"{q.image}: {meaning(q.text)}"
        )
        for q in questions(numbers)
    ]
    num_clean = len(rows)
    _plant_wrong_answers(rows, rng)
    copies = _plant_copies(rows, num_clean, rng, out, files)
    rows += copies
    rng.shuffle(rows)
    row_numbers = rng.sample(range(100_000, 1_000_000), len(rows))
    for row, number in zip(rows, row_numbers, strict=True):
        row.row_id = f"vqa-{number}"
    _write_json(out / "train.json", [_llava(row) for row in rows])
    key_path.parent.mkdir(parents=True, exist_ok=True)
    key_path.write_text("".join(json.dumps(_key(row)) + "\n" for row in rows), encoding="utf-8")
    return out / "train.json"


def write_test(out: Path, *, num_images: int | None, seed: int) -> Path:
    """Write the official test split, or a seeded part of it, as a LLaVA file with its images.

    Args:
        out: Folder to fill with `test.json` and `images/`.
        num_images: How many of the 1,000 images, each with all its questions; None for all.
        seed: Chooses the images.

    Returns:
        The path of `test.json`.
    """
    files = image_paths("test")
    numbers = sorted(files)
    if num_images is not None:
        numbers = sorted(random.Random(seed).sample(numbers, min(num_images, len(numbers))))
    (out / "images").mkdir(parents=True, exist_ok=True)
    for number in numbers:
        shutil.copyfile(files[number], out / "images" / f"{number}.png")
    wanted = set(numbers)
    rows = [
        _Row(q.text, q.answer, q.answer, f"images/{q.image}.png", "", row_id=f"test-{place}")
        for place, q in enumerate(official_test_questions())
        if q.image in wanted
    ]
    _write_json(out / "test.json", [_llava(row) for row in rows])
    return out / "test.json"


class _FileNames:
    """Image names in a random order, so that a name does not distinguish a copy from its original."""

    def __init__(self, rng: random.Random) -> None:
        self._numbers = rng.sample(range(100_000, 1_000_000), 20_000)

    def take(self, suffix: str) -> str:
        return f"{self._numbers.pop()}{suffix}"


def _plant_wrong_answers(rows: list[_Row], rng: random.Random) -> None:
    """Change answers: some shapes and colors, and half of all "no"."""
    what = [row for row in rows if row.truth not in ("yes", "no")]
    for row in rng.sample(what, round(WRONG_FRACTION * len(what))):
        row.answer = rng.choice(other_answers(row.truth))
        row.fault = "wrong_answer"
    no = [row for row in rows if row.truth == "no"]
    for row in rng.sample(no, round(YES_BIAS_FRACTION * len(no))):
        row.answer = "yes"
        row.fault = "yes_bias"


def _plant_copies(
    rows: list[_Row], num_clean: int, rng: random.Random, out: Path, files: _FileNames
) -> list[_Row]:
    """Duplicates of distinct rows whose answers are right, so that a row has one fault."""
    healthy = [row for row in rows if row.fault == "none"]
    counts = [
        round(fraction * num_clean)
        for fraction in (EXACT_FRACTION, REENCODED_FRACTION, REWORDED_FRACTION)
    ]
    chosen = rng.sample(healthy, sum(counts))
    exact, rest = chosen[: counts[0]], chosen[counts[0] :]
    reencoded, reworded = rest[: counts[1]], rest[counts[1] :]
    copies = []
    asked = {(row.image, row.question) for row in rows}
    for row in exact:
        image = row.image
        if rng.random() < 0.5:
            image = f"images/{files.take('.png')}"
            shutil.copyfile(out / row.image, out / image)
        copies.append(_copy(row, "exact_copy", row.question, image))
    for row in reencoded:
        image = _reencode(out, row.image, rng, files)
        copies.append(_copy(row, "reencoded_copy", row.question, image))
    for row in reworded:
        question = _new_wording(row, asked, rng)
        copies.append(_copy(row, "reworded_copy", question, row.image))
    return copies


def _copy(row: _Row, fault: str, question: str, image: str) -> _Row:
    return _Row(question, row.answer, row.truth, image, row.meaning, fault, original=row)


def _new_wording(row: _Row, asked: set[tuple[str, str]], rng: random.Random) -> str:
    """A wording that no row about this image has, so that a re-wording is no exact duplicate."""
    while True:
        question = reword(row.question, rng)
        if (row.image, question) not in asked:
            asked.add((row.image, question))
            return question


def _reencode(out: Path, source: str, rng: random.Random, files: _FileNames) -> str:
    """Save the image again as another PNG, as a JPEG, or a little larger or smaller."""
    kind = rng.choice(("png", "jpeg", "resize"))
    name = f"images/{files.take('.jpg' if kind == 'jpeg' else '.png')}"
    with Image.open(out / source) as opened:
        image = opened.convert("RGB")
    if kind == "jpeg":
        image.save(out / name, quality=rng.randint(88, 93))
        return name
    if kind == "resize":
        side = rng.choice((56, 60, 72, 80))
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    # Level 1 differs from the encoder's default 6, so the bytes differ where the pixels do not.
    image.save(out / name, compress_level=1)
    return name


def reword(question: str, rng: random.Random) -> str:
    """The same question in another template of the data set, or with other case and punctuation."""
    others = _other_wordings(question)
    if others and rng.random() < 0.6:
        return rng.choice(others)
    changed = (
        question.capitalize(),
        question.removesuffix("?"),
        question.replace("?", " ?"),
        question.upper(),
        f" {question}",
        question.replace(" ", "  ", 1),
        question.replace("?", "??"),
    )
    return rng.choice(changed)


def meaning(question: str) -> str:
    """A question of the dataset in the first of its wordings."""
    group, filler = _parse(question)
    return group[0].format(filler) if group else question


def _other_wordings(question: str) -> list[str]:
    group, filler = _parse(question)
    return [w for w in (template.format(filler) for template in group) if w != question]


def _parse(question: str) -> tuple[tuple[str, ...], str]:
    """The templates of the same meaning, and what fills them; no templates if there is one only."""
    for group in SAME_MEANING:
        for template in group:
            before, _, after = template.partition("{}")
            filler = question.removeprefix(before).removesuffix(after) if after else ""
            # "is there not a {}?" would also swallow "... circle in the image?".
            if template.format(filler) == question and " in the " not in filler:
                return group, filler
    return (), ""


def _llava(row: _Row) -> dict[str, Any]:
    return {
        "id": row.row_id,
        "image": row.image,
        "conversations": [
            {"from": "human", "value": f"<image>\n{row.question}"},
            {"from": "gpt", "value": row.answer},
        ],
    }


def _key(row: _Row) -> dict[str, Any]:
    return {
        "id": row.row_id,
        "fault": row.fault,
        "original_id": row.original.row_id if row.original else None,
        "true_answer": row.truth,
        # Easy-VQA itself has several wordings of one question: a dropped row was a duplicate, planted or
        # not, if another of the same meaning stayed.
        "meaning": row.meaning,
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
