"""What a judge and people said of the same things, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from judge.agreement.sources import Votes, answer_texts, supported_share
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

DECIDED = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One criterion that both sides judged.

    Attributes:
        name: As shown.
        criterion: The judge's.
        verdicts: Whether it is about pairs.
        rows: One a unit: `unit`, `group`, `judge`, `label` (marks, or winners), `rationale`,
            `mass`, `p`; and `target_id`, or `low` and `high`.
        raters: One column an annotator, rows as in `rows`; null where one did not say.
        unmatched: Units of the judge that no label is about.
        split: Units left out because as many annotators said good as bad.
    """

    name: str
    criterion: str
    verdicts: bool
    rows: pl.DataFrame
    raters: pl.DataFrame
    unmatched: int
    split: int = 0

    @property
    def is_binary(self) -> bool:
        """Whether the labels say good or bad, 1 or 0."""
        return not self.verdicts and set(self.rows["label"].to_list()) <= {0.0, 1.0}

    def head(self, n: int) -> Topic:
        """The first rows only."""
        return replace(self, rows=self.rows.head(n), raters=self.raters.head(n))


def topics_of(
    dataset: Dataset,
    judge: Votes,
    labels: Votes,
    *,
    criterion: str | None,
    labels_criterion: str | None,
    label_by: str | None,
) -> list[Topic]:
    """Match a judge's verdicts with labels, criterion by criterion.

    Raises:
        UsageError: If they are about nothing in common.
    """
    import polars as pl

    judge, labels = _same_unit(judge, labels)
    if label_by is not None:
        if label_by not in labels.who:
            msg = f"--label-by {label_by}: {labels.manifest.ref} has {', '.join(labels.who[:20])}"
            raise UsageError(msg)
        labels = _with(labels, labels.rows.filter(pl.col("by") == label_by))
    found = []
    for mine, theirs in _criteria(judge, labels, criterion, labels_criterion):
        topic = _topic(dataset, judge, labels, mine, theirs)
        if topic.rows.height:
            found.append(topic)
    if not found:
        msg = f"{judge.manifest.ref} and {labels.manifest.ref} judge nothing in common: no {labels.unit} is in both"
        raise UsageError(msg)
    return found


def _with(votes: Votes, rows: pl.DataFrame) -> Votes:
    return Votes(
        manifest=votes.manifest, unit=votes.unit, rows=rows, scale=votes.scale,
        rubric_hash=votes.rubric_hash,
    )  # fmt: skip


def _same_unit(judge: Votes, labels: Votes) -> tuple[Votes, Votes]:
    if judge.unit == "claim" and labels.unit == "answer":
        judge = supported_share(judge)
    elif judge.unit == "answer" and labels.unit == "claim":
        labels = supported_share(labels)
    if judge.unit != labels.unit and (judge.unit, labels.unit) != ("answer", "pair"):
        msg = f"{judge.manifest.ref} judges {judge.unit}s, {labels.manifest.ref} {labels.unit}s: there is nothing to compare"
        raise UsageError(msg)
    return judge, labels


def _criteria(
    judge: Votes, labels: Votes, criterion: str | None, labels_criterion: str | None
) -> list[tuple[str | None, str]]:
    """Pairs of criteria; `None`: the mean of all of the judge's."""
    mine, theirs = judge.criteria, labels.criteria
    for flag, wanted, known in (
        ("--criterion", criterion, mine), ("--labels-criterion", labels_criterion, theirs),
    ):  # fmt: skip
        if wanted is not None and wanted not in known:
            msg = f"{flag} {wanted}: there are {', '.join(known)}"
            raise UsageError(msg)
    mine = [criterion] if criterion else mine
    theirs = [labels_criterion] if labels_criterion else theirs
    if len(mine) == 1 and len(theirs) == 1:
        return [(mine[0], theirs[0])]
    common = [name for name in mine if name in theirs]
    if common:
        return [(name, name) for name in common]
    if len(theirs) == 1 and judge.unit == "answer":
        return [(None, theirs[0])]
    msg = f"no criterion is in both: the judge has {', '.join(mine)}, the labels {', '.join(theirs)}; say which with --criterion and --labels-criterion"
    raise UsageError(msg)


