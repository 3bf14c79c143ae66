import polars as pl
import pytest
from tiny_dataset import make_dataset
from tiny_server import ADAPTER, MODEL

from judge.ask.jury import Disagreement, jury_rows
from judge.jury.options import JuryOptions
from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.errors import UsageError
from pairwright.scores import mean_scores
from schemas.tables import TABLES

FIVE = {"overall": [1.0, 2.0, 3.0, 4.0, 5.0]}


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", "any")


def score_row(target, judge, score, criterion="overall", **fields):
    return {
        "target_id": target,
        "rubric": "r",
        "criterion": criterion,
        "judge": judge,
        "repeat": 0,
        "target_kind": "sample",
        "score": score,
        "rubric_hash": "h",
        "prompt_hash": "p",
        "error": "no_verdict" if score is None else None,
        **fields,
    }


def rows_of(rows, **settings):
    columns = TABLES["scores"].columns()
    frame = pl.DataFrame(
        rows, schema={n: c.dtype for n, c in columns.items() if n in rows[0] or n != "x"}
    )
    found = jury_rows(frame, **{"by": "mean", "values": FIVE, **settings})
    return {row["target_id"]: row for row in found.to_dicts()}


SCORES = [
    score_row("all", "a", 5.0),
    score_row("all", "b", 2.0),
    score_row("all", "c", 2.3),
    score_row("split", "a", 1.0),
    score_row("split", "b", 4.0),
    score_row("split", "c", None),
    score_row("none", "a", None),
    score_row("none", "b", None),
    score_row("none", "c", None),
]


def test_the_mean_the_median_and_the_vote_worked_out_by_hand():
    mean = rows_of(SCORES)
    assert mean["all"]["score"] == pytest.approx(3.1)
    assert mean["split"]["score"] == pytest.approx(2.5)
    # (5 + 2 + 2.3) / 3 = 3.1; deviations 1.9, -1.1, -0.8: sqrt(5.46 / 3) = 1.349
    assert mean["all"]["text"] == "a 5.0; b 2.0; c 2.3 (standard deviation 1.35)"
    assert mean["split"]["text"] == "a 1.0; b 4.0; c no verdict (standard deviation 1.5)"
    assert (mean["none"]["score"], mean["none"]["error"]) == (None, "no_verdict")
    assert mean["split"]["error"] is None
    assert rows_of(SCORES, by="median")["all"]["score"] == 2.3
    vote = rows_of(SCORES, by="vote")
    assert vote["all"]["score"] == 2.0  # two votes for 2, one for 5
    assert vote["split"]["score"] == 2.5  # one vote each for 1 and 4
    assert vote["none"]["score"] is None


def test_weights_count_for_judges_with_a_score():
    weights = {"a": 3.0, "c": 100.0}
    assert rows_of(SCORES, weights=weights)["split"]["score"] == pytest.approx((3 * 1 + 4) / 4)
    assert rows_of(SCORES, by="vote", weights={"a": 3.0})["all"]["score"] == 5.0


def test_disagreement_is_measured_by_hand():
    seen = Disagreement()
    seen.add(pl.DataFrame([score_row("x", "a", 1.0), score_row("x", "b", 1.0)]))
    seen.add(pl.DataFrame([score_row("y", "a", 3.0), score_row("y", "b", 5.0)]))
    # Within: pairs differ by 0 and 2: D_o = (0 + 0 + 4 + 4) / 4 = 2. Over all pairs of the values
    # 1, 1, 3, 5: squares 0, 4, 16, 4, 16, 4 = 44, twice, over 4 * 3: D_e = 88 / 12. alpha = 1 - D_o/D_e
    [found] = seen.metrics()["criteria"].values()
    assert found["alpha"] == pytest.approx(1 - 2 / (88 / 12), abs=1e-4)
    assert found["sd"] == 0.5
    assert found["means"] == {"a": 2.0, "b": 3.0}


def test_two_models_are_combined_and_the_jury_counts_for_them(tmp_path, proxy):
    dataset = make_dataset(tmp_path / "data", images=2)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": ("right: it is right",)}
    outcome = call("judge score", dataset, jury=(ADAPTER,), **settings)
    assert outcome.rows == 12
    scores = dataset.read("scores", "score")
    TABLES["scores"].validate(scores)
    wide = scores.pivot("judge", index="target_id", values="score")
    assert wide["jury"].to_list() == pytest.approx(((wide[MODEL] + wide[ADAPTER]) / 2).to_list())
    assert (wide[MODEL] != wide[ADAPTER]).all()
    read = mean_scores(dataset.scan(dataset.manifest("scores", "score"))).collect()
    assert read.sort("target_id")["score"].to_list() == pytest.approx(
        wide.sort("target_id")["jury"].to_list()
    )
    assert "Krippendorff's alpha" in outcome.message
    assert outcome.summary["scores"] == 8
    asked = len(proxy.asked)
    assert call("judge score", dataset, jury=(ADAPTER,), **settings).rows == 12
    assert len(proxy.asked) == asked


