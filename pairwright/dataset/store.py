"""The dataset directory: open it, find runs, read tables, start a writer."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.dataset.manifest import FORMAT_VERSION, Manifest, Part, RunKey, write_json
from pairwright.dataset.writer import RunWriter
from pairwright.errors import DataError, NotFoundError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from schemas.tables import Table

FILE_NAME = "dataset.json"
UNION_KINDS = ("images", "samples")
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Dataset:
    """A folder of tables. Making one reads nothing but `dataset.json`."""

    def __init__(self, path: Path) -> None:
        """Open a dataset.

        Raises:
            NotFoundError: If the folder holds no dataset.
            DataError: If `dataset.json` is broken or of a newer format.
        """
        self.path = path.absolute()
        file = self.path / FILE_NAME
        try:
            self._info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            msg = f"{path}: no dataset here (no {FILE_NAME}); make one with `curate ingest SRC -o {path}`"
            raise NotFoundError(msg) from error
        except json.JSONDecodeError as error:
            msg = f"{file}: not valid JSON ({error})"
            raise DataError(msg) from error
        if self._info.get("format_version", 0) > FORMAT_VERSION:
            msg = f"{file}: written by a newer pairwright; upgrade"
            raise DataError(msg)
        if "in_force" in self._info:  # format 1
            self._info["active"] = self._info.pop("in_force")
        self._info["format_version"] = FORMAT_VERSION

    @classmethod
    def create(cls, path: Path) -> Dataset:
        """Open a dataset, making it if the folder is new or empty."""
        if not (path / FILE_NAME).exists():
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                msg = f"{path}: exists and is not a dataset; choose a new or empty folder"
                raise UsageError(msg)
            name = path.absolute().name
            write_json(
                path / FILE_NAME, {"format_version": FORMAT_VERSION, "name": name, "active": {}}
            )
        return cls(path)

    @classmethod
    def find(cls, argument: str | Path | None = None) -> Dataset:
        """Open the dataset that was named, or the one a user means who named none.

        Without one: `$PAIRWRIGHT_DATA`, else the dataset around the working directory, or `./data`.
        """
        if argument is not None:
            if re.match(r"[a-z][a-z0-9+.-]*://", str(argument)):
                msg = f"{argument}: datasets are local folders; object stores are not supported yet"
                raise UsageError(msg)
            return cls(Path(argument))
        if os.environ.get("PAIRWRIGHT_DATA"):
            return cls(Path(os.environ["PAIRWRIGHT_DATA"]))
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / FILE_NAME).is_file() and _is_dataset_file(folder / FILE_NAME):
                return cls(folder)
        if (here / "data" / FILE_NAME).is_file():
            return cls(here / "data")
        msg = "no dataset named, and none found here or in ./data: give its folder, or set PAIRWRIGHT_DATA"
        raise NotFoundError(msg)

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return str(self._info.get("name", self.path.name))

    # -- runs ---------------------------------------------------------------------------------

    def runs(self, kind: str) -> list[Manifest]:
        """All runs of a table, the one that finished first in front, unfinished ones last."""
        base = self.path / kind
        pattern = "*/*" if kind == "rejects" else "*"
        found = [Manifest.load(p) for p in sorted(base.glob(pattern)) if p.is_dir()]
        return sorted((m for m in found if m), key=lambda m: (m.finished_at or "9999", m.run))

    def manifest(self, kind: str, run: str) -> Manifest | None:
        """Manifest of one run, if there is one."""
        return Manifest.load(self.path / kind / run)

    def active(self, kind: str) -> dict[str, Manifest]:
        """The run active of each step that wrote this kind of table, by step."""
        chosen: dict[str, Manifest] = {}
        complete = [m for m in self.runs(kind) if m.is_complete]
        for manifest in complete:
            chosen.setdefault(manifest.step, manifest)
        for step in list(chosen):
            wanted = self._info.get("active", {}).get(f"{kind}/{step}")
            for manifest in complete:
                if manifest.step == step and manifest.run == wanted:
                    chosen[step] = manifest
        return chosen

    def use(self, ref: str) -> Manifest:
        """Put a complete run active for readers.

        Args:
            ref: `kind/run`, such as `decisions/strict`.
        """
        kind, _, run = ref.partition("/")
        manifest = self.manifest(kind, run) if run else None
        if manifest is None or not manifest.is_complete:
            known = ", ".join(m.ref for m in self.runs(kind) if m.is_complete) or "none"
            msg = f"{ref}: no complete run of that name; there are: {known}"
            raise UsageError(msg)
        self._info.setdefault("active", {})[f"{kind}/{manifest.step}"] = run
        write_json(self.path / FILE_NAME, self._info)
        return manifest

    def pick(
        self, kind: str, run: str | None = None, *, steps: Collection[str] | None = None
    ) -> Manifest | None:
        """The run of a table that a reader should take.

        Args:
            kind: Table.
            run: Name that the user gave, if any.
            steps: Verbs whose runs are meant; all if not given.

        Returns:
            The named run, or the one active; `None` if there is none and none was named.

        Raises:
            UsageError: If the named run is missing or unfinished, or several are active.
        """
        if run is not None:
            manifest = self.manifest(kind, run)
            if manifest is None or not manifest.is_complete:
                state = "is unfinished" if manifest else "does not exist"
                known = ", ".join(m.run for m in self.runs(kind) if m.is_complete) or "none"
                msg = f"{kind}/{run} {state}; complete runs of {kind}: {known}"
                raise UsageError(msg)
            return manifest
        found = {v: m for v, m in self.active(kind).items() if steps is None or v in steps}
        if len(found) > 1:
            names = ", ".join(sorted(m.run for m in found.values()))
            msg = f"several runs of {kind} could be meant ({names}): name one with --{kind} RUN"
            raise UsageError(msg)
        return next(iter(found.values()), None)

    # -- reading ------------------------------------------------------------------------------

    def scan(self, manifest: Manifest) -> pl.LazyFrame:
        """Rows of one run, types checked against the declaration."""
        import polars as pl

        from schemas.tables import TABLES

        schema = TABLES[manifest.kind.partition("/")[0]]
        folder = self.path / manifest.kind / manifest.run
        files = [folder / part.name for part in manifest.parts if part.rows]
        if manifest.schema_version > schema.version:
            msg = f"{manifest.ref}: table version {manifest.schema_version} is newer than this pairwright knows ({schema.version}); upgrade"
            raise DataError(msg)
        if not files:
            columns = {n: c.dtype for n, c in schema.columns().items() if n != "vector"}
            return pl.LazyFrame(schema=columns)
        missing = [file for file in files if not file.is_file()]
        if missing:
            msg = f"{missing[0]}: listed in _table.json but not there; restore it or remake {manifest.ref} with --replace"
            raise DataError(msg)
        frame = pl.scan_parquet(files, glob=False)
        return frame if manifest.schema_version == schema.version else upgraded(frame, schema)

    def read_part(
        self, manifest: Manifest, part: Part, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Rows of one part, whichever version of the table wrote it.

        Args:
            manifest: Of the run.
            part: One of its parts.
            columns: Columns wanted; all if not given.
        """
        return next(self._part_frames(manifest, part, columns, sys.maxsize))

    def read(self, kind: str, run: str) -> pl.DataFrame:
        """All rows of a complete run."""
        manifest = self.pick(kind, run)
        assert manifest is not None
        return self.scan(manifest).collect()

    def union(self, kind: str) -> pl.LazyFrame:
        """Rows of all complete runs of a table, one a key (`images`, `samples`)."""
        import polars as pl

        from schemas.tables import TABLES

        schema = TABLES[kind]
        found = [m for m in self.runs(kind) if m.is_complete]
        if not found:
            return pl.LazyFrame(schema={n: c.dtype for n, c in schema.columns().items()})
        frame = pl.concat([self.scan(m) for m in found])
        return (
            frame
            if len(found) == 1
            else frame.unique(schema.primary_key(), keep="first", maintain_order=True)
        )

    def current_samples(self, *, for_run: RunKey | None = None) -> pl.LazyFrame:
        """Samples that no active decisions run drops.

        Args:
            for_run: The run that is being made. What it, another run of its step, or a run built
                on one of those decided does not count. So the same command run again sees what it
                saw the first time, and an alternative under another name takes the same position.
        """
        import polars as pl

        frame = self.union("samples")
        for manifest in self.decisions(for_run=for_run):
            dropped = self.scan(manifest).filter(~pl.col("kept")).select("sample_id")
            frame = frame.join(dropped, on="sample_id", how="anti", maintain_order="left")
        return frame

    def current_batches(
        self,
        columns: Sequence[str],
        *,
        for_run: RunKey | None = None,
        rows: int = 25_000,
    ) -> Iterator[pl.DataFrame]:
        """The rows of `current_samples`, in its order, some at a time.

        Args:
            columns: Columns wanted, `sample_id` among them.
            for_run: As for `current_samples`.
            rows: Most rows a frame.
        """
        import polars as pl

        dropped = [
            self.scan(m).filter(~pl.col("kept")).select("sample_id").collect()
            for m in self.decisions(for_run=for_run)
        ]
        manifests = [m for m in self.runs("samples") if m.is_complete and m.rows]
        for number, manifest in enumerate(manifests):
            self.scan(manifest)  # checks that all parts are there
            for part in manifest.parts:
                for frame in self._part_frames(manifest, part, columns, rows):
                    for gone in dropped:
                        frame = frame.join(gone, on="sample_id", how="anti", maintain_order="left")
                    if number:  # an id that an earlier ingest brought stands there
                        earlier = [self.scan(m).select("sample_id") for m in manifests[:number]]
                        known = pl.concat(earlier).join(
                            frame.lazy().select("sample_id"), on="sample_id", how="semi"
                        )
                        frame = frame.join(
                            known.collect(engine="streaming"),
                            on="sample_id", how="anti", maintain_order="left",
                        )  # fmt: skip
                    yield from frame.iter_slices(rows)

    def _part_frames(
        self, manifest: Manifest, part: Part, columns: Sequence[str] | None, rows: int
    ) -> Iterator[pl.DataFrame]:
        """Rows of a part: whole, which is fastest, or some at a time."""
        import polars as pl

        from schemas.tables import TABLES

        schema = TABLES[manifest.kind.partition("/")[0]]
        file = self.path / manifest.kind / manifest.run / part.name
        if manifest.schema_version != schema.version:
            frame = upgraded(pl.scan_parquet(file, glob=False), schema)
            yield from frame.select(columns or pl.all()).collect().iter_slices(rows)
        elif rows >= _WHOLE_PART:
            yield pl.read_parquet(file, columns=list(columns) if columns else None, glob=False)
        else:
            import pyarrow.parquet as pq

            names = list(columns) if columns else None
            for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(rows, columns=names):
                yield pl.DataFrame(batch).select(names or pl.all())

    def sample_inputs(self, *, for_run: RunKey | None = None) -> list[Manifest]:
        """The runs that `current_samples` reads, to pin in a new run."""
        decisions = self.decisions(for_run=for_run)
        return [m for m in self.runs("samples") if m.is_complete] + decisions

    def need_samples(self, *, for_run: RunKey | None = None) -> list[Manifest]:
        """`sample_inputs`, refused where no samples were read yet.

        Raises:
            UsageError: If there are none.
        """
        inputs = self.sample_inputs(for_run=for_run)
        if not any(one.kind == "samples" for one in inputs):
            msg = f"{self.path}: no samples yet; read some with `curate ingest SRC -o {self.path}`"
            raise UsageError(msg)
        return inputs

    def decisions(self, *, for_run: RunKey | None = None) -> list[Manifest]:
        """The active decisions runs that count for `current_samples`."""
        found = self.active("decisions")
        if for_run is None:
            return list(found.values())
        same_step = found.get(for_run.step)
        upstream = {for_run.ref, *([same_step.ref] if same_step else [])}
        return [m for m in found.values() if not any(self._built_on(m, ref) for ref in upstream)]

    def _built_on(self, manifest: Manifest, ref: str) -> bool:
        """Whether a run is `ref` or was built on it, directly or through others."""
        pending, seen = [manifest], set()
        while pending:
            current = pending.pop()
            if current.ref == ref:
                return True
            if current.ref in seen:
                continue
            seen.add(current.ref)
            for entry in current.inputs:
                kind, _, run = entry["table"].rpartition("/")
                parent = self.manifest(kind, run)
                if entry["table"] == ref:
                    return True
                if parent is not None:
                    pending.append(parent)
        return False

    # -- writing ------------------------------------------------------------------------------

    def write(
        self,
        kind: str,
        run: str,
        *,
        step: str,
        config: dict[str, Any],
        inputs: Sequence[Manifest] = (),
        fingerprints: dict[str, str] | None = None,
        replace: bool = False,
        resumable: bool = True,
        rejects: bool | str = True,
        retry_stages: Collection[str] = (),
        grows: bool = False,
        part_rows: int = 50_000,
        part_bytes: int = 128 << 20,
        part_seconds: float = 30.0,
        current_config: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> RunWriter:
        """Start, resume or recognise a run (use the result as a context manager).

        Args:
            kind: Table.
            run: Name of the run; letters, digits, dot, dash, underscore.
            step: What makes it (`dedup`, `score`, ...); one run per step is active.
            config: Resolved configuration, JSON values only; no secrets.
            inputs: Runs it reads.
            fingerprints: Other inputs by name, such as a source file's hash.
            replace: Discard an existing run of this name.
            resumable: Whether parts of an unfinished run are of use.
            rejects: Whether rows can be rejected (`rejects/<step>/<run>`), or another name for it.
            retry_stages: Reject stages that a repeat tries again, also on a finished run.
            grows: Whether a run goes on when its inputs changed, instead of being refused.
            part_rows: Rows, bytes or seconds after which a part is flushed.
            part_bytes: See `part_rows`.
            part_seconds: See `part_rows`.
            current_config: Gives a configuration that an older version wrote its current names
                (`pairwright.commands.options.current_config`).
        """
        from schemas.tables import TABLES

        check_run_name(run)
        entries = [{"table": m.ref, "fingerprint": m.fingerprint} for m in inputs]
        entries += [{"table": n, "fingerprint": f} for n, f in (fingerprints or {}).items()]

        def manifest(table: str) -> Manifest:
            name = table.partition("/")[0]
            return Manifest(
                kind=table,
                run=run,
                step=step,
                schema=TABLES[name].__name__,
                schema_version=TABLES[name].version,
                command=_command_line(),
                config=json.loads(json.dumps(config, default=str)),
                inputs=entries,
            )

        reject_writer = None
        if rejects:
            stage = rejects if isinstance(rejects, str) else step
            reject_writer = RunWriter(
                self.path, manifest(f"rejects/{stage}"), grows=grows, current_config=current_config
            )
        return RunWriter(
            self.path,
            manifest(kind),
            replace=replace,
            resumable=resumable,
            part_rows=part_rows,
            part_bytes=part_bytes,
            part_seconds=part_seconds,
            rejects=reject_writer,
            retry_stages=retry_stages,
            grows=grows,
            current_config=current_config,
        )


def check_run_name(run: str) -> str:
    """The name, if a run can have it.

    Raises:
        UsageError: If not.
    """
    if not _RUN_NAME.fullmatch(run):
        msg = f"--run {run!r}: use letters, digits, dot, dash and underscore, at most 100"
        raise UsageError(msg)
    return run


# Below so many rows a frame the caller wants little memory: parts are then not read whole.
_WHOLE_PART = 25_000


def upgraded(frame: pl.LazyFrame, schema: type[Table]) -> pl.LazyFrame:
    """Rows of an older version of a table as the current one declares them."""
    import polars as pl

    written = frame.collect_schema().names()
    frame = frame.rename({old: new for old, new in schema.renamed.items() if old in written})
    known = frame.collect_schema()
    newer = {n: c.dtype for n, c in schema.columns().items() if n not in known}
    filled = frame.with_columns(pl.lit(None, t).alias(n) for n, t in newer.items())
    return filled.select(list(schema.columns()))


def _is_dataset_file(path: Path) -> bool:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and ("active" in info or "in_force" in info)


def _command_line() -> str:
    """The command as typed, secrets removed."""
    out: list[str] = []
    hide = False
    for word in [Path(sys.argv[0]).name, *sys.argv[1:]]:
        name, equals, _ = word.partition("=")
        secret = bool(re.search(r"(key|token|password|secret)$", name)) and name.startswith("-")
        shown = re.sub(r"//[^/@\s]+@", "//***@", word)
        out.append("***" if hide else f"{name}=***" if secret and equals else shown)
        hide = secret and not equals
    return " ".join(out)


def unique_ids(ids: Iterable[str]) -> list[str]:
    """Distinct ids in order of first appearance."""
    return list(dict.fromkeys(ids))
