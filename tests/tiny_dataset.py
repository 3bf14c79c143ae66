"""Makes small datasets with images, through the real writers."""

import hashlib
import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from pairwright.dataset.ids import stable_id
from pairwright.dataset.store import Dataset
from pairwright.images import inspect_image

QUESTIONS = ("what shape is it?", "is it red?", "what color is it?", "is there a circle?")
ANSWERS = ("circle", "yes", "blue", "no")


def picture(number: int, *, size: tuple[int, int] = (64, 64), format: str = "PNG") -> bytes:
    """A picture that differs from every other number's."""
    color = (number * 37 % 256, number * 91 % 256, number * 13 % 256)
    image = Image.new("RGB", size, (255, 255, 255))
    ImageDraw.Draw(image).ellipse((8, 8, size[0] // 2, size[1] // 2), fill=color)
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def make_dataset(path: Path, *, images: int = 6, questions: int = 2) -> Dataset:
    """A dataset of `images * questions` samples, an image under several questions."""
    contents = [picture(n) for n in range(images)]
    samples = []
    for number, content in enumerate(contents):
        for q in range(questions):
            text = f"{QUESTIONS[q % len(QUESTIONS)]}{' again?' * (q // len(QUESTIONS))}"
            samples.append(
                sample(f"{number}-{q}", [content], f"<image>\n{text}", ANSWERS[q % len(ANSWERS)])
            )
    return write_dataset(path, contents, samples)


def sample(
    source_id: str, images: list[bytes], question: str, answer: str | None
) -> dict[str, Any]:
    """A row of the samples table."""
    messages = [{"role": "user", "content": question}]
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    return {
        "sample_id": stable_id("tiny", source_id, 0),
        "image_ids": [hashlib.sha256(content).hexdigest() for content in images],
        "messages": messages,
        "source": "tiny",
        "source_id": source_id,
    }


def write_dataset(
    path: Path, images: list[bytes], samples: list[dict[str, Any]], *, source: str = "tiny"
) -> Dataset:
    """A dataset of these images and samples."""
    dataset = Dataset.create(path)
    rows = []
    for content in dict.fromkeys(images):
        facts = inspect_image(content)
        rows.append(
            {
                "image_id": facts.image_id,
                "bytes": content,
                "format": facts.format,
                "width": facts.width,
                "height": facts.height,
                "n_bytes": facts.n_bytes,
                "phash": facts.phash,
            }
        )
    for kind, content_rows in (("images", rows), ("samples", samples)):
        with dataset.write(kind, source, step="ingest", config={}, rejects=False) as writer:
            writer.add(content_rows)
    return dataset
