import functools
import itertools

import polars as pl
import pytest
from tiny_dataset import make_dataset, picture, sample, write_dataset
from tiny_server import MODEL

import judge.score.missing
import judge.score.modes
from judge.ask.targets import choose_source, target_batches
from judge.measures.calibration import Calibration, Curve, save_calibration
from judge.rubric.rubric import load_rubric
from pairwright.commands import command
from pairwright.commands.command import call
from pairwright.dataset.manifest import RunKey
from pairwright.errors import UsageError
from pairwright.scores import mean_scores
from schemas.tables import TABLES

CRITERIA = ("right: it is right",)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", "any")


def scores_of(dataset, run="score"):
    return dataset.read("scores", run).sort("target_id", "criterion", "repeat")


def own(samples, **columns):
    """Samples with criteria or a reference of their own."""
    return [
        row | {name: values[i] for name, values in columns.items()} for i, row in enumerate(samples)
    ]


def three(tmp_path):
    images = [picture(n) for n in range(3)]
    samples = [sample(str(n), [images[n]], "<image>\nwhat?", "circle") for n in range(3)]
    columns = {"criteria": ["be {answer} kind", None, " "], "reference": ["a ring", "a dot", None]}
    return write_dataset(tmp_path / "data", images, own(samples, **columns))


def shown(proxy):
    return sorted(body["messages"][0]["content"][-1]["text"] for body in proxy.asked)


def test_own_criteria_and_references_are_shown_and_counted(tmp_path, proxy):
    dataset = three(tmp_path)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": CRITERIA}
    outcome = call("judge score", dataset, **settings)
    texts = "\n".join(shown(proxy))
    assert texts.count("<criteria>\nbe {answer} kind\n</criteria>") == 1
    assert texts.count("<criteria>") == 1
    assert (texts.count("<reference>"), texts.count("a dot")) == (2, 1)
    found = outcome.summary["shown"]
    assert found["criteria"]["with"]["scores"] == 1
    assert found["criteria"]["without"]["scores"] == 2
    assert (found["reference"]["with"]["scores"], found["reference"]["without"]["scores"]) == (2, 1)
    ids = {
        row["source_id"]: row["sample_id"] for row in dataset.union("samples").collect().to_dicts()
    }
    score = dict(scores_of(dataset).select("target_id", "score").iter_rows())
    mean = (score[ids["0"]] + score[ids["1"]]) / 2
    assert found["reference"]["with"]["mean"] == pytest.approx(mean, abs=1e-4)
    assert "2 scores with a reference answer in the prompt" in outcome.message


def test_own_criteria_can_be_hidden_or_demanded(tmp_path, proxy):
    dataset = three(tmp_path)
    settings = {"model": MODEL, "base_url": (proxy.url,)}
    hidden = command.load("pairwright.commands.options:RunOptions")(run="hidden")
    outcome = call(
        "judge score", dataset, run=hidden, use_criteria="never", use_reference="never",
        criteria=CRITERIA, **settings,
    )  # fmt: skip
    assert "<reference>" not in "".join(shown(proxy))
    assert "<criteria>" not in "".join(shown(proxy))
    assert outcome.summary["shown"] == {}
    outcome = call("judge score", dataset, rubric="own-criteria", use_criteria="always", **settings)
    assert (outcome.rows, outcome.rejects) == (1, 2)
    rejects = dataset.read("rejects/score", "score")
    assert set(rejects["reason"]) == {"no_criteria"}
    with pytest.raises(UsageError, match=r"never shows \{criteria\}"):
        call("judge score", dataset, rubric="faithful", use_criteria="always", **settings)


def conversation():
    images = [picture(1), picture(2)]
    row = sample("talk", images, "<image>\nfirst?", "one")
    row["messages"] += [
        {"role": "user", "content": "<image>\nsecond?"},
        {"role": "assistant", "content": "two"},
    ]
    short = sample("short", images[:1], "<image>\nonly?", "three")
    return images, own([row, short], reference=["the last", "r"])


