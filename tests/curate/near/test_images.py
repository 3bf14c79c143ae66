"""Copies of images: found if resized or compressed again, not if something else is shown."""

import io

import numpy as np
import pytest
from photos import encoded, photo, scaled
from PIL import Image, ImageDraw, ImageFont

from curate.near.images.copies import find_copies
from curate.near.images.hamming import hamming_pairs
from curate.near.images.pixels import copy_similarity
from pairwright.images import ImageError, inspect_image, open_image


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
def test_copies_are_the_copy_similarity(kind):
    for seed in range(5):
        image = photo(seed)
        assert copy_similarity(image, open_image(copies(image)[kind])) > 0.9


def test_other_images_are_not_copies():
    image = photo(1)
    assert copy_similarity(image, photo(2)) == -1
    assert copy_similarity(image, image.crop((20, 0, 320, 240)).resize((320, 240))) == -1
    assert copy_similarity(image, image.resize((240, 240))) == -1  # another shape
    tinted = Image.fromarray((np.asarray(image) * [1, 0.9, 1]).astype(np.uint8))
    assert copy_similarity(image, tinted) == -1


def test_a_template_with_other_words_is_not_a_copy():
    image = photo(3)
    meme = captioned(image, "I love dogs")
    assert (
        bin(inspect_image(encoded(meme)).phash ^ inspect_image(encoded(image)).phash).count("1")
        <= 8
    )
    for other in ("I hate cats", "I love cats", "no words"):
        assert copy_similarity(meme, captioned(image, other)) == -1
    assert copy_similarity(meme, open_image(encoded(meme, "JPEG", quality=75))) > 0.9


def test_flat_images_with_a_small_shape():
    """Shapes as easy-vqa draws them: near or equal hashes, different things."""

    def drawn(color: str, at: int, ground: tuple[int, int, int] = (240, 240, 230)) -> Image.Image:
        image = Image.new("RGB", (64, 64), ground)
        ImageDraw.Draw(image).ellipse((at, 20, at + 14, 34), fill=color)
        return image

    image = drawn("red", 20)
    for other in (drawn("blue", 20), drawn("red", 26), drawn("red", 20, (240, 230, 240))):
        assert copy_similarity(image, other) == -1
    assert copy_similarity(image, open_image(encoded(image, "JPEG", quality=75))) > 0.9


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
    """Sixty copies of one image: each is compared with the first ones, none with all."""
    small = photo(1, (48, 40))
    contents = [encoded(small, "JPEG", quality=60 + k % 40) for k in range(60)]
    monkeypatch.setattr("curate.near.images.copies._MAX_LISTED", 10)
    found = find_copies(np.full(60, 7, dtype=np.uint64), contents.__getitem__)
    assert found.n_compared < 60 * 10
    assert set(found.b[found.a == 0]) == set(range(1, 60))
    assert found.n_crowded == 0
    few = find_copies(
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

    found = find_copies(hashes, content)
    assert list(zip(found.a, found.b, strict=True)) == [(0, 6)]
    assert found.unreadable == (7,)
    assert set(read) == {0, 1, 6, 7}


def test_small_images_with_hard_edges_are_found_when_resized_by_a_few_pixels():
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
    found = find_copies(hashes, lambda number: contents[number], distance=16)
    pairs = set(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert {(2 * k, 2 * k + 1) for k in range(40)} <= pairs
    assert all(a // 2 == b // 2 for a, b in pairs)
