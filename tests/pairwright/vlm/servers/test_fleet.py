"""Several servers of one model, really started: two on this machine, one under Ray."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_dataset import make_dataset
from tiny_server import MAX_MODEL_LEN, MODEL, descendants, wait_until_gone

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import MissingExtraError, ServerError, UsageError
from pairwright.vlm.options import PlaceOptions
from pairwright.vlm.servers.ray_fleet import ray_fleet, size_of
from pairwright.vlm.servers.ready import that_started

JUDGE = [sys.executable, "-c", "from pairwright.programs import judge; judge()"]
SETTINGS = {"rubric": "faithful", "max_model_len": MAX_MODEL_LEN}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An environment in which servers are small, and only this module's."""
    folder = tmp_path_factory.mktemp("fleet")
    env = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_NUM_THREADS": "1",
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CACHE_HOME": str(folder),
    }
    for name in ("PAIRWRIGHT_API_KEY", "RAY_ADDRESS"):
        env.pop(name, None)
    return env


@pytest.fixture(scope="module")
def marks(tiny_server, tiny_qwen, tmp_path_factory):
    """A dataset, and the marks that one server gives."""
    dataset = make_dataset(tmp_path_factory.mktemp("fleet-data") / "data", images=12, questions=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAIRWRIGHT_API_KEY", tiny_server.api_key)
        values = SETTINGS | {"base_url": (tiny_server.base_url,)}
        call("judge score", dataset, run=RunOptions(run="one"), model=MODEL, **values)
    return dataset, read(dataset, "one")


def read(dataset, run):
    scores = dataset.read("scores", run)
    return dict(zip(scores["target_id"], scores["score"], strict=True))


def pid_of(url):
    """The process that serves an address."""
    port = url.rpartition(":")[2].removesuffix("/v1")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"vllm.entrypoints.openai.api_server" in words and port.encode() in words:
                return int(path.parent.name)
    raise AssertionError(url)


def lines_until(stream, text):
    found = []
    for line in stream:
        found.append(line)
        if text in line:
            return found
    raise AssertionError("".join(found))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_servers_share_the_images_and_one_goes_on_alone(small, marks, tiny_qwen, monkeypatch):
    dataset, expected = marks
    words = ["serve", "--model", str(tiny_qwen), "--replicas", "2"]
    words += ["--max-model-len", str(MAX_MODEL_LEN)]
    with subprocess.Popen(
        [*JUDGE, *words], env=small, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = "".join(lines_until(process.stderr, "Ctrl-C stops"))
            urls = [process.stdout.readline().strip() for _ in range(2)]
            below = descendants(process.pid)
            assert f"--base-url {urls[0]} {urls[1]} " in said
            assert "2 servers on" in said
            monkeypatch.setenv("XDG_RUNTIME_DIR", small["XDG_RUNTIME_DIR"])  # where the keys are
            monkeypatch.delenv("PAIRWRIGHT_API_KEY", raising=False)
            values = SETTINGS | {"base_url": tuple(urls)}
            call("judge score", dataset, run=RunOptions(run="two"), model=MODEL, **values)
            assert read(dataset, "two") == pytest.approx(expected, rel=1e-3)
            logs = sorted(Path(small["XDG_CACHE_HOME"]).glob("pairwright/logs/vllm-*-[01].log"))
            asked = [log.read_text().count("POST /v1/chat/completions") for log in logs]
            # Both had their share; trials and canaries are a handful a server.
            assert len(asked) == 2
            assert min(asked) >= 6
            os.kill(pid_of(urls[0]), signal.SIGKILL)
            told = "".join(lines_until(process.stderr, "still running"))
            assert f"{urls[0]}: vLLM stopped" in told
            assert "1 of 2 servers are still running" in told
            values = SETTINGS | {"base_url": (urls[1],)}
            call("judge score", dataset, run=RunOptions(run="left"), model=MODEL, **values)
            assert read(dataset, "left") == pytest.approx(expected, rel=1e-3)
        finally:
            process.kill()
    assert wait_until_gone(below, 20) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_server_under_ray_marks_the_same_and_leaves_nothing(small, marks, tiny_qwen):
    pytest.importorskip("ray")
    dataset, expected = marks
    words = ["score", str(dataset.path), "--model", str(tiny_qwen), "--engine", "ray"]
    words += ["--rubric", "faithful", "--max-model-len", str(MAX_MODEL_LEN), "--run", "ray"]
    before = set(Path("/tmp").glob("pairwright-ray-*"))
    with subprocess.Popen(
        [*JUDGE, *words, "--json"], env=small, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            said = "".join(lines_until(process.stderr, "1 server(s) ready"))
            below = descendants(process.pid)
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, said + stderr
    assert json.loads(stdout)["rows"] == len(expected)
    assert read(Dataset(dataset.path), "ray") == pytest.approx(expected, rel=1e-3)
    assert len(below) > 5
    assert wait_until_gone(below, 20) == []
    assert set(Path("/tmp").glob("pairwright-ray-*")) == before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_servers_under_ray_end_with_a_driver_that_is_killed(small, tiny_qwen):
    pytest.importorskip("ray")
    words = ["serve", "--model", str(tiny_qwen), "--engine", "ray"]
    with subprocess.Popen([*JUDGE, *words], env=small, stderr=subprocess.PIPE) as process:
        try:
            below = []
            deadline = time.monotonic() + 180
            while not any(is_vllm(pid) for pid in below) and time.monotonic() < deadline:
                time.sleep(0.2)
                below = descendants(process.pid)
            assert any(is_vllm(pid) for pid in below)
            # Two helpers of Ray's own look for their parent only now and then; they end later.
            ours = [pid for pid in below if not is_agent(pid)]
        finally:
            process.kill()
    assert len(below) - len(ours) <= 2
    assert wait_until_gone(ours, 60) == []


def is_agent(pid):
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return words.startswith((b"ray::DashboardAgent", b"ray::RuntimeEnvAgent"))
    return False


def is_vllm(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:3] == [b"-m", b"vllm.entrypoints.openai.api_server"]


def test_ray_that_is_not_there_is_one_line(monkeypatch):
    place = PlaceOptions(model="a/b", engine="ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingExtraError, match="ray"),
        ray_fleet(place, "a/b", api_key="key"),
    ):
        pass


def test_a_cluster_that_does_not_answer_is_one_line(small):
    pytest.importorskip("ray")
    words = ["serve", "--model", "a/b", "--engine", "ray"]
    done = subprocess.run(
        [*JUDGE, *words],
        env=small | {"RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "no cluster answers at RAY_ADDRESS=127.0.0.1:1" in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("nodes", "asked", "expected"),
    [
        ([(2, 0)], {}, (1, 0, 2)),
        ([(8, 0)], {"replicas": 4}, (4, 0, 2)),
        ([(16, 0), (16, 0)], {}, (1, 0, 16)),
        ([(16, 0), (16, 0)], {"replicas": 3}, (3, 0, 8)),  # 8 + 8 on one node, 8 on the other
        ([(2, 0)], {"replicas": 3}, "3 servers are more than the cluster's 2 cores"),
        ([(32, 8), (32, 8)], {}, (16, 1, 1)),
        ([(32, 8), (32, 8)], {"replicas": 3}, (3, 1, 1)),
        ([(32, 8), (32, 8)], {"tensor_parallel": 3}, (4, 3, 1)),  # two on each node
        ([(32, 8), (32, 8)], {"replicas": 17}, "room for 16"),
        ([(32, 4), (32, 4)], {"tensor_parallel": 8}, r"room for 0 \(GPUs by node: 4, 4\)"),
        ([(64, 0)], {"tensor_parallel": 2}, "room for 0"),
    ],
)
def test_a_cluster_gets_a_server_for_each_gpu(nodes, asked, expected):
    place = PlaceOptions(model="a/b", engine="ray", **asked)
    have = [{"CPU": float(cores), "GPU": float(gpus)} for cores, gpus in nodes]
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            size_of(have, place)
    else:
        assert size_of(have, place) == expected


def test_servers_that_do_not_come_up_are_told_of_and_the_others_go_on(capsys):
    def fail():
        raise ServerError("no memory")

    assert that_started([("a", fail), ("b", lambda: None)]) == ["b"]
    assert "no memory" in (said := capsys.readouterr().err)
    assert "going on with 1 of 2 servers" in said
    with pytest.raises(ServerError, match="no memory"):
        that_started([("a", fail), ("b", fail)])
