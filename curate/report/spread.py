"""Distributions of the samples and of their scores, kept and dropped separately."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curate.report.facts import KEPT, Facts, sample_parts
from pairwright.commands.progress import Progress

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.store import Dataset

_MOST_BINS: Final = 32
_TOP: Final = 10
_NAMED: Final = 10
_LABEL: Final = 90
_COLUMNS: Final = ["image_ids", "messages", "source", "task", "license", "split"]


@dataclass(frozen=True, slots=True)
class Used:
    """Images that samples use, as hashes of their ids, valid within this process only."""

    every: pl.Series
    kept: pl.Series

    @classmethod
    def of(cls, images: dict[bool, list[pl.Series]]) -> Used:
        """From the hashes of every part, by whether the samples are kept."""
        import polars as pl

        none = [pl.Series(dtype=pl.UInt64)]
        kept = pl.concat(none + images[True]).unique()
        return cls(every=pl.concat([kept, *images[False]]).unique(), kept=kept)


class Counts:
    """Values counted so far, kept and dropped separately; added up as parts are read."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._frames: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._pending: dict[str, int] = defaultdict(int)

    def add(self, name: str, frame: pl.DataFrame, value: pl.Expr) -> None:
        """Count a column of `frame`, which has `kept`."""
        counted = frame.group_by(value.alias("value"), "kept").len("rows")
        self._frames[name].append(counted)
        self._pending[name] += counted.height
        if self._pending[name] > 4_000_000:
            self._frames[name] = [self._total(name)]
            self._pending[name] = 0

    def _total(self, name: str) -> pl.DataFrame:
        import polars as pl

        together = pl.concat(self._frames[name])
        return together.group_by("value", "kept").agg(pl.col("rows").sum())

    def table(self, name: str) -> pl.DataFrame:
        """`value`, `kept`, `dropped`; the most frequent first."""
        import polars as pl

        if not self._frames[name]:
            return pl.DataFrame(schema={"value": pl.String, "kept": pl.Int64, "dropped": pl.Int64})
        rows = pl.col("rows")
        return (
            self._total(name)
            .group_by("value")
            .agg(
                rows.filter(pl.col("kept")).sum().cast(pl.Int64).alias("kept"),
                rows.filter(~pl.col("kept")).sum().cast(pl.Int64).alias("dropped"),
            )
            .sort(pl.col("kept") + pl.col("dropped"), "value", descending=[True, False])
        )


def distributions(dataset: Dataset, facts: Facts) -> tuple[list[dict[str, Any]], Used]:
    """Distributions of the samples, and the images they use, which took the same pass.

    Returns:
        A list of dictionaries with `key`, `title` and either `bins` (`from`, `to`, `kept`,
        `dropped`) or `values` (`value`, `kept`, `dropped`); and the images.
    """
    import polars as pl

    counts = Counts()
    images: dict[bool, list[pl.Series]] = {True: [], False: []}
    with Progress("report: reading samples", facts.read) as progress:
        before = 0
        for frame, done in sample_parts(dataset, facts, _COLUMNS):
            _count_part(counts, frame)
            for kept in images:
                ids = frame.filter(pl.col("kept") == kept)["image_ids"].explode()
                images[kept].append(ids.drop_nulls().hash().unique())
            progress.advance(done - before)
            before = done
    out = [
        histogram("question_words", "Words in a question", counts.table("user_words")),
        histogram("answer_words", "Words in an answer", counts.table("assistant_words")),
        histogram("answers", "Answers in a conversation", counts.table("answers")),
        histogram("images_per_sample", "Images in a sample", counts.table("n_images")),
        _top_texts(dataset, facts, counts, "assistant", "Most frequent answers"),
        _top_texts(dataset, facts, counts, "user", "Most frequent questions"),
        *(
            named(name, title, counts.table(name))
            for name, title in (
                ("source", "Sources"), ("task", "Tasks"), ("license", "Licenses"),
                ("split", "Splits of the source"),
            )
        ),
    ]  # fmt: skip
    return out, Used.of(images)


