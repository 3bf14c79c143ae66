"""The demo's raw data: disjoint images, reproducible planting, faults at the stated rates."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from pairwright.demo import data

pytest.importorskip("easy_vqa")

NUM_IMAGES = 300
FAULTS = (
    "exact_copy", "reencoded_copy", "reworded_copy", "wrong_answer", "yes_bias", "none",
)  # fmt: skip


class Raw(NamedTuple):
    """One raw data set and its key."""

    folder: Path
    rows: list[dict[str, Any]]
    key: dict[str, dict[str, Any]]


def _write(folder: Path, seed: int, num_images: int = NUM_IMAGES) -> Raw:
    key_path = folder / "key" / "key.jsonl"
    written = data.write_raw(folder / "raw", num_images=num_images, seed=seed, key_path=key_path)
    key = [json.loads(line) for line in key_path.read_text().splitlines()]
    return Raw(folder / "raw", json.loads(written.read_text()), {k["id"]: k for k in key})


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    return _write(tmp_path_factory.mktemp("demo"), seed=7)


def _said(row: dict[str, Any]) -> tuple[str, str]:
    human, gpt = row["conversations"]
    return human["value"].removeprefix("<image>\n"), gpt["value"]


def _pixels(raw: Raw, row: dict[str, Any]) -> bytes:
    return (raw.folder / row["image"]).read_bytes()


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_splits_are_disjoint_halves_of_the_train_images() -> None:
    split = data.image_split()
    assert len(split.judge) == len(split.curation) == 2000
    assert not set(split.judge) & set(split.curation)
    assert set(split.judge) | set(split.curation) == set(data.image_paths("train"))
    assert split == data.image_split()


def test_raw_data_come_from_the_curation_half_only(raw: Raw) -> None:
    numbers = {int(k["meaning"].partition(":")[0]) for k in raw.key.values()}
    assert len(numbers) == NUM_IMAGES
    assert numbers <= set(data.image_split().curation)


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    _write(first, seed=3, num_images=40)
    _write(second, seed=3, num_images=40)
    assert _digest(first) == _digest(second)
    _write(tmp_path / "third", seed=4, num_images=40)
    assert _digest(first) != _digest(tmp_path / "third")


def test_rates(raw: Raw) -> None:
    faults = Counter(k["fault"] for k in raw.key.values())
    assert set(faults) == set(FAULTS)
    clean = [k for k in raw.key.values() if k["original_id"] is None]
    what = sum(k["true_answer"] not in ("yes", "no") for k in clean)
    no = sum(k["true_answer"] == "no" for k in clean)
    assert faults["exact_copy"] == round(0.02 * len(clean))
    assert faults["reencoded_copy"] == round(0.02 * len(clean))
    assert faults["reworded_copy"] == round(0.03 * len(clean))
    assert faults["wrong_answer"] == round(0.05 * what)
    assert faults["yes_bias"] == round(0.5 * no)


def test_key_matches_the_rows(raw: Raw) -> None:
    assert [row["id"] for row in raw.rows] == list(raw.key)
    truth = {(q.image, q.text): q.answer for q in data.questions(data.image_split().curation)}
    for row in raw.rows:
        key = raw.key[row["id"]]
        question, answer = _said(row)
        number, _, meaning = key["meaning"].partition(": ")
        if key["original_id"] is None:
            assert truth[int(number), question] == key["true_answer"]
            assert data.meaning(question) == meaning
        if key["fault"] == "yes_bias":
            assert (key["true_answer"], answer) == ("no", "yes")
        elif key["fault"] == "wrong_answer":
            assert answer in data.other_answers(key["true_answer"])
        else:
            assert answer == key["true_answer"]


def test_doubles_repeat_their_original(raw: Raw) -> None:
    rows = {row["id"]: row for row in raw.rows}
    asked = Counter((row["image"], _said(row)[0]) for row in raw.rows)
    for row in raw.rows:
        key = raw.key[row["id"]]
        if key["original_id"] is None:
            continue
        original = rows[key["original_id"]]
        assert raw.key[original["id"]]["fault"] == "none"
        assert raw.key[original["id"]]["meaning"] == key["meaning"]
        assert _said(row)[1] == _said(original)[1]
        if key["fault"] == "reworded_copy":
            assert row["image"] == original["image"]
            assert asked[row["image"], _said(row)[0]] == 1
            continue
        assert _said(row)[0] == _said(original)[0]
        same_bytes = _pixels(raw, row) == _pixels(raw, original)
        assert same_bytes == (key["fault"] == "exact_copy")


def test_reencoded_copies_are_of_every_kind(raw: Raw) -> None:
    kinds = set()
    for row in raw.rows:
        if raw.key[row["id"]]["fault"] == "reencoded_copy":
            with Image.open(raw.folder / row["image"]) as image:
                kinds.add((image.format, image.size == (64, 64)))
    assert kinds == {("PNG", True), ("PNG", False), ("JPEG", True)}


def test_ids_and_order_carry_no_hint(raw: Raw) -> None:
    """Faulty rows are not told from others by the size of the id or by the place in the file."""
    ids = [row["id"] for row in raw.rows]
    assert len(set(ids)) == len(ids)
    assert {len(i) for i in ids} == {len("vqa-123456")}
    num = len(ids)
    by_id = {name: rank / num for rank, name in enumerate(sorted(ids))}
    for fault in FAULTS:
        places = [n / num for n, name in enumerate(ids) if raw.key[name]["fault"] == fault]
        ranks = [by_id[name] for name in ids if raw.key[name]["fault"] == fault]
        tolerance = 4 * 0.29 / len(places) ** 0.5  # four standard errors of a uniform mean
        assert abs(sum(places) / len(places) - 0.5) < tolerance
        assert abs(sum(ranks) / len(ranks) - 0.5) < tolerance


def test_the_key_must_lie_outside(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not lie inside the raw data"):
        data.write_raw(tmp_path, num_images=2, seed=0, key_path=tmp_path / "images" / "key.jsonl")
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("question", "meaning"),
    [
        ("is a red shape present?", "does the image contain a red shape?"),
        ("is there not a circle in the image?", "does the image not contain a circle?"),
        ("what is the color of the shape?", "what color is the shape?"),
        ("what shape is present?", "what shape is in the image?"),
        ("what is the blue shape?", "what is the blue shape?"),
    ],
)
def test_meaning(question: str, meaning: str) -> None:
    assert data.meaning(question) == meaning


def test_rewordings_differ_from_the_question() -> None:
    rng = random.Random(0)
    for question in {q.text for q in data.questions(data.image_split().curation[:50])}:
        wordings = {data.reword(question, rng) for _ in range(40)}
        assert question not in wordings
        assert len(wordings) > 3


@pytest.mark.parametrize("name", ["policy", "judge"])
def test_answers_and_labels_are_one_token(name: str) -> None:
    """The judge is read from the first token's probabilities; "yes" must not start as "ye"."""
    tokenizers = pytest.importorskip("tokenizers")
    models = Path(data.__file__).with_name("models")
    tokenizer = tokenizers.Tokenizer.from_file(str(models / name / "tokenizer.json"))
    prompt = "<|im_start|>assistant\n"
    num_prompt = len(tokenizer.encode(prompt).ids)
    for word in (*data.SHAPES, *data.COLORS, "yes", "no", *"12345ABCDabcd"):
        ids = tokenizer.encode(f"{prompt}{word}<|im_end|>").ids
        assert len(ids) == num_prompt + 2, word
