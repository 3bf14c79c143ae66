"""TRL trains on what `curate export` writes, as it stands, on a tiny model."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curate.cli import COMMANDS
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from pairwright.images import inspect_image

pytest.importorskip("trl")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = Dataset.create(tmp_path_factory.mktemp("trl") / "toy")
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG")
    facts = inspect_image(out.getvalue())
    with data.write("images", "toy", step="ingest", config={}) as writer:
        writer.add(
            [
                {
                    "image_id": facts.image_id,
                    "bytes": out.getvalue(),
                    "format": facts.format,
                    "width": facts.width,
                    "height": facts.height,
                    "n_bytes": facts.n_bytes,
                    "phash": facts.phash,
                }
            ]
        )
    # With an image, in front and in the middle of the text, and without one.
    prompts = ["<image>\nwhat is it?", "what is it?", "look: <image> what is it?"]
    samples, pairs = [], []
    for number in range(6):
        prompt = [{"role": "user", "content": prompts[number % 3]}]
        image_ids = [facts.image_id] * prompts[number % 3].count("<image>")
        row = {"sample_id": f"s{number}", "image_ids": image_ids}
        answer = {"role": "assistant", "content": "red"}
        source = {"source": "toy", "source_id": str(number)}
        samples.append({**row, **source, "messages": [*prompt, answer]})
        sides = {"chosen": "red circle", "rejected": "blue", "method": "best-of-n"}
        pairs.append({**row, **sides, "pair_id": f"p{number}", "prompt": prompt})
    with data.write("samples", "toy", step="ingest", config={}) as writer:
        writer.add(samples)
    with data.write("pairs", "best-of-n", step="build", config={}) as writer:
        writer.add(pairs)
    return data


def load(dataset: Dataset, folder: Path, *words: str) -> Any:
    from datasets import load_dataset

    argv = ["export", str(dataset.path), str(folder / "out"), *words]
    assert command.main("curate", "", COMMANDS, argv) == 0
    return load_dataset(str(folder / "out"), split="train", cache_dir=str(folder / "cache"))


def settings(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "run"),
        "per_device_train_batch_size": 1,
        "max_steps": 3,
        "learning_rate": 1e-4,
        "report_to": "none",
        "bf16": False,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "max_length": None,
        "use_cpu": True,
        "seed": 0,
    }


def parts(tiny_qwen: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(tiny_qwen)
    return model, AutoProcessor.from_pretrained(tiny_qwen)


def test_dpo_on_an_image_folder(dataset: Dataset, tiny_qwen: Path, tmp_path: Path) -> None:
    from trl import DPOConfig, DPOTrainer

    rows = load(dataset, tmp_path, "--format", "trl", "--max-rejects", "1")
    assert len(rows) == 4  # an image folder holds no row without an image
    model, processor = parts(tiny_qwen)
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**settings(tmp_path) | {"max_steps": 1}),
        train_dataset=rows,
        processing_class=processor,
    )
    trainer.train()
    assert trainer.data_collator([rows[0]])["pixel_values"].shape[0] > 0


@pytest.mark.parametrize("content", ["parts", "text"])
def test_dpo(dataset: Dataset, tiny_qwen: Path, tmp_path: Path, content: str) -> None:
    from trl import DPOConfig, DPOTrainer

    rows = load(dataset, tmp_path, "--content", content)
    model, processor = parts(tiny_qwen)
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**settings(tmp_path)),
        train_dataset=rows,
        processing_class=processor,
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] == pytest.approx(0.693, abs=1e-3)
    assert len(losses) == 3
    batch = trainer.data_collator([rows[0]])
    assert batch["pixel_values"].shape[0] > 0
    assert batch["completion_mask"].sum() > 0
    text = processor.tokenizer.decode(trainer.data_collator([rows[2]])["input_ids"][0])
    in_place = text.index("look") < text.index("<|image_pad|>") < text.index("what")
    assert in_place is (content == "parts")


def test_sft(dataset: Dataset, tiny_qwen: Path, tmp_path: Path) -> None:
    from trl import SFTConfig, SFTTrainer

    rows = load(dataset, tmp_path, "--what", "samples")
    model, processor = parts(tiny_qwen)
    args = SFTConfig(**settings(tmp_path), assistant_only_loss=True)
    trainer = SFTTrainer(model=model, args=args, train_dataset=rows, processing_class=processor)
    trainer.train()
    assert all(entry["loss"] > 0 for entry in trainer.state.log_history if "loss" in entry)
