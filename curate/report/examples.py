"""Rows to look at: doubles beside what stands for them, what filters took, contradictions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from curate.report.facts import KEPT, Facts, Step
from curate.report.words import reason_words, stage_words, step_title

if TYPE_CHECKING:
    import polars as pl

    from curate.report.options import ReportOptions
    from pairwright.dataset.store import Dataset

_MEMBERS: Final = 2  # removed rows of a group that are shown
_TURNS: Final = 6
_TEXT: Final = 700
_REJECTS: Final = 4
_PAIRS: Final = 10
_LIKENESS: Final = ("dedup", "decontaminate")  # steps whose value is a likeness: low is borderline

Row = dict[str, Any]


def _value() -> pl.Expr:
    """`similarity` where it is a number that JSON can hold."""
    import polars as pl

    return pl.when(pl.col("similarity").is_finite()).then("similarity").alias("similarity")


def pick(frame: pl.DataFrame, n: int, *, seed: int, nearest: list[pl.Expr]) -> pl.DataFrame:
    """The borderline rows, then some drawn at random; `borderline` tells them apart.

    Args:
        frame: Rows with an id column `key`.
        n: How many, at most; two thirds are borderline.
        seed: Chooses the random ones.
        nearest: Sort keys that put the borderline rows first.
    """
    import polars as pl

    # Ids are hashes: another slice of them is another random order, the same on every machine.
    draw = pl.col("key").str.slice(seed % 24, 8) + pl.col("key")
    n_near = n if frame.height <= n else -(-2 * n // 3)
    ordered = frame.sort([*nearest, draw], nulls_last=True)
    near = ordered.head(n_near).with_columns(pl.lit(value=True).alias("borderline"))
    rest = ordered.slice(n_near).sort(draw).head(n - n_near)
    return pl.concat([near, rest.with_columns(pl.lit(value=False).alias("borderline"))])


def duplicates(dataset: Dataset, facts: Facts, options: ReportOptions) -> dict[str, Any] | None:
    """Groups of doubles, the least alike first; `None` where no dedup is in force."""
    import polars as pl

    step = next((s for s in facts.steps if s.manifest.step == "dedup"), None)
    if step is None:
        return None
    removed = (
        dataset.scan(step.manifest)
        .filter(~pl.col("kept") & pl.col("kept_id").is_not_null())
        .select("sample_id", "kept_id", "reason", "method", _value())
        .collect()
    )
    groups = removed.group_by("kept_id").agg(
        pl.len().alias("removed"),
        pl.col("similarity").min(),
        pl.col("reason").sort_by("similarity", "sample_id").first(),
    )
    sizes = groups.group_by((pl.col("removed") + 1).alias("rows")).len("groups").sort("rows")
    summary = step.manifest.summary
    distinct = summary.get("distinct_pair_examples", summary.get("held_back_examples", []))
    return {
        "run": step.manifest.ref,
        "groups": groups.height,
        "rows": removed.height,
        "on": step.manifest.config.get("on"),
        "threshold": step.manifest.config.get("threshold"),
        "sizes": sizes.to_dicts(),
        "similarity": _similarity(removed["similarity"]),
        "held_back": summary.get("distinct_pairs", summary.get("held_back_pairs")),
        "examples": _groups(removed, groups, step, options),
        "held_back_examples": [{"a": a, "b": b} for a, b in distinct[: options.examples]],
    }


def _groups(
    removed: pl.DataFrame, groups: pl.DataFrame, step: Step, options: ReportOptions
) -> list[Row]:
    """Some groups of every reason, since one kind may crowd out the others."""
    import polars as pl

    if groups.is_empty() or not options.examples:
        return []
    kinds = groups["reason"].unique().sort().to_list()
    share = max(2, -(-options.examples // len(kinds)))
    keyed = groups.with_columns(pl.col("kept_id").alias("key"))
    chosen = pl.concat(
        [
            pick(keyed.filter(pl.col("reason") == kind), share, seed=options.seed,
                 nearest=[pl.col("similarity")])
            for kind in kinds
        ]
    ).sort(~pl.col("borderline"), "similarity", "key", nulls_last=True)  # fmt: skip
    members = removed.join(chosen.select("kept_id"), on="kept_id", how="semi")
    out = []
    for group in chosen.head(max(options.examples, len(kinds))).iter_rows(named=True):
        mine = members.filter(pl.col("kept_id") == group["kept_id"]).sort("similarity", "sample_id")
        out.append(
            {
                "kept": group["kept_id"],
                "removed": [
                    {"sample_id": r["sample_id"], "reason": r["reason"], "method": r["method"],
                     "similarity": r["similarity"], "words": step.words(r["reason"])}
                    for r in mine.head(_MEMBERS).iter_rows(named=True)
                ],
                "removed_in_all": group["removed"],
                "similarity": group["similarity"],
                "borderline": group["borderline"],
            }
        )  # fmt: skip
    return out


def _similarity(values: pl.Series) -> dict[str, Any]:
    """Likeness of removed rows to their kept row, below 1 in hundredths."""
    import polars as pl

    given = values.drop_nulls()
    below = given.filter(given < 1)
    place = (below * 100).floor().cast(pl.Int64)
    counts = place.value_counts().sort(by=place.name) if len(below) else None
    bins = [] if counts is None else list(counts.iter_rows())
    return {
        "equal": len(given) - len(below),
        "below": len(below),
        "bins": [{"from": b / 100, "to": (b + 1) / 100, "rows": n} for b, n in bins],
    }


def victims(dataset: Dataset, facts: Facts, options: ReportOptions) -> list[Row]:
    """What every other decisions run dropped, by reason, the borderline rows first."""
    out = []
    for step in facts.steps:
        out += _victims_of(dataset, step, options)
    return out


def _victims_of(dataset: Dataset, step: Step, options: ReportOptions) -> list[Row]:
    import polars as pl

    frame = dataset.scan(step.manifest)
    dropped = ~pl.col("kept")
    if step.manifest.step == "dedup":
        dropped &= pl.col("kept_id").is_null()
    rows = frame.filter(dropped).select(
        "sample_id", "reason", "method", _value(), "kept_id", pl.col("sample_id").alias("key")
    ).collect()  # fmt: skip
    if rows.is_empty():
        return []
    order = rows["reason"].value_counts().sort("count", "reason", descending=[True, False])
    # Few of many reasons, more of few: a page shows some fifty cards a step.
    share = min(options.examples, max(4, 48 // order.height))
    out = []
    for reason, n in order.iter_rows():
        mine = rows.filter(pl.col("reason") == reason)
        value = mine["similarity"].drop_nulls()
        method = mine["method"].mode().sort()[0]
        rule, cut = _rule(step, str(reason))
        out.append(
            {
                "run": step.manifest.ref,
                "step": step.manifest.step,
                "title": step_title(step.manifest.step),
                "reason": reason,
                "words": step.words(str(reason)),
                "method": method,
                "rule": rule,
                "threshold": cut,
                "rows": n,
                "value": _range(value),
                "examples": _picked(mine, share, cut, step, options.seed),
            }
        )
    _put_beside(dataset, step, out)
    return out


def _put_beside(dataset: Dataset, step: Step, reasons: list[Row]) -> None:
    """Lay the benchmark's rows beside those that went because of them."""
    import polars as pl

    found = dataset.manifest("overlaps", step.manifest.run)
    if found is None or not found.is_complete:
        return
    shown = {one["sample_id"]: one for reason in reasons for one in reason["examples"]}
    rows = dataset.scan(found).filter(pl.col("sample_id").is_in(list(shown)))
    for row in rows.collect().iter_rows(named=True):
        shown[row["sample_id"]]["beside"] = {
            "benchmark": row["benchmark"],
            "kind": row["kind"],
            "id": _cut(row["bench_source_id"], 120),
            "text": _cut(row["bench_text"] or "", 300),
        }


