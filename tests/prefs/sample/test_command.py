import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from tiny_dataset import make_dataset, picture, sample, write_dataset
from tiny_server import ADAPTER, MODEL

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.dataset.ids import stable_id
from pairwright.dataset.store import Dataset
from pairwright.errors import GateError, UsageError
from schemas.tables import TABLES

SAMPLING = {"n": 4, "temperature": 1.0, "max_tokens": 5}


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", "any")


@pytest.fixture
def settings(proxy):
    return {"model": MODEL, "base_url": (proxy.url,), **SAMPLING}


def test_each_distinct_prompt_gets_several_responses_in_one_request(tmp_path, proxy, settings):
    dataset = make_dataset(tmp_path / "data", images=4, questions=2)
    outcome = call("prefs sample", dataset, **settings)
    responses = dataset.read("responses", "sample")
    TABLES["responses"].validate(responses)
    assert len(proxy.asked) == 8
    assert all(body["n"] == 4 for body in proxy.asked)
    sent = {k for body in proxy.asked for k in body}
    assert {"top_p", "top_k", "seed", "temperature"} <= sent
    assert len({body["seed"] for body in proxy.asked}) == 8
    assert outcome.rows == responses.height > 24
    assert responses["sample_id"].n_unique() == 8
    assert responses.group_by("sample_id").agg(pl.col("text").n_unique() == pl.len())["text"].all()
    assert (responses["logprob"] < 0).all()
    assert responses["n_tokens"].is_between(1, 5).all()
    assert outcome.summary["policy"] == {"model": MODEL, "adapter": None}
    assert outcome.summary["duplicates"] == 32 - responses.height
    prompt = responses["prompt"][0].to_list()
    assert [turn["role"] for turn in prompt] == ["user"]
    assert prompt[0]["content"].startswith("<image>")


def test_an_adapter_answers_under_its_own_name(tmp_path, proxy, settings, tiny_lora, tiny_qwen):
    dataset = make_dataset(tmp_path / "data", images=1, questions=1)
    named = tmp_path / ADAPTER
    named.symlink_to(tiny_lora)
    greedy = {**settings, "n": 1, "temperature": 0.0}
    call("prefs sample", dataset, adapter=named, **greedy, run=RunOptions(run="adapted"))
    call("prefs sample", dataset, **greedy)
    adapted, base = dataset.read("responses", "adapted"), dataset.read("responses", "sample")
    assert [body["model"] for body in proxy.asked] == [ADAPTER, MODEL]
    assert adapted["text"][0] != base["text"][0]
    assert dataset.manifest("responses", "adapted").summary["policy"]["adapter"] == str(
        tiny_lora.resolve()
    )


def test_the_same_prompt_is_sent_once(tmp_path, proxy, settings):
    image = picture(1)
    rows = [
        sample("a", [image], "<image>\nwhat?", "red"),
        sample("b", [image], "<image>\nwhat?", "blue"),
        sample("c", [image], "<image>\nwhere?", "here"),
        sample("bad", [], "<image>\nwhere?", "here"),
    ]
    dataset = write_dataset(tmp_path / "data", [image], rows)
    outcome = call("prefs sample", dataset, **settings)
    assert len(proxy.asked) == 2
    assert outcome.rejects == 1
    assert set(dataset.read("responses", "sample")["sample_id"]) == {
        stable_id("tiny", "a", 0),
        stable_id("tiny", "c", 0),
    }


def test_only_questions_with_conflicting_answers(tmp_path, proxy, settings):
    dataset = make_dataset(tmp_path / "data", images=3, questions=1)
    ids = dataset.union("samples").collect()["sample_id"].to_list()
    with pytest.raises(UsageError, match="curate dedup"):
        call("prefs sample", dataset, only_conflicts=True, **settings)
    row = {
        "conflict_id": "c",
        "run": "dedup",
        "group_id": "g",
        "sample_id": ids[0],
        "other_id": ids[2],
        "question": "q",
        "answer": "a",
        "other_answer": "b",
        "similarity": 1.0,
    }
    with dataset.write("conflicts", "dedup", step="dedup", config={}) as writer:
        writer.add([row])
    call("prefs sample", dataset, only_conflicts=True, **settings)
    assert set(dataset.read("responses", "sample")["sample_id"]) == {ids[0], ids[2]}


def test_a_server_that_does_not_sample_is_detected(tmp_path, proxy, settings):
    # What Qwen2-VL's own generation_config makes of a request.
    proxy.rewrite = lambda body: {**body, "top_k": 1}
    dataset = make_dataset(tmp_path / "data", images=20, questions=2)
    with pytest.raises(GateError, match="generation-config vllm"):
        call("prefs sample", dataset, **settings)
    assert len(proxy.asked) <= 40


def _content(body):
    """Parts of the question of one request."""
    return body["messages"][-1]["content"]


def test_killed_and_resumed_no_prompt_is_sent_twice(tmp_path, proxy, settings):
    dataset = make_dataset(tmp_path / "data", images=30, questions=4)
    words = ["sample", str(dataset.path), "--model", MODEL, "--base-url", proxy.url, "--quiet"]
    words += ["-n", "4", "--temperature", "1.0", "--max-tokens", "5", "--concurrency", "4"]
    code = (
        "import prefs.sample.command; prefs.sample.command._PART_SECONDS = 0.2; "
        "import pairwright.vlm.rows as r; r._SECONDS = 0.1; from pairwright.programs import prefs; prefs()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *words])
    folder = dataset.path / "responses" / "sample"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (folder / "part-000001.parquet").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    manifest = Dataset(dataset.path).manifest("responses", "sample")
    written = pl.concat([pl.read_parquet(folder / part.name) for part in manifest.parts])
    done = written["sample_id"].n_unique()
    assert 0 < done < 120
    proxy.bodies.clear()
    call("prefs sample", dataset, **settings)
    asked = {(part[0]["uuid"], part[-1]["text"]) for part in map(_content, proxy.asked)}
    assert len(asked) == 120 - done
    # What was under way at the kill may reach the proxy only now: at most the concurrency.
    assert len(proxy.asked) <= 120 - done + 4
    responses = dataset.read("responses", "sample")
    assert responses["sample_id"].n_unique() == 120
    assert responses["response_id"].n_unique() == responses.height
    assert responses.join(written, on="response_id", how="semi").height == written.height


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "need a temperature above 0"),
        ({"top_p": 0.0}, "--top-p"),
        ({"top_k": 0}, "--top-k"),
        ({"n": 0}, "-n"),
    ],
)
def test_options_that_mean_nothing(tmp_path, options, message):
    dataset = make_dataset(tmp_path / "data", images=1)
    with pytest.raises(UsageError, match=message):
        call("prefs sample", dataset, model=MODEL, base_url=("http://h/v1",), **options)
