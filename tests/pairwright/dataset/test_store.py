"""The dataset directory: atomic parts, resume, lineage, runs in force."""

import json
import multiprocessing
import os
import signal

import polars as pl
import pytest

from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import BusyError, ConfigChangedError, NotFoundError, UsageError
from schemas.tables import TABLES


def response(number, sample="s"):
    return {
        "response_id": f"r{number}",
        "sample_id": sample,
        "prompt": [{"role": "user", "content": "q"}],
        "text": "t",
        "model": "m",
        "index": number,
    }


def sample(number):
    messages = [{"role": "user", "content": f"q{number}"}, {"role": "assistant", "content": "a"}]
    return {
        "sample_id": f"s{number}",
        "image_ids": [],
        "messages": messages,
        "source": "src",
        "source_id": str(number),
    }


def decide(dataset, run, dropped, *, step="dedup", **more):
    inputs = dataset.sample_inputs(for_run=RunKey(step, f"decisions/{run}"))
    ids = dataset.current_samples(for_run=RunKey(step, f"decisions/{run}")).collect()["sample_id"]
    with dataset.write(
        "decisions", run, step=step, config={"dropped": sorted(dropped)}, inputs=inputs, **more
    ) as writer:
        if not writer.is_complete:
            writer.add(
                {
                    "sample_id": i,
                    "run": run,
                    "kept": i not in dropped,
                    "reason": "test",
                    "method": "test",
                }
                for i in ids
            )
        return writer


@pytest.fixture
def dataset(tmp_path):
    dataset = Dataset.create(tmp_path / "data")
    with dataset.write("samples", "src", step="ingest", config={}) as writer:
        writer.add(sample(n) for n in range(6))
    return dataset


def test_parts_are_listed_and_hashed(dataset):
    with dataset.write("responses", "a", step="sample", config={}, part_rows=2) as writer:
        for n in range(5):
            writer.add([response(n)])
    manifest = dataset.manifest("responses", "a")
    assert [p.rows for p in manifest.parts] == [2, 2, 1]
    assert manifest.is_complete
    assert dataset.read("responses", "a")["response_id"].to_list() == [f"r{n}" for n in range(5)]
    assert manifest.packages["polars"]


