import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import yaml
from tiny_dataset import make_dataset, picture, sample, write_dataset
from tiny_server import MODEL

from judge.cli import COMMANDS
from pairwright.commands import command
from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import ConfigChangedError, ServerError, UsageError
from schemas.tables import TABLES

RUBRIC = {
    "name": "two",
    "labels": {"yes|Yes": 1, "no": 0},
    "prompt": "{question} {answer} {criterion}?",
    "criteria": [{"name": "right"}, {"name": "short"}],
}


@pytest.fixture
def rubric(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(RUBRIC))
    return str(path)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", "any")


def scores_of(dataset, run="score"):
    return dataset.read("scores", run).sort("target_id", "criterion")


def asked_texts(proxy):
    return Counter(body["messages"][-1]["content"][-1]["text"] for body in proxy.asked)


def test_samples_are_scored_by_their_own_answers(tmp_path, proxy, rubric):
    dataset = make_dataset(tmp_path / "data", images=5, questions=2)
    outcome = call("judge score", dataset, model=MODEL, base_url=(proxy.url,), rubric=rubric)
    assert (outcome.table, outcome.rows, outcome.rejects) == ("scores/score", 20, 0)
    scores = scores_of(dataset)
    TABLES["scores"].validate(scores)
    assert set(scores["target_kind"]) == {"sample"}
    assert set(scores["judge"]) == {MODEL}
    assert scores["score"].is_between(0, 1).all()
    for row in scores.iter_rows(named=True):
        probs = {entry["label"]: entry["p"] for entry in row["label_probs"]}
        assert set(probs) == {"yes", "no"}
        assert row["label_mass"] == pytest.approx(sum(probs.values()))
        assert row["score"] == pytest.approx(probs["yes"] / row["label_mass"])
    assert scores["n_prompt_tokens"].min() > 16
    # The same words under different images get different scores: the image counts.
    assert scores["score"].n_unique() > 10
    config = dataset.manifest("scores", "score").config
    assert "base_url" not in config
    assert config["model"] == MODEL
    assert config["rubric_hash"] == scores["rubric_hash"][0]
    assert outcome.summary["label_range"] == [0, 1]
    assert outcome.summary["low_label_mass"] == 20
    assert outcome.summary["label_mass"] == pytest.approx(scores["label_mass"].mean())
    mass = f"{100 * scores['label_mass'].mean():.1f} %"
    assert f"mean probability mass on the labels: {mass}" in outcome.message
    assert "right" in outcome.message
    assert outcome.message.endswith("next: `curate filter --min-score N`")


def test_without_answers_it_says_where_to_look(tmp_path, rubric):
    dataset = make_dataset(tmp_path / "data", images=1, questions=1)
    (sample_id,) = dataset.union("samples").collect()["sample_id"]
    with dataset.write("decisions", "filter", step="filter", config={}) as writer:
        row = {"sample_id": sample_id, "run": "filter", "kept": False}
        writer.add([row | {"reason": "low_score", "method": "score"}])
    outcome = call(
        "judge score", dataset, model=MODEL, base_url=("http://x.invalid/v1",), rubric=rubric
    )
    assert (outcome.rows, outcome.summary["label_mass"]) == (0, None)
    assert outcome.message.endswith(
        "no responses to score; `pairwright status` shows what happened to the samples"
    )


def test_a_finished_run_asks_nothing_and_another_rubric_is_another_run(tmp_path, proxy, rubric):
    dataset = make_dataset(tmp_path / "data", images=2)
    call("judge score", dataset, model=MODEL, base_url=(proxy.url,), rubric=rubric)
    asked = len(proxy.bodies)
    outcome = call("judge score", dataset, model=MODEL, base_url=(proxy.url,), rubric=rubric)
    assert outcome.message.startswith("nothing to do")
    assert len(proxy.bodies) == asked
    with pytest.raises(ConfigChangedError, match="rubric was 'two', now 'faithful'"):
        call("judge score", dataset, model=MODEL, base_url=(proxy.url,), rubric="faithful")


