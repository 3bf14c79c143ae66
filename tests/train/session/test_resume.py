"""A killed training goes on from its newest whole checkpoint, as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import color_data
import pytest

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from train.session.checkpoints import newest_complete, set_complete

COMMON = {
    "batch_size": 2,
    "max_steps": 24,
    "lr": 5e-3,
    "save_steps": 2,
    "dropout": 0.1,
}


def test_newest_complete_checkpoint(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "nothing") is None
    for step in (9, 10, 11):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (9, 10):
        set_complete(tmp_path, step)
    assert newest_complete(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-11").exists()


def run(dataset: Dataset, step: str, name: str, **options: Any) -> Any:
    return call(f"train {step}", dataset, run=RunOptions(run=name), **(COMMON | options))


def kill_after_checkpoint(dataset: Dataset, step: str, name: str, **options: Any) -> None:
    """Start the command as a program and kill it -9 once it has two whole checkpoints."""
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in (COMMON | options).items()]
    code = "import sys; from pairwright.programs import train; sys.argv[0] = 'train'; train()"
    words = [sys.executable, "-c", code, step, str(dataset.path), "--run", name, *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    folder = dataset.path / "runs" / name / "checkpoints"
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 240
        while len(list(folder.glob("*/complete"))) < 2:
            assert process.poll() is None, process.stderr.read().decode()[-2000:]  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert dataset.manifest("runs", name).status == "running"  # type: ignore[union-attr]


def weights(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["sft", "dpo"])
def test_resumed_equals_uninterrupted(
    make: color_data.Maker, tiny_qwen: Path, tiny_lora: Path, step: str
) -> None:
    dataset = make.colors()
    # DPO goes on training an adapter: its frozen copy must not take the adapter's place.
    options: dict[str, Any] = {"model": tiny_qwen}
    if step == "dpo":
        options |= {"adapter": tiny_lora}
    kill_after_checkpoint(dataset, step, "killed", **options)
    folder = dataset.path / "runs" / "killed"
    assert not (folder / "adapter").exists()
    broken = folder / "checkpoints" / "checkpoint-23"
    shutil.copytree(newest_complete(folder / "checkpoints") or broken, broken)
    (broken / "complete").unlink()
    (broken / "adapter_model.safetensors").write_bytes(b"half")
    resumed = run(dataset, step, "killed", **options)
    whole = run(dataset, step, "whole", **options)
    assert resumed.summary["steps"] == whole.summary["steps"] == 24
    assert resumed.summary["final"] == whole.summary["final"]
    assert weights(folder) == weights(dataset.path / "runs" / "whole")
    a, b = (dataset.read("runs", name).sort("step", "name") for name in ("killed", "whole"))
    assert a.equals(b)
    assert not (folder / "checkpoints").exists()
    assert "nothing to do" in run(dataset, step, "killed", **options).message
