"""`curate select`: sizes as planned, every row decided once, terms that are off are named."""

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
from curate.select.plan import REST, Plan, Target, allocate, read_plan
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from schemas.tables import Decisions

TASKS = ("captioning", "counting", "vqa_closed")


def make(path: Path, *, images: int = 12, parts: str = "etm", seed: int = 0) -> Dataset:
    """Three rows an image; embeddings (e), tags (t) and marks (m) as asked for."""
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
        vectors[1] = vectors[0] + 0.01  # near twins
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
    if "m" in parts:
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
        assert not {"0", "1"} <= set(images), "of two images that are nearly the same, one"
        assert rows.filter("kept")["similarity"].is_not_null().all()
    if method == "quality":
        assert rows.filter("kept")["similarity"].min() >= 3.0
        assert "mean mark: " in report
    assert data.current_samples().collect().height == 9


def test_marks_count_by_their_weight(tmp_path):
    data = make(tmp_path / "data")
    means = []
    for weight in (0.0, 0.5, 1.0):
        chosen(data, n=8, quality=weight)
        summary = data.manifest("decisions", "select").summary
        means.append(summary["mean_mark"]["kept"])
    assert means[0] < means[1] <= means[2]
    assert summary["unscored"] == 1


def test_without_anything_it_says_which_terms_are_off(tmp_path):
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
    with pytest.raises(UsageError, match="how many rows"):
        chosen(data)
    rows, report = chosen(data, n=100)
    assert rows["kept"].all()
    assert "64 fewer than wanted: there are no more" in report


def test_where_nothing_is_left_nothing_is_chosen(tmp_path):
    data = make(tmp_path / "data")
    gone = {"run": "dedup", "kept": False, "reason": "exact", "method": "exact"}
    with data.write("decisions", "dedup", step="dedup", config={}, rejects=False) as writer:
        ids = data.union("samples").collect()["sample_id"]
        writer.add({"sample_id": i, **gone} for i in ids)
    for options in ({"n": 3}, {"fraction": 0.5, "balance": "task"}):
        outcome = select(data, SelectOptions(**options), RunOptions(replace=True))
        assert "0 rows in, 0 chosen" in outcome.message


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


def test_a_plan_gives_sizes_and_says_where_rows_are_missing(tmp_path):
    data = make(tmp_path / "data")
    plan = write(
        tmp_path / "plan.yaml",
        "n: 20\nby: task\nseed: 3\ngroups:\n  counting: {share: 0.75, max: 100}\n  capt*: 3\n",
    )
    rows, report = chosen(data, plan=plan)
    counts = dict(
        rows.filter("kept").group_by(pl.col("method").str.split(":").list.last()).len().iter_rows()
    )
    assert counts == {"counting": 12, "captioning": 3, "vqa_closed": 5}
    assert "3 short: too few rows" in report
    assert "3 more, for groups that fell short" in report
    assert set(rows.filter(~pl.col("kept"))["reason"]) == {"quota"}
    plan.write_text(plan.read_text() + "redistribute: false\nrest: drop\n")
    rows, report = chosen(data, plan=plan, n=10)
    assert rows["kept"].sum() == 10, "flags win over the plan"
    assert set(rows.filter(~pl.col("kept"))["reason"]) == {"quota", "no_target"}


def test_the_cap_of_an_image_keeps_scarce_tasks(tmp_path):
    data = make(tmp_path / "data")
    plan = write(tmp_path / "p.yaml", "by: task\ngroups: {counting: 60%, captioning: 40%}\n")
    rows, report = chosen(data, plan=plan, n=12, per_image=1)
    per_image = rows.filter("kept").group_by(pl.col("source_id").str.split("-").list.first()).len()
    assert per_image["len"].max() == 1
    assert rows.filter(reason="image_cap").height > 0
    assert "--per-image allows" in report


def test_a_finished_run_says_so_and_a_changed_plan_is_noticed(tmp_path):
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
        ("groups: {a: 30%}", "by: groups need it"),
        ("by: task\ngroups: [a]", "groups: must be a mapping"),
        ("by: task\ngroups: {ocr: many}", "groups.ocr: must be a share"),
        ("by: task\ngroups: {ocr: 3x%}", "groups.ocr: must be a percentage"),
        ("by: task\ngroups: {ocr: {share: 2}}", "groups.ocr.share: must be a share"),
        ("by: task\ngroups: {ocr: {n: 2, share: 10%}}", "groups.ocr: must have either n or share"),
        ("by: task\ngroups: {ocr: {n: -1}}", "groups.ocr.n: must be a whole number"),
        ("by: task\ngroups: {ocr: {n: 1, mx: 2}}", "groups.ocr.mx: unknown key; did you mean max"),
        ("by: task\ngroups: {a: 60%, b: 60%}", "groups: the shares add up to 120 %"),
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
def test_shares_never_exceed_what_there_is(groups, others, total, rest, redistribute):
    weight = sum(g[0] for g in groups) or 1.0
    targets = tuple(
        Target(pattern=f"g{n}", n=rows) if fixed else Target(pattern=f"g{n}", share=share / max(1, weight))
        for n, (share, _, fixed, rows) in enumerate(groups)
    )  # fmt: skip
    available = {f"g{n}": g[1] for n, g in enumerate(groups)} | {REST: others}
    plan = Plan(by=("task",), targets=targets, rest=rest, redistribute=redistribute)
    found = allocate(plan, available, total)
    assert sum(s.given for s in found) <= total
    for share in found:
        assert 0 <= share.given <= share.available
    if redistribute and rest and not targets:
        assert sum(s.given for s in found) == min(total, others)
    short = total - sum(s.given for s in found)
    flexible = [s for s in found if s.name == REST or not groups[int(s.name[1:])][2]]
    if redistribute and short > 1:
        assert all(s.given >= s.available or s.asked == 0 for s in flexible)
