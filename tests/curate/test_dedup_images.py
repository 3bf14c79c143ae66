"""Same pictures: copies are found, pictures that show something else are not."""

import io
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageFont

from curate.dedup.decide import find_duplicates
from curate.dedup.options import DedupOptions
from curate.near.images.matching import Pictures
from curate.near.images.phash import hamming_pairs, same_picture, same_pictures
from pairwright.images import ImageError, inspect_image, open_image


def photo(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Something with smooth and sharp parts, as photographs have."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (8, 10, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = generator.integers(0, size[0]), generator.integers(0, size[1])
        w, h = generator.integers(10, 80, 2)
        draw.ellipse((x, y, x + w, y + h), fill=tuple(generator.integers(0, 256, 3).tolist()))
    noise = generator.normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def copies(image: Image.Image) -> dict[str, bytes]:
    return {
        "jpeg": encoded(image, "JPEG", quality=60),
        "webp": encoded(image, "WEBP", quality=70),
        "half": encoded(scaled(image, 0.5), "JPEG", quality=80),
        "three quarters": encoded(scaled(image, 0.75)),
        "double": encoded(scaled(image, 2), "JPEG", quality=75),
    }


def captioned(image: Image.Image, text: str) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).text(
        (20, 20), text, fill="white", stroke_width=2, stroke_fill="black",
        font=ImageFont.load_default(size=26),
    )  # fmt: skip
    return image


@pytest.mark.parametrize("kind", ["jpeg", "webp", "half", "three quarters", "double"])
def test_copies_are_the_same_picture(kind):
    for seed in range(5):
        image = photo(seed)
        assert same_picture(image, open_image(copies(image)[kind])) > 0.9


def test_other_pictures_are_not():
    image = photo(1)
    assert same_picture(image, photo(2)) == -1
    assert same_picture(image, image.crop((20, 0, 320, 240)).resize((320, 240))) == -1
    assert same_picture(image, image.resize((240, 240))) == -1  # another shape
    tinted = Image.fromarray((np.asarray(image) * [1, 0.9, 1]).astype(np.uint8))
    assert same_picture(image, tinted) == -1


def test_same_template_with_other_words_is_another_picture():
    image = photo(3)
    meme = captioned(image, "I love dogs")
    assert (
        bin(inspect_image(encoded(meme)).phash ^ inspect_image(encoded(image)).phash).count("1")
        <= 8
    )
    for other in ("I hate cats", "I love cats", "no words"):
        assert same_picture(meme, captioned(image, other)) == -1
    assert same_picture(meme, open_image(encoded(meme, "JPEG", quality=75))) > 0.9


def test_flat_pictures_with_a_small_shape():
    """Shapes as easy-vqa draws them: near or equal hashes, different things."""

    def drawn(color: str, at: int, ground: tuple[int, int, int] = (240, 240, 230)) -> Image.Image:
        image = Image.new("RGB", (64, 64), ground)
        ImageDraw.Draw(image).ellipse((at, 20, at + 14, 34), fill=color)
        return image

    image = drawn("red", 20)
    for other in (drawn("blue", 20), drawn("red", 26), drawn("red", 20, (240, 230, 240))):
        assert same_picture(image, other) == -1
    assert same_picture(image, open_image(encoded(image, "JPEG", quality=75))) > 0.9


@pytest.mark.parametrize("segments", [(4,), (5,), (8,), (3, 4, 5, 8)])
@pytest.mark.parametrize("distance", [0, 1, 3, 4, 7, 8, 9, 10, 16])
def test_near_hashes_are_all_found_and_once(distance, segments, monkeypatch):
    generator = np.random.default_rng(5)
    hashes = generator.integers(0, 2**64, 300, dtype=np.uint64)
    flips = np.uint64(1) << generator.integers(0, 64, (300, 10), dtype=np.uint64)
    near = hashes.copy()
    for k in range(300):
        near[k] ^= np.bitwise_xor.reduce(flips[k, : k % 10])
    everything = np.unique(np.r_[hashes, near, hashes[:20] ^ near[1:21]])
    monkeypatch.setattr("curate.near.images.hamming._SEGMENTS", segments)
    monkeypatch.setattr("curate.near.images.hamming._ROOM", 1)
    a, b = hamming_pairs(everything, distance)
    expected = {
        (i, j)
        for i in range(len(everything))
        for j in np.flatnonzero(np.bitwise_count(everything[i] ^ everything) <= distance).tolist()
        if j > i
    }
    found = list(zip(a.tolist(), b.tolist(), strict=True))
    assert set(found) == expected
    assert len(found) == len(expected)


def test_hashes_of_which_few_bits_vary(monkeypatch):
    generator = np.random.default_rng(6)
    for mask in (0x0F00000000000001, 0x00FF00FF00000000, 0):
        hashes = np.unique(generator.integers(0, 2**64, 400, dtype=np.uint64) & np.uint64(mask))
        a, b = hamming_pairs(hashes | np.uint64(0x10), 3)
        distances = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
        assert len(a) == np.triu(distances <= 3, 1).sum()
        assert (distances[a, b] <= 3).all()


def test_a_crowd_is_compared_with_its_preferred_ones(monkeypatch):
    """Sixty copies of one picture: everyone meets the first ones, nobody all."""
    small = photo(1, (48, 40))
    contents = [encoded(small, "JPEG", quality=60 + k % 40) for k in range(60)]
    monkeypatch.setattr("curate.near.images.phash._LISTED", 10)
    found = same_pictures(np.full(60, 7, dtype=np.uint64), contents.__getitem__)
    assert found.n_compared < 60 * 10
    assert set(found.b[found.a == 0]) == set(range(1, 60))
    assert found.n_crowded == 0
    few = same_pictures(
        np.random.default_rng(1).integers(0, 4, 60).astype(np.uint64), contents.__getitem__
    )
    assert set(few.b[few.a == 0]) == set(range(1, 60))


