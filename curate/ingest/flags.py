"""The options of `curate ingest` together with the own options of all formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from curate.ingest.options import IngestOptions
from curate.read.formats import load_formats
from pairwright.commands.choices import NoOptions, with_choices


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detected:
    """A value of `--format` that leaves the format of the rows open."""

    name: str
    summary: str
    options: type[Any] = NoOptions


_DETECTED: Final = (
    _Detected(name="auto", summary="detected from the fields"),
    _Detected(name="webdataset", summary="detected from the fields, in tar archives only"),
)
OPTIONS: Final = with_choices(IngestOptions, {"format": (*_DETECTED, *load_formats().values())})