def test_a_judge_without_a_reply_leaves_no_score_of_the_jury(tmp_path, proxy, monkeypatch):
    monkeypatch.setattr("pairwright.vlm.http.session._ATTEMPTS", 2)
    dataset = make_dataset(tmp_path / "data", images=2)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": ("right: it is right",)}
    proxy.fault = lambda number, body: (
        500 if body["model"] == ADAPTER and "is it red?" in str(body) else None
    )
    outcome = call("judge score", dataset, jury=(ADAPTER,), **settings)
    assert (outcome.rows, outcome.summary["jury"]["without_a_full_jury"]) == (8, 2)
    proxy.fault = lambda number, body: None
    before = len(proxy.asked)
    outcome = call("judge score", dataset, jury=(ADAPTER,), **settings)
    assert (outcome.rows, outcome.summary["jury"]["without_a_full_jury"]) == (12, 0)
    assert len(proxy.asked) - before == 2


def write_scores(dataset, run, rows, low, high):
    config = {"label_range": [low, high]}
    with dataset.write("scores", run, step="score", config=config, rejects=False) as writer:
        writer.add(rows)


def test_existing_runs_are_combined_on_one_scale_without_asking(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=1)
    write_scores(dataset, "model", [score_row("x", "m", 5.0), score_row("y", "m", 2.0)], 1, 5)
    human = [score_row("x", "alice", 0.5), score_row("x", "bob", 0.0), score_row("z", "bob", 1.0)]
    write_scores(dataset, "people", human, 0, 1)
    outcome = call("judge jury", dataset, scores=("model", "scores/people"))
    [row] = dataset.read("scores", "jury").to_dicts()
    # alice's 0.5 of 0..1 is 3 of 1..5, bob's 0 is 1
    assert (row["target_id"], row["judge"], row["score"]) == ("x", "jury", 3.0)
    assert row["text"].startswith("alice 3.0; bob 1.0; m 5.0")
    assert outcome.summary["too_few_judges"] == 2
    assert "alice 3.00, bob 3.00, m 3.50" not in outcome.message
    assert "pairwright use scores/jury" in outcome.message
    one = RunOptions(run="weighted")
    call("judge jury", dataset, run=one, scores=("model", "people"), weights=("m=2",))
    assert dataset.read("scores", "weighted")["score"].to_list() == pytest.approx([(10 + 4) / 4])
    repeated = call("judge jury", dataset, scores=("model", "scores/people"))
    assert repeated.message.startswith("nothing to do")


def test_runs_of_one_judge_are_distinguished(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=1)
    write_scores(dataset, "first", [score_row("x", "m", 5.0)], 1, 5)
    write_scores(dataset, "second", [score_row("x", "m", 3.0)], 1, 5)
    call("judge jury", dataset, scores=("first", "second"))
    [row] = dataset.read("scores", "jury").to_dicts()
    assert (row["score"], row["text"]) == (
        4.0,
        "m in first 5.0; m in second 3.0 (standard deviation 1.0)",
    )


ALONE = r"1 judge \(.*name more runs with --scores"


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([score_row("x", "m", 1.0)], {}, ALONE),
        ([score_row("x", "n", 1.0, "tone")], {}, "no criterion is scored by 2 judges"),
        ([score_row("x", "n", 1.0, target_kind="response")], {}, "a jury needs one kind"),
        ([score_row("x", "n", 1.0)], {"weights": ("q=2",)}, "no such judge; there are m, n"),
    ],
)
def test_runs_that_cannot_be_combined(tmp_path, rows, settings, message):
    dataset = make_dataset(tmp_path / "data", images=1)
    write_scores(dataset, "first", [score_row("x", "m", 5.0)], 1, 5)
    write_scores(dataset, "second", rows, 1, 5)
    names = ("first",) if message == ALONE else ("first", "second")
    with pytest.raises(UsageError, match=message):
        call("judge jury", dataset, scores=names, **settings)


@pytest.mark.parametrize("weights", [("m",), ("m=0",), ("m=x",), ("=1",)])
def test_weights_that_are_none(weights):
    with pytest.raises(UsageError, match="JUDGE=NUMBER"):
        JuryOptions(scores=("a",), weights=weights)