def _topic(dataset: Dataset, judge: Votes, labels: Votes, mine: str | None, theirs: str) -> Topic:
    import polars as pl

    said = judge.rows if mine is None else judge.rows.filter(pl.col("criterion") == mine)
    given = labels.rows.filter(pl.col("criterion") == theirs)
    verdicts = labels.unit == "pair"
    if verdicts:
        ours = _by_marks(said, given) if judge.unit == "answer" else _majority(said, "judge")
        both = _majority(given, "label").select("unit", "label").join(ours, on="unit", how="inner")
    else:
        label = given.group_by("unit").agg(pl.col("mark").mean().alias("label"))
        both = _one_mark(said).join(label, on="unit", how="inner")
    unmatched = said["unit"].n_unique() - both.height if judge.unit == labels.unit else 0
    split = 0
    if not verdicts and set(given["mark"].unique().to_list()) <= {0.0, 1.0}:
        # Yes or no, by most annotators.
        clear = both.filter(pl.col("label") != 0.5).with_columns(pl.col("label").round())
        both, split = clear, both.height - clear.height
    target = "low" if verdicts else "target_id"
    both = with_groups(dataset, both, target).sort("unit")
    value = "verdict" if verdicts else "mark"
    raters = given.join(both.select("unit"), on="unit", how="semi").pivot(
        "by", index="unit", values=value, aggregate_function="first"
    )
    raters = both.select("unit").join(raters, on="unit", how="left", maintain_order="left")
    name = mine or "mean of all criteria"
    return Topic(
        name=name if name == theirs else f"{name} (labels: {theirs})",
        criterion=mine or "",
        verdicts=verdicts,
        rows=both,
        raters=raters.drop("unit"),
        unmatched=unmatched,
        split=split,
    )


def _one_mark(said: pl.DataFrame) -> pl.DataFrame:
    """Mean over judges, then over criteria."""
    import polars as pl

    by_criterion = said.group_by("unit", "target_id", "criterion", maintain_order=True).agg(
        pl.col("mark").mean(), pl.col("rationale").drop_nulls().first(), pl.col("mass").mean()
    )
    return by_criterion.group_by("unit", "target_id", maintain_order=True).agg(
        pl.col("mark").mean().alias("judge"),
        pl.col("rationale").drop_nulls().first(),
        pl.col("mass").mean(),
    )


def _majority(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """One verdict a pair: what most said; `undecided` where no verdict leads."""
    import polars as pl

    counts = rows.group_by("unit", "verdict", maintain_order=True).len()
    most = counts.filter(pl.col("len") == pl.col("len").max().over("unit"))
    one = most.group_by("unit", maintain_order=True).agg(
        pl.when(pl.len() == 1)
        .then(pl.col("verdict").first())
        .otherwise(pl.lit("undecided"))
        .alias(name)
    )
    about = rows.group_by("unit", maintain_order=True).agg(
        pl.col("sample_id", "low", "high", "rationale", "first", "second").first(),
        pl.col("p", "mass").mean(),
    )
    return one.join(about, on="unit", how="inner", maintain_order="left")


def _by_marks(said: pl.DataFrame, given: pl.DataFrame) -> pl.DataFrame:
    """The answer with the higher mark wins."""
    import polars as pl

    marks = _one_mark(said).select("target_id", "judge", "rationale", "mass")
    pairs = given.unique("unit", maintain_order=True).select("unit", "sample_id", "low", "high")
    both = pairs.join(marks.rename({"judge": "m_low"}), left_on="low", right_on="target_id").join(
        marks.select("target_id", pl.col("judge").alias("m_high")),
        left_on="high", right_on="target_id",
    )  # fmt: skip
    apart = pl.col("m_low") - pl.col("m_high")
    winner = pl.when(apart > 0).then(pl.lit("a")).when(apart < 0).then(pl.lit("b"))
    return both.with_columns(
        judge=winner.otherwise(pl.lit("tie")), p=pl.lit(None, pl.Float64),
        first=pl.lit(None, pl.String), second=pl.lit(None, pl.String),
    )  # fmt: skip


def with_groups(dataset: Dataset, rows: pl.DataFrame, target: str) -> pl.DataFrame:
    """Add `group`: the image that a row is about, else its sample, else itself."""
    import polars as pl

    ids = rows.lazy().select(pl.col(target).alias("target_id")).unique()
    known = (
        answer_texts(dataset).select("target_id", "sample_id").join(ids, on="target_id", how="semi")
    )
    images = dataset.union("samples").select(
        "sample_id", pl.col("image_ids").list.first().alias("image")
    )
    groups = (
        known.join(images, on="sample_id", how="left")
        .select("target_id", pl.coalesce("image", "sample_id").alias("group"))
        .collect()
    )
    out = rows.join(groups, left_on=target, right_on="target_id", how="left", maintain_order="left")
    return out.with_columns(pl.col("group").fill_null(pl.col(target)))


def lengths(dataset: Dataset, targets: Sequence[str]) -> pl.DataFrame:
    """`target_id`, `chars`, `words` of answers."""
    import polars as pl

    ids = pl.LazyFrame({"target_id": list(targets)}, schema={"target_id": pl.String}).unique()
    texts = answer_texts(dataset).join(ids, on="target_id", how="semi")
    return texts.select(
        "target_id",
        pl.col("text").str.len_chars().alias("chars"),
        pl.col("text").str.count_matches(r"\S+").alias("words"),
    ).collect()
