"""Small datasets for the training tests: coloured squares and questions about them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pairwright.dataset.store import Dataset
from pairwright.images import inspect_image

COLORS = {
    "red": (220, 20, 20),
    "blue": (20, 20, 220),
    "green": (20, 200, 20),
    "grey": (90, 90, 90),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
    "pink": (250, 120, 180),
    "brown": (110, 60, 20),
}


def png(color: tuple[int, int, int], size: tuple[int, int] = (32, 32)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def write_images(dataset: Dataset, images: Sequence[bytes], run: str = "made") -> list[str]:
    facts = [inspect_image(content) for content in images]
    rows = [
        {
            "image_id": f.image_id,
            "bytes": content,
            "format": f.format,
            "width": f.width,
            "height": f.height,
            "n_bytes": f.n_bytes,
            "phash": f.phash,
        }
        for f, content in {f.image_id: (f, c) for f, c in zip(facts, images, strict=True)}.values()
    ]
    with dataset.write("images", run, step="ingest", config={}) as writer:
        writer.add(rows)
    return [f.image_id for f in facts]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def write_samples(dataset: Dataset, rows: Sequence[dict[str, Any]], run: str = "made") -> None:
    with dataset.write("samples", run, step="ingest", config={}) as writer:
        writer.add(
            {"sample_id": f"s{n}", "source": run, "source_id": str(n), "split": "train"} | row
            for n, row in enumerate(rows)
        )


def write_pairs(
    dataset: Dataset, rows: Sequence[dict[str, Any]], run: str = "best-of-n", step: str = "build"
) -> None:
    with dataset.write("pairs", run, step=step, config={}) as writer:
        writer.add(
            {"pair_id": f"p{n}", "sample_id": f"s{n}", "method": run} | row
            for n, row in enumerate(rows)
        )


class Maker:
    """Makes datasets in the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def colors(self, name: str = "data", *, size: tuple[int, int] = (32, 32)) -> Dataset:
        """Eight images, one question each, and as many pairs."""
        dataset = Dataset.create(self.folder / name)
        images = write_images(dataset, [png(c, size) for c in COLORS.values()])
        ask = user("<image>\ncolor?")
        names = list(COLORS)
        write_samples(
            dataset,
            [
                {"image_ids": [i], "messages": [ask, assistant(n)]}
                for i, n in zip(images, names, strict=True)
            ],
        )
        write_pairs(
            dataset,
            [
                {"image_ids": [i], "prompt": [ask], "chosen": n, "rejected": names[k - 1]}
                for k, (i, n) in enumerate(zip(images, names, strict=True))
            ],
        )
        return dataset