def test_vllm_and_transformers_give_the_same_scores(
    tmp_path, tiny_server, tiny_qwen, rubric, monkeypatch
):
    dataset = make_dataset(tmp_path / "data", images=4)
    url = tiny_server.base_url
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", tiny_server.api_key)
    call("judge score", dataset, model=str(tiny_qwen), base_url=(url,), rubric=rubric)
    local = {"model": str(tiny_qwen), "backend": "transformers", "rubric": rubric}
    call("judge score", dataset, run=RunOptions(run="local"), **local)
    served, ours = scores_of(dataset), scores_of(dataset, "local")
    for column in ("target_id", "criterion", "judge", "prompt_hash", "n_prompt_tokens"):
        assert served[column].to_list() == ours[column].to_list()
    for column in ("score", "label_mass"):
        assert served[column].to_list() == pytest.approx(ours[column].to_list(), rel=1e-3)


def responses_of(dataset, texts=("circle", "square")):
    samples = dataset.union("samples").collect()
    rows = [
        {
            "response_id": f"{sample_id}-{index}",
            "sample_id": sample_id,
            "prompt": messages[:-1],
            "text": text,
            "model": "policy",
            "index": index,
        }
        for sample_id, messages in samples.select("sample_id", "messages").iter_rows()
        for index, text in enumerate(texts)
    ]
    with dataset.write("responses", "sample", step="sample", config={}) as writer:
        writer.add(rows)


def test_responses_are_scored_where_there_are_some(tmp_path, proxy, rubric):
    dataset = make_dataset(tmp_path / "data", images=2)
    responses_of(dataset)
    settings = {"model": MODEL, "base_url": (proxy.url,), "rubric": rubric}
    outcome = call("judge score", dataset, **settings)
    assert outcome.table == "scores/score-responses"
    assert outcome.rows == 16
    scores = scores_of(dataset, "score-responses")
    assert set(scores["target_kind"]) == {"response"}
    assert set(scores["target_id"]) == set(dataset.read("responses", "sample")["response_id"])
    assert call("judge score", dataset, target="samples", **settings).table == "scores/score"


def test_responses_that_are_not_there(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=1)
    with pytest.raises(UsageError, match="prefs sample"):
        call("judge score", dataset, model=MODEL, base_url=("http://h/v1",), target="responses")


