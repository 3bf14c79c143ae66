"""`curate push` to a Hub on this machine, and `load_dataset` back from it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
from loopback_hub import TOKEN, Hub, running_hub
from tiny_dataset import make_dataset

from pairwright.dataset.store import Dataset
from pairwright.images import inspect_image

pytestmark = pytest.mark.slow

PUSH = "import sys; from pairwright.programs import curate; sys.argv[0] = 'curate'; curate()"
READ = """
import io, json, sys
from datasets import Image, List, load_dataset
rows = load_dataset(sys.argv[1], split="train")
sizes = [[image.convert("RGB").size for image in row["images"]] for row in rows]
raw = rows.cast_column("images", List(Image(decode=False)))
out = [{**row, "images": [image["bytes"].hex() for image in row["images"]]} for row in raw]
print(json.dumps({"rows": out, "sizes": sizes}))
"""


STREAM = """
import json, sys
from datasets import load_dataset
rows = load_dataset(*sys.argv[1:], split="train", streaming=True)
read = [[row["sample_id"], row["images"][0].size, len(row["messages"])] for row in rows] if "messages" in rows.features else [row["pair_id"] for row in rows]
print(json.dumps({"rows": read, "features": str(rows.features), "shards": rows.num_shards}))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_hub() as running:
        yield running


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    import io

    from PIL import Image

    data = Dataset.create(tmp_path_factory.mktemp("push") / "toy")
    images = []
    for number in range(3):
        out = io.BytesIO()
        Image.new("RGB", (20, 10 + number), (number * 80, 0, 0)).save(out, "JPEG")
        images.append((inspect_image(out.getvalue()), out.getvalue()))
    with data.write("images", "toy", step="ingest", config={}) as writer:
        writer.add(
            {
                "image_id": facts.image_id,
                "bytes": content,
                "format": facts.format,
                "width": facts.width,
                "height": facts.height,
                "n_bytes": facts.n_bytes,
                "phash": facts.phash,
            }
            for facts, content in images
        )
    with data.write("samples", "toy", step="ingest", config={}) as writer:
        writer.add(
            {
                "sample_id": f"s{number}",
                "image_ids": [facts.image_id],
                "messages": [
                    {"role": "user", "content": "<image>\nwhat colour?"},
                    {"role": "assistant", "content": f"answer {number}"},
                ],
                "source": "toy",
                "source_id": str(number),
                "license": "mit" if number else "CC BY-NC 4.0",
            }
            for number, (facts, _) in enumerate(images)
        )
    return data


def run(hub: Hub, tmp_path: Path, code: str, *words: object, token: str | None = TOKEN) -> Any:
    values = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
    values |= {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "OMP_NUM_THREADS": "1",
        "no_proxy": "127.0.0.1",
    }
    if token:
        values["HF_TOKEN"] = token
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, env=values, capture_output=True, text=True, timeout=300)


