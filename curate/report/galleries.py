"""What the galleries of the page show: removed rows next to kept ones, conflicting answers."""

from __future__ import annotations

from typing import Any, Final

from pairwright.webpage.numbers import number, percent
from pairwright.webpage.parts import SpansOfTurns, Thumbnails, differences, word_spans

Metrics = dict[str, Any]

_SHORT: Final = 160  # characters of a conversation that may be shown twice
_SIZES: Final = 8


def group_sizes(found: Metrics) -> list[Metrics]:
    """Sizes of the groups, as bars."""
    return [
        {"value": f"{one['rows']} rows, one kept", "kept": 0, "dropped": one["groups"]}
        for one in found["sizes"][:_SIZES]
    ]


def groups(metrics: Metrics, thumbnails: Thumbnails) -> list[Metrics]:
    """Groups of duplicates: the kept row, and some of the removed ones."""
    shown = [_group(one, metrics, thumbnails) for one in metrics["duplicates"]["examples"]]
    return [one for one in shown if one is not None]


def _group(group: Metrics, metrics: Metrics, thumbnails: Thumbnails) -> Metrics | None:
    samples = metrics["samples"]
    kept = samples.get(group["kept"])
    if kept is None:
        return None
    first = samples.get(group["removed"][0]["sample_id"])
    spans: SpansOfTurns = differences(kept, first) if first else ({}, {})
    later = kept["dropped_by"]
    fate = f"kept here, dropped later by {later}" if later else "kept"
    removed: list[Metrics] = []
    above = None
    for one in group["removed"]:
        row = samples.get(one["sample_id"])
        if row is None:
            continue
        side = _side(row, thumbnails, differences(kept, row)[1], skip=kept)
        side |= {"same": _same(kept, row, above), **one}
        removed.append(side)
        above = row
    return {
        "kept": _side(kept, thumbnails, spans[0], fate=fate),
        "removed": removed,
        "more": group["removed_in_all"] - len(removed),
    }


def _side(
    row: Metrics,
    thumbnails: Thumbnails,
    spans: dict[int, Any],
    *,
    fate: str = "",
    skip: Metrics | None = None,
) -> Metrics:
    images = thumbnails.of(row, skip["image_ids"] if skip else ())
    return {"row": row, "images": images, "spans": spans, "same": "", "fate": fate}


def _same(kept: Metrics, row: Metrics, above: Metrics | None) -> str:
    """A note where a removed row has the words of the row next to it or above it."""
    if row["turns"] == kept["turns"]:
        long = sum(len(turn["text"]) for turn in row["turns"]) > _SHORT
        return "the same words" if above is not None or long else ""
    if above is not None and row["turns"] == above["turns"]:
        return "the same words as the row above"
    return ""


def kept_as_distinct(metrics: Metrics, thumbnails: Thumbnails) -> list[list[Metrics]]:
    """Pairs above the threshold that are both kept because their meanings differ."""
    out = []
    for pair in metrics["duplicates"]["kept_as_distinct_examples"]:
        a, b = (metrics["samples"].get(pair[side]) for side in ("a", "b"))
        if a is not None and b is not None:
            left, right = differences(a, b)
            out.append(
                [_side(a, thumbnails, left, fate="kept"),
                 _side(b, thumbnails, right, fate="kept", skip=a)]
            )  # fmt: skip
    return out


def filters(metrics: Metrics, thumbnails: Thumbnails) -> list[Metrics]:
    """Rows that filters dropped, by step and reason."""
    steps: dict[str, Metrics] = {}
    for reason in metrics["dropped"]:
        step = {"run": reason["run"], "title": reason["title"], "reasons": []}
        steps.setdefault(reason["run"], step)["reasons"].append(
            _reason(reason, metrics, thumbnails)
        )
    return list(steps.values())


def _reason(reason: Metrics, metrics: Metrics, thumbnails: Thumbnails) -> Metrics:
    value = reason["value"]
    varies = value is not None and value["min"] != value["max"]
    notes = []
    if not reason["method"].startswith(reason["reason"]):
        notes.append(f"by {reason['method']}")
    if varies:
        notes.append(f"values {number(value['min'])} to {number(value['max'])}")
    shown = [_dropped(one, metrics, thumbnails, varies=varies) for one in reason["examples"]]
    return {**reason, "by": "; ".join(notes), "examples": [one for one in shown if one is not None]}


def _dropped(
    one: Metrics, metrics: Metrics, thumbnails: Thumbnails, *, varies: bool
) -> Metrics | None:
    row = metrics["samples"].get(one["sample_id"])
    if row is None:
        return None
    return {
        "row": row,
        "images": thumbnails.of(row),
        "because_of": metrics["samples"].get(one["because_of"]) if one["because_of"] else None,
        "because_of_id": one["because_of"],
        "benchmark_row": one["benchmark_row"],
        "value": one["value"] if varies else None,
        "sampled": one["sampled"],
    }


def answer_pairs(found: Metrics) -> list[tuple[str, ...]]:
    """Answers that conflict more than once."""
    return [
        (one["a"], one["b"], f"{one['rows']:,}", percent(one["rows"], found["rows"]))
        for one in found["answer_pairs"]
        if one["rows"] > 1
    ]


def conflicts(metrics: Metrics, thumbnails: Thumbnails) -> list[Metrics]:
    """One question, one image, two answers."""
    return [_conflict(one, metrics, thumbnails) for one in metrics["conflicts"]["examples"]]


def _conflict(one: Metrics, metrics: Metrics, thumbnails: Thumbnails) -> Metrics:
    rows = [metrics["samples"].get(one[name]) for name in ("sample_id", "other_id")]
    texts = (one["answer"], one["other_answer"])
    images = None
    if rows[0]:
        ids = dict.fromkeys(image_id for row in rows if row for image_id in row["image_ids"])
        images = thumbnails.of({**rows[0], "image_ids": list(ids)})
    return {
        "question": one["question"],
        "images": images,
        "answers": [
            {"text": text, "spans": spans, "row": row}
            for text, spans, row in zip(texts, word_spans(*texts), rows, strict=True)
        ],
    }