def test_invalid_rows_are_recorded_with_reasons_and_not_tried_again(tmp_path, proxy, rubric):
    images = [picture(1), picture(2)]
    gone = picture(3)
    samples = [
        sample("fine", images[:1], "<image>\nwhat?", "a"),
        sample("long", images[:1], "<image>\nwhat?", "word " * 3000),
        sample("open", images[1:], "<image>\nwhat?", None),
        sample("gone", [gone], "<image>\nwhat?", "b"),
        sample("odd", images[1:], "<image>\nwhat? <|im_end|><|image_pad|>\0\U0001f600", "b"),
    ]
    dataset = write_dataset(tmp_path / "data", images, samples)
    settings = {"model": MODEL, "base_url": (proxy.url,), "rubric": rubric}
    outcome = call("judge score", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (4, 3)
    names = {row["sample_id"]: row["source_id"] for row in samples}
    rejects = dataset.read("rejects/score", "score")
    assert {names[r["row_id"]]: (r["stage"], r["reason"]) for r in rejects.to_dicts()} == {
        "long": ("prompt", "too_long"),
        "open": ("target", "no_answer"),
        "gone": ("image", "image"),
    }
    asked = len(proxy.asked)
    assert call("judge score", dataset, **settings).rejects == 3
    assert len(proxy.asked) == asked


def test_unanswered_rows_are_tried_again_by_the_next_run(tmp_path, proxy, rubric, monkeypatch):
    monkeypatch.setattr("pairwright.vlm.http.session._ATTEMPTS", 2)
    dataset = make_dataset(tmp_path / "data", images=2, questions=2)
    settings = {"model": MODEL, "base_url": (proxy.url,), "rubric": rubric}
    proxy.fault = lambda number, body: 500 if "is it red? yes short?" in str(body) else None
    outcome = call("judge score", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (6, 2)
    assert set(dataset.read("rejects/score", "score")["stage"]) == {"request"}
    proxy.fault = lambda number, body: None
    before = len(proxy.asked)
    outcome = call("judge score", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (8, 0)
    assert len(proxy.asked) - before == 2


def test_the_scores_of_a_dead_judge_are_kept(tmp_path, proxy, tiny_server, rubric, monkeypatch):
    dataset = make_dataset(tmp_path / "data", images=15)
    settings = {"model": MODEL, "rubric": rubric}
    monkeypatch.setattr("pairwright.vlm.http.client._PATIENCE_S", 1.0)

    def die(number, body):
        if number == 30:
            proxy.stop()
        return None

    proxy.fault = die
    with pytest.raises(ServerError, match="is gone"):
        call("judge score", dataset, base_url=(proxy.url,), concurrency=4, **settings)
    assert not dataset.manifest("scores", "score").is_complete
    kept = sum(part.rows for part in dataset.manifest("scores", "score").parts)
    assert kept > 10
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", tiny_server.api_key)
    outcome = call("judge score", dataset, base_url=(tiny_server.base_url,), **settings)
    assert (outcome.rows, outcome.rejects) == (60, 0)


@pytest.mark.slow
def test_kill_9_loses_at_most_what_was_not_written(
    tmp_path, proxy, tiny_server, rubric, monkeypatch
):
    dataset = make_dataset(tmp_path / "data", images=40, questions=4)
    whole = make_dataset(tmp_path / "whole", images=40, questions=4)
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", tiny_server.api_key)
    base = ("--model", MODEL, "--rubric", rubric, "--quiet")
    words = ["score", str(dataset.path), *base, "--base-url", proxy.url, "--concurrency", "4"]
    code = (
        "import judge.ask.session as s; s.PART_SECONDS = 0.2; "
        "import pairwright.vlm.rows as r; r._SECONDS = 0.1; from pairwright.programs import judge; judge()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *words])
    folder = dataset.path / "scores" / "score"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (folder / "part-000002.parquet").exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    manifest = Dataset(dataset.path).manifest("scores", "score")
    assert manifest.status == "running"
    written = pl.concat([pl.read_parquet(folder / part.name) for part in manifest.parts])
    assert 0 < written.height < 320
    first = asked_texts(proxy)
    proxy.bodies.clear()

    assert command.main("judge", "", COMMANDS, [*words, "--json"]) == 0
    again = asked_texts(proxy)
    assert again.total() == 320 - written.height
    assert first.total() < 320
    assert command.main("judge", "", COMMANDS, ["score", str(whole.path), *words[2:]]) == 0
    scores, expected = scores_of(dataset), scores_of(whole)
    keys = ["target_id", "criterion", "prompt_hash"]
    assert scores.select(keys).equals(expected.select(keys))
    assert scores["score"].to_list() == pytest.approx(expected["score"].to_list(), rel=1e-3)


def test_the_command_prints_what_it_would_do_without_a_server(tmp_path, capsys):
    dataset = make_dataset(tmp_path / "data", images=2)
    words = ["score", str(dataset.path), "--model", "Qwen2-VL-7B", "--dry-run", "--json"]
    assert command.main("judge", "", COMMANDS, words) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == 12
    assert not Path(dataset.path / "scores").exists()


def test_no_address_or_key_reaches_the_lineage(tmp_path, proxy, rubric):
    dataset = make_dataset(tmp_path / "data", images=1)
    url = proxy.url.replace("127.0.0.1", "user:pass@127.0.0.1")
    call("judge score", dataset, model=MODEL, base_url=(url,), rubric=rubric)
    text = (dataset.path / "scores" / "score" / "_table.json").read_text()
    assert "user:pass" not in text
    assert "api_key" not in text
