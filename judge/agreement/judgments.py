"""Judgments of a judge and of human annotators in one shape, whatever table they come from.

Two shapes: *scores* (a number for a response or a claim) and *verdicts* (which of two responses is
better). The tables scores, claims and feedback contain scores, comparisons contain verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import JURY, usable_scores

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest

Unit = Literal["response", "claim", "pair"]
KINDS: Final = ("scores", "comparisons", "claims", "feedback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgments:
    """The judgments of one run.

    Attributes:
        manifest: The run.
        unit: What is judged.
        rows: Of scores: `unit`, `target_id`, `criterion`, `by`, `score`, `rationale`, `mass`. Of
            verdicts: `unit`, `sample_id`, `low`, `high` (the two responses by id), `criterion`,
            `by`, `verdict` (`a`: the low one), `p` (that it is better), `mass`, `rationale`, and
            `first`, `second`: the winner when the low one, when the high one was shown first.
        scale: Lowest and highest possible score, where the run records them.
        rubric_hash: Of the judge, if there is only one.
    """

    manifest: Manifest
    unit: Unit
    rows: pl.DataFrame
    scale: tuple[float, float] | None = None
    rubric_hash: str | None = None

    @property
    def criteria(self) -> list[str]:
        """Names of the criteria."""
        return sorted(self.rows["criterion"].unique().to_list())

    @property
    def names(self) -> list[str]:
        """Judges or annotators."""
        return sorted(self.rows["by"].unique().to_list())


def find_run(dataset: Dataset, ref: str | None, *, flag: str) -> Manifest:
    """The run that was named, or the only possible one.

    Raises:
        UsageError: If there is none, or there are several.
    """
    if ref is not None:
        kind, _, run = ref.partition("/")
        if kind not in KINDS or not run:
            msg = f"{flag} {ref}: name a run as KIND/RUN, where KIND is one of {', '.join(KINDS)}"
            raise UsageError(msg)
        found = dataset.pick(kind, run)
        assert found is not None
        return found
    judged = [m for kind in KINDS[:3] for m in dataset.active(kind).values() if _is_judged(m)]
    if len(judged) == 1:
        return judged[0]
    if not judged:
        msg = "the dataset has no run of a judge: make one with `judge score` or `judge compare`, or name an imported run with --judge KIND/RUN"
        raise UsageError(msg)
    msg = f"there are several runs of judges: name one with {flag} ({', '.join(m.ref for m in judged)})"
    raise UsageError(msg)


def _is_judged(manifest: Manifest) -> bool:
    """Whether a command of `judge` made it; imports are by human annotators or other programs."""
    return not manifest.step.startswith("ingest")


def read_judgments(dataset: Dataset, manifest: Manifest) -> Judgments:
    """Read a run into its shape.

    Raises:
        UsageError: If no row has a judgment.
    """
    read = {"scores": _scores, "comparisons": _comparisons, "claims": _claims}
    judgments = read.get(manifest.kind, _feedback)(dataset, manifest)
    if judgments.rows.is_empty():
        msg = f"{manifest.ref}: no row has a verdict"
        raise UsageError(msg)
    return judgments


def _scores(dataset: Dataset, manifest: Manifest) -> Judgments:
    import polars as pl

    usable = usable_scores(dataset.scan(manifest)).collect()
    if JURY in usable["judge"].unique().to_list():
        usable = usable.filter(pl.col("judge") == JURY)
    keys = ["target_id", "criterion", "judge"]
    rows = usable.group_by(keys, maintain_order=True).agg(
        pl.col("score").mean(), pl.col("rationale").drop_nulls().first(),
        pl.col("label_mass").mean().alias("mass"),
    )  # fmt: skip
    hashes = usable["rubric_hash"].unique().to_list()
    given = manifest.config.get("label_range") or manifest.summary.get("label_range")
    return Judgments(
        manifest=manifest,
        unit="response",
        rows=rows.select(
            pl.col("target_id").alias("unit"), "target_id", "criterion",
            pl.col("judge").alias("by"), "score", "rationale", "mass",
        ),
        scale=(float(given[0]), float(given[1])) if given else None,
        rubric_hash=hashes[0] if len(hashes) == 1 else None,
    )  # fmt: skip


def _claims(dataset: Dataset, manifest: Manifest) -> Judgments:
    import polars as pl

    mass = pl.col("p_yes") + pl.col("p_no")
    rows = (
        dataset.scan(manifest)
        .filter(pl.col("error").is_null() & (mass > 0))
        .select(
            # Ids of claims include the judge; the claim itself is its response and its text.
            pl.concat_str("response_id", pl.lit("\n"), "text").alias("unit"),
            pl.col("response_id").alias("target_id"),
            pl.lit("supported").alias("criterion"),
            pl.col("judge").alias("by"),
            (pl.col("p_yes") / mass).alias("score"),
            pl.lit(None, pl.String).alias("rationale"),
            mass.alias("mass"),
            "rubric_hash",
        )
        .collect()
        .unique(["unit", "by"], keep="first", maintain_order=True)
    )
    hashes = rows["rubric_hash"].drop_nulls().unique().to_list()
    return Judgments(
        manifest=manifest,
        unit="claim",
        rows=rows.drop("rubric_hash"),
        scale=(0.0, 1.0),
        rubric_hash=hashes[0] if len(hashes) == 1 else None,
    )


def supported_fraction(claims: Judgments) -> Judgments:
    """Scores of responses from scores of their claims: the mean."""
    import polars as pl

    rows = claims.rows.group_by("target_id", "criterion", "by", maintain_order=True).agg(
        pl.col("score").mean(), pl.col("mass").mean()
    )
    rows = rows.select(
        pl.col("target_id").alias("unit"), "target_id", "criterion", "by", "score",
        pl.lit(None, pl.String).alias("rationale"), "mass",
    )  # fmt: skip
    return Judgments(manifest=claims.manifest, unit="response", rows=rows, scale=(0.0, 1.0))


def _feedback(dataset: Dataset, manifest: Manifest) -> Judgments:
    """The fraction of a response's characters that are not annotated as wrong."""
    import polars as pl

    spans = dataset.scan(manifest).select("response_id", "by", "spans").collect()
    texts = response_texts(dataset).join(
        spans.lazy().select(pl.col("response_id").alias("target_id")), on="target_id", how="semi"
    )
    lengths = texts.select("target_id", pl.col("text").str.len_chars().alias("n")).collect()
    wrong = pl.col("spans").list.eval(
        pl.when(~pl.element().struct.field("correct").fill_null(value=True))
        .then(pl.element().struct.field("end") - pl.element().struct.field("start"))
        .otherwise(0)
    )
    rows = (
        spans.with_columns(wrong=wrong.list.sum())
        .join(lengths, left_on="response_id", right_on="target_id")
        .filter(pl.col("n") > 0)
        .select(
            pl.col("response_id").alias("unit"),
            pl.col("response_id").alias("target_id"),
            pl.lit("right characters").alias("criterion"),
            "by",
            (1 - pl.col("wrong") / pl.col("n")).clip(0, 1).alias("score"),
            pl.lit(None, pl.String).alias("rationale"),
            pl.lit(None, pl.Float64).alias("mass"),
        )
        .unique(["unit", "by"], keep="first", maintain_order=True)
    )
    return Judgments(manifest=manifest, unit="response", rows=rows, scale=(0.0, 1.0))


