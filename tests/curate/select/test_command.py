"""`curate select`: sizes as planned, each row decided once, terms that are off are named."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_dataset import picture, sample, write_dataset

from curate.select.command import select
from curate.select.options import SelectOptions
from curate.select.plan import REST, Plan, Target, canonical_text, read_plan
from curate.select.quotas import allocate
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from schemas.tables import Decisions

TASKS = ("captioning", "counting", "vqa_closed")


def make(path: Path, *, images: int = 12, parts: str = "ets", seed: int = 0) -> Dataset:
    """Three rows per image; embeddings (e), tags (t) and scores (s) on request."""
    contents = [picture(n) for n in range(images)]
    rows = [
        sample(f"{n}-{k}", [content], f"<image>\nquestion {k}", f"answer {n}")
        for n, content in enumerate(contents)
        for k in range(3)
    ]
    data = write_dataset(path, contents, rows)
    names = data.union("samples").select("sample_id", "source_id", "image_ids").collect()
    generator = np.random.default_rng(seed)
    if "e" in parts:
        vectors = generator.standard_normal((images, 8)).astype(np.float32)
        vectors[1] = vectors[0] + 0.01  # nearly equal
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = [names["image_ids"][3 * n][0] for n in range(images)]
        frame = pl.DataFrame({"item_id": ids, "kind": ["image"] * images, "model": ["m"] * images})
        with data.write("embeddings", "m", step="embed", config={"model": "m"}) as writer:
            writer.add(frame.with_columns(vector=pl.Series(vectors).cast(pl.Array(pl.Float16, 8))))
    if "t" in parts:
        with data.write("tags", "tag", step="tag", config={}) as writer:
            writer.add(
                {"sample_id": i, "task": TASKS[int(s[-1])], "run": "tag", "rule": "r", "main": True}
                for i, s in names.select("sample_id", "source_id").iter_rows()
            )
    if "s" in parts:
        base = {
            "rubric": "r", "criterion": "c", "judge": "j", "repeat": 0, "target_kind": "sample",
            "label_mass": 1.0, "rubric_hash": "x", "prompt_hash": "y",
        }  # fmt: skip
        with data.write("scores", "score", step="score", config={}) as writer:
            writer.add(
                {**base, "target_id": i, "score": float(n % 5)}
                for n, i in enumerate(names["sample_id"][:-1])
            )
    return data


def chosen(
    data: Dataset, run: RunOptions | None = None, **options: Any
) -> tuple[pl.DataFrame, str]:
    """Decisions with source ids, and the report."""
    outcome = select(data, SelectOptions(**options), run or RunOptions(replace=True))
    rows = data.read("decisions", "select")
    Decisions.validate(rows, cast=False)
    names = data.union("samples").select("sample_id", "source_id").collect()
    assert rows["sample_id"].to_list() == names["sample_id"].to_list()
    return rows.join(names, on="sample_id", maintain_order="left"), outcome.message


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("method", ["auto", "k-center", "quality", "random"])
def test_the_budget_is_kept_by_every_method(tmp_path, method):
    data = make(tmp_path / "data")
    rows, report = chosen(data, n=9, method=method)
    assert rows["kept"].sum() == 9
    assert set(rows.filter(~pl.col("kept"))["reason"]) == {"not_selected"}
    if method in ("auto", "k-center"):
        images = rows.filter("kept")["source_id"].str.split("-").list.first()
        assert images.n_unique() == 9, "a second row on an image adds nothing"
        assert not {"0", "1"} <= set(images), "of two nearly equal images, one"
        assert rows.filter("kept")["similarity"].is_not_null().all()
    if method == "quality":
        assert rows.filter("kept")["similarity"].min() >= 3.0
        assert "mean score: " in report
    assert data.current_samples().collect().height == 9


def test_scores_count_by_their_weight(tmp_path):
    data = make(tmp_path / "data")
    means = []
    for weight in (0.0, 0.5, 1.0):
        chosen(data, n=8, quality=weight)
        summary = data.manifest("decisions", "select").summary
        means.append(summary["mean_score"]["kept"])
    assert means[0] < means[1] <= means[2]
    assert summary["unscored"] == 1


def test_without_other_runs_the_terms_that_are_off_are_named(tmp_path):
    data = make(tmp_path / "data", parts="")
    rows, report = chosen(data, fraction=0.25)
    assert rows["kept"].sum() == 9
    for term in ("quality (no scores", "diversity (no embeddings", "task coverage (no tags"):
        assert f"off: {term}" in report
    for options, words in (
        ({"method": "k-center"}, "run `curate embed` first"),
        ({"method": "quality"}, "run `judge score` first"),
        ({"balance": "task"}, "run `curate tag` first"),
    ):
        with pytest.raises(UsageError, match=words):
            chosen(data, n=3, **options)
    with pytest.raises(UsageError, match="the number of rows is missing"):
        chosen(data)
    rows, report = chosen(data, n=100)
    assert rows["kept"].all()
    assert "64 fewer than requested: no more rows are available" in report


def test_without_rows_nothing_is_selected(tmp_path):
    data = make(tmp_path / "data")
    dropped = {"run": "dedup", "kept": False, "reason": "exact", "method": "exact"}
    with data.write("decisions", "dedup", step="dedup", config={}, rejects=False) as writer:
        ids = data.union("samples").collect()["sample_id"]
        writer.add({"sample_id": i, **dropped} for i in ids)
    for options in ({"n": 3}, {"fraction": 0.5, "balance": "task"}):
        outcome = select(data, SelectOptions(**options), RunOptions(replace=True))
        assert "0 rows in, 0 selected" in outcome.message


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    data, other = make(tmp_path / "a"), make(tmp_path / "b")
    rows, _ = chosen(data, n=10, balance="task", per_image=1)
    run = other.manifest("samples", "tiny")
    file = other.path / "samples" / "tiny" / run.parts[0].name
    pl.read_parquet(file).sample(fraction=1, shuffle=True, seed=1).write_parquet(file)
    again, _ = chosen(other, n=10, balance="task", per_image=1)
    assert set(rows.filter("kept")["sample_id"]) == set(again.filter("kept")["sample_id"])
    random = [chosen(data, n=10, method="random", seed=k)[0]["kept"].to_list() for k in (0, 0, 1)]
    assert random[0] == random[1] != random[2]


def test_a_plan_gives_sizes_and_names_groups_with_missing_rows(tmp_path):
    data = make(tmp_path / "data")
    plan = write(
        tmp_path / "plan.yaml",
        "n: 20\nby: task\nseed: 3\ngroups:\n  counting: {fraction: 0.75, max: 100}\n  capt*: 3\n",
    )
    rows, report = chosen(data, plan=plan)
    counts = dict(
        rows.filter("kept").group_by(pl.col("method").str.split(":").list.last()).len().iter_rows()
    )
    assert counts == {"counting": 12, "captioning": 3, "vqa_closed": 5}
    assert "3 missing: too few rows" in report
    assert "3 more, in place of rows missing in other groups" in report
    assert set(rows.filter(~pl.col("kept"))["reason"]) == {"quota"}
    plan.write_text(plan.read_text() + "redistribute: false\nrest: drop\n")
    rows, report = chosen(data, plan=plan, n=10)
    assert rows["kept"].sum() == 10, "flags override the plan"
    assert set(rows.filter(~pl.col("kept"))["reason"]) == {"quota", "no_target"}


def test_the_cap_of_an_image_keeps_scarce_tasks(tmp_path):
    data = make(tmp_path / "data")
    plan = write(tmp_path / "p.yaml", "by: task\ngroups: {counting: 60%, captioning: 40%}\n")
    rows, report = chosen(data, plan=plan, n=12, per_image=1)
    per_image = rows.filter("kept").group_by(pl.col("source_id").str.split("-").list.first()).len()
    assert per_image["len"].max() == 1
    assert rows.filter(reason="image_cap").height > 0
    assert "--per-image allows" in report


def test_a_finished_run_is_recognized_and_a_changed_plan_is_refused(tmp_path):
    data = make(tmp_path / "data")
    plan = write(tmp_path / "p.yaml", "n: 5\nby: source\n")
    chosen(data, plan=plan)
    assert chosen(data, RunOptions(), plan=plan)[1].startswith("nothing to do")
    plan.write_text("n: 6\nby: source\n")
    with pytest.raises(UsageError, match="was made differently: plan was"):
        chosen(data, RunOptions(), plan=plan)
    before = data.read("decisions", "select")
    assert "dry run" in select(data, SelectOptions(n=3), RunOptions(dry_run=True)).message
    assert data.read("decisions", "select").equals(before)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grups: {}", "grups: unknown key; did you mean groups"),
        ("by: colour", "by: must be one or a list of task, source"),
        ("groups: {a: 30%}", "by: is missing"),
        ("by: task\ngroups: [a]", "groups: must be a mapping"),
        ("by: task\ngroups: {ocr: many}", "groups.ocr: must be a fraction"),
        ("by: task\ngroups: {ocr: 3x%}", "groups.ocr: must be a percentage"),
        ("by: task\ngroups: {ocr: {fraction: 2}}", "groups.ocr.fraction: must be a fraction"),
        (
            "by: task\ngroups: {ocr: {n: 2, fraction: 10%}}",
            "groups.ocr: must have either n or fraction",
        ),
        ("by: task\ngroups: {ocr: {n: -1}}", "groups.ocr.n: must be a whole number"),
        ("by: task\ngroups: {ocr: {n: 1, mx: 2}}", "groups.ocr.mx: unknown key; did you mean max"),
        ("by: task\ngroups: {a: 60%, b: 60%}", "groups: the fractions add up to 120 %"),
        ("by: task\nrest: keep", "rest: must be take"),
        ("n: many", "n: must be a whole number, got 'many'"),
        ("fraction: 3", "fraction must be above 0"),
        ("method: best", "method: must be one of auto"),
    ],
)
def test_wrong_plans_name_the_key(tmp_path, text, words):
    plan = write(tmp_path / "plan.yaml", text)
    with pytest.raises(UsageError, match=words) as error:
        read_plan(plan)
    assert str(plan) in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 50), st.booleans(), st.integers(0, 40)), max_size=6
    ),
    st.integers(0, 50), st.integers(1, 150), st.booleans(), st.booleans(),
)  # fmt: skip
def test_quotas_never_exceed_what_is_available(groups, others, total, rest, redistribute):
    weight = sum(g[0] for g in groups) or 1.0
    targets = tuple(
        Target(pattern=f"g{n}", n=rows) if fixed else Target(pattern=f"g{n}", fraction=fraction / max(1, weight))
        for n, (fraction, _, fixed, rows) in enumerate(groups)
    )  # fmt: skip
    available = {f"g{n}": g[1] for n, g in enumerate(groups)} | {REST: others}
    plan = Plan(by=("task",), targets=targets, rest=rest, redistribute=redistribute)
    found = allocate(plan, available, total)
    assert sum(q.selected for q in found) <= total
    for quota in found:
        assert 0 <= quota.selected <= quota.available
    if redistribute and rest and not targets:
        assert sum(q.selected for q in found) == min(total, others)
    short = total - sum(q.selected for q in found)
    flexible = [q for q in found if q.name == REST or not groups[int(q.name[1:])][2]]
    if redistribute and short > 1:
        assert all(q.selected >= q.available or q.requested == 0 for q in flexible)


def test_plans_of_older_versions_are_read_and_recognized(tmp_path):
    text = "by: [task, licence]\nn: 7\ngroups:\n  'a/*': {share: 30%, min: 2}\n  'b/*': {n: 3, max: 4}\n"
    plan = read_plan(write(tmp_path / "old.yaml", text))
    assert plan.by == ("task", "license")
    assert plan.targets[0] == Target(pattern="a/*", fraction=0.3, min_rows=2)
    # What version 1 hashed, which was the plan as Python printed it.
    assert canonical_text(plan) == (
        "Plan(by=('task', 'licence'), targets=(Target(pattern='a/*', n=None, share=0.3, least=2, "
        "most=None), Target(pattern='b/*', n=3, share=None, least=0, most=4)), rest=True, "
        "redistribute=True, n=7, fraction=None, per_image=None, quality=None, method=None, seed=None)"
    )
    one = Plan(by=("task",), targets=(Target(pattern="x", n=1),), rest=False)
    assert "targets=(Target(pattern='x', n=1, share=None, least=0, most=None),)" in canonical_text(
        one
    )


@pytest.mark.parametrize("method", ["facility-location", "k-center"])
def test_a_group_without_any_embedding_gets_its_rows(tmp_path, method):
    data = make(tmp_path / "data")
    write_dataset(data.path, [], [sample("t", [], "Why?", "So.")], source="text")
    rows, report = chosen(data, n=4, balance="task", method=method)
    kept = set(rows.filter("kept")["source_id"])
    assert len(kept) == 4
    assert "t" in kept
    assert "1 row without an embedding" in report
