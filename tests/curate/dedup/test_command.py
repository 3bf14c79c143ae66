"""`curate dedup` on a dataset: what it writes, prints, refuses and reads."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image
from tiny_dataset import picture, sample, write_dataset

from curate.cli import COMMANDS
from curate.dedup.command import dedup
from curate.dedup.options import DedupOptions
from pairwright.commands import command
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import ConfigChangedError, UsageError
from schemas.tables import Conflicts, Decisions


def copy_of(content: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).resize((96, 96), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    one, two = picture(1), picture(2)
    copy = copy_of(one)
    rows = [
        sample("0", [one], "<image>\nwhat shape is it?", "a circle"),
        sample("1", [one], "<image>\nWhat shape is it?", "A circle."),
        sample("2", [copy], "<image>\nwhat shape is it?", "a circle"),
        sample("3", [two], "<image>\nwhat shape is it?", "a circle"),
        sample("4", [one], "<image>\nwhat shape is it?", "a square"),
    ]
    return write_dataset(tmp_path / "data", [one, two, copy], rows)


def run(dataset: Dataset, **options: Any) -> Any:
    return dedup(dataset, DedupOptions(**options), RunOptions())


def kept(dataset: Dataset) -> list[str]:
    return dataset.current_samples().select("source_id").collect()["source_id"].to_list()


def test_decisions_and_conflicts_are_written_and_valid(data):
    outcome = run(data)
    decisions = data.read("decisions", "dedup")
    Decisions.validate(decisions, cast=False)
    Conflicts.validate(data.read("conflicts", "dedup"), cast=False)
    assert decisions.height == 5
    assert kept(data) == ["1", "3", "4"]  # the longest of its duplicates is kept
    assert outcome.summary["removed_by_reason"] == {"exact": 1, "near_image": 1}
    assert outcome.summary["conflicts"] == 1
    assert "5 rows in, 3 kept, 2 removed (40.0 %)" in outcome.message
    assert "1 conflict: different answers to 1 question on the same image" in outcome.message
    assert "a circle" in outcome.message.lower()
    assert outcome.message.endswith("\nnext: `judge score` or `curate select`")


def test_again_there_is_nothing_to_do(data):
    run(data)
    before = (data.path / "decisions/dedup/_table.json").read_bytes()
    assert run(data, show=0).message.startswith("nothing to do: decisions/dedup is finished")
    assert (data.path / "decisions/dedup/_table.json").read_bytes() == before
    with pytest.raises(ConfigChangedError, match=r"threshold was 0\.7, now 0\.9"):
        run(data, threshold=0.9)


def test_another_dedup_sees_the_same_samples(data):
    run(data)
    again = dedup(data, DedupOptions(), RunOptions(run="second"))
    assert again.summary["rows"] == 5
    assert kept(data) == ["1", "3", "4"]


def test_a_run_is_remade_from_what_it_saw_first(data):
    run(data)
    again = dedup(data, DedupOptions(threshold=0.9), RunOptions(replace=True))
    assert again.summary["rows"] == 5


def test_lineage_names_what_was_read(data):
    run(data)
    manifest = data.manifest("decisions", "dedup")
    assert {i["table"] for i in manifest.inputs} == {"samples/tiny", "images/tiny"}
    assert "show" not in manifest.config
    assert manifest.summary["rows"] == 5


def test_dry_run_writes_nothing_and_limit_takes_the_first(data):
    outcome = dedup(data, DedupOptions(), RunOptions(dry_run=True, limit=2))
    assert "2 rows in, 1 kept" in outcome.message
    assert not (data.path / "decisions").exists()
    assert not (data.path / "conflicts").exists()


def test_a_run_that_was_killed_is_made_again(data):
    run(data)
    path = data.path / "decisions/dedup/_table.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "status": "running", "finished_at": None}))
    assert run(data).summary["rows"] == 5
    assert data.read("decisions", "dedup").height == 5


def test_score_keeps_the_best(data):
    ids = data.union("samples").collect()
    scores = {"0": 5.0, "1": 1.0, "2": 2.0, "4": 3.0}
    with data.write("scores", "score", step="score", config={}) as writer:
        writer.add(
            {
                "target_id": row["sample_id"], "rubric": "r", "criterion": c, "judge": "j",
                "repeat": 0, "target_kind": "sample", "score": scores[row["source_id"]] + d,
                "rubric_hash": "x", "prompt_hash": "y",
            }
            for row in ids.iter_rows(named=True) if row["source_id"] in scores
            for c, d in (("a", -0.5), ("b", 0.5))
        )  # fmt: skip
    run(data, keep="score")
    assert kept(data) == ["0", "3", "4"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": "score"}, "--keep score needs scores: run `judge score` first"),
        ({"image_match": "clip"}, "--image-match clip needs embeddings: run `curate embed` first"),
    ],
)
def test_missing_runs_are_named(data, options, words):
    with pytest.raises(UsageError, match=words):
        run(data, **options)


def test_a_dataset_without_samples_names_the_command_that_adds_some(tmp_path):
    with pytest.raises(UsageError, match="no samples yet; read some with `curate ingest"):
        run(Dataset.create(tmp_path / "empty"))


def test_images_that_are_gone_match_nothing(tmp_path):
    one, copy = picture(1), copy_of(picture(1))
    rows = [sample(str(k), [c], "<image>\nwhat?", "a circle") for k, c in enumerate([one, copy])]
    dataset = write_dataset(tmp_path / "data", [one, copy], rows)
    part = next((dataset.path / "images/tiny").glob("*.parquet"))
    frame = pl.read_parquet(part).with_columns(
        bytes=pl.when(pl.int_range(2) == 0).then("bytes"), path=pl.lit("/nowhere/x.png")
    )
    frame.write_parquet(part)
    outcome = run(dataset)
    assert outcome.summary["removed"] == 0
    assert outcome.summary["unreadable_images"] == 1
    assert "1 image could not be read" in outcome.message


def test_on_the_command_line(data, capsys):
    words = ["dedup", str(data.path), "--json", "--on", "text", "--keep", "order", "--quiet"]
    assert command.main("curate", "", COMMANDS, words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["table"] == "decisions/dedup"
    assert shown["removed_by_reason"] == {"exact": 3}
    assert command.main("curate", "", COMMANDS, ["dedup", str(data.path), "--threshold", "7"]) == 2
    assert "--threshold must be above 0 and at most 1" in capsys.readouterr().err


def more(data: Dataset, name: str, *rows: Any, images: Any = ()) -> None:
    """Rows of a second ingest."""
    write_dataset(data.path, list(images), list(rows), source=name)


def decided(data: Dataset, name: str) -> dict[str, tuple[bool, str | None]]:
    """Whether kept, and the source id of the kept representative, by source id."""
    ids = dict(data.union("samples").select("sample_id", "source_id").collect().iter_rows())
    rows = data.read("decisions", name).select("sample_id", "kept", "kept_id").iter_rows()
    return {ids[i]: (kept, ids.get(other, other)) for i, kept, other in rows}


def test_extend_keeps_what_was_decided_and_decides_on_the_rest(data):
    run(data, keep="length")
    before = decided(data, "dedup")
    one, three = picture(1), picture(3)
    more(
        data, "later",
        sample("new", [three], "<image>\nwhat shape is it?", "a star"),
        sample("duplicate", [three], "<image>\nwhat shape is it?", "A star"),
        sample("known", [one], "<image>\nwhat shape is it?", "a circle!!!"),
        sample("other", [one], "<image>\nwhat shape is it?", "a triangle"),
        images=[one, three],
    )  # fmt: skip
    outcome = run(data, keep="length", extend=True)
    assert "compared with 3 samples that are kept already" in outcome.message
    assert "active now: decisions/dedup-2" in outcome.message
    after = decided(data, "dedup-2")
    assert {k: v for k, v in after.items() if k in before} == before
    assert after["new"] == (True, None)
    assert after["duplicate"] == (False, "new")
    assert after["known"] == (
        False,
        "1",
    )  # although it is longer: existing rows are not decided again
    assert after["other"] == (True, None)
    assert kept(data) == ["1", "3", "4", "new", "other"]
    found = data.read("conflicts", "dedup-2")
    assert found.height == 1 + 2  # the old one, and the triangle against circle and square
    Conflicts.validate(found, cast=False)
    again = run(data, keep="length", extend=True)
    assert again.message.startswith("nothing to do: decisions/dedup-2 decides all samples")


def test_extend_refuses_what_would_mix(data):
    with pytest.raises(UsageError, match="no finished dedup to extend"):
        run(data, extend=True)
    run(data)
    with pytest.raises(UsageError, match=r"made with threshold 0\.7, not 0\.9"):
        run(data, extend=True, threshold=0.9)
    with pytest.raises(UsageError, match="use one of them"):
        run(data, extend=True, promote=True)


def test_against_another_dataset(data, tmp_path):
    one, two = picture(1), picture(2)
    rows = [
        sample("here", [copy_of(one)], "<image>\nwhat shape is it?", "a circle"),
        sample("mine", [two], "<image>\nwhat colour is it?", "red"),
    ]
    mine = write_dataset(tmp_path / "mine", [copy_of(one), two], rows)
    outcome = run(mine, against=(data.path,), show=2)
    assert outcome.summary["removed_by_reason"] == {"exact": 1}
    assert outcome.summary["rows"] == 2
    removed = mine.read("decisions", "dedup").filter(~pl.col("kept"))
    name, _, other = removed["kept_id"].item().partition(":")
    assert name == "data"
    assert other in set(data.union("samples").collect()["sample_id"])
    assert kept(mine) == ["mine"]
    assert any("against" in one["table"] for one in mine.manifest("decisions", "dedup").inputs)


def test_promote_keeps_the_next_duplicate(data):
    run(data)
    assert decided(data, "dedup")["0"] == (False, "1")
    with pytest.raises(UsageError, match="nothing to promote"):
        run(data, promote=True)
    ids = data.current_samples().select("sample_id", "source_id").collect()
    with data.write(
        "decisions", "filter", step="filter", config={}, inputs=data.sample_inputs(), rejects=False
    ) as writer:
        writer.add(
            {
                "sample_id": i, "run": "filter", "kept": source != "1", "reason": "score",
                "method": "score:mean",
            }
            for i, source in ids.iter_rows()
        )  # fmt: skip
    assert kept(data) == ["3", "4"]
    dedup(data, DedupOptions(promote=True), RunOptions(replace=True))
    after = decided(data, "dedup")
    assert after["2"] == (True, None)
    assert after["0"] == after["1"] == (False, "2")
    assert kept(data) == ["2", "3", "4"]
    # The filter still comes after the dedup: made again, it sees the promoted row.
    seen = data.current_samples(for_run=RunKey("filter", "decisions/filter")).collect()
    assert seen["source_id"].to_list() == ["2", "3", "4"]


def test_runs_of_older_versions_are_recognized(data):
    """Their configuration and summary have older names."""
    run(data)
    path = data.path / "decisions/dedup/_table.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["rescue"] = manifest["config"].pop("promote")
    old = {
        "distinct_pairs": "held_back_pairs",
        "conflict_rows_truncated": "conflict_rows_cut_short",
        "copy_pairs": "same_picture_pairs",
    }
    manifest["summary"] = {old.get(k, k): v for k, v in manifest["summary"].items()}
    path.write_text(json.dumps(manifest))
    again = run(data)
    assert again.message.startswith("nothing to do: decisions/dedup is finished")
    assert "1 pair of copies confirmed" in again.message
    with data.write(
        "decisions", "filter", step="filter", config={}, inputs=data.sample_inputs(), rejects=False
    ) as writer:
        writer.add(
            {"sample_id": i, "run": "filter", "kept": True, "reason": "kept", "method": "x"}
            for i in data.current_samples().collect()["sample_id"]
        )
    with pytest.raises(ConfigChangedError, match="promote was False, now True"):
        run(data, promote=True)


def test_the_old_flag_still_works(data, capsys):
    run(data)
    words = ["dedup", str(data.path), "--rescue", "--quiet"]
    assert command.main("curate", "", COMMANDS, words) == 2
    assert "--promote: no active filter or selection came after" in capsys.readouterr().err
    assert command.main("curate", "", COMMANDS, ["dedup", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--promote" in shown
    assert "--rescue" not in shown


def test_texts_of_rows_do_not_act_on_the_terminal(tmp_path):
    one, evil = picture(1), "\x1b[31m\x07\u202e"
    rows = [
        sample(str(n), [one], f"<image>\nwhat {evil} is it?", f"{evil} {answer}")
        for n, answer in enumerate(("a circle", "a circle", "a square"))
    ]
    message = run(write_dataset(tmp_path / "data", [one], rows)).message
    assert "removed as exact" in message
    assert "conflicting answers" in message
    assert message.count("\\x1b[31m\\x07\\u202e a circle") >= 3
    assert not set(evil.replace("[31m", "")) & set(message)


def test_the_dataset_itself_is_not_another_dataset(data, tmp_path):
    (tmp_path / "link").symlink_to(data.path)
    for path in (data.path, tmp_path / "link"):
        with pytest.raises(UsageError, match=r"^--against .*: this is the dataset itself"):
            run(data, against=(path,))
