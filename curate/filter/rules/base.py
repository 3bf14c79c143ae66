"""What a rule of `curate filter` declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.filter.found import Found
from curate.filter.rows import Rows
from pairwright.commands.choices import NoOptions

if TYPE_CHECKING:
    import numpy as np

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset
    from pairwright.images import ImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason for which a rule removes rows.

    Attributes:
        name: Its value in the column `reason` of the decisions.
        words: What is wrong with the rows, for readers of a report.
        options: Options that turn it on. Without any, `--rules` turns it on by its name.
        implied: Whether it is on as soon as another reason of its rule is, and only then.
        elsewhere: The nearest rule of other tools and its default, for the documentation.
    """

    name: str
    words: str
    options: tuple[str, ...] = ()
    implied: bool = False
    elsewhere: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A table that a rule reads.

    Attributes:
        name: Its kind, such as `scores`.
        what: What the rule reads in it, in words.
        command: What makes it, such as `judge score`.
        pick: The runs to read, from the dataset and the rule's options.
        optional: Whether the rule works without it, as one on images does on texts alone.
    """

    name: str
    what: str
    command: str
    pick: Callable[[Dataset, Any], Sequence[Manifest]]
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a rule may read besides the rows.

    Attributes:
        dataset: The dataset.
        runs: The runs that were picked, by the names of the tables that the rule needs.
        removed: Rows that the rules before this one remove.
        unreadable: Images that cannot be read, to be filled; they become invalid rows of the run.
    """

    dataset: Dataset
    runs: Mapping[str, Sequence[Manifest]]
    removed: np.ndarray
    unreadable: dict[str, ImageError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule, or a small family of rules with one computation.

    Attributes:
        name: Name of its file.
        reasons: Why it removes rows; one each, in the order in which they are asked.
        find: From the rows, the rule's options and its inputs to what it found, once a reason
            that is on. Imports heavy libraries itself.
        options: Dataclass of its options, declared with `option`; the command line has them all.
        presets: Values of its options by the name of a preset; an empty mapping turns the rule
            on as it is.
        needs: Tables that it reads.
        extra: Extra of pairwright, or package, that brings what it imports.
        step: Step of a run with this rule. Runs of different steps are active side by side.
    """

    name: str
    reasons: tuple[Reason, ...]
    find: Callable[[Rows, Any, Inputs], Iterable[Found]]
    options: type[Any] = NoOptions
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    extra: str | None = None
    step: str = "filter-rules"
