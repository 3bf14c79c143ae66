"""What counts as an exact match, and the rate of yes."""

import polars as pl
import pytest

from train.evaluate.metrics.exact_match import normalize, summarize


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Yes.", "yes"), ("  a  red\ncar ! ", "a red car"), ("?", "?"), ("U.S.", "u.s"), ("", "")],
)
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


def test_yes_rate() -> None:
    predictions = pl.DataFrame(
        {
            "text": ["Yes", "yes", "No.", "red", "maybe"],
            "reference": ["no", "yes", "no", "red", "Yes"],
        }
    )
    assert summarize(predictions) == {
        "n_yes_no": 4,
        "yes_rate": 0.5,
        "reference_yes_rate": 0.5,
        "accuracy_yes_no": 0.5,
    }
