"""Dedup on real rows: easy-vqa whole, POPE's captions, photos and charts with copies."""

import io
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from curate.dedup.command import dedup
from curate.dedup.decide import find_duplicates
from curate.dedup.options import DedupOptions
from curate.ingest.command import ingest
from curate.ingest.options import IngestOptions
from curate.near.groups import minhash_groups
from curate.near.images.copies import find_copies
from curate.near.text.minhash import shingle, shingle_hash32, signatures
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import Error
from pairwright.images import inspect_image, open_image


@pytest.fixture(scope="module")
def easy_vqa(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    pytest.importorskip("easy_vqa")
    path = tmp_path_factory.mktemp("easy") / "data"
    ingest(IngestOptions(source="easy-vqa", output=path), RunOptions())
    return Dataset(path)


def copy_of(content: bytes, kind: int) -> bytes:
    image, buffer = open_image(content), io.BytesIO()
    if kind == 0:
        image.save(buffer, "JPEG", quality=80)
    elif kind == 1:
        image.resize((96, 96), Image.Resampling.BICUBIC).save(buffer, "PNG")
    else:
        image.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


@pytest.mark.slow
def test_easy_vqa_loses_nothing(easy_vqa):
    """38,575 distinct questions on 4,000 images, a quarter of which share their hash."""
    outcome = dedup(easy_vqa, DedupOptions(), RunOptions())
    assert outcome.summary["rows"] == 38_575
    assert outcome.summary["near_hash_images"] > 3_000
    assert outcome.summary["copy_pairs"] == 0
    assert outcome.summary["removed"] == 0
    assert outcome.summary["conflicts"] == 0


@pytest.mark.slow
def test_planted_duplicates_in_easy_vqa_are_found(easy_vqa):
    """Exact copies, re-encoded images and flipped answers among all rows."""
    samples = easy_vqa.union("samples").select("sample_id", "image_ids", "messages").collect()
    images = easy_vqa.union("images").select("image_id", "bytes").collect()
    content = dict(images.iter_rows())
    generator = random.Random(4)
    rows = samples.to_dicts()
    planted, new_images = [], {}
    for number, row in enumerate(generator.sample(rows, 900)):
        copy = {**row, "sample_id": f"planted-{number % 3}-{number}"}
        if number % 3 == 1:
            changed = copy_of(content[row["image_ids"][0]], number // 3 % 3)
            facts = inspect_image(changed)
            new_images[facts.image_id] = (changed, facts)
            copy["image_ids"] = [facts.image_id]
        elif number % 3 == 2:
            answer = "no" if row["messages"][1]["content"] == "yes" else "yes"
            copy["messages"] = [row["messages"][0], {"role": "assistant", "content": answer}]
        planted.append(copy)
    everything = pl.concat([samples, pl.DataFrame(planted, schema=samples.schema)])
    facts = [inspect_image(c) for c in content.values()] + [f for _, f in new_images.values()]
    from curate.near.images.matching import ImageSource

    known = ImageSource(
        pl.DataFrame(
            [(f.image_id, f.width, f.height, f.phash) for f in facts],
            schema={"image_id": str, "width": pl.Int32, "height": pl.Int32, "phash": pl.UInt64},
            orient="row",
        ),
        lambda image_id: content.get(image_id) or new_images[image_id][0],
    )
    found = find_duplicates(everything, options=DedupOptions(keep="order"), images=known)
    removed = set(found.decisions.filter(~pl.col("kept"))["sample_id"])
    assert {i for i in removed if not i.startswith("planted")} == set()
    kinds = Counter(i.split("-")[1] for i in removed)
    assert kinds["0"] == 300
    assert kinds["1"] >= 290  # the hash of a flat image may move further than candidates go
    assert kinds["2"] == 0
    others = set(found.conflicts["other_id"]) | set(found.conflicts["sample_id"])
    assert {i for i in others if i.startswith("planted")} == {
        row["sample_id"] for row in planted if row["sample_id"].startswith("planted-2")
    }


def objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects one after the other, as one of the files has them."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        if text[place] in " \r\n\t,":
            place += 1
            continue
        value, place = decoder.raw_decode(text, place)
        yield value


@pytest.fixture(scope="module")
def captions(shared_data: Path) -> list[str]:
    files = sorted((shared_data / "pope").glob("Instruction1_*.json"))
    return [row["text"] for file in files for row in objects(file.read_text(encoding="utf-8"))]


def test_signatures_of_captions_are_datasketch_s(captions):
    from datasketch import MinHash

    from curate.near.text.fold import fold

    folded = fold(pl.Series(captions[::97]))
    found = signatures(shingle(folded))
    for row, text in zip(found, folded, strict=True):
        words = text.split(" ") if text else []
        grams = {" ".join(words[i : i + 3]).encode() for i in range(len(words) - 2)}
        expected = MinHash(128, hashfunc=shingle_hash32)
        expected.update_batch(grams or {text.encode(), *(word.encode() for word in words)})
        assert np.array_equal(row, expected.hashvalues)


def test_captions_above_the_threshold_are_all_found(captions):
    """Against all pairs of the shortest file, by brute force."""
    from curate.near.text.fold import fold

    texts = captions[:2000]
    found = minhash_groups(pl.Series(texts))
    kept = [k for k, is_kept in enumerate(found["kept"]) if is_kept]
    grams = []
    for text in fold(pl.Series(texts).gather(kept)):
        words = text.split(" ")
        grams.append({tuple(words[i : i + 3]) for i in range(len(words) - 2)} or {tuple(words)})
    by_gram: dict[Any, list[int]] = {}
    missed = 0
    for k, mine in enumerate(grams):
        near = {j for gram in mine for j in by_gram.get(gram, ())}
        missed += any(len(mine & grams[j]) / len(mine | grams[j]) >= 0.7 for j in near)
        for gram in mine:
            by_gram.setdefault(gram, []).append(k)
    assert missed <= 1
    assert 0.02 < 1 - len(kept) / len(texts) < 0.3


def test_captions_as_rows_without_images(captions):
    samples = pl.DataFrame(
        {
            "sample_id": [str(k) for k in range(len(captions))],
            "image_ids": [[] for _ in captions],
            "messages": [
                [{"role": "user", "content": "Describe."}, {"role": "assistant", "content": text}]
                for text in captions
            ],
        },
        schema_overrides={"image_ids": pl.List(pl.String)},
    )
    found = find_duplicates(samples, options=DedupOptions())
    assert samples.height == 10_000
    assert 300 < (~found.decisions["kept"]).sum() < 600
    assert found.summary["open_questions"] == 1
    again = samples.filter(found.decisions["kept"])
    assert find_duplicates(again, options=DedupOptions()).decisions["kept"].all()


def test_questions_on_images_that_were_not_ingested(shared_data: Path, tmp_path: Path):
    """Three files contain the same questions on the same images; nothing else is a duplicate."""
    expected = set()
    for name in ("random", "popular", "adversarial"):
        path = shared_data / "pope" / f"coco_pope_{name}.json"
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        expected |= {(row["image"], row["text"], row["label"]) for row in rows}
        options = IngestOptions(
            source=str(path), output=tmp_path / "pope", images=False, source_name=name
        )
        ingest(options, RunOptions())
    outcome = dedup(Dataset(tmp_path / "pope"), DedupOptions(), RunOptions())
    assert outcome.summary["rows"] == 9_000
    assert outcome.summary["kept"] == len(expected) == 5_127
    assert outcome.summary["conflicts"] == 0


@pytest.mark.slow
def test_photos_and_charts_and_their_copies(shared_data: Path):
    files = sorted((shared_data / "mllm-bench/images").iterdir())[::2]
    files += sorted((shared_data / "rlaif-v/images").iterdir())
    contents = []
    for file in files:
        try:
            inspect_image(file.read_bytes())
        except (Error, OSError):
            continue
        contents.append(file.read_bytes())
    contents = list(dict.fromkeys(contents))
    n = len(contents)
    for k in range(n):
        image, buffer = open_image(contents[k]), io.BytesIO()
        if k % 2:
            size = (max(8, image.width // 2), max(8, image.height // 2))
            image = image.resize(size, Image.Resampling.LANCZOS)
        image.save(buffer, "JPEG", quality=75)
        contents.append(buffer.getvalue())
    hashes = np.array([inspect_image(content).phash for content in contents], dtype=np.uint64)
    found = find_copies(hashes, contents.__getitem__)
    pairs = set(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert pairs - {(k, n + k) for k in range(n)} == set()
    assert len(pairs) >= n - 1
