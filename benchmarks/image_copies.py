"""Which copies of photographs are found, by how they were made.

    python benchmarks/image_copies.py FOLDER [FOLDER ...] [--limit 0]

Each image of the folders is copied in all ways below. Printed per way: the rate of copies that are
found (near hash, confirmed by the pixels), the rate whose hash is near (at most 8 bits), the rate
that the pixels alone would confirm, and pairs of different photographs that were found (among all
pairs of originals and copies).
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from curate.near.images.copies import DISTANCE, find_copies
from curate.near.images.pixels import copy_similarity
from pairwright.commands.progress import Progress
from pairwright.images import ImageError, inspect_image, open_image

Make = Callable[[Image.Image], bytes]


def encoded(image: Image.Image, form: str = "JPEG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(quality: int) -> Make:
    return lambda image: encoded(image, quality=quality)


def webp(quality: int) -> Make:
    return lambda image: encoded(image, "WEBP", quality=quality)


def scaled(factor: float) -> Make:
    def make(image: Image.Image) -> bytes:
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        return encoded(image.resize(size, Image.Resampling.LANCZOS), quality=85)

    return make


def cropped(fraction: float) -> Make:
    def make(image: Image.Image) -> bytes:
        x, y = round(image.width * fraction / 2), round(image.height * fraction / 2)
        return encoded(image.crop((x, y, image.width - x, image.height - y)), quality=95)

    return make


def ways() -> dict[str, Make]:
    """How copies are made, by name."""
    made = {f"jpeg, quality {q}": jpeg(q) for q in (95, 75, 50, 40, 30, 20)}
    made |= {f"webp, quality {q}": webp(q) for q in (80, 50)}
    made |= {f"scaled x {f:g}, jpeg 85": scaled(f) for f in (0.25, 0.5, 0.75, 0.9, 1.5, 2)}
    made |= {f"cropped by {100 * s:g} %": cropped(s) for s in (0.01, 0.02, 0.05, 0.1, 0.2)}
    made["mirrored"] = lambda image: encoded(ImageOps.mirror(image), quality=95)
    made["gray"] = lambda image: encoded(image.convert("L").convert("RGB"), quality=95)
    made["10 % brighter"] = lambda image: encoded(
        image.point(lambda value: min(255, int(value * 1.1))), quality=95
    )
    return made


def main() -> None:
    """Copy, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="images to take; 0 takes all")
    options = parser.parse_args()
    images, failed = [], 0
    for file in sorted(f for folder in options.folders for f in folder.iterdir() if f.is_file()):
        try:
            images.append(open_image(file.read_bytes()))
        except ImageError:
            failed += 1
    images = images[: options.limit or None]
    n = len(images)
    print(f"{n:,} images, {failed} could not be read")
    print(f"{'':24}{'found':>8}{'near hash':>11}{'same pixels':>13}{'others':>8}")
    originals = [encoded(image, "PNG", compress_level=1) for image in images]
    hashes = np.array([inspect_image(content).phash for content in originals], dtype=np.uint64)
    Progress.quiet = True
    for name, make in ways().items():
        copies = [make(image) for image in images]
        theirs = np.array([inspect_image(content).phash for content in copies], dtype=np.uint64)
        found = find_copies(np.r_[hashes, theirs], (originals + copies).__getitem__)
        right = int((found.b - found.a == n).sum())
        near = float((np.bitwise_count(hashes ^ theirs) <= DISTANCE).mean())
        pixels = sum(
            copy_similarity(image, open_image(copy)) >= 0
            for image, copy in zip(images, copies, strict=True)
        )
        print(
            f"{name:24}{right / n:>8.3f}{near:>11.3f}{pixels / n:>13.3f}{len(found.a) - right:>8}",
            flush=True,
        )


if __name__ == "__main__":
    main()
