"""The worst disagreements, with what both sides said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from judge.agreement.figures import Scale
from judge.agreement.sources import answer_texts
from judge.agreement.topics import DECIDED, Topic
from pairwright.dataset.store import Dataset
from pairwright.text.conversation import plain_text

if TYPE_CHECKING:
    import polars as pl

_MOST_TEXT: Final = 4_000


def disagreements(
    dataset: Dataset, topics: Sequence[Topic], scale: Scale, examples: int
) -> list[dict[str, Any]]:
    """The rows on which judge and people differ most, the worst of each topic in turn.

    Args:
        dataset: For questions, answers and images.
        topics: What was compared.
        scale: The judge's scale.
        examples: How many rows in all.
    """
    if not topics or not examples:
        return []
    share = max(1, examples // len(topics))
    picked = [(topic, _worst(topic, scale).head(share)) for topic in topics]
    wanted = [
        row[name]
        for topic, rows in picked
        for row in rows.iter_rows(named=True)
        for name in (("low", "high") if topic.verdicts else ("target_id",))
    ]
    known = _context(dataset, wanted)
    return [
        item
        for topic, rows in picked
        for row in rows.iter_rows(named=True)
        if (item := _item(topic, row, known)) is not None
    ][:examples]


def _worst(topic: Topic, scale: Scale) -> pl.DataFrame:
    """Of pairs the surest judge first; of marks the greatest distance of ranks or marks."""
    import polars as pl

    rows = topic.rows
    if topic.verdicts:
        both = pl.col("judge").is_in(DECIDED) & pl.col("label").is_in(DECIDED)
        wrong = rows.filter(both & (pl.col("judge") != pl.col("label")))
        sure = (pl.col("p") - 0.5).abs().fill_null(0.0)
        return _sorted(wrong.with_columns(apart=sure))
    if topic.is_binary:  # on the other side of the middle
        p = (pl.col("judge") - scale.low) / ((scale.high - scale.low) or 1.0)
        wrong = rows.with_columns(apart=(p - pl.col("label")).abs())
        return _sorted(wrong.filter(pl.col("apart") >= 0.5))
    least, most = float(rows["label"].min()), float(rows["label"].max())  # type: ignore[arg-type]
    if scale.low <= least and most <= scale.high:
        apart = (pl.col("judge") - pl.col("label")).abs() / ((scale.high - scale.low) or 1.0)
    else:  # other scales: places among the rows
        n = max(1, rows.height - 1)
        apart = (pl.col("judge").rank() - pl.col("label").rank()).abs() / n
    return _sorted(rows.with_columns(apart=apart).filter(pl.col("apart") > 0))


def _sorted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("apart", "unit", descending=[True, False])


def _context(dataset: Dataset, targets: Sequence[str]) -> dict[str, dict[str, Any]]:
    import polars as pl

    ids = pl.LazyFrame({"target_id": list(targets)}, schema={"target_id": pl.String}).unique()
    about = dataset.union("samples").select("sample_id", "image_ids", "source", "source_id")
    rows = (
        answer_texts(dataset)
        .join(ids, on="target_id", how="semi")
        .join(about, on="sample_id", how="left")
        .collect()
    )
    return {row["target_id"]: row for row in rows.iter_rows(named=True)}


def _item(
    topic: Topic, row: dict[str, Any], known: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    names = ("low", "high") if topic.verdicts else ("target_id",)
    answers = [known.get(row[name]) for name in names]
    first = answers[0]
    if first is None or None in answers:
        return None  # labels of an answer that the dataset does not hold
    question = next((m["content"] for m in reversed(first["messages"]) if m["role"] == "user"), "")
    claim = row["unit"].partition("\n")[2] if not topic.verdicts else ""
    return {
        "topic": topic.name,
        "yes_or_no": topic.is_binary,
        "sample_id": first["sample_id"],
        "source": first["source"] or "",
        "source_id": first["source_id"] or "",
        "image_ids": list(first["image_ids"] or []),
        "question": plain_text(question)[:_MOST_TEXT],
        "answers": [plain_text(a["text"])[:_MOST_TEXT] for a in answers if a],
        "claim": claim[:_MOST_TEXT] or None,
        "judge": row["judge"],
        "label": row["label"],
        "apart": row["apart"],
        "rationale": (row["rationale"] or "")[:_MOST_TEXT] or None,
        "p": row.get("p"),
    }