def test_every_turn_of_a_conversation_is_judged_with_the_turns_before(tmp_path, proxy):
    images, samples = conversation()
    dataset = write_dataset(tmp_path / "data", images, samples)
    settings = {"model": MODEL, "base_url": (proxy.url,), "turns": "all"}
    settings["criteria"] = ("right: it is right", "kind: it is kind")
    outcome = call("judge score", dataset, **settings)
    assert outcome.rows == 6
    scores = scores_of(dataset)
    TABLES["scores"].validate(scores)
    ids = {row["sample_id"]: row["source_id"] for row in samples}
    keys = {
        (ids[r["target_id"]], r["criterion"], r["turn"], r["repeat"]) for r in scores.to_dicts()
    }
    talk = {("talk", c, t, t) for c in ("right", "kind") for t in (0, 1)}
    assert keys == talk | {("short", "right", 0, 0), ("short", "kind", 0, 0)}
    bodies = [body["messages"][0]["content"] for body in proxy.asked]
    first = [parts for parts in bodies if "<answer>\none" in parts[-1]["text"]]
    second = [parts for parts in bodies if "<answer>\ntwo" in parts[-1]["text"]]
    assert {sum(p["type"] == "image_url" for p in parts) for parts in first} == {1}
    assert {sum(p["type"] == "image_url" for p in parts) for parts in second} == {2}
    assert "user: (image 1) first?\nassistant: one" in second[0][-1]["text"]
    assert "second" not in first[0][-1]["text"]
    # The reference is about the last answer.
    assert "the last" not in first[0][-1]["text"]
    assert "the last" in second[0][-1]["text"]
    # A reader takes the mean over turns.
    means = dict(
        mean_scores(dataset.scan(dataset.manifest("scores", "score"))).collect().iter_rows()
    )
    talk_id = samples[0]["sample_id"]
    expected = scores.filter(pl.col("target_id") == talk_id)["score"].mean()
    assert means[talk_id] == pytest.approx(expected)


def test_reasons_after_the_score_leave_the_score_as_it_is(tmp_path, proxy):
    dataset = make_dataset(tmp_path / "data", images=2)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": CRITERIA}
    options = command.load("pairwright.commands.options:RunOptions")
    call("judge score", dataset, run=options(run="plain"), **settings)
    proxy.bodies.clear()
    outcome = call("judge score", dataset, rationale="after", **settings)
    plain, scores = scores_of(dataset, "plain"), scores_of(dataset)
    assert scores["score"].to_list() == pytest.approx(plain["score"].to_list(), rel=1e-3)
    assert scores["prompt_hash"].to_list() == plain["prompt_hash"].to_list()
    assert scores["rationale"].null_count() == 0
    assert plain["rationale"].null_count() == 4
    assert outcome.summary["asked"]["requests"] == 8
    whys = [body for body in proxy.asked if "logprobs" not in body]
    said = {row["prompt_hash"]: row["text"] for row in scores.to_dicts()}
    assert len(whys) == 4
    for body in whys:
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert body["messages"][1]["content"] in said.values()
    assert (scores["n_tokens"] > plain["n_tokens"]).all()


