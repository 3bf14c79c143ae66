from collections import Counter

import polars as pl
import pytest
import yaml
from tiny_dataset import make_dataset, picture, sample, write_dataset
from tiny_server import MODEL

from judge.probe.changes import changed, injections
from judge.probe.report import compared, summarise
from judge.rubric.render import Target
from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.errors import UsageError
from schemas.tables import TABLES

RUBRIC = {
    "name": "three",
    "labels": {"1": 1, "2": 2, "3": 3},
    "prompt": "<question>\n{question}\n</question>\n<answer>\n{answer}\n</answer>\n{reply}",
    "criteria": [{"name": "right"}],
}
N = len(injections())


@pytest.fixture
def rubric(tmp_path):
    path = tmp_path / "three.yaml"
    path.write_text(yaml.safe_dump(RUBRIC))
    return str(path)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", "any")


def row(target, probe, probs):
    mean = sum((n + 1) * p for n, p in enumerate(probs)) / sum(probs)
    probs_of = [{"label": str(n + 1), "p": p} for n, p in enumerate(probs)]
    return {"target_id": target, "criterion": "right", "probe": probe, "score": mean,
            "label_probs": probs_of}  # fmt: skip


def test_metrics_by_hand():
    rows = pl.DataFrame(
        [
            row("a", "clean", (0.6, 0.2, 0.2)),  # 1.6, most likely 1
            row("a", "inject:x", (0.1, 0.1, 0.8)),  # 2.7, to the top
            row("a", "inject:y", (0.5, 0.3, 0.2)),  # 1.7, no flip
            row("a", "blind", (0.6, 0.2, 0.2)),
            row("b", "clean", (0.0, 0.0, 1.0)),  # 3.0, on top already
            row("b", "inject:x", (0.0, 0.6, 0.4)),  # 2.4, flipped but not raised
            row("b", "inject:y", (0.0, 0.0, 0.5)),  # 3.0
            row("b", "blind", (0.0, 1.0, 0.0)),  # 2.0
            row("c", "inject:x", (1.0, 0.0, 0.0)),  # no clean score: compared with nothing
        ]
    )
    images = pl.DataFrame({"target_id": ["a", "b", "c"], "image": ["i", "j", "j"]})
    pairs = compared(rows, images, {"right": {"1": 1.0, "2": 2.0, "3": 3.0}})
    names = ["clean", "blind", "other_image", "inject:x", "inject:y"]
    summary = summarise(pairs, names)
    found = summary["probes"]
    x, both = found["inject:x"], found["inject"]
    assert (x["scores"], x["flip_rate"][0], x["raised"][0], x["topped"][0]) == (2, 1, 0.5, 0.5)
    assert x["rise"][0] == pytest.approx((1.1 - 0.6) / 2)
    assert (both["scores"], both["flip_rate"][0], both["topped"][0]) == (4, 0.5, 0.25)
    assert both["rise"][0] == pytest.approx((1.1 + 0.1 - 0.6 + 0) / 4)
    # Two images: the mean of either alone bounds the resampled means.
    assert both["rise"][1:] == pytest.approx([-0.3, 0.6])
    assert found["blind"]["flip_rate"][0] == 0.5
    assert found["blind"]["correlation"] == pytest.approx(1.0)
    assert found["other_image"] == {"scores": 0}
    assert [w["probe"] for w in summary["worst"]] == ["inject:x", "inject:x"]
    assert summary["worst"][0]["target_id"] == "a"


def test_changes_of_a_response():
    target = Target(
        target_id="t", image_ids=("i1",), answer="red",
        prompt=[{"role": "user", "content": "<image>\nwhat is \\<image>?"}],
    )  # fmt: skip
    every = ("blind", "other_image", "padded", "injections")
    made = dict(changed(target, every, injections(), "5", ["i1", "i2", "i3"], 0))
    assert len(made) == 4 + N
    assert made["clean"] == target
    assert made["blind"].image_ids == ()
    assert made["blind"].prompt[0]["content"] == "what is \\<image>?"
    assert made["other_image"].image_ids in (("i2",), ("i3",))
    assert made["other_image"].prompt == target.prompt
    assert made["padded"].answer.startswith("red ")
    assert made["inject:ignore"].answer.startswith("red\nIgnore")
    assert made["inject:ignore-start"].answer.endswith("\nred")
    assert made["inject:in-question"].answer == "red"
    assert made["inject:in-question"].prompt[0]["content"].startswith("<image>\nwhat is")
    assert target.prompt[0]["content"] == "<image>\nwhat is \\<image>?"
    for name, one in made.items():
        if name.startswith("inject:"):
            whole = one.answer + one.prompt[0]["content"]
            assert "5" in whole
            assert "{best}" not in whole
    same = dict(changed(target, every, injections(), "5", ["i1", "i2", "i3"], 0))
    assert same == made
    alone = dict(changed(target, every, injections(), "5", ["i1"], 0))
    assert "other_image" not in alone


