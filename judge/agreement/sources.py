"""Verdicts of a judge and of people in one shape, whatever table they stand in.

Two shapes: *marks* (a number for an answer or a claim) and *verdicts* (which of two answers is
better). Scores, claims and feedback hold marks, comparisons hold verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import JURY, usable_marks

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest

Unit = Literal["answer", "claim", "pair"]
KINDS: Final = ("scores", "comparisons", "claims", "feedback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """One run, read.

    Attributes:
        manifest: The run.
        unit: What is judged.
        rows: Of marks: `unit`, `target_id`, `criterion`, `by`, `mark`, `rationale`, `mass`. Of
            verdicts: `unit`, `sample_id`, `low`, `high` (the two answers by id), `criterion`, `by`,
            `verdict` (`a`: the low one), `p` (that it is better), `mass`, `rationale`, and
            `first`, `second`: the winner when the low one, when the high one was shown first.
        scale: Least and greatest mark that could be given, where the run says so.
        rubric_hash: Of the judge, if there is one only.
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
    def who(self) -> list[str]:
        """Judges or annotators."""
        return sorted(self.rows["by"].unique().to_list())


def find_run(dataset: Dataset, ref: str | None, *, flag: str) -> Manifest:
    """The run that was named, or the only one that could be meant.

    Raises:
        UsageError: If there is none, or several could be meant.
    """
    if ref is not None:
        kind, _, run = ref.partition("/")
        if kind not in KINDS or not run:
            msg = f"{flag} {ref}: name a run as KIND/RUN, KIND being {', '.join(KINDS)}"
            raise UsageError(msg)
        found = dataset.pick(kind, run)
        assert found is not None
        return found
    verdicts = [m for kind in KINDS[:3] for m in dataset.active(kind).values() if _judged(m)]
    if len(verdicts) == 1:
        return verdicts[0]
    if not verdicts:
        msg = "no judge's verdicts here: make some with `judge score` or `judge compare`, or name a run that was imported with --judge KIND/RUN"
        raise UsageError(msg)
    msg = (
        f"several runs could be meant: name one with {flag} ({', '.join(m.ref for m in verdicts)})"
    )
    raise UsageError(msg)


def _judged(manifest: Manifest) -> bool:
    """Whether a judge of ours made it: imports are people's or others'."""
    return not manifest.step.startswith("ingest")


def read_votes(dataset: Dataset, manifest: Manifest) -> Votes:
    """Read a run into its shape.

    Raises:
        UsageError: If no row of it says anything.
    """
    read = {"scores": _scores, "comparisons": _comparisons, "claims": _claims}
    votes = read.get(manifest.kind, _feedback)(dataset, manifest)
    if votes.rows.is_empty():
        msg = f"{manifest.ref}: no row holds a verdict"
        raise UsageError(msg)
    return votes


def _scores(dataset: Dataset, manifest: Manifest) -> Votes:
    import polars as pl

    usable = usable_marks(dataset.scan(manifest)).collect()
    if JURY in usable["judge"].unique().to_list():
        usable = usable.filter(pl.col("judge") == JURY)
    keys = ["target_id", "criterion", "judge"]
    rows = usable.group_by(keys, maintain_order=True).agg(
        pl.col("mark").mean(), pl.col("rationale").drop_nulls().first(),
        pl.col("label_mass").mean().alias("mass"),
    )  # fmt: skip
    hashes = usable["rubric_hash"].unique().to_list()
    given = manifest.config.get("label_range") or manifest.summary.get("label_range")
    return Votes(
        manifest=manifest,
        unit="answer",
        rows=rows.select(
            pl.col("target_id").alias("unit"), "target_id", "criterion",
            pl.col("judge").alias("by"), "mark", "rationale", "mass",
        ),
        scale=(float(given[0]), float(given[1])) if given else None,
        rubric_hash=hashes[0] if len(hashes) == 1 else None,
    )  # fmt: skip


def _claims(dataset: Dataset, manifest: Manifest) -> Votes:
    import polars as pl

    mass = pl.col("p_yes") + pl.col("p_no")
    rows = (
        dataset.scan(manifest)
        .filter(pl.col("error").is_null() & (mass > 0))
        .select(
            # Ids of claims name who judged; the claim itself is its answer and its words.
            pl.concat_str("response_id", pl.lit("\n"), "text").alias("unit"),
            pl.col("response_id").alias("target_id"),
            pl.lit("supported").alias("criterion"),
            pl.col("judge").alias("by"),
            (pl.col("p_yes") / mass).alias("mark"),
            pl.lit(None, pl.String).alias("rationale"),
            mass.alias("mass"),
            "rubric_hash",
        )
        .collect()
        .unique(["unit", "by"], keep="first", maintain_order=True)
    )
    hashes = rows["rubric_hash"].drop_nulls().unique().to_list()
    return Votes(
        manifest=manifest,
        unit="claim",
        rows=rows.drop("rubric_hash"),
        scale=(0.0, 1.0),
        rubric_hash=hashes[0] if len(hashes) == 1 else None,
    )