def test_a_score_waits_for_reasons_that_were_not_answered(tmp_path, proxy, monkeypatch):
    monkeypatch.setattr("pairwright.vlm.http.session._ATTEMPTS", 2)
    dataset = make_dataset(tmp_path / "data", images=2)
    settings = {
        "model": MODEL,
        "base_url": (proxy.url,),
        "criteria": CRITERIA,
        "rationale": "after",
    }

    def fault(number, body):
        if len(body["messages"]) < 3 or "is it red?" not in str(body):
            return None
        return 500

    proxy.fault = fault
    outcome = call("judge score", dataset, **settings)
    # Unanswered: the next run gets score and reasons.
    assert (outcome.rows, outcome.rejects) == (2, 2)
    proxy.fault = lambda number, body: None
    outcome = call("judge score", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (4, 0)
    assert scores_of(dataset)["rationale"].null_count() == 0


def test_reasons_before_the_score_are_sampled_and_each_repeat_is_a_row(
    tmp_path, proxy, monkeypatch
):
    monkeypatch.setattr(judge.score.modes, "_CHUNK", 3)
    dataset = make_dataset(tmp_path / "data", images=2)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": CRITERIA}
    outcome = call("judge score", dataset, rationale="before", repeats=3, **settings)
    scores = scores_of(dataset)
    assert outcome.rows == 12
    assert (
        scores.group_by("target_id").agg(pl.col("repeat").sort())["repeat"].to_list()
        == [[0, 1, 2]] * 4
    )
    per_target = scores.group_by("target_id").agg(
        pl.col("rationale").n_unique(), pl.col("prompt_hash").n_unique()
    )
    assert set(per_target["rationale"]) == {3}
    reasons = [body for body in proxy.asked if len(body["messages"]) == 1]
    assert len(reasons) == 4
    assert {(b["n"], b["temperature"]) for b in reasons} == {(3, 1.0)}
    assert all("Do not give the mark yet" in str(b["messages"][0]) for b in reasons)
    verdicts = [body for body in proxy.asked if len(body["messages"]) == 3]
    assert len(verdicts) == 12
    assert all(
        b["messages"][-1]["content"][-1]["text"].startswith("Now the mark.") for b in verdicts
    )
    texts = {row["rationale"] for row in scores.to_dicts()}
    assert {b["messages"][1]["content"].strip() for b in verdicts} == texts


def test_repeats_of_an_exact_score_are_refused(tmp_path, proxy):
    dataset = make_dataset(tmp_path / "data", images=1)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": CRITERIA}
    with pytest.raises(UsageError, match="one score is exact"):
        call("judge score", dataset, repeats=4, **settings)


def test_a_calibration_fills_its_column_and_that_of_another_judge_is_refused(tmp_path, proxy):
    dataset = make_dataset(tmp_path / "data", images=2)
    rubric = load_rubric("faithful")

    def calibration(name, judge):
        curve = Curve(
            judge=judge, rubric_hash=rubric.hash, criterion="faithfulness", method="isotonic",
            maps_to="probability", xs=(0.0, 1.0), ys=(0.25, 0.75), n=9,
        )  # fmt: skip
        path = tmp_path / name
        save_calibration(path, Calibration(curves=(curve,), labels="scores/people", fitted_at=""))
        return path

    settings = {"model": MODEL, "base_url": (proxy.url,), "rubric": "faithful"}
    with pytest.raises(UsageError, match="not fitted for judge"):
        call("judge score", dataset, calibration=calibration("other.json", "other"), **settings)
    call("judge score", dataset, calibration=calibration("mine.json", MODEL), **settings)
    scores = scores_of(dataset)
    expected = (0.25 + scores["score"] / 2).to_list()
    assert scores["calibrated"].to_list() == pytest.approx(expected)


def test_targets_come_in_batches_of_bounded_size(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=5, questions=4)
    options = command.load("judge.score.options:ScoreOptions")(model="m")
    source = choose_source(dataset, options)
    frames = list(
        target_batches(dataset, source, for_run=RunKey("score", "scores/score"), limit=None, rows=3)
    )
    assert max(frame.height for frame in frames) <= 3
    ids = [i for frame in frames for i in frame["target_id"]]
    assert len(ids) == len(set(ids)) == 20
    limited = list(
        target_batches(dataset, source, for_run=RunKey("score", "scores/score"), limit=7, rows=3)
    )
    assert [i for frame in limited for i in frame["target_id"]] == ids[:7]


def test_repeats_estimate_probabilities_where_a_server_reports_none(tmp_path, proxy):
    dataset = make_dataset(tmp_path / "data", images=1, questions=1)
    proxy.hides = {"/tokenize"}
    proxy.refuses = lambda body: "logprobs" in body
    proxy.says = lambda body: ["4", "Rating: 5", "4.", "who knows"][: body["n"]]
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": CRITERIA}
    outcome = call("judge score", dataset, repeats=4, **settings)
    [row] = scores_of(dataset).to_dicts()
    # Two of four say 4, one says 5, one says nothing: (2 * 4 + 5) / 3, on three quarters.
    assert row["score"] == pytest.approx(13 / 3)
    assert (row["label_mass"], row["read_from"], row["repeat"]) == (0.75, "text", 0)
    assert "1 score is read from the text of the verdict" in outcome.message


def test_a_run_that_ended_between_two_repeats_asks_for_the_missing_one(
    tmp_path, proxy, monkeypatch
):
    monkeypatch.setattr("pairwright.vlm.http.session._ATTEMPTS", 2)
    dataset = make_dataset(tmp_path / "data", images=1, questions=1)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": CRITERIA}
    settings |= {"rationale": "before", "repeats": 3}
    failed = []

    def fault(number, body):
        if len(body["messages"]) == 3:
            first = failed[0] if failed else body["messages"][1]
            failed.append(first)
            return 500 if body["messages"][1] == first else None
        return None

    proxy.fault = fault
    outcome = call("judge score", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (2, 1)
    before = scores_of(dataset)
    proxy.fault = lambda number, body: None
    outcome = call("judge score", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (3, 0)
    after = scores_of(dataset)
    assert after["repeat"].to_list() == [0, 1, 2]
    assert after.filter(pl.col("repeat").is_in(before["repeat"].to_list())).equals(before)


def test_questions_about_one_image_are_asked_together_also_across_batches(
    tmp_path, proxy, monkeypatch
):
    dataset = make_dataset(tmp_path / "data", images=4, questions=3)
    in_small_batches = functools.partial(target_batches, rows=5)
    monkeypatch.setattr(judge.score.missing, "target_batches", in_small_batches)
    settings = {"model": MODEL, "base_url": (proxy.url,), "criteria": CRITERIA, "concurrency": 1}
    assert call("judge score", dataset, **settings).rows == 12
    seen = [
        part["uuid"]
        for body in proxy.asked
        for part in body["messages"][0]["content"]
        if part["type"] == "image_url"
    ]
    runs = [uuid for uuid, _ in itertools.groupby(seen)]
    # 12 rows in batches of 5: an image is split by a border of batches at most twice.
    assert len(set(seen)) == 4
    assert len(runs) <= 4 + 2