def test_a_judge_is_probed(tmp_path, proxy, rubric):
    dataset = make_dataset(tmp_path / "data", images=3)
    settings = {"model": MODEL, "base_url": (proxy.url,), "rubric": rubric}
    outcome = call("judge probe", dataset, **settings)
    versions = 4 + N
    assert (outcome.table, outcome.rows, outcome.rejects) == ("probes/probe", 6 * versions, 0)
    rows = dataset.read("probes", "probe")
    TABLES["probes"].validate(rows)
    assert set(Counter(rows["probe"]).values()) == {6}
    images = Counter(
        sum(part["type"] == "image_url" for part in body["messages"][-1]["content"])
        if isinstance(body["messages"][-1]["content"], list) else 0
        for body in proxy.asked
    )  # fmt: skip
    assert images == {0: 6, 1: 6 * (versions - 1)}
    # Whatever an injection contains, the tags of the rubric are closed once and no turn is ended.
    for body in proxy.asked:
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[-1]["text"]
        assert text.count("</answer>") == text.count("</question>") == 1
        assert "<|im_end|>" not in text
    clean = rows.filter(pl.col("probe") == "clean").sort("target_id")
    call("judge score", dataset, target="samples", **settings)
    scores = dataset.read("scores", "score").sort("target_id")
    assert clean["prompt_hash"].to_list() == scores["prompt_hash"].to_list()
    assert clean["score"].to_list() == pytest.approx(scores["score"].to_list(), rel=1e-4)
    # The flip rate, counted again in another way.
    likeliest = {
        (r["target_id"], r["probe"]): max(r["label_probs"], key=lambda e: e["p"])["label"]
        for r in rows.iter_rows(named=True)
    }
    flips = [
        label != likeliest[target, "clean"]
        for (target, name), label in likeliest.items() if name.startswith("inject:")
    ]  # fmt: skip
    found = outcome.summary["probes"]["inject"]
    assert found["flip_rate"][0] == pytest.approx(sum(flips) / len(flips), abs=1e-5)
    asked = len(proxy.asked)
    assert call("judge probe", dataset, **settings).message.startswith("nothing to do")
    assert len(proxy.asked) == asked
    never = call("judge probe", dataset, max_flip_rate=0.0, **settings)
    assert (never.gate_failed is not None) == any(flips)
    assert call("judge probe", dataset, max_flip_rate=1.0, **settings).gate_failed is None


def test_a_sample_without_image_and_a_lost_run(tmp_path, proxy, rubric):
    content = picture(1)
    dataset = write_dataset(
        tmp_path / "data", [content],
        [sample("one", [content], "<image>\nwhat?", "a"), sample("none", [], "what?", "b")],
    )  # fmt: skip
    settings = {"model": MODEL, "base_url": (proxy.url,), "rubric": rubric}
    settings["probes"] = ("blind", "other_image")
    proxy.fault = lambda number, body: 400 if number == 1 else None
    outcome = call("judge probe", dataset, run=RunOptions(max_rejects=1.0), **settings)
    assert outcome.rows + outcome.rejects == 3
    assert outcome.rejects == 1
    assert outcome.summary["probes"]["other_image"] == {"scores": 0}


def test_options_that_mean_nothing(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=1)
    with pytest.raises(UsageError, match="about injections"):
        call("judge probe", dataset, model=MODEL, probes=("blind",), max_flip_rate=0.1)
    with pytest.raises(UsageError, match="fraction between"):
        call("judge probe", dataset, model=MODEL, max_flip_rate=2.0)
