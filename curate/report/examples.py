"""Rows to look at: which ones, and what the page shows of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from curate.report.facts import KEPT, Facts
from curate.report.words import reason_words, stage_words

if TYPE_CHECKING:
    import polars as pl

    from curate.report.options import ReportOptions
    from pairwright.dataset.store import Dataset

_TURNS: Final = 6
_TEXT: Final = 700
_REJECTS: Final = 4
_PAIRS: Final = 10

Row = dict[str, Any]


def similarity_value() -> pl.Expr:
    """`similarity` where it is a number that JSON can hold."""
    import polars as pl

    return pl.when(pl.col("similarity").is_finite()).then("similarity").alias("similarity")


def pick(frame: pl.DataFrame, n: int, *, seed: int, nearest: list[pl.Expr]) -> pl.DataFrame:
    """The borderline rows, then some sampled at random; the column `borderline` distinguishes them.

    Args:
        frame: Rows with an id column `key`.
        n: Max number; two thirds are borderline.
        seed: Chooses the random ones.
        nearest: Sort keys that put the borderline rows first.
    """
    import polars as pl

    # Ids are hashes: another slice of them is another random order, the same on every machine.
    order = pl.col("key").str.slice(seed % 24, 8) + pl.col("key")
    n_near = n if frame.height <= n else -(-2 * n // 3)
    ordered = frame.sort([*nearest, order], nulls_last=True)
    near = ordered.head(n_near).with_columns(pl.lit(value=True).alias("borderline"))
    rest = ordered.slice(n_near).sort(order).head(n - n_near)
    return pl.concat([near, rest.with_columns(pl.lit(value=False).alias("borderline"))])


def conflicts(dataset: Dataset, facts: Facts, options: ReportOptions) -> dict[str, Any] | None:
    """Conflicting answers: how many, which, and some of them."""
    import polars as pl

    from pairwright.text.texts import normalised

    found = dataset.active("conflicts").get("dedup")
    for step in facts.steps:
        if step.manifest.step == "dedup":  # its own conflicts, whichever are active
            found = dataset.manifest("conflicts", step.manifest.run) or found
    if found is None or not found.is_complete:
        return None
    rows = dataset.scan(found)
    answers = (
        rows.filter(
            (pl.col("answer").str.len_chars() < 40) & (pl.col("other_answer").str.len_chars() < 40)
        )
        .select(
            pl.concat_list(normalised("answer"), normalised("other_answer"))
            .list.sort()
            .alias("pair")
        )
        .group_by("pair")
        .len("rows")
        .sort("rows", "pair", descending=[True, False])
        .head(_PAIRS)
        .collect()
    )
    ids = rows.select("conflict_id", "group_id").collect()
    one_each = ids.unique("group_id", keep="first", maintain_order=True)
    keyed = one_each.with_columns(pl.col("conflict_id").alias("key"))
    chosen = pick(keyed, options.examples, seed=options.seed, nearest=[])
    shown = rows.filter(pl.col("conflict_id").is_in(chosen["conflict_id"].to_list())).collect()
    fields = ("sample_id", "other_id", "question", "answer", "other_answer", "similarity")
    return {
        "run": found.ref,
        "rows": ids.height,
        "questions": one_each.height,
        "answer_pairs": [{"a": p[0], "b": p[1], "rows": n} for p, n in answers.iter_rows()],
        "examples": [
            {k: cut_text(r[k]) if isinstance(r[k], str) else r[k] for k in fields}
            for r in shown.sort("conflict_id").iter_rows(named=True)
        ],
    }


def invalid_rows(dataset: Dataset) -> list[Row]:
    """Rows that could not be processed, by command, stage and reason."""
    import polars as pl

    out = []
    for manifest in dataset.runs("rejects"):
        if not manifest.rows:
            continue
        first = pl.struct("row_id", pl.col("detail").str.slice(0, 300)).head(_REJECTS)
        groups = (
            dataset.scan(manifest)
            .group_by("stage", "reason")
            .agg(pl.len().alias("rows"), first.alias("examples"))
            .collect()
        )
        for one in groups.iter_rows(named=True):
            out.append(
                {
                    "table": manifest.ref,
                    "step": manifest.step,
                    "stage_words": stage_words(one["stage"]),
                    "words": reason_words(one["reason"]),
                    **one,
                }
            )
    return sorted(out, key=lambda one: (-one["rows"], one["table"], one["stage"], one["reason"]))


def fetch(dataset: Dataset, facts: Facts, ids: Iterable[str]) -> dict[str, Row]:
    """Samples by id as the page shows them: texts truncated, and which step dropped each."""
    import polars as pl

    wanted = sorted(set(ids))
    if not wanted:
        return {}
    steps = facts.frame.filter(pl.col("sample_id").is_in(wanted)).select("sample_id", "step")
    step_of = dict(steps.iter_rows())
    columns = ("sample_id", "source", "source_id", "image_ids", "messages")
    out: dict[str, Row] = {}
    for manifest in facts.samples:
        rows = dataset.scan(manifest).filter(pl.col("sample_id").is_in(wanted)).select(columns)
        for row in rows.collect().iter_rows(named=True):
            number = step_of.get(row["sample_id"], KEPT)
            dropped_by = None if number == KEPT else facts.steps[number].manifest.step
            out.setdefault(row["sample_id"], _view(row, dropped_by))
    return out


def _view(row: Row, dropped_by: str | None) -> Row:
    from pairwright.text.conversation import plain_text

    turns = [
        {"role": m["role"], "text": cut_text(plain_text(m["content"] or ""))}
        for m in row["messages"][:_TURNS]
    ]
    return {
        "sample_id": row["sample_id"],
        "source": row["source"],
        "source_id": cut_text(row["source_id"], 120),
        "image_ids": row["image_ids"],
        "turns": turns,
        "turns_in_all": len(row["messages"]),
        "dropped_by": dropped_by,
    }


def cut_text(text: str, most: int = _TEXT) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def shown_ids(report: dict[str, Any]) -> list[str]:
    """Ids of all samples that a report shows, in the order of the page."""
    out: list[str] = []
    found = report["duplicates"]
    if found is not None:
        for group in found["examples"]:
            out += [group["kept"], *(one["sample_id"] for one in group["removed"])]
        out += [i for pair in found["kept_as_distinct_examples"] for i in (pair["a"], pair["b"])]
    for reason in report["dropped"]:
        for one in reason["examples"]:
            out += [one["sample_id"], *([one["because_of"]] if one["because_of"] else [])]
    if report["conflicts"] is not None:
        for one in report["conflicts"]["examples"]:
            out += [one["sample_id"], one["other_id"]]
    return list(dict.fromkeys(out))