def _comparisons(dataset: Dataset, manifest: Manifest) -> Judgments:
    import polars as pl

    rows = dataset.scan(manifest).filter(pl.col("error").is_null()).collect()
    # The same text under two ids is one response: pairs are matched by the first of its ids.
    same = _same_responses(dataset, rows)
    rows = rows.with_columns(
        (pl.col(side).replace(same) if same else pl.col(side)).alias(f"{side}_key")
        for side in ("a", "b")
    )
    is_same = pl.col("a_key") == pl.col("b_key")
    keys = [
        pl.when(is_same).then(pl.col(side)).otherwise(pl.col(f"{side}_key")) for side in ("a", "b")
    ]
    is_swapped = keys[0] > keys[1]

    def oriented(name: str) -> pl.Expr:
        swapped = pl.col(name).replace({"a": "b", "b": "a"})
        return pl.when(is_swapped).then(swapped).otherwise(pl.col(name))

    orders = ("verdict_first_order", "verdict_second_order")
    p = pl.when(is_swapped).then(1 - pl.col("p_a")).otherwise(pl.col("p_a"))
    rows = rows.select(
        pl.concat_str(pl.min_horizontal(keys), pl.lit("\n"), pl.max_horizontal(keys)).alias("unit"),
        "sample_id",
        pl.when(is_swapped).then(pl.col("b")).otherwise(pl.col("a")).alias("low"),
        pl.when(is_swapped).then(pl.col("a")).otherwise(pl.col("b")).alias("high"),
        pl.col("criterion").fill_null("overall"),
        "by",
        oriented("verdict").alias("verdict"),
        p.alias("p"),
        pl.col("label_mass").alias("mass"),
        "rationale",
        pl.when(is_swapped).then(oriented(orders[1])).otherwise(oriented(orders[0])).alias("first"),
        pl.when(is_swapped)
        .then(oriented(orders[0]))
        .otherwise(oriented(orders[1]))
        .alias("second"),
        "rubric_hash",
    )
    hashes = rows["rubric_hash"].drop_nulls().unique().to_list()
    return Judgments(
        manifest=manifest,
        unit="pair",
        rows=rows.drop("rubric_hash"),
        rubric_hash=hashes[0] if len(hashes) == 1 else None,
    )


def _same_responses(dataset: Dataset, rows: pl.DataFrame) -> dict[str, str]:
    import polars as pl

    samples = rows.lazy().select(pl.col("sample_id").unique())
    texts = response_texts(dataset).join(samples, on="sample_id", how="semi")
    first = pl.col("target_id").min().over("sample_id", "text").alias("first")
    found = texts.select("target_id", first).filter(pl.col("first") != pl.col("target_id"))
    return dict(found.collect().iter_rows())


def response_texts(dataset: Dataset) -> pl.LazyFrame:
    """`target_id`, `sample_id`, `text`, `messages` (the prompt) of responses and of samples' own answers."""
    import polars as pl

    last = pl.col("messages").list.last()
    own = (
        dataset.union("samples")
        .filter(last.struct.field("role") == "assistant")
        .select(
            pl.col("sample_id").alias("target_id"),
            "sample_id",
            last.struct.field("content").alias("text"),
            pl.col("messages").list.slice(0, pl.col("messages").list.len() - 1),
        )
    )
    runs = [m for m in dataset.runs("responses") if m.is_complete and m.rows]
    sampled = [
        dataset.scan(m).select(
            pl.col("response_id").alias("target_id"), "sample_id", "text",
            pl.col("prompt").alias("messages"),
        )
        for m in runs
    ]  # fmt: skip
    return pl.concat([*sampled, own]).unique("target_id", keep="first", maintain_order=True)
