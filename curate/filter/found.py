"""What a rule found in the rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


@dataclass(slots=True)
class Found:
    """What a rule found for one of its reasons.

    Attributes:
        name: The reason.
        rule: What is removed, as a sentence's end, such as `shorter side below 56`.
        values: Measured value of every row, null where there is nothing to measure.
        removes: Whether each row is removed.
        threshold: The limit between kept and removed values, if it is one number.
        removes_low: Whether values below the threshold are removed, else those above it.
        unit: What the values are.
        of_images: Whether they are of the row's images.
        masked: Whether the texts of these rows must not be printed, only their evidence.
        evidence: Of some rows, the passage that a reader should look at.
        detail: Of some rows, a word on why they are removed.
        reasons: Of some rows, another reason than `name`.
        notes: What else a reader should know, one line each.
    """

    name: str
    rule: str
    values: pl.Series
    removes: np.ndarray
    threshold: float | None = None
    removes_low: bool = False
    unit: str = ""
    of_images: bool = False
    masked: bool = False
    evidence: dict[int, str] = field(default_factory=dict)
    detail: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def below(values: pl.Series, threshold: float) -> np.ndarray:
    """Rows with a value below the threshold; not those without a value."""
    import numpy as np

    return np.asarray((values < threshold).fill_null(value=False).to_numpy(), dtype=bool)


def above(values: pl.Series, threshold: float) -> np.ndarray:
    """Rows with a value above the threshold; not those without a value."""
    import numpy as np

    return np.asarray((values > threshold).fill_null(value=False).to_numpy(), dtype=bool)


def at_least(values: pl.Series, threshold: float) -> np.ndarray:
    """Rows with a value of the threshold or more; not those without a value."""
    import numpy as np

    return np.asarray((values >= threshold).fill_null(value=False).to_numpy(), dtype=bool)


def note_passages(found: Found, hits: pl.DataFrame, pattern: str) -> None:
    """Note the passage around the first match in every row as its evidence.

    Args:
        found: What was found.
        hits: `row` and `text`; the first thousand are looked at.
        pattern: What matched.
    """
    import polars as pl

    passage = pl.col("text").str.extract(f"(?s)(.{{0,40}}(?:{pattern}).{{0,60}})", 1)
    shown = hits.head(1000).select("row", passage.alias("passage")).drop_nulls()
    found.evidence = dict(zip(shown["row"].to_list(), shown["passage"].to_list(), strict=True))
