"""Options of `train merge`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """Options of `train merge`."""

    out: Path = option(positional=True, help="folder for the merged model")
    model: str | None = option(None, help="base model, instead of a run")
    adapter: Path | None = option(None, help="adapter on --model, instead of a run")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.model is None and self.adapter is not None:
            msg = "--adapter needs --model, the base that it belongs to"
            raise UsageError(msg)
