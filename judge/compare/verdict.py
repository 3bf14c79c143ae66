"""From the replies in both orders to a row of `comparisons`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pairwright.dataset.ids import stable_id
from pairwright.vlm.types import Reply

VERDICTS: Final = ("a", "b", "tie", "both_bad")
LETTERS: Final = ("A", "B", "C", "D")
_WORDS: Final = (
    "A if answer A is better, B if answer B is better",
    ", C if both are equally good, D if both are bad",
)


def labels_of(*, ties: bool) -> tuple[str, ...]:
    """Letters that the judge may reply."""
    return LETTERS if ties else LETTERS[:2]


def choices_of(*, ties: bool) -> str:
    """How the prompt lists the replies the judge may give."""
    return f"Reply with one letter only: {_WORDS[0]}{_WORDS[1] if ties else ''}."


def as_verdicts(probs: Mapping[str, float], *, swapped: bool) -> dict[str, float]:
    """Probabilities of the letters as probabilities of verdicts on a and b.

    Args:
        probs: By letter, as the judge gave them; missing letters stay missing.
        swapped: Whether b was shown first, as answer A.
    """
    names = ("b", "a", *VERDICTS[2:]) if swapped else VERDICTS
    return {
        name: probs[letter]
        for letter, name in sorted(
            zip(LETTERS, names, strict=True), key=lambda p: VERDICTS.index(p[1])
        )
        if letter in probs
    }


def normalized(probs: Mapping[str, float]) -> dict[str, float] | None:
    """Probabilities that sum to one over the verdicts; `None` if the judge gave none of them any."""
    mass = sum(probs.values())
    return {name: p / mass for name, p in probs.items()} if mass > 0 else None


def mean_of_orders(orders: list[dict[str, float]]) -> dict[str, float]:
    """Mean over the orders: each has the same weight, whatever its probability mass on letters."""
    names = [name for name in VERDICTS if any(name in order for order in orders)]
    return {name: sum(o.get(name, 0.0) for o in orders) / len(orders) for name in names}


def most_likely(probs: Mapping[str, float], min_lead: float) -> str:
    """The most likely verdict, or `undecided` if its lead over the next is below the minimum."""
    ranked = sorted(probs.items(), key=lambda item: -item[1])
    lead = ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else 0.0)
    return ranked[0][0] if lead > 0 and lead >= min_lead - 1e-12 else "undecided"


def p_a_of(probs: Mapping[str, float]) -> float | None:
    """P(a better) among a better and b better."""
    both = probs.get("a", 0.0) + probs.get("b", 0.0)
    return probs.get("a", 0.0) / both if both > 0 else None


def comparison_id(sample_id: str, a: str, b: str, by: str, criterion: str) -> str:
    """Id of a comparison."""
    return stable_id(sample_id, a, b, by, criterion)


def verdict_fields(replies: list[Reply], *, min_lead: float) -> dict[str, Any]:
    """The columns that the replies fill: first order, then second if it was asked.

    An order without probability on any letter leaves the comparison without a verdict: the other
    order alone would reflect the position of a response as much as its quality.
    """
    raw = [as_verdicts(r.label_probs or {}, swapped=bool(n)) for n, r in enumerate(replies)]
    orders = [normalized(probs) for probs in raw]
    known = [one for one in orders if one is not None]
    whole = len(known) == len(replies)
    mean = mean_of_orders(known) if whole else {}
    out: dict[str, Any] = {
        "p_a": p_a_of(mean),
        "verdict": most_likely(mean, min_lead) if whole else "undecided",
        "label_mass": min(sum(probs.values()) for probs in raw),
        "read_from": replies[0].read_from,
        "n_prompt_tokens": sum(r.usage.prompt_tokens for r in replies),
        "n_tokens": sum(r.usage.completion_tokens for r in replies),
        "latency_s": sum(r.latency_s for r in replies),
        "error": None if whole else "no_verdict",
    }
    for name, probs, one in zip(("first", "second"), raw, orders, strict=False):
        out[f"probs_{name}_order"] = [{"label": label, "p": p} for label, p in probs.items()]
        out[f"p_a_{name}_order"] = None if one is None else p_a_of(one)
        out[f"verdict_{name}_order"] = None if one is None else most_likely(one, 0.0)
    return out


def win_counts(row: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """How much a row counts as a win of a, a win of b and a tie; they sum to one.

    These are the judge's probabilities where there are any, otherwise the verdict. A row without a
    verdict, such as one with an error, is `None`.
    """
    if row["error"] is not None:
        return None
    orders = [
        normalized({entry["label"]: entry["p"] for entry in row[name]})
        for name in ("probs_first_order", "probs_second_order")
        if row[name]
    ]
    known = [order for order in orders if order is not None]
    if known:
        mean = mean_of_orders(known)
        tie = mean.get("tie", 0.0) + mean.get("both_bad", 0.0)
        return mean.get("a", 0.0), mean.get("b", 0.0), tie
    if row["verdict"] in ("a", "b"):
        return float(row["verdict"] == "a"), float(row["verdict"] == "b"), 0.0
    return 0.0, 0.0, 1.0


def win_of_a(row: Mapping[str, Any]) -> float | None:
    """The win of a: 1 for a win, 0.5 for a tie, 0 for a loss."""
    counts = win_counts(row)
    return None if counts is None else counts[0] + counts[2] / 2
