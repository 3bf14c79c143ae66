"""Human labels of answers that the dataset has: scores, judged claims, labelled spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from curate.ingest.match import Targets, convert_all, preview
from curate.ingest.outcome import outcome_of_labels
from curate.ingest.plan import Plan, Row
from curate.ingest.rows import claim_row, feedback_row, score_row
from curate.ingest.tables import KEYS, Tables, key_of
from curate.read.claims import SUPPORTED, TEXT, read_claim, read_claims, read_parts
from curate.read.fields import HUMAN, check_text, first_field, number, scalar_text, type_name
from curate.read.rows import RowError, Score, printable
from curate.read.spans import apply_spans
from pairwright.commands.command import Outcome
from pairwright.dataset.store import Dataset

OVERALL: Final = "overall"
_CRITERION: Final = ("criterion", "aspect", "metric", "dimension")
_SCORE_FIELDS: Final = ("score", "rating", "mark", "value")
_SCORE_OBJECTS: Final = ("scores", "ratings", "marks", "metrics")
_BY: Final = ("by", "annotator", "rater", "judge", "annotator_id", "user")
_WHY: Final = ("rationale", "reason", "explanation", "comment")
_CORRECTED: Final = ("corrected", "correction", "corrected_answer", "chosen")
# Ratings of rows that nobody rated: no score, never zero.
_NONE: Final = ("n/a", "na", "none", "null", "-", "nan", "")
_MAX_CRITERIA: Final = 1000

Rows = list[dict[str, Any]]


def import_scores(dataset: Dataset, plan: Plan) -> Outcome:
    """Write scores that human annotators gave to samples' answers or to responses.

    Raises:
        Error: If there are no samples, or the source as a whole cannot be read.
    """
    targets = Targets(dataset, plan)

    def convert(row: Row) -> Rows:
        target = targets.find(row.value)
        return [score_row(s, target.target_id, target.kind) for s in _scores(row.value, plan)]

    return _import(dataset, plan, "scores", targets, convert)


def import_claims(dataset: Dataset, plan: Plan) -> Outcome:
    """Write claims of answers with their labels; one claim per row, or a list of them.

    Raises:
        Error: If there are no samples, or the source as a whole cannot be read.
    """
    targets = Targets(dataset, plan)
    counts: dict[tuple[str, str], int] = {}
    known: set[tuple[str, str, str]] = set()

    def convert(row: Row) -> Rows:
        target, value = targets.find(row.value), row.value
        by = _by(value, plan)
        inverted = plan.naming.inverted
        if value.get("claims") is not None:
            claims = read_claims(value["claims"], inverted=inverted)
        elif first_field(value, TEXT, None) and first_field(value, SUPPORTED, None):
            claims = [read_claim(value, 1, inverted=inverted)]
        else:
            raise RowError("missing_field", f"neither claims nor {TEXT[1]} and {SUPPORTED[0]}")
        keys = [(target.target_id, by, claim.text) for claim in claims]
        if keys and known.issuperset(keys):
            raise RowError("duplicate_claim", "the same annotator judged it in an earlier row")
        known.update(keys)
        first = counts.get((target.target_id, by), 0)
        counts[target.target_id, by] = first + len(claims)
        return [
            claim_row(claim, target.target_id, target.kind, first + n, by)
            for n, claim in enumerate(claims)
        ]

    return _import(dataset, plan, "claims", targets, convert)


def import_feedback(dataset: Dataset, plan: Plan) -> Outcome:
    """Write labelled spans and corrections of responses.

    Raises:
        Error: If there are no samples, or the source as a whole cannot be read.
    """
    targets = Targets(dataset, plan, texts=True)

    def convert(row: Row) -> Rows:
        target, value = targets.find(row.value), row.value
        if target.kind != "response" or target.text is None:
            raise RowError("unknown_response", "feedback is about a response", stage="match")
        spans = None if value.get("spans") is None else read_parts(target.text, value["spans"])
        name = first_field(value, _CORRECTED, None)
        if spans is None and name is None:
            raise RowError("missing_field", f"neither spans nor {_CORRECTED[0]}")
        corrected = None if spans is None else apply_spans(target.text, spans)
        if name is not None:
            corrected = check_text(value[name], name, plan.naming.max_text)
        if spans is None and corrected is not None:
            spans = _changed(target.text, corrected)
        return [feedback_row(target.target_id, spans or [], corrected, _by(value, plan))]

    return _import(dataset, plan, "feedback", targets, convert)


def _changed(text: str, corrected: str) -> list[dict[str, Any]]:
    from pairwright.text.worddiff import diff_spans

    if text == corrected:
        raise RowError("same_answers", "the correction is the answer itself")
    changed, _ = diff_spans(text, corrected)
    return [{**span, "correct": False} for span in changed]


def _import(
    dataset: Dataset, plan: Plan, kind: str, targets: Targets, convert: Callable[[Row], Rows]
) -> Outcome:
    """Write the converted rows; rows with the keys of an earlier row are invalid."""
    earlier: set[str] = set()

    def fresh(row: Row) -> Rows:
        rows = convert(row)
        keys = [key_of(kind, one) for one in rows]
        again = next((n for n, key in enumerate(keys) if key in earlier), None)
        if again is None and len(set(keys)) < len(keys):
            again = 0
        if again is not None:
            what = ", ".join(printable(str(rows[again][name]), 60) for name in KEYS[kind][:4])
            raise RowError(
                f"duplicate_{_ONE[kind]}", f"the same annotator has it in an earlier row: {what}"
            )
        earlier.update(keys)
        return rows

    if plan.dry_run:
        return preview(plan, fresh)
    step = f"ingest-{kind}"
    with Tables(dataset, plan, [kind], rejects=step, inputs=targets.inputs) as tables:
        done = tables.is_complete
        for row, found in () if done else convert_all(plan, fresh):
            if isinstance(found, RowError):
                tables.reject(row.row_id, found)
            else:
                for one in found:
                    tables.add(kind, one)
            if tables.checkpoint():
                tables.flush()
        tables.flush()
    return outcome_of_labels(dataset, plan, tables, step, done=done)


_ONE: Final = {"scores": "score", "claims": "claim", "feedback": "feedback"}


def _by(row: dict[str, Any], plan: Plan) -> str:
    name = first_field(row, _BY, None)
    found = None if name is None else scalar_text(row[name], name, 1000).strip()
    return found or plan.options.by or HUMAN


def _scores(row: dict[str, Any], plan: Plan) -> Iterator[Score]:
    """Scores of a row: one with its criterion, or an object of criterion and score."""

    def text(names: tuple[str, ...]) -> str | None:
        name = first_field(row, names, None)
        return None if name is None else scalar_text(row[name], name, plan.naming.max_text) or None

    given: dict[str, Any]
    field = next((name for name in _SCORE_OBJECTS if isinstance(row.get(name), dict)), None)
    if field is not None:
        given = {key: value for key, value in row[field].items() if value is not None}
    else:
        name = first_field(row, _SCORE_FIELDS, None)
        if name is None:
            raise RowError(
                "missing_field", f"no {_SCORE_FIELDS[0]}, nor {_SCORE_OBJECTS[0]} as an object"
            )
        given = {text(_CRITERION) or OVERALL: row[name]}
    if not given or len(given) > _MAX_CRITERIA:
        raise RowError("wrong_type", f"{field} has {len(given):,} criteria")
    by, rubric = _by(row, plan), text(("rubric",)) or plan.name
    label, why = text(("label", "verdict")), text(_WHY)
    for criterion, value in given.items():
        found = _number(value, criterion)
        yield Score(
            rubric=rubric,
            criterion=check_text(criterion, "a criterion", 200).strip(),
            by=by,
            value=found,
            rationale=why,
            label=label,
            error=None if found is not None else f"no rating: {str(value)[:100]}",
        )


def _number(value: Any, criterion: str) -> float | None:
    if isinstance(value, bool):
        return float(value)
    found = number(value)
    if found is not None:
        return found
    if isinstance(value, str) and value.strip().casefold() in _NONE:
        return None
    shown = printable(value, 60) if isinstance(value, str) else type_name(value)
    raise RowError("not_a_number", f"the score of {printable(criterion, 60)} is {shown}")
