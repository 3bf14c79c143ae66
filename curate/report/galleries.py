"""What the galleries of the page show: rows that went beside rows that stayed, contradictions."""

from __future__ import annotations

from typing import Any, Final

from pairwright.webpage.numbers import number, percent
from pairwright.webpage.parts import Marks, Thumbnails, differences, word_marks

Figures = dict[str, Any]

_SHORT: Final = 160  # characters of a conversation that may stand twice
_SIZES: Final = 8


def group_sizes(found: Figures) -> list[Figures]:
    """Sizes of the groups, as bars."""
    return [
        {"value": f"{one['rows']} rows, one stays", "kept": 0, "dropped": one["groups"]}
        for one in found["sizes"][:_SIZES]
    ]


def groups(figures: Figures, thumbnails: Thumbnails) -> list[Figures]:
    """Groups of doubles: the row that stays, and some of those that went."""
    shown = [_group(one, figures, thumbnails) for one in figures["duplicates"]["examples"]]
    return [one for one in shown if one is not None]


def _group(group: Figures, figures: Figures, thumbnails: Thumbnails) -> Figures | None:
    samples = figures["samples"]
    kept = samples.get(group["kept"])
    if kept is None:
        return None
    first = samples.get(group["removed"][0]["sample_id"])
    marks: Marks = differences(kept, first) if first else ({}, {})
    later = kept["dropped_by"]
    fate = f"stayed here, dropped later by {later}" if later else "stays"
    removed: list[Figures] = []
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
        "kept": _side(kept, thumbnails, marks[0], fate=fate),
        "removed": removed,
        "more": group["removed_in_all"] - len(removed),
    }


def _side(
    row: Figures,
    thumbnails: Thumbnails,
    marks: dict[int, Any],
    *,
    fate: str = "",
    skip: Figures | None = None,
) -> Figures:
    images = thumbnails.of(row, skip["image_ids"] if skip else ())
    return {"row": row, "images": images, "marks": marks, "same": "", "fate": fate}


def _same(kept: Figures, row: Figures, above: Figures | None) -> str:
    """That the words of a removed row are those of the row beside or above it."""
    if row["turns"] == kept["turns"]:
        long = sum(len(turn["text"]) for turn in row["turns"]) > _SHORT
        return "the same words" if above is not None or long else ""
    if above is not None and row["turns"] == above["turns"]:
        return "the same words as the row above"
    return ""


def near_but_kept(figures: Figures, thumbnails: Thumbnails) -> list[list[Figures]]:
    """Pairs above the threshold that stayed because they say different things."""
    out = []
    for pair in figures["duplicates"]["held_back_examples"]:
        a, b = (figures["samples"].get(pair[side]) for side in ("a", "b"))
        if a is not None and b is not None:
            left, right = differences(a, b)
            out.append(
                [_side(a, thumbnails, left, fate="stays"),
                 _side(b, thumbnails, right, fate="stays", skip=a)]
            )  # fmt: skip
    return out


def filters(figures: Figures, thumbnails: Thumbnails) -> list[Figures]:
    """Rows that filters dropped, by step and reason."""
    steps: dict[str, Figures] = {}
    for reason in figures["victims"]:
        step = {"run": reason["run"], "title": reason["title"], "reasons": []}
        steps.setdefault(reason["run"], step)["reasons"].append(
            _reason(reason, figures, thumbnails)
        )
    return list(steps.values())


def _reason(reason: Figures, figures: Figures, thumbnails: Thumbnails) -> Figures:
    value = reason["value"]
    varies = value is not None and value["min"] != value["max"]
    notes = []
    if not reason["method"].startswith(reason["reason"]):
        notes.append(f"by {reason['method']}")
    if varies:
        notes.append(f"values {number(value['min'])} to {number(value['max'])}")
    shown = [_dropped(one, figures, thumbnails, varies=varies) for one in reason["examples"]]
    return {**reason, "by": "; ".join(notes), "examples": [one for one in shown if one is not None]}


def _dropped(
    one: Figures, figures: Figures, thumbnails: Thumbnails, *, varies: bool
) -> Figures | None:
    row = figures["samples"].get(one["sample_id"])
    if row is None:
        return None
    return {
        "row": row,
        "images": thumbnails.of(row),
        "other": figures["samples"].get(one["other"]) if one["other"] else None,
        "other_id": one["other"],
        "beside": one["beside"],
        "value": one["value"] if varies else None,
        "drawn": one["drawn"],
    }


def answer_pairs(found: Figures) -> list[tuple[str, ...]]:
    """Answers that contradict each other more than once."""
    return [
        (one["a"], one["b"], f"{one['rows']:,}", percent(one["rows"], found["rows"]))
        for one in found["answer_pairs"]
        if one["rows"] > 1
    ]


def conflicts(figures: Figures, thumbnails: Thumbnails) -> list[Figures]:
    """One question, one image, two answers."""
    return [_conflict(one, figures, thumbnails) for one in figures["conflicts"]["examples"]]


def _conflict(one: Figures, figures: Figures, thumbnails: Thumbnails) -> Figures:
    rows = [figures["samples"].get(one[name]) for name in ("sample_id", "other_id")]
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
            for text, spans, row in zip(texts, word_marks(*texts), rows, strict=True)
        ],
    }
