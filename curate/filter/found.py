"""What every filter returns, and the rows that it looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


@dataclass(slots=True)
class Found:
    """What one filter found.

    Attributes:
        name: Its stable name, the `reason` of rows that it removes first.
        rule: What goes, as a sentence's end, such as `shorter side below 56`.
        values: Measured value of every row, null where there is nothing to measure.
        removes: Whether each row goes.
        cut: The threshold in the histogram, if it is one number.
        low_goes: Whether values below the threshold go, else those above.
        unit: What the values are.
        where: Of some rows, what a reader should look at; filled for the rows that go.
    """

    name: str
    rule: str
    values: pl.Series
    removes: np.ndarray
    cut: float | None = None
    low_goes: bool = False
    unit: str = ""
    where: dict[int, str] = field(default_factory=dict)
    detail: dict[int, str] = field(default_factory=dict)


class Rows:
    """Samples to filter, their turns and texts taken apart once."""

    def __init__(self, samples: pl.DataFrame) -> None:
        """Take samples (`sample_id`, `image_ids`, `messages`)."""
        self.samples = samples

    def __len__(self) -> int:
        """Number of samples."""
        return self.samples.height

    @cached_property
    def turns(self) -> pl.DataFrame:
        """Turns as `row`, `turn`, `role`, `images` so far, `text` without image marks."""
        import polars as pl

        turns = (
            self.samples.select("messages")
            .with_row_index("row")
            .explode("messages")
            .unnest("messages")
            .drop_nulls("role")
        )
        content = pl.col("content").fill_null("").str.replace_all("\\<image>", "\0", literal=True)
        text = (
            content.str.replace_all("<image>", " ", literal=True)
            .str.replace_all("\0", "<image>", literal=True)
            .str.strip_chars()
        )
        number = pl.int_range(pl.len()).over("row").alias("turn")
        marks = content.str.count_matches("<image>", literal=True)
        seen = marks.cum_sum().over("row").alias("images")
        return turns.select("row", number, "role", seen, text.alias("text"))

    @cached_property
    def answers(self) -> pl.DataFrame:
        """Turns of the assistant."""
        import polars as pl

        return self.turns.filter(pl.col("role") == "assistant")

    @cached_property
    def questions(self) -> pl.DataFrame:
        """Turns of the user."""
        import polars as pl

        return self.turns.filter(pl.col("role") == "user")

    @cached_property
    def _first_turn(self) -> list[int]:
        import numpy as np

        rows = self.turns["row"].to_numpy()
        return [int(n) for n in np.searchsorted(rows, np.arange(len(self) + 1))]

    def turns_of(self, row: int) -> list[tuple[str, str]]:
        """Role and text of every turn of one sample."""
        start, end = self._first_turn[row], self._first_turn[row + 1]
        return list(self.turns[start:end].select("role", "text").iter_rows())

    def spread(self, found: pl.DataFrame, column: str, how: str = "max") -> pl.Series:
        """Values of turns as one value a sample: the worst turn counts.

        Args:
            found: `row` and `column`; a row may come several times.
            column: The values.
            how: `max`, `min` or `sum`.
        """
        import polars as pl

        value = getattr(pl.col(column).cast(pl.Float64), how)()
        one = found.drop_nulls(column).group_by("row").agg(value.alias("value"))
        every = pl.DataFrame({"row": pl.int_range(len(self), dtype=pl.UInt32, eager=True)})
        return every.join(
            one.with_columns(pl.col("row").cast(pl.UInt32)),
            on="row",
            how="left",
            maintain_order="left",
        )["value"]


def low(values: pl.Series, least: float) -> np.ndarray:
    """Rows with a value below the least one; those without a value stay."""
    import numpy as np

    return np.asarray((values < least).fill_null(value=False).to_numpy(), dtype=bool)


def high(values: pl.Series, most: float) -> np.ndarray:
    """Rows with a value above the greatest one; those without a value stay."""
    import numpy as np

    return np.asarray((values > most).fill_null(value=False).to_numpy(), dtype=bool)
