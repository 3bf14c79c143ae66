"""The protocol of a method: what it declares, what it is given and what it returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pairwright.commands.options import option
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodOptions:
    """Options that every method has; a method with more options extends this class."""

    method: str = option("best-of-n", help="how pairs are made")
    preset: str | None = option(None, help="a published recipe; other flags beat what it sets")
    max_pairs_per_prompt: int | None = option(
        None, help="max pairs per prompt, sampled by the seed; 0: all"
    )
    length_balance: bool | None = option(
        None,
        help="drop the pairs that differ most in length until both sides are equally long on "
        "average",
    )
    seed: int = option(0, help="seed of everything that is sampled")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.max_pairs_per_prompt is not None and self.max_pairs_per_prompt < 0:
            msg = f"--max-pairs-per-prompt must not be negative, got {self.max_pairs_per_prompt}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginOptions(MethodOptions):
    """Options of methods whose pairs have a margin."""

    margin: float | None = option(
        None,
        help="min difference between the scores, or the probabilities, of the two sides; equal ones "
        "never make a pair (default: a quarter of the rubric's scale; one claim for claims; none for "
        "comparisons)",
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        MethodOptions.__post_init__(self)
        if self.margin is not None and self.margin < 0:
            msg = f"--margin must not be negative, got {self.margin}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions(MarginOptions):
    """Options of methods that compare scores."""

    min_chosen: float | None = option(
        None, help="min score of the chosen side; below it both sides count as bad"
    )
    min_label_mass: float = option(
        0.0, help="leave out scores with less probability mass on the labels than this"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        MarginOptions.__post_init__(self)
        if not 0 <= self.min_label_mass <= 1:
            msg = f"--min-label-mass is a probability, got {self.min_label_mass}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class Need:
    """A table that a method reads.

    Attributes:
        table: Its name, also the name of the flag that chooses a run of it.
        how: What to do where there is none, with the command that makes one.
        steps: Steps whose runs are meant, the preferred one first; all if none is given.
        optional: Whether the method does without.
    """

    table: str
    how: str = ""
    steps: tuple[str, ...] = ()
    optional: bool = False


class InvalidRow(NamedTuple):
    """A row that cannot be used, for the rejects table."""

    row_id: str
    stage: str
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a method reads.

    Attributes:
        tables: Rows, by the table that the method needs.
        runs: The runs that the rows come from, by table.
        samples: All samples.
        current: Samples that no active decisions drop.
        contestable: The current samples, and those that were dropped for their score only: a worse
            answer may still be the rejected one.
        limit: Take only so many of the first prompts, or of the first rows.
    """

    tables: Mapping[str, pl.LazyFrame]
    runs: Mapping[str, Manifest]
    samples: pl.LazyFrame
    current: pl.LazyFrame
    contestable: pl.LazyFrame
    limit: int | None = None

    def rows(self, table: str) -> pl.DataFrame:
        """The first rows of a table, up to the limit."""
        frame = self.tables[table]
        return (frame if self.limit is None else frame.head(self.limit)).collect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What a method returns.

    Attributes:
        picks: Pairs before prompt, images and policy are added: rows of `picks_frame`.
        candidates: The texts that competed, rows of `CANDIDATE_SCHEMA`: prompt, images and policy
            come from here.
        pool: Distinct candidates that a control may pair; those of the picks if not given.
        prompt_from: Column of the picks that names the candidate whose prompt the pair gets.
        counts: How many candidates did not become pairs, by reason.
        invalid: Rows that could not be used.
        summary: More numbers for the run.
        keep: Which pairs of a prompt with too many are kept: sampled ones, or those with the widest
            margin.
        balance: Which pairs `--length-balance` drops: the widest of either side, or only those
            whose chosen text is too short.
    """

    picks: pl.DataFrame
    candidates: pl.DataFrame
    pool: pl.DataFrame | None = None
    prompt_from: Literal["chosen_id", "rejected_id", "prompt_id"] = "chosen_id"
    counts: Counter[str] = field(default_factory=Counter)
    invalid: list[InvalidRow] = field(default_factory=list)
    summary: Mapping[str, Any] = field(default_factory=dict)
    keep: Literal["sampled", "widest"] = "sampled"
    balance: Literal["both", "short_chosen"] = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to make pairs.

    Attributes:
        name: As `--method` takes it; its file has the same name, with `_` for `-`.
        summary: What it pairs, in a few words, for `--help`.
        needs: The tables that it reads. Of several sets the first one whose first table exists is
            read, else the last one.
        pair: Makes the pairs of the tables and the method's options.
        options: Its options, with those of every method.
        defaults: Values of options that are not given.
        presets: Values of options, by the name of a published recipe.
        remedies: What helps where there are no pairs, by the commonest reason in `counts`.
    """

    name: str
    summary: str
    needs: tuple[tuple[Need, ...], ...]
    pair: Callable[[Inputs, Any], Pairing]
    options: type[MethodOptions] = MethodOptions
    defaults: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remedies: Mapping[str, str] = field(default_factory=dict)
