"""What the demo found, read from its tables and, here only, from the answer key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from pairwright.commands.options import as_config
from pairwright.demo.account import account, judge_quality, read_key
from pairwright.images import ImageReader
from pairwright.text.conversation import question_of, split_answer

if TYPE_CHECKING:
    from pairwright.dataset.store import Dataset
    from pairwright.demo.steps import Loop

_YES_NO = ("yes", "no")


def collect(loop: Loop) -> dict[str, Any]:
    """All metrics of the closing table, as JSON values."""
    key = read_key(loop.key_path)
    found = account(key, _dropped(loop.data))
    policies = [
        {"name": title, "control": control, **_policy(loop.test, run)}
        for title, run, control in loop.evaluated
    ]
    results: dict[str, Any] = {
        "settings": as_config(loop.options),
        "rows_in": found.rows_in,
        "rows_kept": found.rows_kept,
        "good": found.good,
        "good_lost": found.good_lost,
        "faults": [fault._asdict() for fault in found.faults],
        "judge": judge_quality(key, _scores(loop.data)),
        "pairs": _pairs(loop.data, key),
        "policies": policies,
        "test": _test(loop.test),
        "seconds": {**loop.clock.seconds, "all": loop.clock.total},
    }
    results["notes"] = notes(policies)
    return results


def notes(policies: list[dict[str, Any]]) -> list[str]:
    """Sentences that follow from the metrics, whatever they are."""
    by_run = {policy["run"]: policy for policy in policies}
    out = []
    best = by_run["dpo"]
    for run, words in (
        ("before", "the policy as shipped"),
        ("sft", "SFT on the curated rows"),
        ("chosen", "SFT on the chosen responses alone"),
        ("random", "the same training on random pairs"),
    ):
        other = by_run.get(run)
        if other is None:
            continue
        gain = 100 * (best["accuracy"] - other["accuracy"])
        clear = best["low"] > other["high"] or best["high"] < other["low"]
        verdict = "beats" if gain > 0 else "does not beat"
        sure = "the intervals do not overlap" if clear else "the intervals overlap"
        out.append(f"DPO {verdict} {words}: {gain:+.1f} points ({sure}).")
    if "random" not in by_run:
        out.append(
            "Run with --controls to see what random pairs and the chosen responses alone do."
        )
    return out


def _dropped(dataset: Dataset) -> dict[str, set[str]]:
    names = dataset.union("samples").select("sample_id", "source_id")
    out = {}
    for step in ("dedup", "filter"):
        rows = dataset.read("decisions", step).lazy().filter(~pl.col("kept"))
        out[step] = set(rows.join(names, on="sample_id").collect()["source_id"])
    return out


def _answers(dataset: Dataset) -> pl.DataFrame:
    frame = dataset.union("samples").select("sample_id", "source_id", "messages").collect()
    answers = [split_answer(messages)[1] for messages in frame["messages"].to_list()]
    return frame.drop("messages").with_columns(answer=pl.Series(answers, dtype=pl.String))


def _scores(dataset: Dataset) -> pl.DataFrame:
    scores = dataset.read("scores", "score").select("score", sample_id="target_id")
    return scores.join(_answers(dataset), on="sample_id")


def _pairs(dataset: Dataset, key: pl.DataFrame) -> dict[str, Any]:
    pairs = dataset.read("pairs", "best-of-n")
    truth = _answers(dataset).join(key, left_on="source_id", right_on="id")
    joined = pairs.join(truth.select("sample_id", "true_answer"), on="sample_id")
    return {
        "n": pairs.height,
        "chosen_right": (joined["chosen"].str.strip_chars() == joined["true_answer"]).mean() or 0.0,
        "rejected_right": (joined["rejected"].str.strip_chars() == joined["true_answer"]).mean()
        or 0.0,
    }


def _policy(test: Dataset, run: str) -> dict[str, Any]:
    from pairwright.stats import bootstrap_mean

    rows = test.read("predictions", run)
    interval = bootstrap_mean(rows["correct"].to_list(), rows["image_group"].to_list())
    asked = rows.filter(pl.col("reference").is_in(_YES_NO))
    return {
        "run": run,
        "accuracy": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "yes_rate": (asked["text"].str.strip_chars().str.to_lowercase() == "yes").mean() or 0.0,
        "n": rows.height,
    }


def _test(test: Dataset) -> dict[str, Any]:
    rows = test.read("predictions", "before")
    asked = rows.filter(pl.col("reference").is_in(_YES_NO))
    return {
        "n": rows.height,
        "images": rows["image_group"].n_unique(),
        "yes_rate": (asked["reference"] == "yes").mean() or 0.0,
    }


def galleries(loop: Loop, count: int = 8) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Images for the report: duplicates, wrong rows found, good rows lost, pairs."""
    dataset, reader = loop.data, ImageReader(loop.data)
    samples = dataset.union("samples").collect()
    rows = {row["sample_id"]: row for row in samples.iter_rows(named=True)}
    truth = dict(read_key(loop.key_path).select("id", "true_answer").iter_rows())

    def card(ids: list[str], lines: list[tuple[str, str]]) -> dict[str, Any]:
        return {"images": [reader.read(i) for i in ids], "lines": lines}

    def text(row: dict[str, Any]) -> str:
        prompt, answer = split_answer(row["messages"])
        return f"{question_of(prompt)} {answer}"

    duplicates = []
    dropped = dataset.read("decisions", "dedup").filter(~pl.col("kept"))
    for one in dropped.sample(min(count, dropped.height), seed=0).iter_rows(named=True):
        gone, kept = rows[one["sample_id"]], rows[one["kept_id"]]
        lines = [("bad", f"dropped: {text(gone)}"), ("good", f"kept: {text(kept)}")]
        duplicates.append(card([*gone["image_ids"], *kept["image_ids"]], lines))
    found: list[dict[str, Any]] = []
    lost: list[dict[str, Any]] = []
    for one in dataset.read("decisions", "filter").filter(~pl.col("kept")).iter_rows(named=True):
        row = rows[one["sample_id"]]
        answer, right = split_answer(row["messages"])[1], truth[row["source_id"]]
        lines = [("", text(row)), ("soft", f"score {one['similarity']:.2f}; right: {right}")]
        (found if answer != right else lost).append(card(row["image_ids"], lines))
    pairs = []
    table = dataset.read("pairs", "best-of-n")
    for one in table.sample(min(count, table.height), seed=0).iter_rows(named=True):
        lines = [
            ("", question_of(one["prompt"])),
            ("good", f"chosen: {one['chosen']} ({one['chosen_score']:.2f})"),
            ("bad", f"rejected: {one['rejected']} ({one['rejected_score']:.2f})"),
            ("soft", f"right: {truth[rows[one['sample_id']]['source_id']]}"),
        ]
        pairs.append(card(one["image_ids"], lines))
    return [
        ("Duplicates", "A row is dropped only if it matches a kept row.", duplicates),
        ("Wrong answers the judge found", "The first of them.", found[:count]),
        ("Right answers the judge dropped", "Its mistakes, the price of the filter.", lost[:count]),
        ("Preference pairs", "The policy's own answers; the judge chose.", pairs),
    ]
