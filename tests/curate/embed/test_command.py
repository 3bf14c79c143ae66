"""`curate embed`: real open_clip models, tiny and of random weights."""

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tiny_dataset import make_dataset, picture, sample, write_dataset

from curate.embed.command import embed
from curate.embed.options import EmbedOptions
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import Error
from pairwright.images import open_image
from schemas.tables import Embeddings

pytestmark = [
    pytest.mark.slow,
    # Not importorskip: collecting the fast tests should not import torch.
    pytest.mark.skipif(find_spec("open_clip") is None, reason="needs the extra clip"),
]

CONFIG = {
    "model_cfg": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}  # fmt: skip


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an architecture and no weights."""
    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture(scope="module")
def trained(bare: Path) -> Path:
    """A folder with weights as well."""
    import torch
    from safetensors.torch import save_file

    folder = bare.with_name("tiny-clip-weights")
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(7)
    import open_clip

    model = open_clip.create_model(f"local-dir:{bare}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", images=7, questions=1)


def run(dataset: Dataset, model: Path | str, run: RunOptions | None = None, **options: Any) -> Any:
    options = {"device": "cpu", "batch_size": 3, **options}
    return embed(dataset, EmbedOptions(model=str(model), **options), run or RunOptions())


def rows_of(dataset: Dataset, outcome: Any) -> pl.DataFrame:
    return dataset.read("embeddings", outcome.table.partition("/")[2])


def test_vectors_are_open_clip_s_of_unit_length(data, trained):
    outcome = run(data, trained)
    rows = rows_of(data, outcome)
    Embeddings.validate(rows, cast=False)
    assert rows.schema["vector"] == pl.Array(pl.Float16, 24)
    assert outcome.table.startswith("embeddings/tiny-clip-weights-")
    assert outcome.rows == 7
    assert "images/s on cpu" in outcome.message
    vectors = rows["vector"].cast(pl.Array(pl.Float32, 24)).to_numpy()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    import open_clip

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{trained}")
    expected = model.eval().encode_image(preprocess(open_image(picture(3)))[None])
    expected = (expected / expected.norm()).detach().numpy()[0]
    image_id = data.union("images").collect()["image_id"][3]
    found = dict(zip(rows["item_id"], vectors, strict=True))[image_id]
    assert np.allclose(found, expected, atol=2e-3)


def test_preparing_in_two_steps_gives_the_same_bits(trained):
    import torch
    from torchvision.transforms import Compose, ToTensor

    from curate.clip.preprocess import Preprocess

    contents = [picture(n, size=(90 + 7 * n, 70)) for n in range(3)]
    import open_clip

    _, transform = open_clip.create_model_from_pretrained(f"local-dir:{trained}")
    expected = torch.stack([transform(open_image(content)) for content in contents])
    split = Preprocess(transform)
    prepared = [split.prepare(content) for content in contents]
    assert prepared[0].dtype == np.uint8
    assert torch.equal(split.batch(prepared, "cpu"), expected)
    # A transform that cannot be split is used unchanged.
    other = Preprocess(Compose([*transform.transforms[:-1], lambda t: t * 2, ToTensor]))
    assert other._split is None
    plain = Preprocess(Compose([lambda image: transform(image)]))
    prepared = [plain.prepare(content) for content in contents]
    assert torch.equal(plain.batch(prepared, "cpu"), expected)


def test_it_resumes_and_then_has_nothing_to_do(data, trained):
    outcome = run(data, trained)
    rows = rows_of(data, outcome)
    folder = data.path / outcome.table
    manifest = json.loads((folder / "_table.json").read_text())
    part = folder / manifest["parts"][0]["name"]
    rows.head(4).write_parquet(part)
    manifest["parts"][0]["rows"] = 4
    (folder / "_table.json").write_text(
        json.dumps({**manifest, "status": "running", "finished_at": None})
    )
    again = run(data, trained)
    assert "7 rows, 3 images in" in again.message
    assert rows_of(data, again).sort("item_id").equals(rows.sort("item_id"))
    assert run(data, trained).message.startswith("nothing to do")


def test_new_images_are_added_by_the_same_command(data, trained):
    first = run(data, trained)
    assert run(data, trained).message.startswith("nothing to do")
    more = [picture(n) for n in range(5, 10)]
    write_dataset(data.path, more, [sample(f"x{n}", [c], "<image>?", "a") for n, c in
                                    enumerate(more)], source="more")  # fmt: skip
    assert "would embed 3 images" in run(data, trained, RunOptions(dry_run=True)).message
    again = run(data, trained)
    assert again.table == first.table
    assert "10 rows, 3 images in" in again.message
    rows = rows_of(data, again)
    assert set(rows["item_id"]) == set(data.union("images").collect()["image_id"])
    assert rows["item_id"].is_unique().all()
    assert run(data, trained).message.startswith("nothing to do")


def test_after_kill_9_the_same_command_resumes(tmp_path, trained):
    data = make_dataset(tmp_path / "data", images=60, questions=1)
    code = (
        "import sys, time, curate.embed.command, curate.clip.model; curate.embed.command.PART_ROWS = 8;"
        "slow = curate.clip.model.ClipModel.images;"
        "curate.clip.model.ClipModel.images = lambda s, b: (time.sleep(0.15), slow(s, b))[1];"
        "from pairwright.programs import curate; sys.argv[0] = 'curate'; curate()"
    )
    words = ["embed", str(data.path), "--model", str(trained), "--batch-size", "4"]
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not any(
        manifest.rows for manifest in data.runs("embeddings")
    ):  # listed, not only on disk
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -9
    (manifest,) = data.runs("embeddings")
    assert not manifest.is_complete
    assert 8 <= manifest.rows < 60
    again = run(data, trained)
    assert f"60 rows, {60 - manifest.rows} images in" in again.message
    whole = run(data, trained, RunOptions(run="whole"))
    vectors = [rows_of(data, one).sort("item_id")["vector"] for one in (again, whole)]
    assert np.allclose(vectors[0].to_numpy(), vectors[1].to_numpy(), atol=2e-3)


def test_other_weights_make_another_run(data, trained, bare):
    one, other = run(data, trained), run(data, bare, pretrained="random")
    assert one.table != other.table
    assert run(data, bare, pretrained="random").message.startswith("nothing to do")


def test_texts_on_request(data, trained):
    rows = rows_of(data, run(data, trained, text=True))
    assert rows["kind"].value_counts().sort("kind").rows() == [("image", 7), ("text", 2)]


def test_bad_images_are_rejected(data, trained):
    part = next((data.path / "images/tiny").glob("*.parquet"))
    frame = pl.read_parquet(part).with_columns(
        bytes=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(b"no image")).otherwise("bytes")
    )
    frame.write_parquet(part)
    outcome = run(data, trained)
    assert (outcome.rows, outcome.rejects) == (6, 1)
    rejects = data.read("rejects/embed", outcome.table.partition("/")[2])
    assert rejects["reason"].to_list() == ["not_an_image"]


def test_a_registered_architecture_with_random_weights(data, tmp_path):
    outcome = run(data, "ViT-S-32-alt", pretrained="random", run=RunOptions(limit=2))
    assert outcome.rows == 2
    assert outcome.table.startswith("embeddings/vit-s-32-alt-")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs weights: give --pretrained a file, a folder or a tag .*openai"),
        ({"pretrained": "nix"}, "no such file or folder, and ViT-B-32 has no such tag"),
        ({"pretrained": "openai"}, "the weights are not on this machine and the Hub cannot be"),
        (
            {"model": "ViT-B-33"},
            "neither a folder nor an open_clip architecture; similar .*ViT-B-32",
        ),
        ({"model": "local-dir:/nowhere"}, "no open_clip_config.json in this folder"),
    ],
)
def test_what_cannot_be_loaded_is_reported_in_one_line(data, options, words):
    with pytest.raises(Error, match=words) as caught:
        run(data, **{"model": "ViT-B-32", **options})
    assert "\n" not in str(caught.value)


def test_random_weights_must_be_asked_for(data, bare):
    with pytest.raises(Error, match="cannot load"):
        run(data, bare)


def test_dry_run_prints_what_it_would_do(data, trained):
    outcome = run(data, trained, RunOptions(dry_run=True))
    assert outcome.message.startswith("dry run: would embed 7 images into embeddings/tiny-clip")
    assert not (data.path / "embeddings").exists()
