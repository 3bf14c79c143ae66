"""Sets of images through `curate dedup`: which copies are found, and what is never lost."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps
from tiny_dataset import sample, write_dataset

from curate.dedup.command import dedup
from curate.dedup.options import DedupOptions
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.images import open_image


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def cropped(image: Image.Image, fraction: float) -> Image.Image:
    x, y = round(image.width * fraction / 2), round(image.height * fraction / 2)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg 75": lambda image: encoded(image, quality=75),
    "jpeg 50": lambda image: encoded(image, quality=50),
    "webp 50": lambda image: encoded(image, "WEBP", quality=50),
    "quarter": lambda image: encoded(scaled(image, 0.25), quality=85),
    "half": lambda image: encoded(scaled(image, 0.5), quality=85),
    "double": lambda image: encoded(scaled(image, 2), quality=85),
    "cropped": lambda image: encoded(cropped(image, 0.05), quality=95),
    "cropped more": lambda image: encoded(cropped(image, 0.2), quality=95),
    "mirrored": lambda image: encoded(ImageOps.mirror(image), quality=95),
}
FOUND = ("jpeg 75", "jpeg 50", "webp 50", "quarter", "half", "double")


def scene(seed: int) -> Image.Image:
    """Sky, ground, objects, light from one side and grain, as in a photograph."""
    generator = np.random.default_rng(seed)
    width, height = 384, 256
    horizon = int(generator.integers(70, 190))
    ramp = np.linspace(0, 1, height)[:, None, None]
    sky, ground = generator.integers(60, 255, (2, 3)), generator.integers(20, 200, (2, 3))
    pixels = np.where(
        np.arange(height)[:, None, None] < horizon, sky[0] * (1 - ramp) + sky[1] * ramp,
        ground[0] * (1 - ramp) + ground[1] * ramp,
    )  # fmt: skip
    pixels = np.broadcast_to(pixels, (height, width, 3)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(image)
    for _ in range(int(generator.integers(6, 14))):
        x, y = int(generator.integers(-20, width)), int(generator.integers(horizon - 60, height))
        w, h = (int(v) for v in generator.integers(15, 110, 2))
        shape = (draw.ellipse, draw.rectangle)[int(generator.integers(0, 2))]
        shape((x, y, x + w, y + h), fill=tuple(generator.integers(0, 256, 3).tolist()))
    light = 0.75 + 0.5 * np.linspace(0, 1, width)[None, :, None]
    grain = generator.normal(0, 5, (height, width, 3))
    return Image.fromarray((np.asarray(image) * light + grain).clip(0, 255).astype(np.uint8))


def with_copies(path: Path, originals: list[Image.Image]) -> Dataset:
    contents = [
        ("original", k, encoded(image, "PNG", compress_level=1))
        for k, image in enumerate(originals)
    ]
    contents += [
        (kind, k, make(image)) for kind, make in COPIES.items() for k, image in enumerate(originals)
    ]
    rows = [
        sample(f"{kind}/{k}", [content], "<image>\nWhat is to be seen here?", f"scene number {k}")
        for kind, k, content in contents
    ]
    return write_dataset(path, [content for _, _, content in contents], rows)


def recall_of_copies(dataset: Dataset, options: DedupOptions) -> dict[str, float]:
    """Fraction of the copies of each kind that are in one group with the original."""
    dedup(dataset, options, RunOptions(replace=True))
    decisions = dataset.read("decisions", "dedup")
    ids = dataset.union("samples").select("sample_id", "source_id").collect()
    table = decisions.join(ids, on="sample_id")
    assert table["sample_id"].n_unique() == table.height == len(ids)
    group = dict(table.select("source_id", "group_id").iter_rows())
    found: dict[str, list[bool]] = {}
    for name, mine in group.items():
        kind, k = name.split("/")
        if kind != "original":
            found.setdefault(kind, []).append(mine == group[f"original/{k}"])
    kept = dict(table.select("sample_id", "kept").iter_rows())
    assert all(kept[i] for i in table["kept_id"].drop_nulls())
    # No row was removed because of another image.
    names = dict(table.select("sample_id", "source_id").iter_rows())
    removed = table.filter(~pl.col("kept"))
    assert all(
        name.split("/")[1] == names[other].split("/")[1]
        for name, other in zip(removed["source_id"], removed["kept_id"], strict=True)
    )
    return {kind: sum(values) / len(values) for kind, values in found.items()}


def check_copies(path: Path, originals: list[Image.Image]) -> None:
    dataset = with_copies(path, originals)
    for on in ("sample", "image"):
        recall = recall_of_copies(dataset, DedupOptions(on=on))
        assert min(recall[kind] for kind in FOUND) > 0.99, recall
        # Other images: part of what the text describes may be missing, or left is right.
        assert recall["cropped"] == recall["cropped more"] == recall["mirrored"] == 0, recall


@pytest.mark.slow
def test_copies_of_drawn_scenes(tmp_path):
    check_copies(tmp_path / "data", [scene(seed) for seed in range(10)])


def test_copies_of_photographs(tmp_path, shared_data):
    files = sorted((shared_data / "rlaif-v/images").iterdir())[:8]
    files += sorted((shared_data / "mllm-bench/images").iterdir())[:8]
    check_copies(tmp_path / "data", [open_image(file.read_bytes(), fit=80_000) for file in files])


WORDS = (
    "cats",
    "dogs",
    "Monday",
    "coffee",
    "exams",
    "my boss",
    "the beach",
    "snow",
    "taxes",
    "you",
)


def meme(template: Image.Image, top: str, bottom: str) -> bytes:
    image = template.copy()
    draw = ImageDraw.Draw(image)
    for y, words in ((10, top), (template.height - 40, bottom)):
        draw.text(
            (12, y), words, fill="white", stroke_width=2, stroke_fill="black",
            font=ImageFont.load_default(size=24),
        )  # fmt: skip
    return encoded(image, quality=90)


def chart(values: list[int]) -> bytes:
    image = Image.new("RGB", (320, 220), "white")
    draw = ImageDraw.Draw(image)
    draw.line((30, 10, 30, 190, 310, 190), fill="black", width=2)
    for k, value in enumerate(values):
        x = 45 + 52 * k
        draw.rectangle((x, 190 - value, x + 30, 190), fill=(70, 120, 200))
        draw.text((x + 4, 196), f"{value}", fill="black", font=ImageFont.load_default(size=12))
    return encoded(image, "PNG")


def receipt(number: int, total: str) -> bytes:
    image = Image.new("RGB", (240, 320), (250, 250, 247))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=15)
    for y, line in enumerate(["CORNER SHOP", f"No. {number:05d}", "bread   2.10", "milk    1.05"]):
        draw.text((20, 20 + 30 * y), line, fill="black", font=font)
    draw.text((20, 180), f"TOTAL   {total}", fill="black", font=font)
    return encoded(image, quality=92)


def texts_in_images() -> list[tuple[bytes, str, str]]:
    """Images of few templates that differ in the words and numbers that they show."""
    rows = []
    for seed in (1, 2):
        template = scene(seed)
        for one in WORDS:
            for other in WORDS[:2]:
                content = meme(template, f"I love {one}", f"not {other}")
                rows.append((content, "What does the text say?", f"I love {one}, not {other}."))
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = generator.integers(10, 170, 5).tolist()
        rows.append(
            (chart(values), "Which bar is the highest?", f"Number {np.argmax(values) + 1}.")
        )
    base = [100, 60, 140, 80, 120]
    for k in range(5):  # one bar a little higher, and its number
        for more in (4, 8):
            values = [value + more * (j == k) for j, value in enumerate(base)]
            rows.append((chart(values), "Which bar is the highest?", "Number 3."))
    for number in range(30):
        total = f"{3 + number // 10}.{number % 10}5"
        rows.append((receipt(100 + number, total), "What is the total?", f"{total}"))
    return rows


@pytest.fixture(scope="module")
def lettered(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = texts_in_images()
    rows = [
        sample(str(k), [content], f"<image>\n{question}", answer)
        for k, (content, question, answer) in enumerate(made)
    ]
    return write_dataset(tmp_path_factory.mktemp("lettered") / "d", [c for c, _, _ in made], rows)


@pytest.mark.parametrize("on", ["sample", "image"])
def test_a_template_with_other_words_or_numbers_is_kept(lettered, on):
    outcome = dedup(lettered, DedupOptions(on=on), RunOptions(run=f"by-{on}"))
    assert outcome.summary["rows"] == 100
    assert outcome.summary["near_hash_images"] > 60  # by their hashes alone they would be removed
    assert outcome.summary["removed"] == 0


def test_short_answers_on_many_images_are_kept(tmp_path):
    contents = [encoded(scene(seed), quality=80) for seed in range(40)]
    asked = [
        ("Is there a cat?", ("yes", "no")), ("What color is it?", ("red", "blue", "red")),
        ("Is it red?", ("Yes.", "No.")), ("How many are there?", ("2", "3", "two")),
    ]  # fmt: skip
    rows = [
        sample(f"{k}-{q}", [content], f"<image>\n{question}", answers[k % len(answers)])
        for k, content in enumerate(contents)
        for q, (question, answers) in enumerate(asked)
    ]
    dataset = write_dataset(tmp_path / "data", contents, rows)
    outcome = dedup(dataset, DedupOptions(), RunOptions())
    assert outcome.summary["rows"] == 160
    assert outcome.summary["removed"] == 0
    assert outcome.summary["conflicts"] == 0


def embedded(dataset: Dataset, near: float) -> None:
    """Embeddings that all lie within a cosine of each other, as for the images of one template."""
    ids = dataset.union("images").select("image_id").collect()["image_id"]
    generator = np.random.default_rng(1)
    away = generator.normal(size=(len(ids), 64))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    vectors = np.concatenate([np.full((len(ids), 1), near**0.5), (1 - near) ** 0.5 * away], axis=1)
    with dataset.write("embeddings", "clip-like", step="embed", config={}) as writer:
        writer.add(
            pl.DataFrame({"item_id": ids}).with_columns(
                pl.lit("image").alias("kind"),
                pl.lit("clip-like").alias("model"),
                pl.Series("vector", vectors).cast(pl.Array(pl.Float16, 65)),
            )
        )


def test_near_embeddings_remove_nothing_with_other_texts_except_on_image(lettered):
    embedded(lettered, 0.97)
    by_clip = {"image_match": "clip", "clip_threshold": 0.92}
    outcome = dedup(lettered, DedupOptions(**by_clip), RunOptions(run="clip-sample"))
    assert outcome.summary["clip_near_images"] == 100
    # Only rows with the same question and answer are removed.
    decisions = lettered.read("decisions", "clip-sample")
    texts = lettered.union("samples").select("sample_id", "messages").collect()
    conversations = {
        row["sample_id"]: tuple(m["content"].casefold().strip(".") for m in row["messages"])
        for row in texts.iter_rows(named=True)
    }
    removed = decisions.filter(~pl.col("kept"))
    assert all(
        conversations[i] == conversations[k]
        for i, k in zip(removed["sample_id"], removed["kept_id"], strict=True)
    )
    assert decisions["kept"].sum() == len(set(conversations.values()))
    outcome = dedup(lettered, DedupOptions(on="image", **by_clip), RunOptions(run="clip-image"))
    assert (
        outcome.summary["removed"] == 99
    )  # similarity alone was requested: all others are removed
