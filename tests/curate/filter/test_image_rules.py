"""Rules on images: blurred and blank ones are removed; charts, fog and drawings are kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageFilter

from curate.filter.imagestats import WORK_PIXELS, measure, sharpness
from curate.filter.rows import Rows
from curate.filter.rules.image_size import SizeOptions, by_size
from pairwright.images import open_image


def rows(*image_ids: list[str]) -> Rows:
    return Rows(
        pl.DataFrame(
            {
                "sample_id": [str(n) for n in range(len(image_ids))],
                "image_ids": list(image_ids),
                "messages": [[{"role": "user", "content": "?"}] for _ in image_ids],
            },
            schema_overrides={"image_ids": pl.List(pl.String)},
        )
    )


def test_sizes_of_the_worst_image_count():
    sizes = pl.DataFrame(
        {"image_id": ["a", "b", "c"], "width": [400, 30, 1000], "height": [300, 600, 100]}
    )
    some = rows(["a"], ["a", "b"], ["c"], [])
    options = SizeOptions(min_side=50, max_pixels=110_000, max_aspect=15)
    resolution, aspect = by_size(some, options, sizes)
    assert resolution.values.to_list() == [300.0, 30.0, 100.0, None]
    assert resolution.removes.tolist() == [True, True, False, False]
    assert aspect.values.to_list() == [pytest.approx(4 / 3), 20.0, 10.0, None]
    assert aspect.removes.tolist() == [False, True, False, False]


def test_blank_images_and_a_page_with_one_line():
    for color in ((0, 0, 0), (255, 255, 255), (12, 200, 90)):
        assert measure(Image.new("RGB", (300, 200), color)).std < 0.1
    dark = np.random.default_rng(1).integers(0, 5, (200, 300, 3), dtype=np.uint8)
    assert measure(Image.fromarray(dark)).std < 3
    page = Image.new("RGB", (600, 800), (255, 255, 255))
    ImageDraw.Draw(page).text((40, 40), "One short line on an empty page", fill=(0, 0, 0))
    assert measure(page).std > 3


def test_sharpness_is_that_of_the_sharpest_part_whatever_the_contrast():
    blocks = np.random.default_rng(2).normal(128, 30, (32, 32))
    pixels = np.kron(blocks, np.ones((8, 8)))
    sharp = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB")
    faint = Image.fromarray((128 + (pixels - 128) / 6).clip(0, 255).astype(np.uint8)).convert("RGB")
    soft = sharp.filter(ImageFilter.GaussianBlur(4))
    corner = soft.copy()
    corner.paste(sharp.crop((0, 0, 100, 100)), (0, 0))
    values = [measure(image).sharpness for image in (sharp, faint, corner, soft)]
    assert min(values[:3]) > 0.2
    assert values[3] < 0.05
    assert np.isnan(sharpness(np.zeros((2, 50), dtype=np.float32)))
    assert sharpness(np.zeros((100, 100), dtype=np.float32)) == 0.0


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[Image.Image]:
    files = [*sorted((shared_data / "mllm-bench" / "images").iterdir())[::4]]
    files += sorted((shared_data / "rlaif-v" / "images").iterdir())[::4]
    return [open_image(file.read_bytes(), fit=WORK_PIXELS) for file in files]


def test_photos_and_charts_are_kept_their_blurred_copies_removed(photos):
    def found(change: Callable[[Image.Image], Image.Image]) -> float:
        return float(np.mean([measure(change(p)).sharpness < 0.05 for p in photos]))

    assert found(lambda p: p) == 0.0
    assert found(lambda p: p.filter(ImageFilter.GaussianBlur(3))) > 0.95
    assert found(lambda p: p.resize((p.width // 5, p.height // 5)).resize(p.size)) > 0.95
    assert all(measure(p).std > 3 for p in photos)
