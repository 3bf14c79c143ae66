"""Label Studio's JSON export: tasks with the annotators' results.

The "Task format" page: a list of tasks, each with `data` (the fields the project was fed) and
`annotations`, each with `completed_by`, `was_cancelled` and `result`, a list of
`{from_name, to_name, type, value}`. Read here: `pairwise` (`selected`: `left` or `right`), `choices`,
`rating`, `number`, `textarea`, and `labels` or `hypertextlabels` on a text. Offsets of labels are
UTF-16 units of the browser and known to be off (its users reported it more than once): the
labelled text is what counts, and the offsets say which of its places is meant. A text that belongs
to a label's region is what the region should say.

Depending on what was asked, tasks become comparisons of two answers, feedback on one, or samples.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from curate.read.fields import ANSWER, IMAGE, Naming, check_text, number, scalar_text, type_name
from curate.read.formats import qa
from curate.read.rows import (
    Ballot,
    Candidate,
    Draft,
    Mark,
    Preference,
    RowError,
    printable,
)
from curate.read.spans import apply_spans
from curate.read.votes import MEANING

RUBRIC: Final = "label-studio"
_PAIRS: Final = (
    ("answer1", "answer2"),
    ("answer_1", "answer_2"),
    ("answer_a", "answer_b"),
    ("response1", "response2"),
    ("response_1", "response_2"),
    ("response_a", "response_b"),
    ("text1", "text2"),
    ("left", "right"),
    ("a", "b"),
)
_ANSWERS: Final = (*ANSWER, "text", "caption")
_GOOD: Final = ("correct", "supported", "ok", "good", "right", "true", "faithful", "accurate")
_REMARK = re.compile(r"comment|reason|remark|note|why", re.IGNORECASE)
_MAX_RESULTS: Final = 10_000


@dataclass(slots=True)
class _Annotation:
    """What one annotator said of a task."""

    by: str
    pairwise: list[tuple[str, list[str]]] = field(default_factory=list)
    choices: dict[str, list[str]] = field(default_factory=dict)
    ratings: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    replacements: dict[str, str] = field(default_factory=dict)
    labelled: str | None = None


def tell(row: dict[str, Any]) -> str | None:
    """Why a row is a task of Label Studio, if it is."""
    done = row.get("annotations", row.get("completions"))
    if isinstance(row.get("data"), dict) and isinstance(done, list):
        return "have data and annotations"
    return None


def usual(row: dict[str, Any]) -> str | None:
    """The table that a task's results are for; `None` if it has none."""
    kinds = {str(item.get("type")) for _, items in _results(row) for item in items}
    if not kinds:
        return None
    if "pairwise" in kinds:
        return "comparisons"
    data = row.get("data") or {}
    if kinds & {"labels", "hypertextlabels"}:
        return "feedback"
    if "textarea" in kinds and any(isinstance(data.get(name), str) for name in ANSWER):
        return "feedback"
    return "samples"


def has_marks(row: dict[str, Any]) -> bool:
    """Whether a task was rated."""
    return any(
        item.get("type") in ("rating", "number") for _, items in _results(row) for item in items
    )


