"""What the training tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import color_data


@pytest.fixture
def make(tmp_path: Path) -> color_data.Maker:
    """Makes small datasets in the test's folder."""
    return color_data.Maker(tmp_path)
