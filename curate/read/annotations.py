"""Label Studio's JSON export: the results of a task's annotators.

Its "Task format" page: a list of tasks, each with `data` (the fields that the project was given) and
`annotations`, each with `completed_by`, `was_cancelled` and `result`, a list of
`{from_name, to_name, type, value}`. Read here: `pairwise` (`selected`: `left` or `right`), `choices`,
`rating`, `number`, `textarea`, and `labels` or `hypertextlabels` on a text. Offsets of labels are
UTF-16 units of the browser and known to be wrong (its users reported it more than once): the labelled
text is what counts, and the offsets decide between several pairs. A text that belongs to a label's
region is its replacement.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from curate.read.fields import Naming, check_text, number, scalar_text
from curate.read.rows import RowError, printable

_REMARK = re.compile(r"comment|reason|remark|note|why", re.IGNORECASE)
_GOOD: Final = ("correct", "supported", "ok", "good", "right", "true", "faithful", "accurate")
_MAX_RESULTS: Final = 10_000


@dataclass(slots=True)
class Annotation:
    """The results of one annotator on a task.

    Attributes:
        by: Who it is.
        pairwise: The chosen side and the fields of both answers.
        choices: By the name of the control.
        ratings: By the name of the control.
        texts: By the name of the control; those of regions are in `replacements`.
        labels: Labelled parts of a text.
        replacements: Texts by the id of their region.
        labelled: Field whose text is labelled.
    """

    by: str
    pairwise: list[tuple[str, list[str]]] = field(default_factory=list)
    choices: dict[str, list[str]] = field(default_factory=dict)
    ratings: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    replacements: dict[str, str] = field(default_factory=dict)
    labelled: str | None = None

    @property
    def remark(self) -> str | None:
        """The annotator's reason."""
        return next((t for n, t in self.texts.items() if _REMARK.search(n)), None)

    @property
    def written(self) -> list[str]:
        """Texts that are no remarks."""
        return [t for n, t in self.texts.items() if not _REMARK.search(n)]

    def spans(self, answer: str) -> list[dict[str, Any]]:
        """The labelled parts as spans of an answer, in order.

        Raises:
            RowError: If one is not in the answer.
        """
        found = [_span(label, answer, self.replacements) for label in self.labels]
        return sorted(found, key=lambda span: (span["start"], span["end"]))


def results_of(row: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Annotations that were not cancelled, and their results that are objects."""
    done = row.get("annotations", row.get("completions"))
    for annotation in done if isinstance(done, list) else []:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        result = annotation.get("result")
        if isinstance(result, list):
            items = [item for item in result[:_MAX_RESULTS] if isinstance(item, dict)]
            yield annotation, items


def annotations_of(row: dict[str, Any], naming: Naming) -> list[Annotation]:
    """The annotations of a task; the second one of an annotator gets a number.

    Raises:
        RowError: If there is none, or one has a text that cannot be used.
    """
    seen: Counter[str] = Counter()
    out = []
    for annotation, items in results_of(row):
        by = _annotator(annotation)
        seen[by] += 1
        found = Annotation(by if seen[by] == 1 else f"{by} ({seen[by]})")
        regions = {item.get("id") for item in items if str(item.get("type")).endswith("labels")}
        for item in items:
            _read(item, found, regions, naming)
        out.append(found)
    if not out:
        raise RowError("no_annotation", "the task has no annotation that was not cancelled")
    return out


def _annotator(annotation: dict[str, Any]) -> str:
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("id", by.get("email"))
    return f"annotator {printable(str(by), 100)}" if by is not None else "annotator"


def _read(item: dict[str, Any], found: Annotation, regions: set[Any], naming: Naming) -> None:
    value = item.get("value")
    if not isinstance(value, dict):
        return
    kind, name = str(item.get("type")), printable(str(item.get("from_name")), 100)
    objects = item.get("to_name")
    names = objects if isinstance(objects, list) else str(objects or "").split(",")
    if kind == "pairwise":
        found.pairwise.append((str(value.get("selected")), [str(n) for n in names]))
    elif kind == "choices" and isinstance(value.get("choices"), list):
        found.choices[name] = [
            check_text(choice, name, 1000) for choice in value["choices"] if isinstance(choice, str)
        ]
    elif kind in ("rating", "number"):
        score = number(value.get(kind))
        if score is not None:
            found.ratings[name] = score
    elif kind == "textarea":
        text = value.get("text")
        content = scalar_text(
            text[-1] if isinstance(text, list) and text else text, name, naming.max_text
        )
        if item.get("id") in regions:
            found.replacements[str(item["id"])] = content
        else:
            found.texts[name] = content
    elif kind in ("labels", "hypertextlabels"):
        found.labelled = str(names[0]) if names else None
        found.labels.append({**value, "region": str(item.get("id")), "names": value.get(kind)})


def _span(label: dict[str, Any], answer: str, replacements: dict[str, str]) -> dict[str, Any]:
    start, end = _offsets(label, answer)
    names = label["names"]
    kinds = [str(name) for name in names] if isinstance(names, list) else []
    good = bool(kinds) and all(kind.strip().casefold() in _GOOD for kind in kinds)
    return {
        "start": start,
        "end": end,
        "text": answer[start:end],
        "kind": check_text(", ".join(kinds), "a label", 1000) or None,
        "correct": good,
        "reward": None,
        "replacement": replacements.get(label["region"]),
    }


def _offsets(label: dict[str, Any], answer: str) -> tuple[int, int]:
    """Offsets of a labelled text, in code points.

    Raises:
        RowError: If the answer does not contain it.
    """
    inner = label.get("globalOffsets")
    pairs = [(label.get("start"), label.get("end"))]
    pairs += [(inner.get("start"), inner.get("end"))] if isinstance(inner, dict) else []
    pairs += [(label.get("startOffset"), label.get("endOffset"))]
    numbers = [
        (s, e) for s, e in pairs if isinstance(s, int) and isinstance(e, int) and 0 <= s <= e
    ]
    text = label.get("text")
    text = text.replace("\\n", "\n") if isinstance(text, str) and "\n" in answer else text
    for start, end in numbers:
        for low, high in ((start, end), (_code_point(answer, start), _code_point(answer, end))):
            if high <= len(answer) and (not text or answer[low:high] == text):
                return low, high
    if isinstance(text, str) and text:
        found = [match.start() for match in re.finditer(re.escape(text), answer)]
        wanted = numbers[0][0] if numbers else 0
        if found:
            low = min(found, key=lambda start: abs(start - wanted))
            return low, low + len(text)
    detail = f"a label of {printable(str(text), 100)!r} is not in the answer"
    raise RowError("bad_span", detail)


def _code_point(text: str, unit: int) -> int:
    """The code point that a UTF-16 unit belongs to."""
    if text.isascii():
        return unit
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * unit].decode("utf-16-le", "ignore"))
