"""Other model families train too, and the short cuts give what the processor itself gives."""

from pathlib import Path
from typing import Any

import color_data
import other_models
import pytest

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from train.batch.encode import Encoder
from train.model.parts import PARTS, part_of, target_modules, unquantized_modules

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("torch")]


@pytest.fixture(scope="module", params=sorted(other_models.MAKERS))
def family(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(0)
    return other_models.MAKERS[request.param](tmp_path_factory.mktemp("models") / request.param)


def mixed(make: color_data.Maker) -> Dataset:
    """Images of several sizes; no image, one or two a row."""
    dataset = Dataset.create(make.folder / "mixed")
    sizes = [(32, 32), (64, 32), (40, 56), (61, 23)]
    colors = list(color_data.COLORS.values())
    pictures = [color_data.png(colors[k], size) for k, size in enumerate(sizes)]
    images = color_data.write_images(dataset, pictures)
    ask, two = color_data.user("<image>\ncolor?"), color_data.user("<image> or <image>?")
    names = list(color_data.COLORS)
    rows = [
        {"image_ids": [image], "messages": [ask, color_data.assistant(names[k])]}
        for k, image in enumerate(images)
    ]
    rows.append({"image_ids": images[1:3], "messages": [two, color_data.assistant("red")]})
    rows.append({"image_ids": [], "messages": [color_data.user("hi"), color_data.assistant("no")]})
    color_data.write_samples(dataset, rows)
    color_data.write_pairs(
        dataset,
        [
            {
                "image_ids": row["image_ids"],
                "prompt": row["messages"][:1],
                "chosen": row["messages"][1]["content"],
                "rejected": "pink",
            }
            for row in rows
        ],
    )
    return dataset


def losses(dataset: Dataset, step: str, family: Path, run: str, **options: Any) -> list[float]:
    values = {"lr": 5e-3, "batch_size": 3, "max_steps": 3, "dropout": 0.0} | options
    call(f"train {step}", dataset, run=RunOptions(run=run), model=str(family), **values)
    frame = dataset.read("runs", run).sort("step")
    return frame.filter(frame["name"] == "loss")["value"].to_list()


def test_short_cuts_change_no_loss(
    make: color_data.Maker, family: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = mixed(make)
    quick = {step: losses(dataset, step, family, f"{step}-quick") for step in ("sft", "dpo")}

    def stock(encoder: Encoder, rows: Any) -> None:
        encoder.exact, encoder.joinable = True, False

    monkeypatch.setattr(Encoder, "verify", stock)
    for step, expected in quick.items():
        assert losses(dataset, step, family, f"{step}-plain") == pytest.approx(expected, rel=1e-4)


def test_a_family_learns_and_answers(make: color_data.Maker, family: Path) -> None:
    dataset = mixed(make)
    full = {"peft": "none", "dropout": None, "max_steps": 60, "batch_size": 6, "lr": 3e-3}
    seen = losses(dataset, "sft", family, "sft", **full)
    assert seen[-1] < 0.5 < seen[0]
    run = RunOptions(run="eval")
    outcome = call("train eval", dataset, run=run, model="runs/sft", generate_max_tokens=8)
    assert outcome.summary["accuracy"] >= 5 / 6
    assert outcome.summary["n"] == 6


def test_parts(family: Path) -> None:
    from train.model.loading import skeleton

    model = skeleton(str(family))
    counts = {}
    for part in PARTS:
        # Gemma 3's connector is a bare matrix, no layer that LoRA could adapt.
        bare = part == "connector" and family.name == "gemma3"
        counts[part] = 0 if bare else len(target_modules(model, [part]))
    assert counts["language"] == 14
    assert counts["vision"] >= 10
    assert sum(counts.values()) == len(target_modules(model, ["all-linear"]))
    skipped = unquantized_modules(model)
    assert "lm_head" in skipped
    for name, _ in model.named_modules():
        kept = any(name == s or name.startswith(f"{s}.") for s in skipped)
        assert kept == (part_of(name) in ("vision", "connector", "head"))


def test_names_of_large_models() -> None:
    names = {
        "model.visual.merger.mlp.0": "connector",
        "model.visual.blocks.3.attn.qkv": "vision",
        "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A": "language",
        "model.connector.modality_projection.proj": "connector",
        "model.vision_model.encoder.layers.0.mlp.fc1": "vision",
        "model.text_model.layers.1.mlp.up_proj": "language",
        "model.multi_modal_projector.linear_1": "connector",
        "model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj": "vision",
        "lm_head": "head",
    }
    assert {name: part_of(name) for name in names} == names
