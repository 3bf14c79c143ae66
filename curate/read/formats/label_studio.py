"""Label Studio's JSON export: tasks with the annotators' results.

Depending on the results, tasks become comparisons of two answers, feedback on one, or samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

from curate.read import questions
from curate.read.annotations import Annotation, annotations_of, results_of
from curate.read.fields import ANSWER, IMAGE, Naming, check_text, type_name
from curate.read.formats.base import Format
from curate.read.rows import Candidate, Draft, Preference, RowError, Score, Verdict
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


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is a task of Label Studio, if it is."""
    done = row.get("annotations", row.get("completions"))
    if isinstance(row.get("data"), dict) and isinstance(done, list):
        return "have data and annotations"
    return None


def table_of(row: dict[str, Any]) -> str | None:
    """The table that a task's results are for; `None` if it has none."""
    kinds = {str(item.get("type")) for _, items in results_of(row) for item in items}
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


def has_ratings(row: dict[str, Any]) -> bool:
    """Whether a task was rated."""
    return any(
        item.get("type") in ("rating", "number") for _, items in results_of(row) for item in items
    )


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the task's question and answer, with ratings as scores.

    An answer that the task lacks is taken from the first annotator's text. Choices are kept in
    `meta`.

    Raises:
        RowError: If the row is not of that form.
    """
    data, annotations = _task(row), annotations_of(row, naming)
    if not any(data.get(name) is not None for name in ANSWER):
        data["answer"] = next((text for a in annotations for text in a.written), None)
    for key in ("choices", "texts"):
        found = {a.by: getattr(a, key) for a in annotations if getattr(a, key)}
        if found:
            data[f"annotated_{key}"] = found
    draft = questions.convert(data, naming)
    if draft.messages[-1]["role"] == "assistant":
        draft.scores = [
            Score(rubric=RUBRIC, criterion=name, by=a.by, value=value)
            for a in annotations
            for name, value in a.ratings.items()
        ]
    return draft


def convert_comparison(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the question, with the two answers and the annotators' verdicts.

    Raises:
        RowError: If the row is not of that form, or nobody gave a verdict.
    """
    data, annotations = _task(row), annotations_of(row, naming)
    names = _two_answers(data, annotations)
    texts = [check_text(data[name], name, naming.max_text) for name in names]
    if not all(text.strip() for text in texts):
        raise RowError("empty_answer", f"{' or '.join(names)} has no text")
    if texts[0] == texts[1]:
        raise RowError("same_answers", f"{names[0]} and {names[1]} are the same text")
    verdicts = [found for a in annotations if (found := _verdict(a, names)) is not None]
    if not verdicts:
        raise RowError("no_annotation", "nobody gave a verdict")
    rest = {k: v for k, v in data.items() if k not in (*names, *_ANSWERS)}
    draft = questions.convert(rest, naming)
    draft.candidates = [
        Candidate(text=text, model=_model(data, name, position))
        for position, (name, text) in enumerate(zip(names, texts, strict=True), start=1)
    ]
    draft.verdicts = verdicts
    return draft


def convert_feedback(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the question, with the annotators' spans and corrections of its answer.

    Raises:
        RowError: If the row is not of that form, or nobody labelled or corrected anything.
    """
    data, annotations = _task(row), annotations_of(row, naming)
    named = [a.labelled for a in annotations if a.labelled in data]
    name = next((n for n in (*named, *_ANSWERS) if n and isinstance(data.get(n), str)), None)
    if name is None:
        raise RowError("missing_field", "no answer that the annotations could be of")
    answer = check_text(data[name], name, naming.max_text)
    corrections = [c for a in annotations if (c := _correction(a, answer, data)) is not None]
    if not corrections:
        raise RowError("no_annotation", "nobody labelled or corrected the answer")
    draft = questions.convert({k: v for k, v in data.items() if k != name}, naming)
    draft.corrections = corrections
    return draft


def _task(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task as a row, with its images as paths."""
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
    """`/data/local-files/?d=a/b.jpg` and `/data/upload/1/b.jpg` as paths in the image folder."""
    if path.startswith("/data/local-files/?d="):
        return unquote(path.partition("?d=")[2])
    return path.removeprefix("/data/upload/")


def _two_answers(data: dict[str, Any], annotations: Sequence[Annotation]) -> tuple[str, str]:
    """Fields of the two answers, the left one first."""
    for annotation in annotations:
        for _, names in annotation.pairwise:
            if len(names) == 2 and all(isinstance(data.get(n.strip()), str) for n in names):
                return names[0].strip(), names[1].strip()
    for first, second in _PAIRS:
        if isinstance(data.get(first), str) and isinstance(data.get(second), str):
            return first, second
    raise RowError("missing_field", "the task has no two answers that could be compared")


def _verdict(annotation: Annotation, names: tuple[str, str]) -> Verdict | None:
    """The annotator's verdict: the chosen side, else the first choice that is a verdict."""
    words = [selected for selected, _ in annotation.pairwise]
    words = words or [choice for choices in annotation.choices.values() for choice in choices]
    for word in words:
        winner = MEANING.get(word.strip().casefold())
        if word in names:
            winner = "first" if word == names[0] else "second"
        if winner is not None:
            return Verdict(
                first=0, second=1, winner=winner, by=annotation.by, text=annotation.remark
            )
    return None


def _model(data: dict[str, Any], name: str, position: int) -> str:
    """The model that wrote an answer, if the task names it, else the field's name."""
    letter = "ab"[position - 1]
    for key in (f"{name}_model", f"model_{position}", f"model{position}", f"model_{letter}"):
        if isinstance(data.get(key), str) and data[key]:
            return check_text(data[key], key, 1000)
    return name


def _correction(annotation: Annotation, answer: str, data: dict[str, Any]) -> Preference | None:
    spans = annotation.spans(answer)
    texts = [text for text in annotation.written if text.strip()]
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


FORMAT: Final = Format(
    name="label-studio",
    summary="a Label Studio export",
    rows="the JSON export; [see below](#label-studio)",
    makes={"samples": convert, "comparisons": convert_comparison, "feedback": convert_feedback},
    detect=detect,
    table_of=table_of,
    also={"samples": ("scores", has_ratings)},
)
