"""The rows that rules look at: samples, their turns and texts taken apart once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# Scripts without spaces count by characters.
WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[^\s\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]+"


class Rows:
    """Samples to filter."""

    def __init__(self, samples: pl.DataFrame) -> None:
        """Take samples (`sample_id`, `image_ids`, `messages`)."""
        self.samples = samples

    def __len__(self) -> int:
        """Number of samples."""
        return self.samples.height

    @cached_property
    def turns(self) -> pl.DataFrame:
        """Turns as `row`, `turn`, `role`, `images` so far, `text` without image placeholders."""
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
        placeholders = content.str.count_matches("<image>", literal=True)
        seen = placeholders.cum_sum().over("row").alias("images")
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

    def of_images(self, facts: pl.DataFrame, column: str, how: str) -> pl.Series:
        """Values of images as one value a sample.

        Args:
            facts: `image_id` and `column`.
            column: The values.
            how: `max`, `min` or `sum`.
        """
        links = self.samples.select("image_ids").with_row_index("row").explode("image_ids")
        known = facts.select("image_id", column)
        return self.spread(links.join(known, left_on="image_ids", right_on="image_id"), column, how)
