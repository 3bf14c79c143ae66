"""The folder of a dataset: open it, list its runs, choose which are active."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from pairwright.dataset.manifest import FORMAT_VERSION, Manifest, write_json
from pairwright.errors import DataError, NotFoundError, UsageError

FILE_NAME = "dataset.json"


class DatasetFolder:
    """A folder of tables. Opening one reads nothing but `dataset.json`."""

    def __init__(self, path: Path) -> None:
        """Open a dataset.

        Raises:
            NotFoundError: If the folder contains no dataset.
            DataError: If `dataset.json` is malformed or of a newer format.
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
    def create(cls, path: Path) -> Self:
        """Open a dataset, making it if the folder is new or empty.

        Raises:
            UsageError: If the folder holds something else, or cannot be made.
        """
        try:
            if not (path / FILE_NAME).exists():
                cls._make(path)
        except OSError as error:
            msg = f"{path}: no dataset can be made here ({error.strerror})"
            raise UsageError(msg) from error
        return cls(path)

    @staticmethod
    def _make(path: Path) -> None:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            msg = f"{path}: exists and is not a dataset; choose a new or empty folder"
            raise UsageError(msg)
        name = path.absolute().name
        write_json(path / FILE_NAME, {"format_version": FORMAT_VERSION, "name": name, "active": {}})

    @classmethod
    def find(cls, argument: str | Path | None = None) -> Self:
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
        """Make a complete run the active one.

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
        """The run of a table that a step should read.

        Args:
            kind: Table.
            run: Name that the user gave, if any.
            steps: Steps whose runs are meant; all if not given.

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


def _is_dataset_file(path: Path) -> bool:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and ("active" in info or "in_force" in info)
