"""The user's configuration file: model aliases, endpoints, defaults.

`~/.config/pairwright/config.yaml`, or the file that `$PAIRWRIGHT_CONFIG` names:

    models:
      Qwen2-VL-7B: /models/qwen2-vl-7b      # short name -> local folder or hub id
    endpoints:
      Qwen2-VL-7B: http://127.0.0.1:8000/v1 # a server that is already running
    defaults:
      judge score: {model: Qwen2-VL-7B}     # per command; a flag beats the environment beats this
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pairwright.errors import UsageError

SHORT_NAMES = {
    "Qwen2-VL-2B": "Qwen/Qwen2-VL-2B-Instruct",
    "Qwen2-VL-7B": "Qwen/Qwen2-VL-7B-Instruct",
    "Qwen2-VL-72B": "Qwen/Qwen2-VL-72B-Instruct",
    "Qwen2.5-VL-3B": "Qwen/Qwen2.5-VL-3B-Instruct",
    "Qwen2.5-VL-7B": "Qwen/Qwen2.5-VL-7B-Instruct",
    "Qwen2.5-VL-72B": "Qwen/Qwen2.5-VL-72B-Instruct",
    "SmolVLM": "HuggingFaceTB/SmolVLM-Instruct",
    "LLaVA-1.5-7B": "llava-hf/llava-1.5-7b-hf",
    "LLaVA-1.5-13B": "llava-hf/llava-1.5-13b-hf",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConfig:
    """Content of the configuration file."""

    models: dict[str, str] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)


def config_path() -> Path:
    """Where the configuration file is looked for."""
    if os.environ.get("PAIRWRIGHT_CONFIG"):
        return Path(os.environ["PAIRWRIGHT_CONFIG"])
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "pairwright" / "config.yaml"


def user_config() -> UserConfig:
    """Read the configuration file; empty where there is none.

    Raises:
        UsageError: If it is not what it should be.
    """
    path = config_path()
    if not path.is_file():
        if os.environ.get("PAIRWRIGHT_CONFIG"):
            msg = f"{path}: named by PAIRWRIGHT_CONFIG, but not there"
            raise UsageError(msg)
        return UserConfig()
    raw = read_yaml(path)
    known = {"models", "endpoints", "defaults"}
    for key, value in raw.items():
        if key not in known:
            msg = f"{path}: unknown key {key!r}; known are {', '.join(sorted(known))}"
            raise UsageError(msg)
        if not isinstance(value, dict):
            msg = f"{path}: {key} must be a mapping"
            raise UsageError(msg)
    return UserConfig(**raw)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UsageError: If the file is missing, malformed or not a mapping.
    """
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise UsageError(msg) from error
    except yaml.YAMLError as error:
        msg = f"{path}: not valid YAML ({str(error).splitlines()[0]})"
        raise UsageError(msg) from error
    if not isinstance(raw, dict):
        msg = f"{path}: must be a mapping of names to values"
        raise UsageError(msg)
    return raw


def resolve_model(name: str) -> str:
    """Hub id or local folder that a model name means.

    A local folder is used as it is; then the user's aliases; then the short names; anything else
    is taken for a hub id.

    Raises:
        UsageError: If it can be none of these.
    """
    if Path(name).is_dir():
        return str(Path(name).resolve())
    aliases = user_config().models
    if name in aliases:
        target = Path(aliases[name]).expanduser()
        if target.is_absolute() and not target.is_dir():
            msg = f"{config_path()}: models.{name} is {target}, which is not a folder"
            raise UsageError(msg)
        return str(target) if target.is_dir() else aliases[name]
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        known = ", ".join(sorted({*SHORT_NAMES, *aliases}))
        msg = f"--model {name}: no such folder, and neither a hub id (owner/name) nor a short name ({known})"
        raise UsageError(msg)
    return name
