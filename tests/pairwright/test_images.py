"""Opening hostile images."""

import io
import struct
import zlib

import imagehash
import numpy as np
import pytest
from PIL import Image
from tiny_dataset import picture

from pairwright.dataset.store import Dataset
from pairwright.images import (
    ImageError,
    ImageReader,
    fit_pixels,
    inspect_image,
    open_image,
    perceptual_hash,
    read_file,
)


def photo(size=(64, 48), seed=0):
    """A smooth picture, so that recompression changes little."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def encode(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_header(width, height):
    """A PNG that claims a size and holds nothing."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_image"),
        (b"hello, I am a text", "not_an_image"),
        (png_header(50_000, 50_000), "image_too_large"),
        (encode(photo(), "JPEG")[:200], "broken_image"),
        (encode(photo())[:200], "broken_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not_an_image"),
    ],
)
def test_bad_images_have_a_reason(content, reason):
    with pytest.raises(ImageError) as caught:
        open_image(content)
    assert caught.value.reason == reason


def test_format_is_sniffed_and_size_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    facts = inspect_image(encode(photo((64, 48)), "JPEG", exif=exif.tobytes()))
    assert (facts.format, facts.width, facts.height) == ("jpeg", 48, 64)


def test_animation_gives_its_first_frame():
    frames = [photo(seed=n) for n in range(3)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_image(content).size == (64, 48)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16", "1"])
def test_every_mode_becomes_rgb(mode):
    image = photo().convert("L").convert("I;16") if mode == "I;16" else photo().convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert open_image(encode(image, kind)).mode == "RGB"


def test_transparency_is_white():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert open_image(encode(clear)).getpixel((0, 0)) == (255, 255, 255)


def test_hash_stands_recompression_and_resizing_and_tells_others_apart():
    image = photo((256, 192))
    base = perceptual_hash(image)
    recompressed = perceptual_hash(open_image(encode(image, "JPEG", quality=70)))
    smaller = perceptual_hash(image.resize((100, 75)))
    other = perceptual_hash(photo((256, 192), seed=1))
    assert (base ^ recompressed).bit_count() <= 4
    assert (base ^ smaller).bit_count() <= 4
    assert (base ^ other).bit_count() > 12


def by_imagehash(image):
    """imagehash's pHash as our number: its rows from the lowest bit on."""
    bits = imagehash.phash(image).hash.ravel()
    return sum(1 << i for i, bit in enumerate(bits) if bit)


@pytest.mark.parametrize("seed", range(20))
def test_hash_is_that_of_the_package_imagehash(seed):
    """Two definitions, one value: ours leaves the constant term out of the median.

    That changes no bit while the constant term is above the median, as it is in every image that
    is not nearly black. Large images are first halved by averaging, which may turn a bit or two.
    """
    image = photo((150, 110), seed)
    assert perceptual_hash(image) == by_imagehash(image)
    large = photo((1000, 800), seed)
    assert (perceptual_hash(large) ^ by_imagehash(large)).bit_count() <= 2


def test_shrinking_keeps_the_aspect_and_never_enlarges():
    assert fit_pixels(photo((640, 480)), 4800).size == (80, 60)
    assert fit_pixels(photo((64, 48)), 10**6).size == (64, 48)


def test_files_come_from_their_folder_only(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode(photo()))
    (tmp_path / "secret.png").write_bytes(encode(photo()))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    assert read_file("a.png", folder)
    for path, reason in [
        ("../secret.png", "path_outside_folder"),
        (str(tmp_path / "secret.png"), "path_outside_folder"),
        ("link.png", "path_outside_folder"),
        ("b.png", "missing_image"),
        ("a\0.png", "bad_path"),
        ("x" * 5000, "unreadable_image"),
    ]:
        with pytest.raises(ImageError) as caught:
            read_file(path, folder)
        assert caught.value.reason == reason


def test_reader_finds_bytes_and_notices_changed_links(tmp_path):
    dataset = Dataset.create(tmp_path / "data")
    contents = [encode(photo(seed=n)) for n in range(3)]
    linked = tmp_path / "linked.png"
    linked.write_bytes(contents[2])
    rows = []
    for number, content in enumerate(contents):
        facts = inspect_image(content)
        rows.append(
            {
                "image_id": facts.image_id,
                "bytes": None if number == 2 else content,
                "path": str(linked) if number == 2 else None,
                "format": facts.format,
                "width": facts.width,
                "height": facts.height,
                "n_bytes": facts.n_bytes,
                "phash": facts.phash,
            }
        )
    with dataset.write("images", "src", step="ingest", config={}, part_rows=1) as writer:
        for row in rows:
            writer.add([row])
    reader = ImageReader(dataset)
    found = reader.read_many(row["image_id"] for row in rows)
    assert [found[row["image_id"]] for row in rows] == contents
    linked.write_bytes(b"other")
    with pytest.raises(ImageError, match="changed_image"):
        reader.read(rows[2]["image_id"])
    with pytest.raises(ImageError, match="missing_image"):
        reader.read("0" * 64)


def test_ids_that_begin_alike_are_told_apart(tmp_path):
    dataset = Dataset.create(tmp_path / "data")
    facts = inspect_image(picture(0))
    row = {n: getattr(facts, n) for n in ("format", "width", "height", "n_bytes", "phash")}
    ids = ["a" * 63 + end for end in "bcd"] + ["\u00fc" * 64, "short"]
    with dataset.write("images", "src", step="ingest", config={}, part_rows=2) as writer:
        for number, image_id in enumerate(ids):
            writer.add([{"image_id": image_id, "bytes": picture(number), **row}])
    reader = ImageReader(dataset)
    for number, image_id in enumerate(ids):
        assert image_id in reader
        assert reader.read(image_id) == picture(number)
    for unknown in ("b" * 64, "shor", "short2", "\u00fc" * 63, ""):
        assert unknown not in reader
        with pytest.raises(ImageError, match="missing_image"):
            reader.read(unknown)
    with pytest.raises(ImageError, match="missing_image"):
        reader.read("a" * 64)
