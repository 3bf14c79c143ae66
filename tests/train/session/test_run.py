"""`train sft`, `train dpo`, `train merge` on a tiny model, through the commands' functions."""

import math
from pathlib import Path
from typing import Any

import color_data
import polars as pl
import pytest

from pairwright.commands.command import Outcome, call
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import ConfigChangedError, DataError, UsageError
from pairwright.models import resolve_policy

FAST = {"batch_size": 8, "lr": 5e-3, "warmup_ratio": 0.0, "dropout": 0.0}


def sft(dataset: Dataset, model: Any, run: str = "sft", **options: Any) -> Outcome:
    values = FAST | {"max_steps": 3} | options
    return call("train sft", dataset, run=RunOptions(run=run), model=str(model), **values)


def dpo(dataset: Dataset, run: str = "dpo", limit: int | None = None, **options: Any) -> Outcome:
    values = FAST | {"max_steps": 3, "batch_size": 4} | options
    return call("train dpo", dataset, run=RunOptions(run=run, limit=limit), **values)


def metrics(dataset: Dataset, run: str) -> dict[str, list[float]]:
    frame = dataset.read("runs", run).sort("step")
    return {
        name: frame.filter(pl.col("name") == name)["value"].to_list()
        for name in frame["name"].unique()
    }


def evaluate(dataset: Dataset, model: Any, run: str, **options: Any) -> dict[str, Any]:
    exact = options.get("task", "exact-match") == "exact-match"
    values = ({"generate_max_tokens": 8} if exact else {}) | options
    outcome = call("train eval", dataset, run=RunOptions(run=run), model=str(model), **values)
    return outcome.summary


def logps(dataset: Dataset, model: Any, run: str = "best-of-n") -> list[tuple[float, int]]:
    """Log-probabilities of the chosen responses, by another path than the trainers'."""
    from train.batch.encode import Encoder
    from train.batch.images import ImageBank
    from train.batch.rows import pair_rows, pick_pairs
    from train.evaluate.model import EvaluatedModel
    from train.model.loading import load_for_inference

    processor, loaded = load_for_inference(resolve_policy(dataset, str(model)), "fp32")
    encoder = Encoder(processor, ImageBank(dataset, processor))
    rows = pair_rows(dataset, pick_pairs(dataset, run), ("chosen",), None)
    tokens = [
        encoder.encode(encoder.answers(r.conversations[0], last_only=True), r.image_ids)
        for r in rows
    ]
    return EvaluatedModel(loaded, encoder, rows[0].image_ids).logps(tokens)


def test_sft_memorises_and_merges(make: color_data.Maker, tiny_qwen: Path) -> None:
    dataset = make.colors()
    outcome = sft(dataset, tiny_qwen, max_steps=40, rank=32)
    loss = metrics(dataset, "sft")["loss"]
    assert loss[-1] < 0.1 < loss[0]
    assert outcome.rows == 8
    assert outcome.summary["trainable_parameters"] == 131_072
    assert outcome.summary["total_parameters"] > 500_000
    folder = dataset.path / "runs" / "sft"
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["adapter"]

    before = evaluate(dataset, tiny_qwen, "before")
    after = evaluate(dataset, "runs/sft", "after", split="train")
    assert (after["accuracy"], after["accuracy_low"], after["accuracy_high"]) == (1.0, 1.0, 1.0)
    assert (after["n"], after["n_groups"]) == (8, 8)
    assert before["accuracy"] < 1

    merged = make.folder / "merged"
    call("train merge", dataset, out=merged)
    assert evaluate(dataset, merged, "merged")["accuracy"] == 1.0
    assert_same_logits(tiny_qwen, folder / "adapter", merged, dataset)
    with pytest.raises(UsageError, match="exists"):
        call("train merge", dataset, out=merged)


def assert_same_logits(base: Path, adapter: Path, merged: Path, dataset: Dataset) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(merged)
    content = dataset.union("images").collect()["bytes"][0]
    from pairwright.images import open_image

    text = "<|vision_start|><|image_pad|><|vision_end|>color?"
    batch = processor(images=[open_image(content)], text=[text], return_tensors="pt")
    with torch.no_grad():
        alone = AutoModelForImageTextToText.from_pretrained(merged)(**batch).logits
        plain = AutoModelForImageTextToText.from_pretrained(base)
        bare = plain(**batch).logits
        layered = PeftModel.from_pretrained(plain, adapter)(**batch).logits
    assert torch.allclose(alone, layered, atol=1e-4)
    assert not torch.allclose(alone, bare, atol=1e-2)


