"""What a model argument means: a base model, and an adapter on it if there is one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.commands.userconfig import resolve_model
from pairwright.dataset.manifest import FILE_NAME, Manifest
from pairwright.errors import DataError, UsageError

if TYPE_CHECKING:
    from pairwright.dataset.store import Dataset

ADAPTER_CONFIG = "adapter_config.json"
_SAMPLE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRef:
    """A model as loaders take it.

    Attributes:
        model: Hub id or local folder of the base model.
        adapter: Folder of the adapter on it, if any.
        run: Manifest of the training run that made it, if one of ours did.
    """

    model: str
    adapter: Path | None = None
    run: Manifest | None = None


def resolve_policy(dataset: Dataset | None, name: str, adapter: Path | None = None) -> PolicyRef:
    """Find out what a model argument means.

    `runs/NAME` and `run:NAME` are what a training run of the dataset made: its base model with
    its adapter, or the model it wrote. So is the folder of a run. The folder of a PEFT adapter is
    that adapter on the base model it names. Everything else is a base model (`resolve_model`).

    Args:
        dataset: Where `runs/NAME` is looked up.
        name: The argument, as typed.
        adapter: An adapter named apart, such as by `--adapter`.

    Raises:
        UsageError: If it means nothing, the run is unfinished, or two adapters are named.
    """
    found = _named_run(dataset, name) or _folder(name)
    if found is None:
        found = PolicyRef(model=resolve_model(name))
    if adapter is None:
        return found
    if found.adapter is not None:
        msg = f"--model {name} brings its own adapter ({found.adapter}); leave out --adapter, or merge it first with `train merge`"
        raise UsageError(msg)
    if not (adapter / ADAPTER_CONFIG).is_file():
        msg = f"--adapter {adapter}: no PEFT adapter there (no {ADAPTER_CONFIG})"
        raise UsageError(msg)
    return PolicyRef(model=found.model, adapter=adapter.resolve(), run=found.run)


def policy_of_run(dataset: Dataset, manifest: Manifest) -> PolicyRef:
    """What a training run made.

    Raises:
        UsageError: If the run is unfinished.
        DataError: If its files are gone.
    """
    return _made_by(dataset.path / manifest.kind / manifest.run, manifest)


def portable_name(name: str) -> str:
    """A model name that means the same from any working directory, for lineage."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def model_fingerprint(folder: str | Path) -> str:
    """Hash that changes when the files of a local model or adapter do; of a hub id, the id itself.

    Large files count by size and by a sample of their bytes, so that gigabytes take milliseconds.
    """
    import xxhash

    digest = xxhash.xxh3_128()
    path = Path(folder)
    if not path.is_dir():
        digest.update(str(folder).encode())
        return str(digest.hexdigest())
    names = (".json", ".safetensors", ".bin", ".jinja", ".model", ".txt")
    for file in sorted(p for p in path.iterdir() if p.is_file() and p.suffix in names):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as handle:
            for start in {0, max(0, size // 2 - _SAMPLE_BYTES // 2), max(0, size - _SAMPLE_BYTES)}:
                handle.seek(start)
                digest.update(handle.read(_SAMPLE_BYTES))
    return str(digest.hexdigest())


def _named_run(dataset: Dataset | None, name: str) -> PolicyRef | None:
    explicit = name.startswith("run:")
    run = name.removeprefix("run:").removeprefix("runs/")
    if run == name or not run or "/" in run:
        return None
    if dataset is None:
        if explicit:
            msg = f"{name}: a training run is looked up in a dataset, and this command has none"
            raise UsageError(msg)
        return None
    manifest = dataset.manifest("runs", run)
    if manifest is not None:
        return policy_of_run(dataset, manifest)
    if explicit or not Path(name).exists():
        known = ", ".join(f"runs/{m.run}" for m in dataset.runs("runs") if m.is_complete) or "none"
        msg = f"{name}: no such training run in {dataset.path}; finished ones: {known}"
        raise UsageError(msg)
    return None


def _folder(name: str) -> PolicyRef | None:
    folder = Path(name)
    if (folder / FILE_NAME).is_file():
        manifest = Manifest.load(folder)
        if manifest is not None and manifest.kind == "runs":
            return _made_by(folder.resolve(), manifest)
    if (folder / ADAPTER_CONFIG).is_file():
        return PolicyRef(model=resolve_model(adapter_base(folder)), adapter=folder.resolve())
    return None


def adapter_config(folder: Path) -> dict[str, Any]:
    """Configuration of a PEFT adapter.

    Raises:
        DataError: If it is missing or malformed.
    """
    path = folder / ADAPTER_CONFIG
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: not a readable adapter configuration ({error})"
        raise DataError(msg) from error
    if not isinstance(raw, dict):
        msg = f"{path}: not an adapter configuration"
        raise DataError(msg)
    return raw


def adapter_base(folder: Path) -> str:
    """Base model that a PEFT adapter names.

    Raises:
        DataError: If the configuration of the adapter is malformed or names none.
    """
    base = adapter_config(folder).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        msg = f"{folder}: this adapter names no base model; give it with --model BASE --adapter {folder}"
        raise DataError(msg)
    return base


def _made_by(folder: Path, manifest: Manifest) -> PolicyRef:
    if not manifest.is_complete:
        msg = f"runs/{manifest.run} is unfinished; the command that started it resumes it: {manifest.command}"
        raise UsageError(msg)
    summary = manifest.summary
    for key, needed in (("model", "config.json"), ("adapter", ADAPTER_CONFIG)):
        if key not in summary:
            continue
        path = folder / str(summary[key])
        if not (path / needed).is_file():
            msg = f"{path}: written by runs/{manifest.run}, but not there any more; train it again with --replace"
            raise DataError(msg)
        if key == "model":
            return PolicyRef(model=str(path), run=manifest)
        base = resolve_model(str(summary["base_model"]))
        return PolicyRef(model=base, adapter=path, run=manifest)
    msg = f"{folder}: this run's summary names neither an adapter nor a model"
    raise DataError(msg)