def _count_part(counts: Counts, frame: pl.DataFrame) -> None:
    import polars as pl

    from pairwright.text.texts import n_words, normalised

    for name in ("source", "task", "license", "split"):
        counts.add(name, frame, pl.col(name))
    counts.add("n_images", frame, pl.col("image_ids").list.len().cast(pl.Int64))
    is_answer = pl.element().struct.field("role") == "assistant"
    counts.add("answers", frame, pl.col("messages").list.eval(is_answer).list.sum().cast(pl.Int64))
    turns = frame.select("kept", "messages").explode("messages").unnest("messages")
    turns = turns.with_columns(_without_placeholders("content"))
    for role in ("user", "assistant"):
        mine = turns.filter(pl.col("role") == role)
        counts.add(f"{role}_words", mine, n_words("content"))
        counts.add(f"{role}_texts", mine, normalised("content").hash(0))


def _without_placeholders(column: str) -> pl.Expr:
    import polars as pl

    return pl.col(column).str.replace_all("<image>", " ", literal=True).str.strip_chars()


def _top_texts(
    dataset: Dataset, facts: Facts, counts: Counts, role: str, title: str
) -> dict[str, Any]:
    """The most frequent texts. Hashes are counted, then the texts of a few are looked up."""
    import polars as pl

    from pairwright.text.texts import normalised

    table = counts.table(f"{role}_texts")
    top = table.filter(pl.col("kept") + pl.col("dropped") > 1).head(_TOP)
    missing = set(top["value"].to_list())
    found: dict[int, str] = {}
    parts = sample_parts(dataset, facts, ["messages"]) if missing else iter(())
    for frame, _ in parts:
        texts = frame["messages"].explode().struct.unnest().filter(pl.col("role") == role)
        texts = texts.select(_without_placeholders("content")).with_columns(
            normalised("content").hash(0).alias("key")
        )
        for text, key in texts.filter(pl.col("key").is_in(list(missing))).unique("key").iter_rows():
            found[key] = text
            missing.discard(key)
        if not missing:
            break
    values = [
        {"value": _clip(found.get(key, "")), "kept": kept, "dropped": dropped}
        for key, kept, dropped in top.iter_rows()
    ]
    total = int((table["kept"] + table["dropped"]).sum())
    return {
        "key": "top_answers" if role == "assistant" else "top_questions",
        "title": title,
        "values": values,
        "distinct": table.height,
        "total": total,
        "others": total - sum(v["kept"] + v["dropped"] for v in values),
    }


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LABEL else line[: _LABEL - 1] + "\u2026"


def named(key: str, title: str, table: pl.DataFrame) -> dict[str, Any]:
    """Counts of names; beyond a dozen the rest is one line."""
    rows = [
        {"value": None if value is None else _clip(str(value)), "kept": kept, "dropped": dropped}
        for value, kept, dropped in table.head(_NAMED).iter_rows()
    ]
    rest = table.slice(_NAMED)
    total = int((table["kept"] + table["dropped"]).sum())
    return {
        "key": key,
        "title": title,
        "values": rows,
        "distinct": table.height,
        "total": total,
        "others": int((rest["kept"] + rest["dropped"]).sum()),
    }


