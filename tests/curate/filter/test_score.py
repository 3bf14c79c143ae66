"""`curate filter --min-score`: low scores are removed, missing ones are reported."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_dataset import make_dataset

from curate.filter.command import filter_samples
from curate.filter.histogram import histogram
from curate.filter.options import FilterOptions
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from schemas.tables import Decisions


def score_row(sample_id: str, score: float | None, **values: Any) -> dict[str, Any]:
    return {
        "target_id": sample_id, "rubric": "r", "criterion": "accuracy", "judge": "j", "repeat": 0,
        "target_kind": "sample", "score": score, "label_mass": 1.0, "rubric_hash": "x",
        "prompt_hash": "y", **values,
    }  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Six samples: scores 1, 2, 3, 4, one without a score, one never judged."""
    dataset = make_dataset(tmp_path / "data", images=6, questions=1)
    ids = dataset.union("samples").collect()["sample_id"].to_list()
    rows = [score_row(i, float(k + 1)) for k, i in enumerate(ids[:4])]
    rows += [
        score_row(ids[0], 3.0, criterion="style"),
        score_row(ids[3], 4.0, repeat=1, label_mass=0.1),
    ]
    rows += [
        score_row(ids[4], None, error="no verdict"),
        score_row("other", 0.0, target_kind="response"),
    ]
    with dataset.write("scores", "score", step="score", config={}) as writer:
        writer.add(rows)
    return dataset


def run(dataset: Dataset, score: float, **options: Any) -> Any:
    return filter_samples(dataset, FilterOptions(min_score=score, **options), RunOptions())


def kept(dataset: Dataset) -> list[bool]:
    return dataset.read("decisions", "filter")["kept"].to_list()


def test_low_scores_are_removed_and_the_unscored_reported(data):
    outcome = run(data, 2.5)
    assert kept(data) == [False, False, True, True, True, True]
    decisions = data.read("decisions", "filter")
    Decisions.validate(decisions, cast=False)
    assert decisions["reason"].to_list()[:3] == ["score", "score", "kept"]
    assert decisions["similarity"].to_list() == [2.0, 2.0, 3.0, 4.0, None, None]
    assert "6 rows in, 4 kept, 2 removed (33.3 %)" in outcome.message
    assert "2 rows have no score: kept (--unscored)" in outcome.message
    assert outcome.message.endswith("\nnext: `curate select` or `curate report`")
    assert data.current_samples().collect().height == 4


def test_a_criterion_alone(data):
    run(data, 1.5, criterion="accuracy")
    assert kept(data) == [False, True, True, True, True, True]
    with pytest.raises(UsageError, match="--criterion nice: scores/score has accuracy, style"):
        filter_samples(data, FilterOptions(min_score=1, criterion="nice"), RunOptions(run="b"))


def test_unscored_rows_can_be_removed(data):
    run(data, 0.0, unscored="drop")
    assert kept(data) == [True] * 4 + [False] * 2
    assert data.read("decisions", "filter")["reason"].to_list()[4:] == ["no_score"] * 2


def test_scores_without_mass_do_not_count(data):
    ids = data.union("samples").collect()["sample_id"].to_list()
    with data.write("scores", "other", step="score", config={}) as writer:
        writer.add([score_row(ids[0], 0.0, label_mass=0.2), score_row(ids[1], 0.0, label_mass=0.9)])
    outcome = run(data, 1.0, scores="other", min_label_mass=0.5)
    assert kept(data) == [True, False, True, True, True, True]
    assert outcome.summary["filters"]["score"]["measured"] == 1


def test_one_judge_of_several_may_count(data):
    ids = data.union("samples").collect()["sample_id"].to_list()
    with data.write("scores", "two", step="score", config={}) as writer:
        writer.add([score_row(i, 1.0, judge="low") for i in ids])
        writer.add([score_row(i, 4.0, judge="high") for i in ids])
    assert run(data, 3.0, scores="two").summary["kept"] == 0  # the mean is 2.5
    options = FilterOptions(min_score=3.0, scores="two", by="high")
    outcome = filter_samples(data, options, RunOptions(run="by"))
    assert outcome.summary["kept"] == 6
    assert "by high" in outcome.message
    options = FilterOptions(min_score=3.0, scores="two", by="nobody")
    with pytest.raises(UsageError, match="--by nobody: scores/two has high, low"):
        filter_samples(data, options, RunOptions(run="c"))


def test_calibrated_scores_decide_and_raw_ones_are_refused(data):
    ids = data.union("samples").collect()["sample_id"].to_list()
    with data.write("scores", "calibrated", step="score", config={}) as writer:
        writer.add([score_row(i, 4.0, calibrated=0.1 * k) for k, i in enumerate(ids)])
    outcome = run(data, 0.25, scores="calibrated", calibrated=True)
    assert kept(data) == [False, False, False, True, True, True]
    assert "calibrated" in outcome.message
    options = FilterOptions(min_score=0.25, calibrated=True, scores="score")
    with pytest.raises(UsageError, match="--calibrated: 6 of 6 scores of scores/score"):
        filter_samples(data, options, RunOptions(run="c"))


@pytest.mark.parametrize("extra", [{}, {"max_answer_words": 50}])
def test_the_distribution_is_shown_before_anything_is_removed(data, monkeypatch, extra):
    shown = []

    def note(text: str) -> None:
        rows = [m.rows for m in data.runs("decisions")]
        shown.append((text, sum(rows)))

    monkeypatch.setattr("pairwright.commands.progress.say", note)
    run(data, 2.5, **extra)
    assert [rows for text, rows in shown if "2.00" in text or "2 " in text] == [0]
    options = FilterOptions(min_score=2.5, **extra)
    dry = filter_samples(data, options, RunOptions(run="other", dry_run=True))
    assert "score (mean over all criteria, scores/score)" in dry.message


def test_again_there_is_nothing_to_do_and_dry_run_writes_nothing(data):
    options = FilterOptions(min_score=2.5)
    outcome = filter_samples(data, options, RunOptions(dry_run=True))
    assert "dry run, nothing written" in outcome.message
    assert not (data.path / "decisions").exists()
    run(data, 2.5)
    assert "nothing to do" in run(data, 2.5).message


def test_filter_decides_what_dedup_left(data):
    ids = data.union("samples").collect()["sample_id"].to_list()
    with data.write("decisions", "dedup", step="dedup", config={}, rejects=False) as writer:
        writer.add(
            {"sample_id": i, "run": "dedup", "kept": i != ids[3], "reason": "r", "method": "m"}
            for i in ids
        )
    assert run(data, 2.5).summary["rows"] == 5


def test_without_scores_it_says_what_to_run(tmp_path):
    with pytest.raises(UsageError, match="no scores of samples: run `judge score` first"):
        run(make_dataset(tmp_path / "data"), 1.0)


def test_histogram_shows_the_threshold():
    shown = histogram(pl.Series([1.0, 1.1, 2.0, 5.0]), 2.5)
    lines = shown.splitlines()
    assert len(lines) == 11
    assert lines[0].split()[3] == "2"
    assert lines[0].endswith("." * 40)
    assert lines[9].endswith("#" * 20)
    assert histogram(pl.Series([3.0, 3.0]), 2) == "  all 2 values are 3"
    assert histogram(pl.Series([None], dtype=pl.Float64), 2, noun="scores") == "  no scores"
