"""A finished run of an older version is described as one of today."""

from judge.ask.summaries import with_current_keys
from judge.compare.report import describe as describe_comparisons
from judge.probe.report import describe as describe_probes
from judge.rubric.rubric import load_rubric
from judge.score.report import describe as describe_scores


def test_scores():
    older = {
        "targets": 2, "marks": 3, "errors": 0, "low_label_mass": 0,
        "criteria": {"accuracy": {"mean": 4.0, "counts": {"4": 2}}, "marks": {"mean": None}},
        "shown": {"criteria": {"with": {"marks": 1, "mean": 3.0}, "without": None}},
    }  # fmt: skip
    summary = with_current_keys(older)
    assert summary["criteria"] == older["criteria"]
    text = describe_scores(summary, load_rubric("default"))
    assert "3 scores of 2 responses" in text
    assert "1 score with the sample's own criteria in the prompt: mean 3.00" in text


def test_comparisons():
    older = {
        "comparisons": 1, "verdicts": {"quality": {"a": 1}}, "both_orders": 1, "flips": 0,
        "half_flips": 0, "first_place": 0.6, "errors": 0,
        "models": [{"model": "m", "win_share": 0.5, "low": 0.4, "high": 0.6}],
    }  # fmt: skip
    text = describe_comparisons(with_current_keys(older))
    assert "the response shown first gets 60.0 % of the preference" in text
    assert "m  win rate 50.0 %" in text


def test_probes():
    text = describe_probes(with_current_keys({"probes": {"blind": {"marks": 0}}, "worst": []}))
    assert "nothing to compare" in text
