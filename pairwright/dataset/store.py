"""A dataset: the current samples, and runs that are being made."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.dataset.folder import FILE_NAME as FILE_NAME
from pairwright.dataset.manifest import Manifest, RunKey, called_as
from pairwright.dataset.tables import DatasetTables
from pairwright.dataset.writer import RunWriter
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Dataset(DatasetTables):
    """A folder of tables: every command reads some and adds one; nothing is edited in place."""

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
            rows: Max rows per frame.
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
                for frame in self.part_frames(manifest, part, columns, rows):
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
            rejects: Whether rows can be invalid (they go to `rejects/<step>/<run>`), or another name for <step>.
            retry_stages: Reject stages that a repeat tries again, also on a finished run.
            grows: Whether a run continues when its inputs changed, instead of being refused.
            part_rows: Rows, bytes or seconds after which a part is flushed.
            part_bytes: See `part_rows`.
            part_seconds: See `part_rows`.
            current_config: Gives a configuration that an older version wrote its current names
                (`pairwright.commands.options.current_config`).
        """
        check_run_name(run)
        manifest = partial(_manifest, run, step, config, inputs, fingerprints or {})
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


def _manifest(
    run: str, step: str, config: dict[str, Any], inputs: Sequence[Manifest],
    fingerprints: dict[str, str], kind: str,
) -> Manifest:  # fmt: skip
    """The manifest of a run before it has rows."""
    from schemas.tables import TABLES

    table = TABLES[kind.partition("/")[0]]
    entries = [{"table": m.ref, "fingerprint": m.fingerprint} for m in inputs]
    entries += [{"table": n, "fingerprint": f} for n, f in fingerprints.items()]
    return Manifest(
        kind=kind,
        run=run,
        step=step,
        schema=table.__name__,
        schema_version=table.version,
        command=_command_line(),
        config=json.loads(json.dumps(config, default=str)),
        inputs=entries,
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


def _command_line() -> str:
    """The command as a shell takes it, secrets removed."""
    called = called_as.get()
    if called is not None:
        return _without_password(called)
    out: list[str] = []
    hide = False
    for word in [Path(sys.argv[0]).name, *sys.argv[1:]]:
        name, equals, _ = word.partition("=")
        secret = bool(re.search(r"(key|token|password|secret)$", name)) and name.startswith("-")
        shown = f"{name}=***" if secret and equals else shlex.quote(_without_password(word))
        out.append("***" if hide else shown)
        hide = secret and not equals
    return " ".join(out)


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//***@", text)