def _rule(step: Step, reason: str) -> tuple[str | None, float | None]:
    """What a filter's run says of one of its filters: its rule in words and its threshold."""
    filters = step.manifest.summary.get("filters")
    one = filters.get(reason) if isinstance(filters, dict) else None
    if isinstance(one, dict):
        cut = one.get("threshold")
        rule = one.get("rule")
        return (
            rule if isinstance(rule, str) else None,
            float(cut) if isinstance(cut, int | float) else None,
        )
    least = step.manifest.config.get("min_score")
    if reason == "score" and isinstance(least, int | float):
        return f"mark below {least:g}", float(least)
    return None, None


def _picked(mine: pl.DataFrame, n: int, cut: float | None, step: Step, seed: int) -> list[Row]:
    """The rows nearest to the threshold first; without one, in no order but a seeded one."""
    import polars as pl

    nearest: list[pl.Expr] = []
    if cut is not None:
        nearest = [(pl.col("similarity") - cut).abs()]
    elif step.manifest.step in _LIKENESS:
        nearest = [pl.col("similarity")]
    chosen = pick(mine, n, seed=seed, nearest=nearest)
    return [
        {"sample_id": r["sample_id"], "value": r["similarity"], "method": r["method"],
         "other": r["kept_id"], "beside": None, "drawn": bool(nearest) and not r["borderline"]}
        for r in chosen.iter_rows(named=True)
    ]  # fmt: skip