def test_what_is_pushed_reads_back_equal(hub: Hub, dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    words = ("push", dataset.path, "user/toy", "--json")
    done = run(hub, tmp_path, PUSH, *words)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["rows"] == 3
    assert shown["changed"] is True
    assert "CC BY-NC" in done.stderr  # private: a warning only
    assert TOKEN not in done.stdout + done.stderr
    repo = hub.repos["user/toy"]
    assert repo.private
    files = repo.files("main")
    assert files is not None
    assert set(files) == {"README.md", "data/train-00000-of-00001.parquet"}
    assert not list(dataset.path.glob(".push-*"))

    read = run(hub, tmp_path, READ, "user/toy")
    assert read.returncode == 0, read.stderr
    back = json.loads(read.stdout)
    assert back["sizes"] == [[[20, 10 + n]] for n in range(3)]
    contents = dict(dataset.union("images").select("image_id", "bytes").collect().iter_rows())
    for row, sample in zip(
        back["rows"], dataset.union("samples").collect().to_dicts(), strict=True
    ):
        assert row["images"] == [contents[i].hex() for i in sample["image_ids"]]
        assert row["messages"][0] == {"role": "user", "content": "what colour?"}
        assert row["messages"][1] == sample["messages"][1]
        assert row["license"] == sample["license"]

    streamed = run(hub, tmp_path, STREAM, "user/toy")
    assert streamed.returncode == 0, streamed.stderr
    shown = json.loads(streamed.stdout)
    assert shown["rows"] == [[f"s{n}", [20, 10 + n], 2] for n in range(3)]
    assert "'images': List(Image" in shown["features"]

    # The same again makes no commit and sends nothing.
    commits, uploads = len(repo.branches["main"]), len(hub.uploads)
    again = run(hub, tmp_path, PUSH, *words)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["changed"] is False
    assert (len(repo.branches["main"]), len(hub.uploads)) == (commits, uploads)


def test_an_exported_folder_goes_to_a_branch_and_old_shards_go(
    hub: Hub, dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert (
        run(hub, tmp_path, PUSH, "export", dataset.path, out, "--shard-bytes", "1KB").returncode
        == 0
    )
    words = ("push", dataset.path, "user/branchy", "--branch", "next")
    done = run(hub, tmp_path, PUSH, *words, "--folder", out)
    assert done.returncode == 0, done.stderr
    repo = hub.repos["user/branchy"]
    assert len(repo.files("next") or {}) == 4
    assert repo.files("main") == {}
    assert run(hub, tmp_path, PUSH, *words).returncode == 0
    assert set(repo.files("next") or {}) == {"README.md", "data/train-00000-of-00001.parquet"}


def test_a_push_that_broke_off_sends_the_rest_only(
    hub: Hub, dataset: Dataset, tmp_path: Path
) -> None:
    words = ("push", dataset.path, "user/broken", "--shard-bytes", "1KB", "--json")
    hub.objects.clear()
    hub.uploads.clear()
    hub.refuse_after = 2
    try:
        done = run(hub, tmp_path, PUSH, *words)
    finally:
        hub.refuse_after = None
    assert done.returncode == 1
    assert "the same command again resumes" in done.stderr
    assert len(hub.uploads) == 2
    assert hub.repos["user/broken"].files("main") == {}
    done = run(hub, tmp_path, PUSH, *words)
    assert done.returncode == 0, done.stderr
    assert len(hub.uploads) == len(set(hub.uploads)) == 3
    assert len(hub.repos["user/broken"].files("main") or {}) == 4
    assert not list(dataset.path.glob(".push*"))


def test_samples_and_pairs_go_as_two_configurations(hub: Hub, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "tiny", images=2, questions=1)
    samples = data.union("samples").collect().to_dicts()
    with data.write("pairs", "p", step="build", config={}, rejects=False) as writer:
        writer.add(
            {
                "pair_id": f"p{number}", "sample_id": row["sample_id"], "method": "x",
                "image_ids": row["image_ids"], "prompt": row["messages"][:1],
                "chosen": "good", "rejected": "bad",
            }
            for number, row in enumerate(samples)
        )  # fmt: skip
    hub.repos.pop("user/both", None)
    first = run(hub, tmp_path, PUSH, "push", data.path, "user/both")
    assert first.returncode == 0, first.stderr
    done = run(hub, tmp_path, PUSH, "push", data.path, "user/both", "--what", "both")
    assert done.returncode == 0, done.stderr
    names = {"samples", "pairs"}
    files = set(hub.repos["user/both"].files("main") or {})
    assert files == {"README.md", *(f"{n}/train-00000-of-00001.parquet" for n in names)}
    shown = json.loads(run(hub, tmp_path, STREAM, "user/both", "pairs").stdout)
    assert shown["rows"] == ["p0", "p1"]
    assert len(json.loads(run(hub, tmp_path, STREAM, "user/both").stdout)["rows"]) == 2


def test_licenses_keep_rows_from_the_public(hub: Hub, dataset: Dataset, tmp_path: Path) -> None:
    words = ("push", dataset.path, "user/open", "--public")
    done = run(hub, tmp_path, PUSH, *words)
    assert done.returncode == 2
    assert "1 row of 'toy' (license 'CC BY-NC 4.0': no commercial use), such as s0" in done.stderr
    assert "user/open" not in hub.repos
    done = run(hub, tmp_path, PUSH, *words, "--allow-license")
    assert done.returncode == 0, done.stderr
    assert not hub.repos["user/open"].private
    # The repository is public now, whatever the flags say.
    done = run(hub, tmp_path, PUSH, "push", dataset.path, "user/open")
    assert done.returncode == 2
    assert "--allow-license" in done.stderr
    done = run(hub, tmp_path, PUSH, "push", dataset.path, "user/open", "--private")
    assert done.returncode == 2


def test_failures_are_one_line(hub: Hub, dataset: Dataset, tmp_path: Path) -> None:
    done = run(hub, tmp_path, PUSH, "push", dataset.path, "user/new", token=None)
    assert done.returncode == 1
    assert "hf auth login" in done.stderr
    wrong = run(hub, tmp_path, PUSH, "push", dataset.path, "user/new", token="hf_wrong")
    assert wrong.returncode == 1
    assert "hf_wrong" not in wrong.stderr
    bad = run(hub, tmp_path, PUSH, "push", dataset.path, "a/b/c")
    assert bad.returncode == 2
    missing = run(hub, tmp_path, PUSH, "push", dataset.path, "user/x", "--folder", tmp_path)
    assert missing.returncode == 1
    gone = Hub()
    gone.url = "http://127.0.0.1:9"
    down = run(gone, tmp_path, PUSH, "push", dataset.path, "user/x")
    assert down.returncode == 1
    for one in (done, wrong, bad, missing, down):
        assert "Traceback" not in one.stderr
        assert len([x for x in one.stderr.splitlines() if x.startswith("error: ")]) == 1