def histogram(key: str, title: str, table: pl.DataFrame) -> dict[str, Any]:
    """Counts of whole numbers in bins; the last bin has the longest 1 %."""
    import polars as pl

    out: dict[str, Any] = {"key": key, "title": title, "bins": [], "total": 0}
    table = table.drop_nulls("value").sort("value")
    rows = table["kept"] + table["dropped"]
    total = int(rows.sum())
    if not total:
        return out
    running = rows.cum_sum()

    def quantile(fraction: float) -> int:
        return int(table["value"][int(running.search_sorted(math.ceil(fraction * total)))])

    low, high = int(table["value"][0]), int(table["value"][-1])
    top = max(quantile(0.99), low + 1)
    top = high if high <= top * 1.25 else top
    width = nice_step((top - low + 1) / _MOST_BINS)
    start = low // width * width
    last = start + (top - start) // width * width
    start_of = ((pl.col("value") - start) // width * width + start).clip(start, last)
    binned = (
        table.group_by(start_of.alias("from")).agg(pl.col("kept", "dropped").sum()).sort("from")
    )
    out["bins"] = [
        {"from": a, "to": a + width if a < last or high < last + width else high + 1,
         "kept": k, "dropped": d}
        for a, k, d in binned.iter_rows()
    ]  # fmt: skip
    weighted = int((table["value"] * rows).sum())
    out |= {
        "total": total,
        "width": width,
        "min": low,
        "median": quantile(0.5),
        "p95": quantile(0.95),
        "max": high,
        "mean": round(weighted / total, 2),
    }
    return out


def nice_step(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... that is at least `least`."""
    size = 1
    while True:
        for step in (size, 2 * size, 5 * size):
            if step >= least:
                return step
        size *= 10


def score_distributions(dataset: Dataset, facts: Facts) -> list[dict[str, Any]]:
    """Scores of samples by criterion, from the active runs."""
    import polars as pl

    fate = facts.frame.select(
        pl.col("sample_id").alias("target_id"), (pl.col("step") == KEPT).alias("kept")
    )
    out = []
    for manifest in dataset.active("scores").values():
        scores = (
            dataset.scan(manifest)
            .filter(pl.col("target_kind") == "sample")
            .select("target_id", "rubric", "criterion", "judge", pl.col("score").fill_nan(None))
            .collect()
            .join(fate, on="target_id", how="inner")
        )
        for (rubric, criterion, judge), mine in sorted(
            scores.group_by("rubric", "criterion", "judge"), key=lambda item: item[0]
        ):
            out.append(
                {"run": manifest.ref, "rubric": _clip(str(rubric)), "criterion": _clip(str(criterion)),
                 "judge": _clip(str(judge).rsplit("/", 1)[-1]), **_score_bins(mine)}
            )  # fmt: skip
    return out


def tag_distribution(dataset: Dataset, facts: Facts) -> dict[str, Any] | None:
    """Main task of every sample by the rules of `curate tag`; `None` without tags."""
    import polars as pl

    counts = Counts()
    fate = facts.frame.select("sample_id", (pl.col("step") == KEPT).alias("kept"))
    for manifest in dataset.active("tags").values():
        tags = dataset.scan(manifest).filter("main").select("sample_id", "task").collect()
        counts.add("tags", tags.join(fate, on="sample_id", how="inner"), pl.col("task"))
    table = counts.table("tags")
    return None if table.is_empty() else named("tagged_task", "Tasks by rule", table)


def _score_bins(mine: pl.DataFrame) -> dict[str, Any]:
    import polars as pl

    given = mine.drop_nulls("score").filter(pl.col("score").is_finite())
    out: dict[str, Any] = {"scored": given.height, "without_score": mine.height - given.height}
    out |= {"bins": [], "mean": None, "mean_kept": None, "mean_dropped": None}
    if given.is_empty():
        return out
    low, high = math.floor(given["score"].min()), math.ceil(given["score"].max())  # type: ignore[arg-type]
    width = (max(high, low + 1) - low) / 20
    start_of = ((pl.col("score") - low) / width).floor().clip(0, 19).cast(pl.Int64)
    kept = pl.col("kept")
    binned = given.group_by(start_of.alias("bin")).agg(
        kept.sum().alias("n_kept"), (~kept).sum().alias("n_dropped")
    )
    out["bins"] = [
        {"from": round(low + b * width, 4), "to": round(low + (b + 1) * width, 4), "kept": k,
         "dropped": d}
        for b, k, d in binned.sort("bin").iter_rows()
    ]  # fmt: skip
    for name, frame in (
        ("mean", given),
        ("mean_kept", given.filter(kept)),
        ("mean_dropped", given.filter(~kept)),
    ):
        mean = frame["score"].mean()
        out[name] = None if mean is None else round(float(mean), 4)  # type: ignore[arg-type]
    return out