def _range(value: pl.Series) -> dict[str, float] | None:
    if value.is_empty():
        return None
    figures = {"min": value.min(), "median": value.median(), "max": value.max()}
    return {name: round(float(v), 4) for name, v in figures.items()}  # type: ignore[arg-type]


def conflicts(dataset: Dataset, facts: Facts, options: ReportOptions) -> dict[str, Any] | None:
    """Contradictions: how many, between which answers, and some of them."""
    import polars as pl

    from pairwright.text.texts import normalised

    found = dataset.active("conflicts").get("dedup")
    for step in facts.steps:
        if step.manifest.step == "dedup":  # its own conflicts, whichever are in force
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
            {k: _cut(r[k]) if isinstance(r[k], str) else r[k] for k in fields}
            for r in shown.sort("conflict_id").iter_rows(named=True)
        ],
    }


def rejects(dataset: Dataset) -> list[Row]:
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
    """Samples by id as the page shows them: texts cut, and what became of each."""
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
            fate = None if number == KEPT else facts.steps[number].manifest.step
            out.setdefault(row["sample_id"], _view(row, fate))
    return out


def _view(row: Row, dropped_by: str | None) -> Row:
    from pairwright.text.conversation import plain_text

    turns = [
        {"role": m["role"], "text": _cut(plain_text(m["content"] or ""))}
        for m in row["messages"][:_TURNS]
    ]
    return {
        "sample_id": row["sample_id"],
        "source": row["source"],
        "source_id": _cut(row["source_id"], 120),
        "image_ids": row["image_ids"],
        "turns": turns,
        "turns_in_all": len(row["messages"]),
        "dropped_by": dropped_by,
    }


def _cut(text: str, most: int = _TEXT) -> str:
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def shown_ids(report: dict[str, Any]) -> list[str]:
    """Ids of all samples that a report shows, in the order of the page."""
    out: list[str] = []
    found = report["duplicates"]
    if found is not None:
        for group in found["examples"]:
            out += [group["kept"], *(one["sample_id"] for one in group["removed"])]
        out += [i for pair in found["held_back_examples"] for i in (pair["a"], pair["b"])]
    for reason in report["victims"]:
        for one in reason["examples"]:
            out += [one["sample_id"], *([one["other"]] if one["other"] else [])]
    if report["conflicts"] is not None:
        for one in report["conflicts"]["examples"]:
            out += [one["sample_id"], one["other_id"]]
    return list(dict.fromkeys(out))
