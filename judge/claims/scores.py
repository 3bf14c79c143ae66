"""From checked claims to scores of the responses they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.ask.summaries import with_current_keys
from judge.ask.targets import Source

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

RUBRIC = "claims"
CRITERIA = ("rejected", "rate", "soft")
_STEP = "claims"


def write_scores(
    dataset: Dataset,
    name: str,
    claims: Manifest,
    source: Source,
    *,
    judge: str,
    rubric_hash: str,
    prompt_hash: str,
    low_mass: float,
    done: bool,
) -> dict[str, Any]:
    """Write `scores/NAME` from the verdicts in `claims/NAME`, unless it exists; return its metrics.

    Args:
        dataset: The dataset.
        name: Of both runs.
        claims: The run of claims before the verdicts.
        source: The responses that the claims are about.
        judge: Who judged the claims.
        rubric_hash: Of the rubric of one claim.
        prompt_hash: How the responses were split.
        low_mass: Verdicts with less probability mass are counted.
        done: Whether the verdicts were complete before.
    """
    checked = dataset.manifest("claims", name)
    assert checked is not None
    old = dataset.manifest("scores", name)
    # Verdicts may have been added to a finished run: then its scores are written again.
    is_ours = old is not None and old.step == _STEP
    with dataset.write(
        "scores",
        name,
        step=_STEP,
        config={"claims": name, "low_mass": low_mass},
        inputs=[checked],
        replace=is_ours and not (done and old is not None and old.is_complete),
        resumable=False,
        rejects=False,
    ) as writer:
        if not writer.is_complete:
            scores = _scores(dataset, claims, checked, source)
            writer.add(
                score_rows(
                    scores, judge=judge, kind=source.kind, rubric_hash=rubric_hash,
                    prompt_hash=prompt_hash,
                )
            )  # fmt: skip
            verdicts = dataset.scan(checked).select("p_yes", "p_no").collect()
            writer.summary.update(summarise(scores, verdicts, low_mass))
    return with_current_keys(writer.summary)


def _current(dataset: Dataset, claims: Manifest, checked: Manifest, source: Source) -> pl.LazyFrame:
    """The claims about current samples."""
    current = dataset.current_samples(for_run=checked.key).select(response_id="sample_id")
    if source.responses is not None:
        responses = dataset.scan(source.responses).select("response_id", "sample_id")
        current = responses.join(
            current, left_on="sample_id", right_on="response_id", how="semi"
        ).select("response_id")
    return dataset.scan(claims).join(current, on="response_id", how="semi")


def _scores(dataset: Dataset, claims: Manifest, checked: Manifest, source: Source) -> pl.DataFrame:
    """Scores of the responses that were checked; given claims may be about more than `--limit`."""
    import polars as pl

    verdicts = dataset.scan(checked)
    scores = response_scores(_current(dataset, claims, checked, source), verdicts)
    if checked.config["limit"] is None or claims.step == "claims-split":
        return scores
    seen = verdicts.select("response_id").unique().collect()["response_id"]
    return scores.filter(pl.col("target_id").is_in(seen.implode()) | (pl.col("claims") == 0))


def response_scores(claims: pl.LazyFrame, verdicts: pl.LazyFrame) -> pl.DataFrame:
    """Scores of each response from its claims.

    `rejected` is minus the number of claims for which no is more likely than yes, as RLAIF-V
    counts; `rate` is the fraction of claims that are not rejected; `soft` is minus the sum of P(no)
    among yes and no. A response with a claim that has no verdict has no scores: its count would be
    too good. A response without claims has 0 rejected claims and no rate.

    Args:
        claims: Rows of the claims table before the verdicts: `claim_id`, `response_id`, `index`,
            `error`; a response without claims has one row with index -1.
        verdicts: `claim_id`, `p_yes`, `p_no`, `error`.

    Returns:
        `target_id`, `rejected`, `rate`, `soft`, `claims`, `label_mass` (the minimum), `error`.
    """
    import polars as pl

    given = verdicts.select("claim_id", "p_yes", "p_no", failed=pl.col("error").is_not_null())
    mass = pl.col("p_yes") + pl.col("p_no")
    is_claim = pl.col("index") >= 0
    is_open = is_claim & (pl.col("failed").fill_null(value=True) | ~(mass > 0).fill_null(False))
    n = is_claim.sum()
    rejected = (is_claim & (pl.col("p_no") > pl.col("p_yes"))).sum()
    error = (
        pl.when((pl.col("error") == "unreadable").any().fill_null(False))
        .then(pl.lit("unreadable"))
        .when(is_open.any())
        .then(pl.lit("unverified"))
    )
    found = (
        claims.select("claim_id", "response_id", "index", "error")
        .join(given, on="claim_id", how="left")
        .group_by("response_id", maintain_order=True)
        .agg(
            rejected=-rejected.cast(pl.Float64),
            rate=pl.when(n > 0).then(1 - rejected / n),
            soft=-(pl.col("p_no") / mass).filter(is_claim).sum(),
            claims=n,
            label_mass=mass.min(),
            error=error,
        )
        .rename({"response_id": "target_id"})
    )
    is_scored = pl.col("error").is_null()
    columns = [pl.when(is_scored).then(pl.col(name)).alias(name) for name in CRITERIA]
    return found.with_columns(columns).collect(engine="streaming")


def score_rows(
    scores: pl.DataFrame, *, judge: str, kind: str, rubric_hash: str, prompt_hash: str
) -> pl.DataFrame:
    """Rows of the scores table, three per response."""
    import polars as pl

    long = scores.unpivot(
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


def summarise(scores: pl.DataFrame, verdicts: pl.DataFrame, low_mass: float) -> dict[str, Any]:
    """Metrics of a run."""
    import polars as pl

    scored = scores.filter(pl.col("error").is_null())
    mass = verdicts["p_yes"] + verdicts["p_no"]
    claims = int(scores["claims"].sum())
    worst = scored["rejected"].min()
    return {
        "responses": scores.height,
        "scored": scored.height,
        "without_claims": scored.filter(pl.col("claims") == 0).height,
        "unreadable": scores.filter(pl.col("error") == "unreadable").height,
        "unverified": scores.filter(pl.col("error") == "unverified").height,
        "claims": claims,
        "claims_per_response": claims / scores.height if scores.height else None,
        "rejected_claims": int((verdicts["p_no"] > verdicts["p_yes"]).sum()),
        "low_label_mass": int((mass < low_mass).sum()),
        "mean": {name: scored[name].mean() for name in CRITERIA},
        "label_range": [float(worst) if isinstance(worst, float) else 0.0, 0.0],
    }
