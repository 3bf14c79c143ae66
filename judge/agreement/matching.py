"""Judgments of a judge and labels of the same units, matched by criterion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from judge.agreement.judgments import Judgments, response_texts, supported_fraction
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

DECIDED = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """One criterion, with the judgments and the labels of the same units.

    Attributes:
        name: As shown.
        criterion: The judge's.
        is_pairwise: Whether the units are pairs.
        rows: One per unit: `unit`, `group`, `judge`, `label` (scores, or winners), `rationale`,
            `mass`, `p`; and `target_id`, or `low` and `high`.
        raters: One column per annotator, rows as in `rows`; null where one gave no label.
        unmatched: Number of units of the judge without a label.
        tied: Number of units left out because their annotators are split evenly.
    """

    name: str
    criterion: str
    is_pairwise: bool
    rows: pl.DataFrame
    raters: pl.DataFrame
    unmatched: int
    tied: int = 0

    @property
    def is_binary(self) -> bool:
        """Whether the labels are good or bad, 1 or 0."""
        return not self.is_pairwise and set(self.rows["label"].to_list()) <= {0.0, 1.0}

    def head(self, n: int) -> Matched:
        """The first rows only."""
        return replace(self, rows=self.rows.head(n), raters=self.raters.head(n))


def match(
    dataset: Dataset,
    judge: Judgments,
    labels: Judgments,
    *,
    criterion: str | None,
    labels_criterion: str | None,
    label_by: str | None,
) -> list[Matched]:
    """Match a judge's judgments with labels, criterion by criterion.

    Raises:
        UsageError: If no unit is in both.
    """
    import polars as pl

    judge, labels = _same_unit(judge, labels)
    if label_by is not None:
        if label_by not in labels.names:
            msg = f"--label-by {label_by}: {labels.manifest.ref} has {', '.join(labels.names[:20])}"
            raise UsageError(msg)
        labels = replace(labels, rows=labels.rows.filter(pl.col("by") == label_by))
    found = []
    for mine, theirs in _criteria(judge, labels, criterion, labels_criterion):
        matched = _matched(dataset, judge, labels, mine, theirs)
        if matched.rows.height:
            found.append(matched)
    if not found:
        msg = f"{judge.manifest.ref} and {labels.manifest.ref} have nothing in common: no {labels.unit} is in both"
        raise UsageError(msg)
    return found


def _same_unit(judge: Judgments, labels: Judgments) -> tuple[Judgments, Judgments]:
    if judge.unit == "claim" and labels.unit == "response":
        judge = supported_fraction(judge)
    elif judge.unit == "response" and labels.unit == "claim":
        labels = supported_fraction(labels)
    if judge.unit != labels.unit and (judge.unit, labels.unit) != ("response", "pair"):
        msg = f"{judge.manifest.ref} judges {judge.unit}s, {labels.manifest.ref} judges {labels.unit}s: there is nothing to compare"
        raise UsageError(msg)
    return judge, labels


def _criteria(
    judge: Judgments, labels: Judgments, criterion: str | None, labels_criterion: str | None
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
    if len(theirs) == 1 and judge.unit == "response":
        return [(None, theirs[0])]
    msg = f"no criterion is in both: the judge has {', '.join(mine)}, the labels have {', '.join(theirs)}; choose with --criterion and --labels-criterion"
    raise UsageError(msg)


def _matched(
    dataset: Dataset, judge: Judgments, labels: Judgments, mine: str | None, theirs: str
) -> Matched:
    import polars as pl

    judged = judge.rows if mine is None else judge.rows.filter(pl.col("criterion") == mine)
    given = labels.rows.filter(pl.col("criterion") == theirs)
    is_pairwise = labels.unit == "pair"
    if is_pairwise:
        ours = _by_scores(judged, given) if judge.unit == "response" else _majority(judged, "judge")
        both = _majority(given, "label").select("unit", "label").join(ours, on="unit", how="inner")
    else:
        label = given.group_by("unit").agg(pl.col("score").mean().alias("label"))
        both = _one_score(judged).join(label, on="unit", how="inner")
    unmatched = judged["unit"].n_unique() - both.height if judge.unit == labels.unit else 0
    tied = 0
    if not is_pairwise and set(given["score"].unique().to_list()) <= {0.0, 1.0}:
        # Yes or no, by the majority of annotators.
        clear = both.filter(pl.col("label") != 0.5).with_columns(pl.col("label").round())
        both, tied = clear, both.height - clear.height
    target = "low" if is_pairwise else "target_id"
    both = with_groups(dataset, both, target).sort("unit")
    value = "verdict" if is_pairwise else "score"
    raters = given.join(both.select("unit"), on="unit", how="semi").pivot(
        "by", index="unit", values=value, aggregate_function="first"
    )
    raters = both.select("unit").join(raters, on="unit", how="left", maintain_order="left")
    name = mine or "mean of all criteria"
    return Matched(
        name=name if name == theirs else f"{name} (labels: {theirs})",
        criterion=mine or "",
        is_pairwise=is_pairwise,
        rows=both,
        raters=raters.drop("unit"),
        unmatched=unmatched,
        tied=tied,
    )


def _one_score(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean over judges, then over criteria."""
    import polars as pl

    by_criterion = rows.group_by("unit", "target_id", "criterion", maintain_order=True).agg(
        pl.col("score").mean(), pl.col("rationale").drop_nulls().first(), pl.col("mass").mean()
    )
    return by_criterion.group_by("unit", "target_id", maintain_order=True).agg(
        pl.col("score").mean().alias("judge"),
        pl.col("rationale").drop_nulls().first(),
        pl.col("mass").mean(),
    )


def _majority(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """One verdict per pair: the most frequent one; `undecided` where no verdict leads."""
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


def _by_scores(judged: pl.DataFrame, given: pl.DataFrame) -> pl.DataFrame:
    """The response with the higher score wins."""
    import polars as pl

    scores = _one_score(judged).select("target_id", "judge", "rationale", "mass")
    pairs = given.unique("unit", maintain_order=True).select("unit", "sample_id", "low", "high")
    both = pairs.join(scores.rename({"judge": "low_score"}), left_on="low", right_on="target_id").join(
        scores.select("target_id", pl.col("judge").alias("high_score")),
        left_on="high", right_on="target_id",
    )  # fmt: skip
    lead = pl.col("low_score") - pl.col("high_score")
    winner = pl.when(lead > 0).then(pl.lit("a")).when(lead < 0).then(pl.lit("b"))
    return both.with_columns(
        judge=winner.otherwise(pl.lit("tie")), p=pl.lit(None, pl.Float64),
        first=pl.lit(None, pl.String), second=pl.lit(None, pl.String),
    )  # fmt: skip


def with_groups(dataset: Dataset, rows: pl.DataFrame, target: str) -> pl.DataFrame:
    """Add `group`: the image of a row, otherwise its sample, otherwise itself."""
    import polars as pl

    ids = rows.lazy().select(pl.col(target).alias("target_id")).unique()
    known = (
        response_texts(dataset)
        .select("target_id", "sample_id")
        .join(ids, on="target_id", how="semi")
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
    """`target_id`, `chars`, `words` of responses."""
    import polars as pl

    ids = pl.LazyFrame({"target_id": list(targets)}, schema={"target_id": pl.String}).unique()
    texts = response_texts(dataset).join(ids, on="target_id", how="semi")
    return texts.select(
        "target_id",
        pl.col("text").str.len_chars().alias("chars"),
        pl.col("text").str.count_matches(r"\S+").alias("words"),
    ).collect()