def test_frozen_vision_changes_nothing(
    make: color_data.Maker, tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.batch.vision import FrozenVision

    dataset = make.colors()
    sft(dataset, tiny_qwen, "shared")
    dpo(dataset, "shared-dpo", model=str(tiny_qwen))
    monkeypatch.setattr(FrozenVision, "make", classmethod(lambda *_: None))
    sft(dataset, tiny_qwen, "plain")
    dpo(dataset, "plain-dpo", model=str(tiny_qwen))
    for a, b in (("shared", "plain"), ("shared-dpo", "plain-dpo")):
        assert metrics(dataset, a)["loss"] == pytest.approx(metrics(dataset, b)["loss"], rel=1e-5)


def test_vision_is_left_alone_unless_asked(make: color_data.Maker, tiny_qwen: Path) -> None:
    from safetensors import safe_open

    dataset = make.colors()
    sft(dataset, tiny_qwen, "language", max_steps=1)
    sft(dataset, tiny_qwen, "all", max_steps=1, target=("all-linear",))
    sft(dataset, tiny_qwen, "some", max_steps=1, target=("connector", "q_proj"))
    found = {}
    for run in ("language", "all", "some"):
        path = dataset.path / "runs" / run / "adapter" / "adapter_model.safetensors"
        with safe_open(str(path), "pt") as file:
            found[run] = set(file.keys())
    assert not any("visual" in name or "lm_head" in name for name in found["language"])
    assert any("visual.blocks" in name for name in found["all"])
    assert {"visual.merger", "language_model"} == {
        part
        for part in ("visual.merger", "visual.blocks", "language_model")
        if any(part in name for name in found["some"])
    }
    with pytest.raises(UsageError, match="no linear layer of that name"):
        sft(dataset, tiny_qwen, "wrong", target=("qkvproj",))


def test_dpo_starts_at_ln2_and_lifts_the_chosen(make: color_data.Maker, tiny_qwen: Path) -> None:
    dataset = make.colors()
    dpo(dataset, model=str(tiny_qwen), loss=("sigmoid",), batch_size=8, max_steps=6)
    seen = metrics(dataset, "dpo")
    assert seen["loss"][0] == pytest.approx(math.log(2), abs=1e-6)
    assert seen["loss"][-1] < 0.6
    assert seen["chosen_logratio"][0] == 0
    assert seen["rewards/accuracies"][-1] == 1
    expected = [sum(x[0] for x in logps(dataset, tiny_qwen)) / 8]
    assert seen["logps/chosen"][:1] == pytest.approx(expected, rel=1e-4)

    dpo(dataset, "both", model=str(tiny_qwen), batch_size=8, max_steps=6)
    both = metrics(dataset, "both")
    tokens = logps(dataset, tiny_qwen)
    nll = -sum(p for p, _ in tokens) / sum(n for _, n in tokens)
    assert both["loss"][0] == pytest.approx(math.log(2) + nll, rel=1e-4)
    assert both["chosen_logratio"][-1] > 0.5
    assert evaluate(dataset, "runs/both", "order", task="preference")["accuracy"] == 1.0


def test_dpo_goes_on_from_an_adapter_with_that_as_reference(
    make: color_data.Maker, tiny_qwen: Path
) -> None:
    dataset = make.colors()
    sft(dataset, tiny_qwen, max_steps=4)
    dpo(dataset, "go-on", model="runs/sft", loss=("sigmoid",), batch_size=8)
    seen = metrics(dataset, "go-on")
    # The trainers' first log-probabilities are the trained policy's, and so are the reference's.
    expected = sum(p for p, _ in logps(dataset, "runs/sft")) / 8
    base = sum(p for p, _ in logps(dataset, tiny_qwen)) / 8
    assert abs(expected - base) > 0.5
    assert seen["logps/chosen"][0] == pytest.approx(expected, rel=1e-4)
    assert seen["loss"][0] == pytest.approx(math.log(2), abs=1e-6)
    assert seen["chosen_logratio"][0] == pytest.approx(0, abs=1e-5)
    policy = resolve_policy(dataset, "runs/go-on")
    assert policy.model == str(tiny_qwen)
    made = sorted(p.name for p in (dataset.path / "runs/go-on/adapter").iterdir() if p.is_dir())
    assert made == [], "TRL's frozen copy stays out of what is saved"
    # One adapter on the original base holds both trainings.
    moved = sum(p for p, _ in logps(dataset, "runs/go-on")) / 8
    assert abs(moved - expected) > 1e-3


@pytest.mark.parametrize("start", ["base", "adapter"])
def test_all_weights(make: color_data.Maker, tiny_qwen: Path, tiny_lora: Path, start: str) -> None:
    dataset = make.colors()
    adapter = {} if start == "base" else {"adapter": tiny_lora}
    full = {"peft": "none", "dropout": None, "lr": 1e-3, "model": str(tiny_qwen)} | adapter
    sft(dataset, full.pop("model"), "sft-full", **full, max_steps=5)
    loss = metrics(dataset, "sft-full")["loss"]
    assert loss[-1] < loss[0]
    policy = resolve_policy(dataset, "runs/sft-full")
    assert policy.adapter is None
    assert Path(policy.model).name == "model"
    dpo(dataset, "dpo-full", model=str(tiny_qwen), loss=("sigmoid",), **full)
    seen = metrics(dataset, "dpo-full")
    assert seen["loss"][0] == pytest.approx(math.log(2), abs=1e-6)
    assert seen["chosen_logratio"][-1] != 0


def test_qlora_on_the_cpu(make: color_data.Maker, tiny_qwen: Path) -> None:
    pytest.importorskip("bitsandbytes")
    dataset = make.colors()
    outcome = sft(dataset, tiny_qwen, max_steps=40, rank=32, peft="qlora")
    loss = metrics(dataset, "sft")["loss"]
    assert all(math.isfinite(value) for value in loss)
    assert loss[-1] < 0.2
    assert outcome.summary["total_parameters"] > 500_000, "counted before quantisation"
    merged = make.folder / "merged"
    call("train merge", dataset, out=merged)
    assert_same_logits(tiny_qwen, dataset.path / "runs/sft/adapter", merged, dataset)
    assert evaluate(dataset, merged, "merged")["accuracy"] == 1.0
    dpo(dataset, model=str(tiny_qwen), peft="qlora", loss=("sigmoid",))
    assert metrics(dataset, "dpo")["loss"][0] == pytest.approx(math.log(2), abs=1e-3)


def test_rows_are_rejected_not_cut(make: color_data.Maker, tiny_qwen: Path) -> None:
    dataset = make.colors()
    images = dataset.union("images").collect()["image_id"].to_list()
    color_data.write_images(dataset, [color_data.png((1, 2, 3))], "more")
    more = dataset.read("images", "more")
    broken = more.with_columns(
        image_id=pl.lit("e" * 64), bytes=pl.lit(b"\x89PNG no image", dtype=pl.Binary)
    )
    with dataset.write("images", "broken", step="ingest", config={}) as writer:
        writer.add(broken)
    ask, answer = color_data.user("<image>\ncolor?"), color_data.assistant("red")
    rows = [
        {"image_ids": ["f" * 64], "messages": [ask, answer]},
        {"image_ids": ["e" * 64], "messages": [ask, answer]},
        {"image_ids": images[:1], "messages": [ask, color_data.assistant("red " * 50)]},
        {"image_ids": images[:1], "messages": [ask]},
        {"image_ids": [], "messages": [color_data.user("<|image_pad|>"), answer]},
    ]
    color_data.write_samples(dataset, [{"sample_id": f"x{n}"} | r for n, r in enumerate(rows)], "x")
    outcome = sft(dataset, tiny_qwen, max_length=40, max_steps=1)
    assert outcome.rows == 8
    assert outcome.rejects == 4
    assert outcome.summary["n_too_long"] == 1
    assert outcome.summary["n_unanswered"] == 1
    assert outcome.summary["longest"] <= 40
    rejects = dataset.read("rejects/sft", "sft")
    found = dict(zip(rejects["row_id"], rejects["reason"], strict=True))
    assert found == {
        "x0": "missing_image",
        "x1": "not_an_image",
        "x2": "too_long",
        "x4": "image_placeholders",
    }
    with pytest.raises(DataError, match="8 too_long"):
        dpo(dataset, model=str(tiny_qwen), max_length=10)


def test_same_command_again_does_nothing_and_another_is_refused(
    make: color_data.Maker, tiny_qwen: Path
) -> None:
    dataset = make.colors()
    first = sft(dataset, tiny_qwen, max_steps=1)
    again = sft(dataset, tiny_qwen, max_steps=1)
    assert "nothing to do" in again.message
    assert again.summary == first.summary
    with pytest.raises(ConfigChangedError, match="max_steps was 1, now 2"):
        sft(dataset, tiny_qwen, max_steps=2)


def record_as_before(dataset: Dataset, table: str, added: dict[str, Any]) -> None:
    """Add to a run's configuration what older versions recorded of what was not chosen."""
    kind, _, run = table.rpartition("/")
    manifest = dataset.manifest(kind, run)
    assert manifest is not None
    assert not added.keys() & manifest.config.keys()
    manifest.config |= added
    manifest.save(dataset.path / kind / run)


def test_runs_that_recorded_all_options_stay_finished(
    make: color_data.Maker, tiny_qwen: Path
) -> None:
    dataset = make.colors()
    options = {"pairs": "best-of-n", "model": str(tiny_qwen), "max_steps": 1}
    dpo(dataset, **options)
    for table in ("runs/dpo", "rejects/dpo/dpo"):
        record_as_before(dataset, table, {"label_smoothing": 0.0})
    assert "nothing to do" in dpo(dataset, **options).message
    with pytest.raises(
        ConfigChangedError, match=r"loss was \['sigmoid', 'sft'\], now \['robust'\]"
    ):
        dpo(dataset, **options, loss=("robust",))
    words: dict[str, Any] = {"model": str(tiny_qwen), "task": "preference", "pairs": "best-of-n"}
    call("train eval", dataset, run=RunOptions(), **words)
    for table in ("predictions/eval", "rejects/eval/eval"):
        record_as_before(dataset, table, {"split": None, "generate_max_tokens": 32})
    assert "nothing to do" in call("train eval", dataset, run=RunOptions(), **words).message
    killed = dataset.manifest("predictions", "eval")
    assert killed is not None
    killed.status = "running"
    killed.save(dataset.path / "predictions" / "eval")
    outcome = call("train eval", dataset, run=RunOptions(), **words)
    assert "nothing to do" not in outcome.message
    assert outcome.rows == killed.rows
    resumed = dataset.manifest("predictions", "eval")
    assert resumed is not None
    assert resumed.is_complete
    assert "split" not in resumed.config


def test_active_pairs_name_the_policy(make: color_data.Maker, tiny_qwen: Path) -> None:
    dataset = make.colors()
    images = dataset.union("images").collect()["image_id"].to_list()
    row = {
        "image_ids": images[:1],
        "prompt": [color_data.user("<image>\ncolor?")],
        "chosen": "red",
        "rejected": "blue",
    }
    with pytest.raises(UsageError, match="--model"):
        dpo(dataset)
    color_data.write_pairs(dataset, [row | {"policy": str(tiny_qwen)}], "named", "build-control")
    same = {**row, "rejected": "red", "policy": "x"}
    color_data.write_pairs(dataset, [row | {"policy": "a"}, same], "two", "build-control")
    outcome = dpo(dataset, "named", pairs="named", max_steps=1)
    assert outcome.summary["base_model"] == str(tiny_qwen)
    assert outcome.summary["pairs"] == "named"
    with pytest.raises(UsageError, match=r"several models \(a, x\)"):
        dpo(dataset, "two", pairs="two")
    outcome = dpo(dataset, "two", pairs="two", model=str(tiny_qwen), max_steps=1)
    assert (outcome.rows, outcome.rejects) == (1, 1)
    assert dataset.read("rejects/dpo", "two")["reason"].to_list() == ["identical_responses"]
    control = sft(dataset, tiny_qwen, "chosen", pairs="best-of-n", max_steps=1)
    assert (control.rows, control.summary["on"]) == (8, "chosen")


def test_falling_chosen_responses_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    from train.session.hooks import ChosenWatch, fallen

    steps = range(40)
    assert fallen([0.01 * step for step in steps]) is None
    assert fallen([-0.6 if step % 2 else 0.6 for step in steps]) is None
    assert fallen([]) is None
    falling = [-0.1 * step for step in steps]
    assert fallen(falling) == pytest.approx(3.45)
    watch = ChosenWatch()
    for value in falling:
        watch.add(value)
    assert capsys.readouterr().err.count("warning") == 1
