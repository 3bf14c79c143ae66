"""Two responses that were compared: the winner against the loser, where the verdict is clear."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from prefs.methods.base import Inputs, InvalidRow, MarginOptions, Method, Need, Pairing

if TYPE_CHECKING:
    import polars as pl

_VERDICTS = ("a", "b", "tie", "both_bad", "undecided")
_ORDERS = (
    ("verdict_first_order", "p_a_first_order"),
    ("verdict_second_order", "p_a_second_order"),
)
# Sample and text of a candidate.
_Text = tuple[str, str]


def pair(inputs: Inputs, options: MarginOptions) -> Pairing:
    """Pair winners with losers."""
    import polars as pl

    from prefs.methods.pairing.candidates import response_candidates, without_dropped
    from prefs.methods.pairing.picks import picks_frame

    comparisons = inputs.rows("comparisons")
    # Responses to all samples: a comparison about a dropped one is not an invalid row.
    responses, _ = response_candidates(inputs.tables["responses"], inputs.samples)
    candidates = pl.concat([responses, _own_answers(inputs, comparisons, responses)])
    comparisons, dropped = without_dropped(comparisons, candidates, inputs.current, "a")
    texts = candidates.select("candidate_id", "sample_id", "text").iter_rows()
    rows, counts, invalid = decided(comparisons, {i: (sample, text) for i, sample, text in texts})
    picks = picks_frame(rows)
    if options.margin is not None:
        narrow = (pl.col("margin") < options.margin).fill_null(value=False)
        counts["below_margin"] += picks.filter(narrow).height
        picks = picks.filter(~narrow)
    counts["sample_dropped"] += dropped
    return Pairing(
        picks=picks,
        candidates=candidates,
        counts=counts,
        invalid=invalid,
        summary={"comparisons": comparisons.height},
    )


def _own_answers(
    inputs: Inputs, comparisons: pl.DataFrame, responses: pl.DataFrame
) -> pl.DataFrame:
    """Answers of the samples that were compared, as `judge compare --baseline sample` does."""
    import polars as pl

    from prefs.methods.pairing.candidates import sample_candidates

    named = pl.concat([comparisons.select(sample_id=side) for side in ("a", "b")]).unique()
    named = named.join(responses, left_on="sample_id", right_on="candidate_id", how="anti")
    samples = inputs.samples.join(named.lazy(), on="sample_id", how="semi")
    groups = samples.select("sample_id", prompt_id="sample_id").collect()
    return sample_candidates(groups, samples, inputs.current)[0]


def decided(
    comparisons: pl.DataFrame, texts: dict[str, _Text]
) -> tuple[list[dict[str, Any]], Counter[str], list[InvalidRow]]:
    """Pair candidates whose comparison was decided.

    A judge who compared in both orders must have named the same winner twice; a judge whose
    probabilities are of one order only decides nothing. Human annotators, who compare once, count as
    they are. Where several judges or criteria disagree there is no pair.

    Args:
        comparisons: Rows of the comparisons table.
        texts: Sample and text of every candidate, by its id.

    Returns:
        One pick for every two candidates, in the order of the table, counts of what made no pick,
        and invalid rows.
    """
    # Imported here, as the other libraries are: `--help` reads this file.
    from pairwright.text.texts import folded

    counts: Counter[str] = Counter()
    invalid: list[InvalidRow] = []
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in comparisons.iter_rows(named=True):
        fault = _fault(row, texts)
        if fault is not None:
            invalid.append(InvalidRow(row["comparison_id"], "comparisons", *fault))
            continue
        winner, why = _winner(row)
        if winner is None:
            counts[why] += 1
            continue
        loser = row["b"] if winner == row["a"] else row["a"]
        better, worse = folded(texts[winner][1]), folded(texts[loser][1])
        if better == worse:
            counts["duplicates"] += 1
            continue
        # By their texts: two models may have given the same response.
        key = (row["sample_id"], min(better, worse), max(better, worse))
        verdict = {"winner": winner, "loser": loser, "better": better}
        found.setdefault(key, []).append({**verdict, "p": _probability(row, winner)})
    rows = []
    for (sample_id, _, _), verdicts in found.items():
        if len({v["better"] for v in verdicts}) > 1:
            counts["conflicting_verdicts"] += len(verdicts)
            continue
        counts["repeated"] += len(verdicts) - 1
        rows.append(_pick(sample_id, verdicts, texts))
    return rows, counts, invalid


def _fault(row: dict[str, Any], texts: dict[str, _Text]) -> tuple[str, str | None] | None:
    """Why a comparison is invalid, if it is."""
    for side in ("a", "b"):
        if row[side] not in texts:
            return "missing_response", f"no response {row[side]}"
        if texts[row[side]][0] != row["sample_id"]:
            return "sample_mismatch", f"response {row[side]} is for another sample"
    if row["a"] == row["b"]:
        return "same_response", row["a"]
    if row["verdict"] not in _VERDICTS:
        return "unknown_verdict", repr(row["verdict"])
    return None


def _winner(row: dict[str, Any]) -> tuple[str | None, str]:
    """Id of the winner, or `None` and why there is none."""
    if row["verdict"] not in ("a", "b"):
        return None, row["verdict"]
    orders_known = [row[p_a] is not None for _, p_a in _ORDERS]
    if any(orders_known) and not all(orders_known):
        return None, "one_order"
    orders = [_order_verdict(row, *names) for names in _ORDERS]
    if any(verdict not in (None, row["verdict"]) for verdict in orders):
        return None, "order_flip"
    return row[row["verdict"]], ""


def _order_verdict(row: dict[str, Any], verdict: str, p_a: str) -> str | None:
    if row[verdict] is not None:
        return str(row[verdict])
    if row[p_a] is None:
        return None
    return "a" if row[p_a] > 0.5 else "b" if row[p_a] < 0.5 else "tie"


def _probability(row: dict[str, Any], winner: str) -> float | None:
    """Mean probability of the winner over the orders."""
    known = [row[p_a] for _, p_a in _ORDERS if row[p_a] is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    return float(mean if winner == row["a"] else 1 - mean)


def _pick(
    sample_id: str, verdicts: list[dict[str, Any]], texts: dict[str, _Text]
) -> dict[str, Any]:
    winner, loser = verdicts[0]["winner"], verdicts[0]["loser"]
    known = [v["p"] for v in verdicts if v["p"] is not None]
    p = sum(known) / len(known) if known else None
    return {
        "prompt_id": sample_id,
        "chosen_id": winner,
        "rejected_id": loser,
        "chosen": texts[winner][1],
        "rejected": texts[loser][1],
        "chosen_score": p,
        "rejected_score": None if p is None else 1 - p,
        "margin": None if p is None else 2 * p - 1,
    }


METHOD: Final = Method(
    name="comparisons",
    summary="winners of pairwise comparisons against losers",
    needs=(
        (
            Need(
                "responses",
                "import the compared ones with `curate ingest FILE --as responses`, or sample some "
                "with `prefs sample --model MODEL`",
            ),
            Need(
                "comparisons",
                "make some with `judge compare`, or import them with `curate ingest FILE --as "
                "comparisons`",
            ),
        ),
    ),
    pair=pair,
    options=MarginOptions,
    remedies={
        "below_margin": "lower --margin",
        "tie": "compare with another judge, or with `judge compare --no-ties`",
        "undecided": "compare with another judge, or score the responses with `judge score`",
        "order_flip": "compare with another judge, or score the responses with `judge score`",
        "duplicates": "sample more responses, at a higher temperature",
    },
)
