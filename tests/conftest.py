"""What tests of several packages share."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))  # for tiny_models
# Before anything imports huggingface_hub, which reads them once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Two workers on two cores, and a model server: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that tests start compile torch and vLLM once, and not again in each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Under `uv run`, Ray would install the working directory once more for its workers.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
# vLLM looks at a model's code once and keeps what it saw, wherever a test moves other caches.
os.environ.setdefault("VLLM_CACHE_ROOT", str(Path.home() / ".cache" / "vllm"))
# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a tiny model or real data as slow, and say what `pytest -n` keeps in one process.

    One worker runs all tests of the model server, one imports the trainers; other groups are a
    module each. Long work comes first, so that no core waits at the end.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"tiny_qwen", "tiny_lora", "shared_data"}:
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("xdist_group") is None:
            group = str(item.path.relative_to(REPO))
            if fixtures & {"tiny_qwen", "tiny_lora"}:
                group = "server" if "tiny_server" in fixtures else "torch"
            item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; the test is skipped where it is not."""
    path = REPO.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"real data not present at {path}")
    return path


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random Qwen2-VL, made once a session."""
    pytest.importorskip("transformers")
    models = importlib.import_module("tiny_models")
    return models.make_tiny_qwen(tmp_path_factory.mktemp("models") / "tiny-qwen2-vl")


@pytest.fixture(scope="session")
def tiny_lora(tiny_qwen: Path) -> Path:
    """Folder of a random LoRA adapter for `tiny_qwen`."""
    models = importlib.import_module("tiny_models")
    return models.make_tiny_lora(tiny_qwen.with_name("tiny-lora"), tiny_qwen)


@pytest.fixture(scope="session")
def tiny_server(
    tiny_qwen: Path, tiny_lora: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """`judge serve` of `tiny_qwen` and its adapter, started once; has base_url, api_key and pid.

    At the end it is killed with -9, and nothing that it started may be left. While writing tests,
    `python tests/tiny_server.py FILE` keeps one up, and PAIRWRIGHT_TEST_SERVER=FILE uses it.
    """
    pytest.importorskip("vllm")
    servers = importlib.import_module("tiny_server")
    if os.environ.get("PAIRWRIGHT_TEST_SERVER"):
        yield servers.running(Path(os.environ["PAIRWRIGHT_TEST_SERVER"]))
        return
    with servers.started(tiny_qwen, tiny_lora, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def proxy(tiny_server: Any) -> Iterator[Any]:
    """A proxy in front of `tiny_server` that counts requests and plants faults."""
    proxies = importlib.import_module("vlm_proxy")
    with proxies.Proxy(tiny_server.base_url, tiny_server.api_key) as one:
        yield one


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No user configuration, no hub, no telemetry; `--quiet` of another test is forgotten."""
    from pairwright.commands.progress import Progress

    monkeypatch.setattr(Progress, "quiet", False)
    monkeypatch.delenv("PAIRWRIGHT_DATA", raising=False)
    monkeypatch.delenv("PAIRWRIGHT_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
