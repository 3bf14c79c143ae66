import hashlib
import io

import pytest
from PIL import Image
from tiny_dataset import picture

from pairwright.images import ImageError
from pairwright.vlm.prepare import DEFAULT_PIXELS, ImageSource, pixel_budget, prepare

BUDGET = 64 * 64


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decoded(prepared):
    return Image.open(io.BytesIO(prepared.content))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_plain_files_are_sent_as_they_are(format):
    content = picture(1, format=format)
    sent = prepare(content, BUDGET)
    assert sent.content == content
    assert sent.mime == f"image/{format.lower()}"


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_large_images_are_shrunk_to_the_budget_and_named_by_what_is_sent(format):
    content = picture(1, size=(640, 320), format=format)
    sent = prepare(content, BUDGET)
    image = decoded(sent)
    assert 0.9 * BUDGET < image.width * image.height <= BUDGET
    assert abs(image.width / image.height - 2) < 0.05
    assert image.format == format
    assert sent.uuid == hashlib.sha256(sent.content).hexdigest()[:32]
    assert sent.uuid != prepare(content, BUDGET // 2).uuid


def test_turned_images_are_put_upright():
    turned = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decoded(prepare(encoded(turned, "JPEG", exif=exif), BUDGET))
    assert image.size == (20, 40)


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG"),
        encoded(Image.new("P", (20, 20)), "GIF"),
        encoded(Image.new("CMYK", (20, 20)), "JPEG"),
        encoded(Image.new("I;16", (20, 20)), "PNG"),
    ],
    ids=["transparent", "gif", "cmyk", "16-bit"],
)
def test_unusual_files_become_plain_ones(content):
    sent = prepare(content, BUDGET)
    assert decoded(sent).mode == "RGB"
    assert sent.mime in ("image/png", "image/jpeg")


def test_broken_files_are_refused():
    with pytest.raises(ImageError, match="not_an_image"):
        prepare(b"hello", BUDGET)


def test_an_image_is_prepared_once_while_it_is_in_use():
    class Reader:
        reads = 0

        def read(self, image_id):
            self.reads += 1
            return picture(int(image_id))

    reader = Reader()
    source = ImageSource(reader, BUDGET)
    assert source.get("1") is source.get("1")
    assert reader.reads == 1
    for number in range(200):
        source.get(str(number))
    assert len(source._recent) <= 64


def test_the_budget_is_the_models_own_limit_or_less(tmp_path):
    assert pixel_budget("some/model") == DEFAULT_PIXELS
    assert pixel_budget("some/model", 500) == 500
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "Qwen2VLImageProcessor", "size": {"longest_edge": 4096}}'
    )
    assert pixel_budget(str(tmp_path)) == 4096
    assert pixel_budget(str(tmp_path), 10_000) == 4096
    assert pixel_budget(str(tmp_path), 1000) == 1000
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "Idefics3ImageProcessor", "size": {"longest_edge": 980}}'
    )
    assert pixel_budget(str(tmp_path)) == DEFAULT_PIXELS