def supported_share(claims: Votes) -> Votes:
    """Marks of answers from marks of their claims: the mean."""
    import polars as pl

    rows = claims.rows.group_by("target_id", "criterion", "by", maintain_order=True).agg(
        pl.col("mark").mean(), pl.col("mass").mean()
    )
    rows = rows.select(
        pl.col("target_id").alias("unit"), "target_id", "criterion", "by", "mark",
        pl.lit(None, pl.String).alias("rationale"), "mass",
    )  # fmt: skip
    return Votes(manifest=claims.manifest, unit="answer", rows=rows, scale=(0.0, 1.0))


def _feedback(dataset: Dataset, manifest: Manifest) -> Votes:
    """The share of an answer's characters that nobody called wrong."""
    import polars as pl

    spans = dataset.scan(manifest).select("response_id", "by", "spans").collect()
    answers = answer_texts(dataset).join(
        spans.lazy().select(pl.col("response_id").alias("target_id")), on="target_id", how="semi"
    )
    lengths = answers.select("target_id", pl.col("text").str.len_chars().alias("n")).collect()
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
            (1 - pl.col("wrong") / pl.col("n")).clip(0, 1).alias("mark"),
            pl.lit(None, pl.String).alias("rationale"),
            pl.lit(None, pl.Float64).alias("mass"),
        )
        .unique(["unit", "by"], keep="first", maintain_order=True)
    )
    return Votes(manifest=manifest, unit="answer", rows=rows, scale=(0.0, 1.0))


def _comparisons(dataset: Dataset, manifest: Manifest) -> Votes:
    import polars as pl

    rows = dataset.scan(manifest).filter(pl.col("error").is_null()).collect()
    # The same words under two ids are one answer: pairs are matched by the least of its ids.
    same = _same_answers(dataset, rows)
    rows = rows.with_columns(
        (pl.col(side).replace(same) if same else pl.col(side)).alias(f"{side}_key")
        for side in ("a", "b")
    )
    alike = pl.col("a_key") == pl.col("b_key")
    keys = [
        pl.when(alike).then(pl.col(side)).otherwise(pl.col(f"{side}_key")) for side in ("a", "b")
    ]
    turned = keys[0] > keys[1]

    def oriented(name: str) -> pl.Expr:
        swapped = pl.col(name).replace({"a": "b", "b": "a"})
        return pl.when(turned).then(swapped).otherwise(pl.col(name))

    orders = ("verdict_first_order", "verdict_second_order")
    p = pl.when(turned).then(1 - pl.col("p_a")).otherwise(pl.col("p_a"))
    rows = rows.select(
        pl.concat_str(pl.min_horizontal(keys), pl.lit("\n"), pl.max_horizontal(keys)).alias("unit"),
        "sample_id",
        pl.when(turned).then(pl.col("b")).otherwise(pl.col("a")).alias("low"),
        pl.when(turned).then(pl.col("a")).otherwise(pl.col("b")).alias("high"),
        pl.col("criterion").fill_null("overall"),
        "by",
        oriented("verdict").alias("verdict"),
        p.alias("p"),
        pl.col("label_mass").alias("mass"),
        "rationale",
        pl.when(turned).then(oriented(orders[1])).otherwise(oriented(orders[0])).alias("first"),
        pl.when(turned).then(oriented(orders[0])).otherwise(oriented(orders[1])).alias("second"),
        "rubric_hash",
    )
    hashes = rows["rubric_hash"].drop_nulls().unique().to_list()
    return Votes(
        manifest=manifest,
        unit="pair",
        rows=rows.drop("rubric_hash"),
        rubric_hash=hashes[0] if len(hashes) == 1 else None,
    )


def _same_answers(dataset: Dataset, rows: pl.DataFrame) -> dict[str, str]:
    import polars as pl

    samples = rows.lazy().select(pl.col("sample_id").unique())
    texts = answer_texts(dataset).join(samples, on="sample_id", how="semi")
    least = pl.col("target_id").min().over("sample_id", "text").alias("least")
    found = texts.select("target_id", least).filter(pl.col("least") != pl.col("target_id"))
    return dict(found.collect().iter_rows())


def answer_texts(dataset: Dataset) -> pl.LazyFrame:
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
    made = [
        dataset.scan(m).select(
            pl.col("response_id").alias("target_id"), "sample_id", "text",
            pl.col("prompt").alias("messages"),
        )
        for m in runs
    ]  # fmt: skip
    return pl.concat([*made, own]).unique("target_id", keep="first", maintain_order=True)
