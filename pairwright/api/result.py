"""What a command did, as its function returns it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.api import html
from pairwright.api.data import Dataset
from pairwright.api.page import Page
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import datasets
    import polars as pl

    from pairwright.commands.command import Outcome
    from pairwright.dataset.manifest import Manifest

_SHOWN_ROWS = 5


class Result:
    """What a command did.

    Attributes:
        name: The command, such as `curate dedup`.
        dataset: The dataset that it worked on, if it takes one.
        table: The table that it wrote, as `kind/run`; nothing after a dry run.
        rows: Rows in it.
        summary: Its numbers.
        message: What the command line prints, its flags as keywords.
    """

    def __init__(
        self, name: str, outcome: Outcome, dataset: Dataset | None, run: str | None, message: str
    ) -> None:
        """Keep what the command returned.

        Args:
            name: The command.
            outcome: What its function returned.
            dataset: The dataset.
            run: Name of the run, if the user gave one.
            message: What it says.
        """
        self.name, self.dataset = name, dataset
        self.table, self.rows, self.message = outcome.table, outcome.rows, message
        self.summary: dict[str, Any] = outcome.summary
        self._run = run

    def scan(self) -> pl.LazyFrame:
        """Rows of the table that was written, lazily.

        Raises:
            UsageError: If none was written.
        """
        if self.dataset is None or self.table is None:
            msg = f"{self.name} wrote no table"
            raise UsageError(msg)
        return self.dataset.scan(self.table)

    @property
    def rejects(self) -> pl.DataFrame:
        """Rows that could not be used: `row_id`, `stage`, `reason`, `detail`."""
        import polars as pl

        from schemas.tables import TABLES

        schema = {name: column.dtype for name, column in TABLES["rejects"].columns().items()}
        frames = [pl.DataFrame(schema=schema)]
        if self.dataset is not None:
            store = self.dataset.store
            frames += [store.scan(m).collect() for m in self._reject_runs()]
        return pl.concat(frames, how="vertical_relaxed")

    def _reject_runs(self) -> Iterator[Manifest]:
        assert self.dataset is not None
        store, command = self.dataset.store, self.name.partition(" ")[2]
        steps, run = {command}, self._run or command
        if self.table is not None:
            kind, _, run = self.table.rpartition("/")
            written = store.manifest(kind, run)
            steps = {command if written is None else written.step}
        for manifest in store.runs("rejects"):
            if manifest.run == run and manifest.step in steps and manifest.rows:
                yield manifest

    def to_datasets(
        self, *, split: str | None = None, all_columns: bool = False
    ) -> datasets.Dataset:
        """The rows as a `datasets.Dataset`, ready for TRL.

        Pairs have `images`, `prompt`, `chosen` and `rejected`. After any other command it is the
        samples that are current now: `images` and `messages`.

        Args:
            split: Split to take; the rows of all splits if not given.
            all_columns: Also ids, scores, source, license and the rest.

        Raises:
            UsageError: If there are no rows, or no such split.
        """
        if self.dataset is None:
            msg = f"{self.name} works on no dataset"
            raise UsageError(msg)
        kind, _, run = (self.table or "").rpartition("/")
        is_pairs = kind == "pairs"
        return self.dataset.to_datasets(
            "pairs" if is_pairs else "samples", pairs=run if is_pairs else None, split=split,
            all_columns=all_columns,
        )  # fmt: skip

    def report(self) -> Page:
        """The page that the command wrote; of other commands the dataset's report.

        Raises:
            UsageError: If the command works on no dataset.
        """
        own = self.summary.get("files")
        if isinstance(own, dict) and "html" in own:
            return Page(Path(own["html"]))
        if self.dataset is None:
            msg = f"{self.name} works on no dataset: there is nothing to report on"
            raise UsageError(msg)
        return self.dataset.report()

    def __repr__(self) -> str:
        """What the command line prints."""
        where = f" -> {self.table}" if self.table else ""
        lines = "\n".join(f"  {line}" for line in self.message.splitlines())
        return f"pw.{self.name.replace(' ', '.')}{where}\n{lines}"

    def _repr_html_(self) -> str:
        where = f" \N{RIGHTWARDS ARROW} {self.table}" if self.table else ""
        parts = [html.heading(f"{self.name}{where}"), html.plain(self.message)]
        if self.table is not None and self.dataset is not None:
            parts.append(html.frame(self.scan().head(_SHOWN_ROWS).collect()))
        return "".join(parts)