def test_only_candidates_are_read_and_unreadable_ones_match_nothing():
    images = [photo(k) for k in range(6)]
    contents = [encoded(image) for image in images]
    contents += [encoded(images[0], "JPEG", quality=70), encoded(images[1], "JPEG", quality=70)]
    hashes = np.array([inspect_image(content).phash for content in contents], dtype=np.uint64)
    read: list[int] = []

    def content(number: int) -> bytes:
        read.append(number)
        if number == 7:
            raise ImageError("missing_image", "gone")
        return contents[number]

    found = same_pictures(hashes, content)
    assert list(zip(found.a, found.b, strict=True)) == [(0, 6)]
    assert found.unreadable == (7,)
    assert set(read) == {0, 1, 6, 7}


def pictures(contents: list[bytes]) -> tuple[list[str], Pictures]:
    facts = [inspect_image(content) for content in contents]
    by_id = {fact.image_id: content for fact, content in zip(facts, contents, strict=True)}
    frame = pl.DataFrame(
        [(f.image_id, f.width, f.height, f.phash) for f in facts],
        schema={"image_id": pl.String, "width": pl.Int32, "height": pl.Int32, "phash": pl.UInt64},
        orient="row",
    )
    return [fact.image_id for fact in facts], Pictures(frame, by_id.__getitem__)


def samples(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sample_id": [f"s{k}" for k in range(len(rows))],
            "image_ids": [[image] for image, _, _ in rows],
            "messages": [
                [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
                for _, q, a in rows
            ],
        }
    )


def test_samples_on_copies_of_an_image():
    image = photo(7)
    contents = [encoded(scaled(image, 0.5), "JPEG", quality=85), encoded(image), encoded(photo(8))]
    (small, large, other), known = pictures(contents)
    rows = samples(
        (small, "What is it?", "a cat"),
        (large, "what is it?", "A cat."),
        (other, "what is it?", "a cat"),
        (large, "what is it?", "a dog"),
        (large, "where is it?", "there"),
    )
    found = find_duplicates(rows, options=DedupOptions(keep="resolution"), pictures=known)
    gone = found.decisions.filter(~pl.col("kept"))
    assert gone.select("sample_id", "kept_id", "reason", "method", "similarity").rows() == [
        ("s0", "s1", "near_image", "phash", 1.0)
    ]
    assert found.conflicts.select("sample_id", "other_id").rows() == [("s1", "s3")]
    exact = DedupOptions(image_match="exact")
    assert find_duplicates(rows, options=exact, pictures=known).decisions["kept"].all()
    images = find_duplicates(
        rows, options=DedupOptions(on="image", keep="order"), pictures=known
    ).decisions
    assert images["kept"].to_list() == [True, False, True, False, False]
    assert images["reason"][1] == "near_image"
    assert 0.9 < images["similarity"][1] < 1


def test_contradictions_across_copies():
    image = photo(9)
    (one, copy), known = pictures([encoded(image), encoded(image, "JPEG", quality=80)])
    rows = samples((one, "Is it?", "yes"), (copy, "Is it?", "no"))
    found = find_duplicates(rows, options=DedupOptions(), pictures=known)
    assert found.decisions["kept"].all()
    assert found.conflicts.height == 1


def test_embeddings_as_the_same_image_test():
    known = Pictures(
        pl.DataFrame(schema={"image_id": pl.String, "width": pl.Int32, "height": pl.Int32, "phash": pl.UInt64}),
        lambda _: b"",
        vectors=pl.DataFrame(
            {"item_id": ["a", "b", "c"], "vector": [[1.0, 0.0], [0.99, 0.14], [0.0, 1.0]]}
        ),
    )  # fmt: skip
    rows = samples(
        ("a", "q", "x"), ("b", "q", "x"), ("c", "q", "x"), ("d", "q", "x"), ("b", "z", "x")
    )
    options = DedupOptions(image_match="clip", clip_threshold=0.95)
    found = find_duplicates(rows, options=options, pictures=known)
    assert found.decisions["kept"].to_list() == [True, False, True, True, True]
    assert found.decisions["method"][1] == "clip"
    assert found.summary["clip_like_pairs"] == 1
    assert found.summary["images_without_embedding"] == 1


def test_small_pictures_with_hard_edges_are_found_when_scaled_by_a_few_pixels():
    """Parts of such copies differ by far more than those of photographs."""
    generator = np.random.default_rng(7)
    contents = []
    for _ in range(40):
        image = Image.new("RGB", (64, 64), "white")
        x, y = generator.integers(2, 30, 2).tolist()
        w, h = generator.integers(12, 30, 2).tolist()
        color = tuple(generator.integers(0, 255, 3).tolist())
        ImageDraw.Draw(image).rectangle((x, y, x + w, y + h), fill=color)
        for copy in (image, image.resize((60, 60), Image.Resampling.BICUBIC)):
            buffer = io.BytesIO()
            copy.save(buffer, "PNG")
            contents.append(buffer.getvalue())
    hashes = np.array([inspect_image(one).phash for one in contents], dtype=np.uint64)
    found = same_pictures(hashes, lambda number: contents[number], distance=16)
    pairs = set(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert {(2 * k, 2 * k + 1) for k in range(40)} <= pairs
    assert all(a // 2 == b // 2 for a, b in pairs)
