"""Wrong input to the train commands gives one clear line and an exit code."""

import json
import shutil
from pathlib import Path

import color_data
import pytest

from pairwright.commands import command
from pairwright.dataset.store import Dataset
from train.cli import COMMANDS, SUMMARY


def train(words: list[object]) -> int:
    return command.main("train", SUMMARY, COMMANDS, [str(word) for word in words])


CASES = [
    ("dpo {bare}", 2, "no pairs to train on; make some with `prefs build`"),
    (
        "dpo {data}",
        2,
        "does not name the model whose responses these are; name the model to train with --model",
    ),
    ("dpo {data} --pairs nope", 2, "pairs/nope does not exist; complete runs of pairs: best-of-n"),
    ("dpo {data} --model {qwen} --loss sigmoid,nope", 2, "--loss nope: unknown"),
    ("dpo {data} --model {qwen} --loss sigmoid,sft --loss-weights 1", 2, "1 weights for 2 losses"),
    ("dpo {data} --model {qwen} --loss-weights a,b", 2, "must be numbers"),
    ("sft {bare} --model {qwen}", 2, "no sample with an answer to train on"),
    ("sft {data} --model nowhere", 2, "no such folder, and neither a hub id"),
    ("sft {data} --model own/er", 1, "--model own/er: cannot be loaded"),
    ("sft {data} --model {empty}", 1, "cannot be loaded"),
    ("sft {data} --model runs/none", 2, "no such training run"),
    ("sft {data} --model {qwen} --adapter {empty}", 2, "no PEFT adapter there"),
    ("sft {data} --model {lora} --adapter {lora}", 2, "brings its own adapter"),
    (
        "sft {data} --model {qwen} --peft none --rank 4",
        2,
        "--rank belongs to --peft lora and qlora, not none",
    ),
    ("sft {data} --model {lora} --rank 8", 2, "--rank 8: the adapter that is continued has 4"),
    ("sft {data} --model {qwen} --target nope", 2, "no linear layer of that name"),
    ("sft {data} --model {qwen} --lr 0", 2, "--lr must be above 0"),
    (
        "eval {data} --model {qwen} --task preference --split test",
        2,
        "--split belongs to --task exact-match",
    ),
    ("merge {data} {out}", 2, "no training run to merge"),
    ("merge {data} {out} --model {qwen}", 2, "has no adapter"),
    ("merge {data} {empty}/.. --model {lora}", 2, "exists; give another folder"),
]


@pytest.fixture
def places(make: color_data.Maker, tiny_qwen: Path, tiny_lora: Path) -> dict[str, Path]:
    empty = make.folder / "empty"
    empty.mkdir()
    return {
        "data": make.colors().path,
        "bare": Dataset.create(make.folder / "bare").path,
        "qwen": tiny_qwen,
        "lora": tiny_lora,
        "empty": empty,
        "out": make.folder / "out",
    }


@pytest.mark.parametrize(("line", "code", "text"), CASES)
def test_one_clear_line(
    places: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    line: str,
    code: int,
    text: str,
) -> None:
    assert train([*line.format(**places).split(), "--json"]) == code
    captured = capsys.readouterr()
    error = captured.err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert text in error
    assert "Traceback" not in captured.err
    assert json.loads(captured.out)["exit_code"] == code
    runs = Dataset(places["data"]).runs("runs")
    assert not any(manifest.is_complete for manifest in runs)


def test_an_adapter_of_another_model_is_refused(
    make: color_data.Maker, tiny_qwen: Path, tiny_lora: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny_lora / "adapter_model.safetensors")
    wider = {name: value.repeat(1, 2) for name, value in weights.items()}
    renamed = {name.replace("q_proj", "query"): value for name, value in weights.items()}
    data = make.colors().path
    for number, content in enumerate((None, wider, renamed)):
        broken = make.folder / f"broken{number}"
        shutil.copytree(tiny_lora, broken)
        file = broken / "adapter_model.safetensors"
        if content is None:
            file.write_bytes(b"nonsense")
        else:
            save_file(content, file)
        words = ["sft", data, "--model", tiny_qwen, "--adapter", broken, "--run", f"r{number}"]
        assert train(words) == 1
        assert "does not fit the model" in capsys.readouterr().err


def test_dry_run_writes_nothing(make: color_data.Maker, tiny_qwen: Path) -> None:
    dataset = make.colors()
    out = make.folder / "out"
    for words in (
        ["sft", "--model", tiny_qwen],
        ["dpo", "--model", tiny_qwen],
        ["eval", "--model", tiny_qwen],
        ["merge", out, "--model", tiny_qwen, "--adapter", "x"],
    ):
        code = train([words[0], dataset.path, *words[1:], "--dry-run"])
        assert code == (2 if "x" in words else 0)
    assert not dataset.runs("runs")
    assert not dataset.runs("predictions")
    assert not out.exists()
