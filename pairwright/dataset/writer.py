"""Writing one run of one table: parts, invalid rows, resume, lock."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import xxhash

from pairwright.dataset.manifest import Manifest, Part, now, package_versions, sync_folder
from pairwright.errors import BusyError, ConfigChangedError

if TYPE_CHECKING:
    import polars as pl

_ROW_GROUP_BYTES = 32 << 20
# Images are read a row group for one image: many small ones must not share one.
_ROW_GROUP_IMAGES = 8_192


class RunWriter:
    """Appends rows to a run; used as a context manager.

    Rows become durable when a part is flushed: every `part_rows` rows, `part_bytes` bytes or
    `part_seconds` seconds, and at the end. Leaving the block without an exception completes the
    run; with one, the parts that were flushed are kept and the same command resumes.
    """

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        *,
        replace: bool = False,
        resumable: bool = True,
        part_rows: int = 50_000,
        part_bytes: int = 128 << 20,
        part_seconds: float = 30.0,
        rejects: RunWriter | None = None,
        retry_stages: Collection[str] = (),
        grows: bool = False,
        current_config: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> None:
        """See `pairwright.dataset.store.Dataset.write`, which makes these."""
        self._folder = root / manifest.kind / manifest.run
        self.manifest = manifest
        self._replace = replace
        self._resumable = resumable
        self._limits = (part_rows, part_bytes, part_seconds)
        self._rejects = rejects
        self._retry_stages = retry_stages
        self._grows = grows
        self._current_config = current_config
        self._buffer: list[pl.DataFrame] = []
        self._reject_rows: list[dict[str, Any]] = []
        self._seen_rejects: set[tuple[str, str]] = set()
        self._buffered = (0, 0)
        self._flushed_at = time.monotonic()
        self._lock: int | None = None
        self.resumed = False

    @property
    def is_complete(self) -> bool:
        """Whether the run was finished before: there is nothing to do."""
        return self.manifest.is_complete

    @property
    def n_rows(self) -> int:
        """Rows written and buffered."""
        return self.manifest.rows + self._buffered[0]

    @property
    def n_rejects(self) -> int:
        """Rows rejected so far, earlier sessions of the run included."""
        return len(self._seen_rejects)

    @property
    def summary(self) -> dict[str, Any]:
        """Metrics of the run; stored in the manifest."""
        return self.manifest.summary

    def __enter__(self) -> Self:
        """Take the lock; start, resume or recognise the run."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._open()
        except BaseException:
            self._release_lock()
            raise
        return self

    def _open(self) -> None:
        old = Manifest.load(self._folder)
        if self._rejects is not None:
            self._rejects._replace = self._replace
        grown = False
        if old is not None and not self._replace:
            old.config = self._current_config(old.config)
            if self._grows and old.inputs != self.manifest.inputs:
                old.inputs, grown = self.manifest.inputs, True
            difference = _difference(old, self.manifest, grown=grown)
            if difference:
                msg = (
                    f"{old.ref} exists and was made differently: {difference}; "
                    "give another name with --run NAME, or --replace to make it again"
                )
                raise ConfigChangedError(msg)
        fresh = old is None or self._replace or not (old.is_complete or self._resumable)
        if fresh:
            self._clear()
            self.manifest.started_at = now()
            self.manifest.packages = package_versions()
            self.manifest.save(self._folder)
        else:
            assert old is not None
            self.manifest = old
            if grown:
                # `finished_at` stays: it decides which run of a step is active.
                old.status = "running"
                old.save(self._folder)
            self.resumed = not old.is_complete
            self._drop_unlisted()
        if self._rejects is not None:
            self._rejects._replace = self._replace or fresh
            self._rejects.__enter__()
            self._load_rejects()

    def _load_rejects(self) -> None:
        """Remember what was rejected; forget what this run shall try again."""
        from schemas.tables import TABLES

        assert self._rejects is not None
        frame = self._rejects.written()
        if frame is None or frame.is_empty():
            return
        # A run of an older version of the table is finished for good: new rows have other columns.
        current = TABLES[self.manifest.kind].version == self.manifest.schema_version
        retry = frame["stage"].is_in(list(self._retry_stages) if current else [])
        kept = frame.filter(~retry)
        self._seen_rejects = set(zip(kept["row_id"], kept["stage"], strict=True))
        if retry.any():
            if self.manifest.is_complete:
                self.manifest.status, self.resumed = "running", True
                self.manifest.save(self._folder)
            self._rejects.manifest.parts = []
            self._rejects.manifest.status = "running"
            self._rejects._buffer = [kept] if kept.height else []
            self._rejects._buffered = (kept.height, 0)
            self._rejects.flush(always=True)

    def written(self, columns: list[str] | None = None) -> pl.DataFrame | None:
        """What is durable already; `None` if nothing is."""
        import polars as pl

        files = [self._folder / part.name for part in self.manifest.parts if part.rows]
        if not files:
            return None
        return pl.read_parquet(files, columns=columns, glob=False)

    def scan(self) -> pl.LazyFrame | None:
        """What is durable already, lazily; `None` if nothing is."""
        import polars as pl

        files = [self._folder / part.name for part in self.manifest.parts if part.rows]
        return pl.scan_parquet(files, glob=False) if files else None

    def keys(self, column: str) -> set[str]:
        """Distinct values of a column that are durable already (for the resume's anti-join)."""
        frame = self.written([column])
        return set() if frame is None else set(frame[column].unique().to_list())

    def rejected_ids(self) -> set[str]:
        """Ids of rows that were rejected and shall not be tried again."""
        return {row_id for row_id, _ in self._seen_rejects}

    def add(self, rows: pl.DataFrame | Iterable[dict[str, Any]]) -> None:
        """Append rows.

        Args:
            rows: A frame or dictionaries with the table's columns.

        Raises:
            ValueError: If they do not fit the table's declaration (a bug of the caller).
        """
        import polars as pl

        from schemas.tables import TABLES, conform

        schema = TABLES[self.manifest.kind.partition("/")[0]]
        assert not self.manifest.is_complete, "the run is finished"
        if not isinstance(rows, pl.DataFrame):
            rows = list(rows)
            if not rows:
                return
            plain = {n: c.dtype for n, c in schema.columns().items() if type(c).__name__ != "Any"}
            names = {name for row in rows for name in row}
            rows = pl.DataFrame(
                rows, schema={n: plain.get(n) for n in schema.columns() if n in names}
            )
        frame = conform(rows, schema)
        if frame.is_empty():
            return
        self._buffer.append(frame)
        self._buffered = (
            self._buffered[0] + frame.height,
            self._buffered[1] + int(frame.estimated_size()),
        )
        self._maybe_flush()

    def reject(self, row_id: str, stage: str, reason: str, detail: str | None = None) -> None:
        """Record a row that could not be processed.

        Args:
            row_id: Id of the row, or file and row number.
            stage: What was being done.
            reason: Short, stable name of the cause.
            detail: What to check; truncated to 500 characters.
        """
        if self._rejects is None:
            msg = "this writer was opened without a rejects table"
            raise AssertionError(msg)
        if (row_id, stage) in self._seen_rejects:
            return
        self._seen_rejects.add((row_id, stage))
        clean = None if detail is None else detail.replace("\0", "\\0")[:500]
        self._reject_rows.append(
            {"row_id": row_id, "stage": stage, "reason": reason, "detail": clean}
        )
        self._maybe_flush()

    def _maybe_flush(self) -> None:
        rows, n_bytes, seconds = self._limits
        late = time.monotonic() - self._flushed_at > seconds
        if self._buffered[0] >= rows or self._buffered[1] >= n_bytes or late:
            self.flush()

    def flush(self, *, always: bool = False) -> None:
        """Make everything added so far durable."""
        if self._reject_rows:
            assert self._rejects is not None
            rows, self._reject_rows = self._reject_rows, []
            self._rejects.add(rows)
            self._rejects.flush()
        self._flushed_at = time.monotonic()
        if not self._buffer:
            if always:
                self.manifest.save(self._folder)
                self._drop_unlisted()
            return
        import polars as pl

        frame = pl.concat(self._buffer)
        number = 1 + max((int(p.name[5:11]) for p in self.manifest.parts), default=-1)
        if always:
            number += 1  # parts are being replaced: never reuse a listed name
        self.manifest.parts.append(
            write_part(self._folder / f"part-{number:06d}.parquet", frame, self.manifest)
        )
        self._buffer, self._buffered = [], (0, 0)
        self.manifest.save(self._folder)
        if always:
            self._drop_unlisted()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the run, or keep what is durable."""
        try:
            if self.manifest.is_complete:
                return
            self.flush()
            if kind is None:
                keep = self.manifest.finished_at if self._grows else None
                self.manifest.status, self.manifest.finished_at = "complete", keep or now()
                self.manifest.save(self._folder)
        finally:
            if self._rejects is not None:
                self._rejects.__exit__(kind, error, trace)
            self._release_lock()

    def _clear(self) -> None:
        for child in self._folder.iterdir():
            if child.name == ".lock":
                continue
            if child.is_dir():
                shutil.rmtree(child)
            else:
                child.unlink()

    def _drop_unlisted(self) -> None:
        """Remove leftovers of a killed writer."""
        listed = {part.name for part in self.manifest.parts}
        for path in self._folder.glob("*part-*.parquet"):
            if path.name not in listed:
                path.unlink()

    def _take_lock(self) -> None:
        # flock is released by the kernel when the holder dies, so a dead writer never blocks.
        path = self._folder / ".lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = path.read_text(encoding="utf-8").strip() or "another process"
            os.close(handle)
            msg = f"{self.manifest.ref} is being written by {holder}; wait for it or stop it"
            raise BusyError(msg) from error
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        self._lock = handle

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def write_part(path: Path, frame: pl.DataFrame, manifest: Manifest) -> Part:
    """Write one part whole under a temporary name, then rename it."""
    n_bytes = max(1, int(frame.estimated_size()))
    most = _ROW_GROUP_IMAGES if manifest.kind == "images" else frame.height
    rows = max(1, min(most, frame.height * _ROW_GROUP_BYTES // n_bytes))
    temporary = path.with_name(f".tmp-{path.name}")
    frame.write_parquet(
        temporary,
        compression="zstd",
        row_group_size=rows,
        metadata={"pairwright": f"{manifest.kind}/{manifest.schema_version}"},
    )
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
        digest = xxhash.xxh3_128()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    part = Part(
        name=path.name,
        rows=frame.height,
        n_bytes=temporary.stat().st_size,
        xxh3=digest.hexdigest(),
    )
    temporary.replace(path)
    sync_folder(path.parent)
    return part


def _difference(old: Manifest, new: Manifest, *, grown: bool) -> str:
    """In words, how the configuration or inputs of two runs differ; empty if they do not.

    A finished run of an older version of the table counts as equal unless rows are to be added.
    """
    out = []
    if old.step != new.step:
        out.append(f"made by {old.step}, not {new.step}")
    older = old.schema_version < new.schema_version
    if old.schema_version != new.schema_version and not (older and old.is_complete and not grown):
        out.append(f"table version {old.schema_version}, now {new.schema_version}")
    for key in sorted(old.config.keys() | new.config.keys()):
        before, after = old.config.get(key), new.config.get(key)
        if before != after:
            out.append(f"{key} was {before!r}, now {after!r}")
    mine = {i["table"]: i["fingerprint"] for i in old.inputs}
    theirs = {i["table"]: i["fingerprint"] for i in new.inputs}
    for table in sorted(mine.keys() | theirs.keys()):
        if mine.get(table) != theirs.get(table):
            what = (
                "is new" if table not in mine else "is gone" if table not in theirs else "changed"
            )
            out.append(f"input {table} {what}")
    return "; ".join(out[:6]) + (f"; and {len(out) - 6} more" if len(out) > 6 else "")