def test_failure_keeps_what_is_durable_and_the_same_command_resumes(dataset):
    def fail_midway():
        with dataset.write("responses", "a", step="sample", config={"n": 1}, part_rows=2) as writer:
            writer.add([response(0), response(1)])
            writer.add([response(2)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert dataset.pick("responses") is None, "an unfinished run is not for readers"
    with dataset.write("responses", "a", step="sample", config={"n": 1}) as writer:
        assert writer.resumed
        done = writer.keys("response_id")
        assert done == {"r0", "r1", "r2"}, "what was added is kept when the block fails"
        writer.add(r for n in range(4) if (r := response(n))["response_id"] not in done)
    assert dataset.read("responses", "a")["response_id"].to_list() == ["r0", "r1", "r2", "r3"]
    with dataset.write("responses", "a", step="sample", config={"n": 1}) as writer:
        assert writer.is_complete


def test_other_configuration_or_input_is_refused_with_the_difference(dataset):
    with dataset.write("responses", "a", step="sample", config={"n": 1}):
        pass
    with (
        pytest.raises(ConfigChangedError, match=r"n was 1, now 2.*--replace"),
        dataset.write("responses", "a", step="sample", config={"n": 2}),
    ):
        pass
    inputs = dataset.sample_inputs()
    with (
        pytest.raises(ConfigChangedError, match="input samples/src is new"),
        dataset.write("responses", "a", step="sample", config={"n": 1}, inputs=inputs),
    ):
        pass
    with dataset.write("responses", "a", step="sample", config={"n": 2}, replace=True) as writer:
        writer.add([response(7)])
    assert dataset.read("responses", "a").height == 1


def test_rejects_survive_and_retryable_ones_are_tried_again(dataset):
    options = {"step": "sample", "config": {}, "retry_stages": ("request",)}
    with dataset.write("responses", "a", **options) as writer:
        writer.add([response(0)])
        writer.reject("r1", "request", "timeout")
        writer.reject("r2", "parse", "broken", "x\0y")
        writer.reject("r2", "parse", "broken")
    rejects = dataset.read("rejects/sample", "a")
    assert rejects.height == 2
    assert "\0" not in rejects["detail"].to_list()[1]
    with dataset.write("responses", "a", **options) as writer:
        assert not writer.is_complete
        assert writer.rejected_ids() == {"r2"}
        writer.add([response(1)])
    assert dataset.read("responses", "a").height == 2
    assert dataset.read("rejects/sample", "a")["row_id"].to_list() == ["r2"]


def test_unlisted_parts_do_not_exist(dataset):
    with dataset.write("responses", "a", step="sample", config={}) as writer:
        writer.add([response(0)])
    folder = dataset.path / "responses" / "a"
    (folder / "part-000009.parquet").write_bytes((folder / "part-000000.parquet").read_bytes())
    assert dataset.read("responses", "a").height == 1


def _hold(path, started):
    with Dataset(path).write("responses", "a", step="sample", config={}):
        started.set()
        signal.pause()


def test_second_writer_is_refused_and_a_dead_ones_lock_is_taken_over(dataset):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    holder = context.Process(target=_hold, args=(dataset.path, started))
    holder.start()
    assert started.wait(60)
    with (
        pytest.raises(BusyError, match=f"process {holder.pid}"),
        dataset.write("responses", "a", step="sample", config={}),
    ):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with dataset.write("responses", "a", step="sample", config={}) as writer:
        writer.add([response(0)])
    assert dataset.read("responses", "a").height == 1


def test_current_rows_and_what_a_repeat_sees(dataset):
    decide(dataset, "dedup", {"s1"})
    decide(dataset, "filter", {"s2"}, step="filter")
    current = dataset.current_samples().collect()["sample_id"].to_list()
    assert current == ["s0", "s3", "s4", "s5"]
    # A repeat of dedup sees what it saw the first time, though the filter came after it.
    assert decide(dataset, "dedup", {"s1"}).is_complete
    # A stricter run counts only once it is put in force.
    decide(dataset, "strict", {"s1", "s3"})
    assert "s3" in dataset.current_samples().collect()["sample_id"].to_list()
    dataset.use("decisions/strict")
    assert "s3" not in Dataset(dataset.path).current_samples().collect()["sample_id"].to_list()


def test_an_alternative_stands_in_the_same_place(dataset):
    decide(dataset, "dedup", {"s1"})
    decide(dataset, "filter", {"s2"}, step="filter")
    seen = dataset.current_samples(for_run=RunKey("dedup", "decisions/strict"))
    assert seen.collect()["sample_id"].to_list() == [f"s{n}" for n in range(6)]
    inputs = dataset.sample_inputs(for_run=RunKey("dedup", "decisions/strict"))
    assert [one.ref for one in inputs] == ["samples/src"]
    # Another filter sees what dedup left, not what the filter in force left.
    seen = dataset.current_samples(for_run=RunKey("filter", "decisions/mild"))
    assert "s1" not in seen.collect()["sample_id"].to_list()
    assert "s2" in seen.collect()["sample_id"].to_list()


def test_current_rows_come_in_batches_too(dataset):
    with dataset.write("samples", "more", step="ingest", config={}, part_rows=2) as writer:
        writer.add(sample(n) for n in (8, 3, 9, 10))  # s3 is known
    decide(dataset, "dedup", {"s1", "s9"})
    batches = list(dataset.current_batches(["sample_id", "source_id"], rows=3))
    assert max(batch.height for batch in batches) <= 3
    ids = [i for batch in batches for i in batch["sample_id"]]
    assert ids == dataset.current_samples().collect()["sample_id"].to_list()
    assert ids == ["s0", "s2", "s3", "s4", "s5", "s8", "s10"]


def test_reader_asks_when_several_could_be_meant(dataset):
    for step in ("sample", "ingest"):
        with dataset.write("responses", step, step=step, config={}) as writer:
            writer.add([response(0)])
    with pytest.raises(UsageError, match="--responses RUN"):
        dataset.pick("responses")
    assert dataset.pick("responses", steps=("sample",)).run == "sample"
    assert dataset.pick("responses", "ingest").run == "ingest"
    with pytest.raises(UsageError, match="does not exist; complete runs of responses: "):
        dataset.pick("responses", "nope")


def test_finding_the_dataset(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(dataset.path / "samples")
    assert Dataset.find().path == dataset.path
    monkeypatch.chdir(tmp_path)
    assert Dataset.find().path == dataset.path
    other = Dataset.create(tmp_path / "other")
    monkeypatch.setenv("PAIRWRIGHT_DATA", str(other.path))
    assert Dataset.find().path == other.path
    with pytest.raises(NotFoundError, match="curate ingest"):
        Dataset.find(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="local folders"):
        Dataset.find("s3://bucket/data")


def test_foreign_folder_is_not_taken_over(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="not a dataset"):
        Dataset.create(tmp_path)


def test_secrets_stay_out_of_the_lineage(dataset, monkeypatch):
    monkeypatch.setattr("sys.argv", ["judge", "score", "--api-key", "s3cr3t", "--token=t0ken"])
    with dataset.write("responses", "a", step="sample", config={}):
        pass
    text = (dataset.path / "responses" / "a" / "_table.json").read_text()
    assert "s3cr3t" not in text
    assert "t0ken" not in text
    assert json.loads(text)["command"] == "judge score --api-key *** --token=***"


@pytest.mark.parametrize("run", ["../x", "a/b", "", ".hidden", "x" * 101])
def test_run_names_cannot_leave_the_dataset(dataset, run):
    with pytest.raises(UsageError, match="--run"):
        dataset.write("responses", run, step="sample", config={})


def test_a_run_that_grows_goes_on_with_other_inputs_and_keeps_its_place(dataset):
    def write(run, *numbers, config=None, fail=False):
        inputs = [m for m in dataset.runs("samples") if m.is_complete]
        with dataset.write(
            "responses", run, step="sample", config=config or {}, inputs=inputs, grows=True
        ) as writer:
            if not writer.is_complete:
                done = writer.keys("response_id")
                writer.add([response(n) for n in numbers if f"r{n}" not in done])
                if fail:
                    writer.reject("r9", "x", "broken")
                    writer.flush()
                    raise RuntimeError
        return writer

    write("a", 0, 1)
    write("b", 0)
    first = dataset.manifest("responses", "a")
    assert write("a", 0, 1).resumed is False
    with dataset.write("samples", "more", step="ingest", config={}) as writer:
        writer.add([sample(7)])
    with pytest.raises(RuntimeError):
        write("a", 0, 1, 2, fail=True)
    assert not dataset.manifest("responses", "a").is_complete
    assert write("a", 0, 1, 2, 3).n_rejects == 1
    grown = dataset.manifest("responses", "a")
    assert (grown.rows, grown.finished_at) == (4, first.finished_at)
    assert len(grown.inputs) == 2
    assert dataset.active("responses")["sample"].run == "a"
    assert not write("a", 0).resumed
    with pytest.raises(ConfigChangedError):
        write("a", config={"n": 2})


def test_a_table_of_an_older_version_reads_with_its_new_columns_null(tmp_path):
    dataset = Dataset.create(tmp_path / "data")
    row = {
        "comparison_id": "c", "sample_id": "s", "a": "x", "b": "y", "verdict": "a", "by": "ann",
    }  # fmt: skip
    with dataset.write("comparisons", "old", step="ingest", config={}, rejects=False) as writer:
        writer.add([row])
    folder = dataset.path / "comparisons" / "old"
    [part] = folder.glob("part-*.parquet")
    first = ["comparison_id", "sample_id", "a", "b", "p_a_first_order", "verdict", "by"]
    pl.read_parquet(part).select(first).write_parquet(part)
    raw = json.loads((folder / "_table.json").read_text())
    (folder / "_table.json").write_text(json.dumps(raw | {"schema_version": 1}))
    read = Dataset(dataset.path).read("comparisons", "old")
    assert read.columns == list(TABLES["comparisons"].columns())
    assert read.row(0, named=True)["verdict"] == "a"
    assert read["p_a"].to_list() == read["probs_first_order"].to_list() == [None]
    TABLES["comparisons"].validate(read)


def test_a_dataset_of_format_1_opens_with_its_old_names(tmp_path):
    dataset = Dataset.create(tmp_path / "data")
    for run in ("first", "second"):
        with dataset.write("samples", run, step="ingest", config={}, rejects=False) as writer:
            writer.add([{**sample(len(run)), "license": "mit"}])
    dataset.use("samples/second")
    # Written back as pairwright 0.1 wrote it.
    info = json.loads((dataset.path / "dataset.json").read_text())
    info = {"format_version": 1, "name": info["name"], "in_force": info["active"]}
    (dataset.path / "dataset.json").write_text(json.dumps(info))
    for run in ("first", "second"):
        folder = dataset.path / "samples" / run
        [part] = folder.glob("part-*.parquet")
        pl.read_parquet(part).rename({"license": "licence"}).write_parquet(part)
        raw = json.loads((folder / "_table.json").read_text())
        raw |= {"verb": raw.pop("step"), "format_version": 1, "schema_version": 1}
        (folder / "_table.json").write_text(json.dumps(raw))
    old = Dataset(dataset.path)
    assert old.active("samples")["ingest"].run == "second"
    assert old.read("samples", "first")["license"].to_list() == ["mit"]
    assert old.current_samples().collect()["license"].to_list() == ["mit", "mit"]
    for rows in (1, 25_000):
        batches = old.current_batches(["sample_id", "license"], rows=rows)
        assert [r for frame in batches for r in frame["license"]] == ["mit", "mit"]
    manifest = old.manifest("samples", "first")
    frame = old.read_part(manifest, manifest.parts[0], ["license", "sample_id"])
    assert frame.columns == ["license", "sample_id"]
    with old.write("samples", "third", step="ingest", config={}, rejects=False) as writer:
        writer.add([{**sample(9), "license": "mit"}])
    assert old.current_samples().collect()["license"].to_list() == ["mit"] * 3
