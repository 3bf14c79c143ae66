"""A dataset in Python: its tables, its funnel, its rows for TRL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pairwright.api import html
from pairwright.api.page import Page
from pairwright.api.values import checked, python_words, unknown
from pairwright.dataset.store import Dataset as Store
from pairwright.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    import datasets
    import polars as pl

    from pairwright.dataset.manifest import Manifest

_UNION = ("images", "samples")


@dataclass(frozen=True)
class _RowOptions:
    """What `to_datasets` takes."""

    what: Literal["auto", "samples", "pairs"]
    pairs: str | None
    split: str | None
    all_columns: bool


class Dataset:
    """A dataset: a folder of tables. Every command takes it, or its path.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Dataset | str | os.PathLike[str] | None = None) -> None:
        """Open a dataset.

        Args:
            path: Its folder; if not given `$PAIRWRIGHT_DATA`, else the dataset around the working
                directory, or `./data`.

        Raises:
            NotFoundError: If the folder contains no dataset.
        """
        if path is not None and not isinstance(path, str | os.PathLike):
            msg = f"a dataset is given by its folder, got {type(path).__name__}"
            raise UsageError(msg)
        self.path: Path = Store.find(None if path is None else os.fspath(path)).path

    @property
    def store(self) -> Store:
        """The folder as the commands read it, as it is now."""
        return Store(self.path)

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.store.name

    def __fspath__(self) -> str:
        """The folder, so that a dataset can be given wherever a path can."""
        return str(self.path)

    @property
    def tables(self) -> pl.DataFrame:
        """Every run of every table: `table`, `rows`, `status`, `active`, `command`.

        `active` tells whether later commands read the run; runs of samples and images are all read.
        """
        import polars as pl

        rows = [
            (m.ref, m.rows, "complete" if m.is_complete else "unfinished", active, m.command)
            for m, active in self._manifests()
        ]
        schema = {
            "table": pl.String, "rows": pl.Int64, "status": pl.String, "active": pl.Boolean,
            "command": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    def runs(self, table: str) -> list[str]:
        """Names of the complete runs of a table, such as `pairs`, the oldest first."""
        return [m.run for m in self.store.runs(_known(table)) if m.is_complete]

    @property
    def funnel(self) -> pl.DataFrame:
        """How many rows each step left: `stage`, `rows`."""
        import polars as pl

        from pairwright.status import funnel

        schema = {"stage": pl.String, "rows": pl.Int64}
        return pl.DataFrame(funnel(self.store), schema=schema, orient="row")

    def scan(self, table: str) -> pl.LazyFrame:
        """Rows of a table, lazily.

        Args:
            table: `pairs` for the active run of pairs (`samples` and `images`: all runs), or
                `pairs/NAME` for a certain run.

        Raises:
            UsageError: If there is none, or several runs are active.
        """
        kind, _, run = _named(table).rpartition("/")
        store = self.store
        if kind and _known(kind.partition("/")[0]):
            manifest = store.manifest(kind, run)
            if manifest is None:
                raise self._none(table, (m.ref for m, _ in self._manifests()))
            return store.scan(manifest)
        if _known(run) in _UNION:
            return store.union(run)
        active = [m for m, is_active in self._manifests() if is_active and m.kind == run]
        if not active:
            raise self._none(run, (m.ref for m, _ in self._manifests()))
        if len(active) > 1:
            names = ", ".join(m.ref for m in active)
            msg = f"several runs of {run} are active: scan one of {names}"
            raise UsageError(msg)
        return store.scan(active[0])

    def current(self) -> pl.LazyFrame:
        """The samples that no active decision drops."""
        return self.store.current_samples()

    def use(self, table: str) -> None:
        """Make another complete run the active one, such as `decisions/strict`."""
        self.store.use(_named(table))

    def to_datasets(
        self,
        what: Literal["auto", "samples", "pairs"] = "auto",
        *,
        pairs: str | None = None,
        split: str | None = None,
        all_columns: bool = False,
    ) -> datasets.Dataset:
        """Current samples or preference pairs as a `datasets.Dataset`, ready for TRL.

        The rows lie in a file of the cache of `datasets` and are mapped from there, not held.

        Args:
            what: `samples`: `images`, `messages`; `pairs`: `images`, `prompt`, `chosen`,
                `rejected`; `auto`: pairs if there are any. Without images there is no `images`.
            pairs: Run of pairs; the active one if not given.
            split: Split to take; the rows of all splits if not given.
            all_columns: Also ids, scores, source, license and the rest.

        Raises:
            UsageError: If there are no such rows, or no such split.
        """
        from pairwright.commands.command import load

        given = {"what": what, "pairs": pairs, "split": split, "all_columns": all_columns}
        given = checked(_RowOptions, given)
        make, kind = (
            load("curate.export.arrow:to_datasets"),
            load("curate.export.options:TableOptions"),
        )
        with python_words(kind):
            options = kind(what=given.pop("what"), pairs=given.pop("pairs"))
            made: datasets.Dataset = make(self.store, options, **given)
        return made

    def report(self, *, title: str | None = None, examples: int = 12, images: bool = True) -> Page:
        """The page of `pw.curate.report`: what is in the dataset, what was dropped and why.

        Args:
            title: Heading of the page.
            examples: Examples to show of every kind.
            images: Show thumbnails of their images.

        Raises:
            UsageError: If an option is wrong.
        """
        from pairwright.commands.command import call, load

        kind = load("curate.report.options:ReportOptions")
        with python_words(kind):
            given = checked(kind, {"title": title, "examples": examples, "images": images})
            made = call("curate report", self.store, **given)
        return Page(Path(made.summary["files"]["html"]))

    def __repr__(self) -> str:
        """The folder, and every table."""
        rows = [(m.ref, f"{m.rows:,}", self._state(m, active)) for m, active in self._manifests()]
        lines = [f"  {ref:<34}{n:>12}  {state}".rstrip() for ref, n, state in rows]
        return "\n".join([f"pw.Dataset({str(self.path)!r})", *(lines or ["  no tables yet"])])

    def _repr_html_(self) -> str:
        rows = [(m.ref, m.rows, self._state(m, active)) for m, active in self._manifests()]
        parts = [html.heading(f"{self.name}: {self.path}")]
        parts.append(html.table(("stage", "rows"), self.funnel.iter_rows()))
        parts.append(html.table(("table", "rows", ""), rows))
        return "".join(parts)

    def _manifests(self) -> Sequence[tuple[Manifest, bool]]:
        """Every run, and whether it is active; empty rejects are left out."""
        from schemas.tables import TABLES

        store = self.store
        found: list[tuple[Manifest, bool]] = []
        for kind in TABLES:
            active = {m.ref for m in store.active(kind).values()}
            for m in store.runs(kind):
                if m.kind.startswith("rejects/"):
                    found += [(m, False)] if m.rows else []
                else:
                    found.append((m, m.ref in active or (kind in _UNION and m.is_complete)))
        return found

    @staticmethod
    def _state(manifest: Manifest, active: bool) -> str:
        if not manifest.is_complete:
            return "unfinished"
        return "active" if active and manifest.kind not in _UNION else ""

    def _none(self, table: str, known: Any) -> NotFoundError:
        return NotFoundError(f"{self.path}: {unknown(table, known, 'table')}")


def open_dataset(path: Dataset | str | os.PathLike[str] | None = None) -> Dataset:
    """Open a dataset.

    Args:
        path: Its folder; if not given `$PAIRWRIGHT_DATA`, else the dataset around the working
            directory, or `./data`.

    Raises:
        NotFoundError: If the folder contains no dataset.
    """
    return Dataset(path)


def create_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Make a dataset in a new or empty folder, or open the one that is there.

    Raises:
        UsageError: If the folder holds something else, or cannot be made.
    """
    if not isinstance(path, str | os.PathLike):
        msg = f"a dataset is given by its folder, got {type(path).__name__}"
        raise UsageError(msg)
    return Dataset(Store.create(Path(path)).path)


def _named(table: str) -> str:
    if not isinstance(table, str):
        msg = f"a table is given by its name, such as 'decisions', got {type(table).__name__}"
        raise UsageError(msg)
    return table.strip("/")


def _known(kind: str) -> str:
    from schemas.tables import TABLES

    if kind not in TABLES:
        raise UsageError(unknown(kind, TABLES, "table"))
    return kind
