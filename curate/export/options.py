"""Options of `curate export` and `curate push`."""

from __future__ import annotations

import dataclasses
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pairwright.commands.options import flag_of, option
from pairwright.errors import UsageError

FORMATS = ("hub", "llava", "sharegpt", "messages", "trl", "rlhf-v")
# Formats that have one kind of rows only.
ONLY = {"llava": "samples", "messages": "samples", "rlhf-v": "pairs"}
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def parse_bytes(text: str) -> int:
    """Bytes in a size such as `500MB`, `2 GiB` or `1000`.

    Raises:
        UsageError: If it is not one.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?I?)B?\s*", text.upper())
    if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
        msg = f"{text!r} is not a size: write it like 500MB"
        raise UsageError(msg)
    return max(1, int(float(match[1]) * _UNITS[match[2]]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """What `curate export` and `curate push` have in common."""

    what: Literal["auto", "samples", "pairs", "both"] = option(
        "auto",
        help="kept samples or preference pairs; auto: pairs where there are any; both: each as a "
        "configuration of one dataset",
    )
    pairs: str | None = option(None, help="run of pairs (default: the active one)")
    scores: str | None = option(
        None, help="run of scores to add to samples (default: the active one)"
    )
    content: Literal["auto", "text", "parts"] = option(
        "auto",
        help="form of message contents: text, with the images before the first user turn; parts, a "
        "list that has each image at its position; auto: text where all images come first",
    )
    test_fraction: float = option(
        0.0,
        help="fraction of rows for a test split; rows on one image stay together (0: the splits of "
        "the source)",
        aliases=("test_share",),
    )
    seed: int = option(0, help="seed of the test split")
    shard_bytes: str = option("500MB", help="size at which a new Parquet file begins")
    title: str | None = option(None, help="title of the dataset card (default: the name)")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0 <= self.test_fraction < 1:
            msg = f"--test-fraction is at least 0 and less than 1, got {self.test_fraction}"
            raise UsageError(msg)
        if self.pairs is not None and self.what == "samples":
            msg = "--pairs names pairs, --what samples means samples: leave one out"
            raise UsageError(msg)
        parse_bytes(self.shard_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(TableOptions):
    """Options of `curate export`."""

    out: Path = option(help="folder to make; must be new or empty (or --replace)", positional=True)
    format: Literal["hub", "llava", "sharegpt", "messages", "trl", "rlhf-v"] = option(
        "hub",
        help="hub: Parquet shards that contain the images; the others for the loaders of that name, "
        "images as files: llava, messages (conversations), sharegpt (LLaMA-Factory), trl (both), "
        "rlhf-v (pairs)",
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        # super() without arguments fails in dataclasses with slots.
        TableOptions.__post_init__(self)
        if self.what == "both" and self.format != "hub":
            msg = f"--what both makes two configurations, which --format {self.format} does not have; export samples and pairs separately"
            raise UsageError(msg)
        only = ONLY.get(self.format)
        if only is not None and (
            self.what not in ("auto", only) or (self.pairs and only != "pairs")
        ):
            others = ", ".join(name for name in FORMATS if ONLY.get(name) != only)
            msg = f"--format {self.format} has {only} only; for {self.what if self.what != 'auto' else 'pairs'} take one of {others}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions(TableOptions):
    """Options of `curate push`."""

    repo: str = option(help="dataset repository on the Hub, as owner/name", positional=True)
    folder: Path | None = option(
        None, help="push this exported folder instead of exporting the dataset first"
    )
    private: bool = option(False, help="make a new repository private (the default)")
    public: bool = option(False, help="make a new repository public")
    branch: str | None = option(None, help="branch to push to (default: main)")
    message: str | None = option(None, help="commit message")
    allow_license: bool = option(
        False,
        help="push to a public repository although a license is missing or forbids commercial use",
        aliases=("allow_licence",),
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        # super() without arguments fails in dataclasses with slots.
        TableOptions.__post_init__(self)
        if self.private and self.public:
            msg = "--private and --public exclude each other"
            raise UsageError(msg)


def export_command(options: TableOptions, name: str) -> str:
    """The command line that makes this export, for the card of a dataset of this name."""
    words = [f"curate export {shlex.quote(name)} out/"]
    for item in dataclasses.fields(options):
        value: Any = getattr(options, item.name)
        known = isinstance(options, ExportOptions) or item.name in _TABLE_FIELDS
        if known and item.name not in ("out", "title") and value != item.default:
            words.append(f"{flag_of(item.name)} {shlex.quote(str(value))}")
    return " ".join(words)


_TABLE_FIELDS = {item.name for item in dataclasses.fields(TableOptions)}
