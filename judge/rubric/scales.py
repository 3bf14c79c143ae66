"""Scales of scores: labels, their values, and how a prompt names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pairwright.errors import UsageError

Fail = Callable[[str], UsageError]
DEFAULT_LABELS = {str(n): float(n) for n in range(1, 6)}
_YES_NO = {"no|No": 0.0, "yes|Yes": 1.0}


def read_labels(raw: Mapping[str, Any], fail: Fail) -> dict[str, float] | None:
    """The labels that `labels` or `scale` give; `None` if neither is given.

    Raises:
        UsageError: If both are given, or one is not valid.
    """
    if raw.get("labels") is not None and raw.get("scale") is not None:
        raise fail("labels and scale have the same meaning: leave one out")
    if raw.get("scale") is not None:
        return _shorthand(raw["scale"], fail)
    return None if raw.get("labels") is None else _labels(raw["labels"], fail)


def _shorthand(raw: Any, fail: Fail) -> dict[str, float]:
    text = str(raw).strip().lower().replace(" ", "")
    if text in ("yes/no", "no/yes"):
        return dict(_YES_NO)
    ends = re.fullmatch(r"(\d)-(\d)", text)
    if ends is None or not int(ends.group(1)) < int(ends.group(2)):
        raise fail(
            f"scale {raw!r}: give two digits such as 1-5 or 0-9, or yes/no (in quotes); a label is "
            "one token, so 1-10 is not a scale"
        )
    return {str(n): float(n) for n in range(int(ends.group(1)), int(ends.group(2)) + 1)}


def _labels(raw: Any, fail: Fail) -> dict[str, float]:
    if not isinstance(raw, dict) or len(raw) < 2:
        raise fail('labels must map at least two labels to values, such as {"no": 0, "yes": 1}')
    out: dict[str, float] = {}
    spellings: set[str] = set()
    for label, value in raw.items():
        if isinstance(label, bool):
            raise fail(
                'YAML reads a bare yes, no, on or off as true or false: write "yes" in quotes'
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise fail(f"label {label!r} needs a number as value, not {value!r}")
        for spelling in str(label).split("|"):
            if not spelling or spelling in spellings:
                raise fail(f"label {label!r} is empty, or given twice")
            spellings.add(spelling)
        out[str(label)] = float(value)
    return out


def spread(labels: Mapping[str, float], whole: Mapping[str, float]) -> dict[str, float]:
    """The labels with their values mapped onto the range of others.

    Scores of all criteria of a rubric have one range, or their mean would have no meaning.
    """
    low, high = min(labels.values()), max(labels.values())
    start, end = min(whole.values()), max(whole.values())
    width = (high - low) or 1.0
    return {k: start + (v - low) / width * (end - start) for k, v in labels.items()}


def read_levels(raw: Any, labels: Mapping[str, float], fail: Fail) -> tuple[tuple[str, str], ...]:
    """What each label means, in the order of the labels.

    Raises:
        UsageError: If a level is not one of the labels.
    """
    if raw is None:
        return ()
    if not isinstance(raw, dict) or not all(isinstance(v, str) for v in raw.values()):
        raise fail('levels must map labels to texts, such as {1: "nothing is true", 5: "all is"}')
    if any(isinstance(key, bool) for key in raw):
        raise fail('YAML reads a bare yes, no, on or off as true or false: write "yes" in quotes')
    names = [label.split("|")[0] for label in labels]
    for key in raw:
        if str(key) not in names:
            raise fail(f"level {key!r} is not one of the labels {', '.join(names)}")
    texts = {str(key): str(value).strip() for key, value in raw.items()}
    ordered = (label.split("|")[0] for label in labels)
    return tuple((name, texts[name]) for name in ordered if name in texts)


def in_words(labels: Mapping[str, float]) -> str:
    """How a prompt names the scale: `a number from 1 to 5`, `yes or no`, `one of A, B, C`."""
    names = [label.split("|")[0] for label in labels]
    if all(name.isdigit() for name in names):
        numbers = sorted(int(name) for name in names)
        if numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"a number from {numbers[0]} to {numbers[-1]}"
    if len(names) == 2:
        # yes before no, whatever their values
        return " or ".join(sorted(names, key=lambda name: name.lower() != "yes"))
    return f"one of {', '.join(names)}"