def _results(row: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Annotations that count, and their results that are objects."""
    done = row.get("annotations", row.get("completions"))
    for annotation in done if isinstance(done, list) else []:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        result = annotation.get("result")
        if isinstance(result, list):
            items = [item for item in result[:_MAX_RESULTS] if isinstance(item, dict)]
            yield annotation, items


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the task's question and answer, with ratings as marks.

    An answer that the task lacks is taken from the first annotator's text. Choices are kept in
    `meta`.

    Raises:
        RowError: If the row is not of that form.
    """
    data, annotations = _task(row), _annotations(row, naming)
    if not any(data.get(name) is not None for name in ANSWER):
        written = (t for a in annotations for n, t in a.texts.items() if not _REMARK.search(n))
        data["answer"] = next(written, None)
    for key in ("choices", "texts"):
        said = {a.by: getattr(a, key) for a in annotations if getattr(a, key)}
        if said:
            data[f"annotated_{key}"] = said
    draft = qa.convert(data, naming)
    if draft.messages[-1]["role"] == "assistant":
        draft.marks = [
            Mark(rubric=RUBRIC, criterion=name, by=a.by, score=score)
            for a in annotations
            for name, score in a.ratings.items()
        ]
    return draft


def convert_comparison(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the question, with the two answers and the annotators' verdicts.

    Raises:
        RowError: If the row is not of that form, or nobody gave a verdict.
    """
    data, annotations = _task(row), _annotations(row, naming)
    names = _two_answers(data, annotations)
    texts = [check_text(data[name], name, naming.max_text) for name in names]
    if not all(text.strip() for text in texts):
        raise RowError("empty_answer", f"{' or '.join(names)} has no text")
    if texts[0] == texts[1]:
        raise RowError("same_answers", f"{names[0]} and {names[1]} are the same text")
    ballots = [ballot for a in annotations for ballot in _ballots(a, names)]
    if not ballots:
        raise RowError("no_annotation", "nobody gave a verdict")
    rest = {k: v for k, v in data.items() if k not in (*names, *_ANSWERS)}
    draft = qa.convert(rest, naming)
    draft.candidates = [
        Candidate(text=text, model=_model(data, name, place))
        for place, (name, text) in enumerate(zip(names, texts, strict=True), start=1)
    ]
    draft.ballots = ballots
    return draft


def convert_feedback(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the question, with the annotators' spans and corrections of its answer.

    Raises:
        RowError: If the row is not of that form, or nobody marked or corrected anything.
    """
    data, annotations = _task(row), _annotations(row, naming)
    named = [a.labelled for a in annotations if a.labelled in data]
    name = next((n for n in (*named, *_ANSWERS) if n and isinstance(data.get(n), str)), None)
    if name is None:
        raise RowError("missing_field", "no answer that the annotations could be of")
    answer = check_text(data[name], name, naming.max_text)
    corrections = [c for a in annotations if (c := _correction(a, answer, data)) is not None]
    if not corrections:
        raise RowError("no_annotation", "nobody marked or corrected the answer")
    draft = qa.convert({k: v for k, v in data.items() if k != name}, naming)
    draft.corrections = corrections
    return draft


def _task(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task as a row, with images by the paths that its server's addresses mean."""
    data = row.get("data")
    if not isinstance(data, dict):
        raise RowError("wrong_type", f"data is {type_name(data)}, not an object")
    out = {key: value for key, value in data.items() if isinstance(key, str)}
    out["id"] = row.get("id", out.get("id"))
    for name in IMAGE:
        if isinstance(out.get(name), str):
            out[name] = _local(out[name])
        elif isinstance(out.get(name), list):
            out[name] = [_local(v) if isinstance(v, str) else v for v in out[name]]
    return out


def _local(path: str) -> str:
    """`/data/local-files/?d=a/b.jpg` and `/data/upload/1/b.jpg` as paths of the image folder."""
    if path.startswith("/data/local-files/?d="):
        return unquote(path.partition("?d=")[2])
    return path.removeprefix("/data/upload/")


def _annotations(row: dict[str, Any], naming: Naming) -> list[_Annotation]:
    seen: Counter[str] = Counter()
    out = []
    for annotation, items in _results(row):
        by = _who(annotation)
        seen[by] += 1
        found = _Annotation(by if seen[by] == 1 else f"{by} ({seen[by]})")
        regions = {item.get("id") for item in items if str(item.get("type")).endswith("labels")}
        for item in items:
            _read(item, found, regions, naming)
        out.append(found)
    if not out:
        raise RowError("no_annotation", "the task has no annotation that was not cancelled")
    return out


def _who(annotation: dict[str, Any]) -> str:
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("id", by.get("email"))
    return f"annotator {printable(str(by), 100)}" if by is not None else "annotator"


def _read(item: dict[str, Any], found: _Annotation, regions: set[Any], naming: Naming) -> None:
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
        said = scalar_text(
            text[-1] if isinstance(text, list) and text else text, name, naming.max_text
        )
        if item.get("id") in regions:
            found.replacements[str(item["id"])] = said
        else:
            found.texts[name] = said
    elif kind in ("labels", "hypertextlabels"):
        found.labelled = str(names[0]) if names else None
        found.labels.append({**value, "region": str(item.get("id")), "names": value.get(kind)})


def _two_answers(data: dict[str, Any], annotations: Sequence[_Annotation]) -> tuple[str, str]:
    """Fields of the two answers, the left one first."""
    for annotation in annotations:
        for _, names in annotation.pairwise:
            if len(names) == 2 and all(isinstance(data.get(n.strip()), str) for n in names):
                return names[0].strip(), names[1].strip()
    for first, second in _PAIRS:
        if isinstance(data.get(first), str) and isinstance(data.get(second), str):
            return first, second
    raise RowError("missing_field", "the task has no two answers that could be compared")


def _ballots(annotation: _Annotation, names: tuple[str, str]) -> Iterator[Ballot]:
    remark = next((t for n, t in annotation.texts.items() if _REMARK.search(n)), None)
    said = [selected for selected, _ in annotation.pairwise]
    said = said or [choice for choices in annotation.choices.values() for choice in choices]
    for word in said:
        winner = MEANING.get(word.strip().casefold())
        if word in names:
            winner = "first" if word == names[0] else "second"
        if winner is not None:
            yield Ballot(first=0, second=1, winner=winner, by=annotation.by, text=remark)
            return


def _model(data: dict[str, Any], name: str, place: int) -> str:
    """The model that wrote an answer, if the task says it, else the field's name."""
    letter = "ab"[place - 1]
    for key in (f"{name}_model", f"model_{place}", f"model{place}", f"model_{letter}"):
        if isinstance(data.get(key), str) and data[key]:
            return check_text(data[key], key, 1000)
    return name


def _correction(annotation: _Annotation, answer: str, data: dict[str, Any]) -> Preference | None:
    spans = [_span(label, answer, annotation.replacements) for label in annotation.labels]
    spans.sort(key=lambda span: (span["start"], span["end"]))
    texts = [t for n, t in annotation.texts.items() if not _REMARK.search(n) and t.strip()]
    chosen = texts[0] if texts else apply_spans(answer, spans)
    if not spans and (chosen is None or chosen == answer):
        return None
    model = data.get("model")
    return Preference(
        chosen=chosen,
        rejected=answer,
        spans=spans or None,
        by=annotation.by,
        model=check_text(model, "model", 1000) if isinstance(model, str) and model else None,
    )


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
    """Where a labelled text is, in code points.

    Raises:
        RowError: If it is nowhere in the answer.
    """
    inner = label.get("globalOffsets")
    places = [(label.get("start"), label.get("end"))]
    places += [(inner.get("start"), inner.get("end"))] if isinstance(inner, dict) else []
    places += [(label.get("startOffset"), label.get("endOffset"))]
    numbers = [
        (s, e) for s, e in places if isinstance(s, int) and isinstance(e, int) and 0 <= s <= e
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
            low = min(found, key=lambda place: abs(place - wanted))
            return low, low + len(text)
    detail = f"a label of {printable(str(text), 100)!r} is not in the answer"
    raise RowError("bad_span", detail)


def _code_point(text: str, unit: int) -> int:
    """The code point that a UTF-16 unit belongs to."""
    if text.isascii():
        return unit
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * unit].decode("utf-16-le", "ignore"))
