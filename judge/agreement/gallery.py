"""The largest disagreements, with both judgments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from judge.agreement.judgments import response_texts
from judge.agreement.matching import DECIDED, Matched
from judge.agreement.metrics import Scale
from pairwright.dataset.store import Dataset
from pairwright.text.conversation import plain_text

if TYPE_CHECKING:
    import polars as pl

_MAX_TEXT: Final = 4_000


def disagreements(
    dataset: Dataset, criteria: Sequence[Matched], scale: Scale, examples: int
) -> list[dict[str, Any]]:
    """The rows with the largest disagreement, some of each criterion.

    Args:
        dataset: For questions, responses and images.
        criteria: What was compared.
        scale: The judge's scale.
        examples: Total number of rows.
    """
    if not criteria or not examples:
        return []
    each = max(1, examples // len(criteria))
    picked = [(matched, _worst(matched, scale).head(each)) for matched in criteria]
    wanted = [
        row[name]
        for matched, rows in picked
        for row in rows.iter_rows(named=True)
        for name in (("low", "high") if matched.is_pairwise else ("target_id",))
    ]
    known = _context(dataset, wanted)
    return [
        item
        for matched, rows in picked
        for row in rows.iter_rows(named=True)
        if (item := _item(matched, row, known)) is not None
    ][:examples]


def _worst(matched: Matched, scale: Scale) -> pl.DataFrame:
    """Pairs by the judge's confidence; scores by the distance of scores or ranks."""
    import polars as pl

    rows = matched.rows
    if matched.is_pairwise:
        both = pl.col("judge").is_in(DECIDED) & pl.col("label").is_in(DECIDED)
        wrong = rows.filter(both & (pl.col("judge") != pl.col("label")))
        confidence = (pl.col("p") - 0.5).abs().fill_null(0.0)
        return _sorted(wrong.with_columns(distance=confidence))
    if matched.is_binary:  # on the other side of the midpoint
        p = (pl.col("judge") - scale.low) / ((scale.high - scale.low) or 1.0)
        wrong = rows.with_columns(distance=(p - pl.col("label")).abs())
        return _sorted(wrong.filter(pl.col("distance") >= 0.5))
    lowest, highest = float(rows["label"].min()), float(rows["label"].max())  # type: ignore[arg-type]
    if scale.low <= lowest and highest <= scale.high:
        distance = (pl.col("judge") - pl.col("label")).abs() / ((scale.high - scale.low) or 1.0)
    else:  # different scales: ranks among the rows
        n = max(1, rows.height - 1)
        distance = (pl.col("judge").rank() - pl.col("label").rank()).abs() / n
    return _sorted(rows.with_columns(distance=distance).filter(pl.col("distance") > 0))


def _sorted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("distance", "unit", descending=[True, False])


def _context(dataset: Dataset, targets: Sequence[str]) -> dict[str, dict[str, Any]]:
    import polars as pl

    ids = pl.LazyFrame({"target_id": list(targets)}, schema={"target_id": pl.String}).unique()
    about = dataset.union("samples").select("sample_id", "image_ids", "source", "source_id")
    rows = (
        response_texts(dataset)
        .join(ids, on="target_id", how="semi")
        .join(about, on="sample_id", how="left")
        .collect()
    )
    return {row["target_id"]: row for row in rows.iter_rows(named=True)}


def _item(
    matched: Matched, row: dict[str, Any], known: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    names = ("low", "high") if matched.is_pairwise else ("target_id",)
    responses = [known.get(row[name]) for name in names]
    first = responses[0]
    if first is None or None in responses:
        return None  # labels of a response that the dataset does not contain
    question = next((m["content"] for m in reversed(first["messages"]) if m["role"] == "user"), "")
    claim = row["unit"].partition("\n")[2] if not matched.is_pairwise else ""
    return {
        "criterion": matched.name,
        "yes_or_no": matched.is_binary,
        "sample_id": first["sample_id"],
        "source": first["source"] or "",
        "source_id": first["source_id"] or "",
        "image_ids": list(first["image_ids"] or []),
        "question": plain_text(question)[:_MAX_TEXT],
        "responses": [plain_text(r["text"])[:_MAX_TEXT] for r in responses if r],
        "claim": claim[:_MAX_TEXT] or None,
        "judge": row["judge"],
        "label": row["label"],
        "distance": row["distance"],
        "rationale": (row["rationale"] or "")[:_MAX_TEXT] or None,
        "p": row.get("p"),
    }
