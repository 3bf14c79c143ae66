"""What a model argument means."""

import json
from pathlib import Path
from typing import Any

import pytest

from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, UsageError
from pairwright.models import model_fingerprint, portable_name, resolve_policy


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def adapter_in(folder: Path, base: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    return folder


def trained(tmp_path: Path, base: Path, **summary: Any) -> Dataset:
    dataset = Dataset.create(tmp_path / "data")
    with dataset.write("runs", "sft", step="sft", config={}) as writer:
        writer.add([{"step": 1, "name": "loss", "value": 1.0}])
        writer.summary.update(summary or {"base_model": str(base), "adapter": "adapter"})
    return dataset


def test_a_run_is_its_base_with_its_adapter(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = trained(tmp_path, base)
    adapter = adapter_in(dataset.path / "runs/sft/adapter", str(base))
    monkeypatch.chdir(dataset.path)
    for name in ("runs/sft", "run:sft", str(dataset.path / "runs/sft")):
        found = resolve_policy(dataset, name)
        assert (found.model, found.adapter) == (str(base), adapter)
        assert found.run is not None
    assert resolve_policy(None, str(dataset.path / "runs/sft")).adapter == adapter
    with pytest.raises(UsageError, match="brings its own adapter"):
        resolve_policy(dataset, "runs/sft", adapter)
    with pytest.raises(UsageError, match="finished ones: runs/sft"):
        resolve_policy(dataset, "run:other")


def test_a_run_that_wrote_a_model(tmp_path: Path, base: Path) -> None:
    dataset = trained(tmp_path, base, base_model=str(base), model="model")
    with pytest.raises(DataError, match="not there any more"):
        resolve_policy(dataset, "runs/sft")
    (dataset.path / "runs/sft/model").mkdir()
    (dataset.path / "runs/sft/model/config.json").write_text("{}")
    found = resolve_policy(dataset, "runs/sft")
    assert (Path(found.model).name, found.adapter) == ("model", None)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "data")
    with pytest.raises(KeyboardInterrupt), dataset.write("runs", "sft", step="sft", config={}):
        raise KeyboardInterrupt
    with pytest.raises(UsageError, match="unfinished"):
        resolve_policy(dataset, "runs/sft")


def test_an_adapter_folder_names_its_base(tmp_path: Path, base: Path) -> None:
    adapter = adapter_in(tmp_path / "adapter", str(base))
    found = resolve_policy(None, str(adapter))
    assert (found.model, found.adapter) == (str(base), adapter)
    assert resolve_policy(None, str(base), adapter).adapter == adapter
    with pytest.raises(UsageError, match="no PEFT adapter there"):
        resolve_policy(None, str(base), base)
    for wrong in (None, 3):
        with pytest.raises(DataError, match="names no base model"):
            resolve_policy(None, str(adapter_in(tmp_path / f"wrong-{wrong}", wrong)))
    (adapter / "adapter_config.json").write_text("[")
    with pytest.raises(DataError, match="not a readable"):
        resolve_policy(None, str(adapter))


def test_other_names_are_base_models(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_policy(None, "Qwen2-VL-7B").model == "Qwen/Qwen2-VL-7B-Instruct"
    assert resolve_policy(None, "runs/owner").model == "runs/owner"
    monkeypatch.chdir(base.parent)
    assert portable_name("base") == str(base)
    assert portable_name("Qwen2-VL-7B") == "Qwen2-VL-7B"


def test_fingerprint_follows_the_files(base: Path) -> None:
    weights = base / "model.safetensors"
    weights.write_bytes(bytes(5 << 20))
    first = model_fingerprint(base)
    assert first == model_fingerprint(str(base))
    content = bytearray(5 << 20)
    content[-1] = 1
    weights.write_bytes(bytes(content))
    assert model_fingerprint(base) != first
    assert model_fingerprint("owner/name") != model_fingerprint("owner/other")
