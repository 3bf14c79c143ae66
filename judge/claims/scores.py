"""Judged claims become marks of their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

RUBRIC = "claims"
CRITERIA = ("rejected", "rate", "soft")


def answer_marks(claims: pl.LazyFrame, verdicts: pl.LazyFrame) -> pl.DataFrame:
    """Marks of each answer from its claims.

    `rejected` is minus the number of claims to which no is likelier than yes, as RLAIF-V counts;
    `rate` the share of claims that are not rejected; `soft` minus the sum of P(no) among yes and
    no. An answer one of whose claims has no verdict has no marks: its count would be too good.
    One that claims nothing has 0 rejected claims and no rate.

    Args:
        claims: Rows of the claims table before the verdicts: `claim_id`, `response_id`, `index`,
            `error`; an answer without claims has one row with index -1.
        verdicts: `claim_id`, `p_yes`, `p_no`, `error`.

    Returns:
        `target_id`, `rejected`, `rate`, `soft`, `claims`, `label_mass` (the least), `error`.
    """
    import polars as pl

    told = verdicts.select("claim_id", "p_yes", "p_no", failed=pl.col("error").is_not_null())
    mass = pl.col("p_yes") + pl.col("p_no")
    is_claim = pl.col("index") >= 0
    is_open = is_claim & (pl.col("failed").fill_null(value=True) | ~(mass > 0).fill_null(False))
    n = is_claim.sum()
    rejected = (is_claim & (pl.col("p_no") > pl.col("p_yes"))).sum()
    why = (
        pl.when((pl.col("error") == "unreadable").any().fill_null(False))
        .then(pl.lit("unreadable"))
        .when(is_open.any())
        .then(pl.lit("unverified"))
    )
    found = (
        claims.select("claim_id", "response_id", "index", "error")
        .join(told, on="claim_id", how="left")
        .group_by("response_id", maintain_order=True)
        .agg(
            rejected=-rejected.cast(pl.Float64),
            rate=pl.when(n > 0).then(1 - rejected / n),
            soft=-(pl.col("p_no") / mass).filter(is_claim).sum(),
            claims=n,
            label_mass=mass.min(),
            error=why,
        )
        .rename({"response_id": "target_id"})
    )
    whole = pl.col("error").is_null()
    blanked = [pl.when(whole).then(pl.col(name)).alias(name) for name in CRITERIA]
    return found.with_columns(blanked).collect(engine="streaming")


def score_rows(
    marks: pl.DataFrame, *, judge: str, kind: str, rubric_hash: str, prompt_hash: str
) -> pl.DataFrame:
    """Rows of the scores table, three an answer."""
    import polars as pl

    long = marks.unpivot(
        on=list(CRITERIA), index=["target_id", "label_mass", "error"],
        variable_name="criterion", value_name="score",
    )  # fmt: skip
    empty = pl.col("score").is_null() & pl.col("error").is_null()
    return long.with_columns(
        pl.when(empty).then(pl.lit("no_claims")).otherwise("error").alias("error"),
        rubric=pl.lit(RUBRIC),
        judge=pl.lit(judge),
        repeat=pl.lit(0, pl.Int32),
        target_kind=pl.lit(kind),
        rubric_hash=pl.lit(rubric_hash),
        prompt_hash=pl.lit(prompt_hash),
    )


def summarise(marks: pl.DataFrame, verdicts: pl.DataFrame, low_mass: float) -> dict[str, Any]:
    """Figures of a run."""
    import polars as pl

    good = marks.filter(pl.col("error").is_null())
    mass = verdicts["p_yes"] + verdicts["p_no"]
    claims = int(marks["claims"].sum())
    worst = good["rejected"].min()
    return {
        "answers": marks.height,
        "marked": good.height,
        "without_claims": good.filter(pl.col("claims") == 0).height,
        "unreadable": marks.filter(pl.col("error") == "unreadable").height,
        "unverified": marks.filter(pl.col("error") == "unverified").height,
        "claims": claims,
        "claims_an_answer": claims / marks.height if marks.height else None,
        "rejected_claims": int((verdicts["p_no"] > verdicts["p_yes"]).sum()),
        "low_label_mass": int((mass < low_mass).sum()),
        "mean": {name: good[name].mean() for name in CRITERIA},
        "label_range": [float(worst) if isinstance(worst, float) else 0.0, 0.0],
    }
