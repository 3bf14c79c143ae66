"""`curate filter`: one decision per row, the first rule is the reason, metrics for all rules."""

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tiny_dataset import make_dataset, picture, sample, write_dataset

from curate.cli import COMMANDS
from curate.filter.command import filter_samples
from curate.filter.options import FilterOptions
from curate.filter.rules import load_rules
from pairwright.commands.command import main
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import ConfigChangedError, UsageError
from schemas.tables import Decisions

LOOP = "The red bus stands at the stop and waits for its passengers to come. " * 4


def noise(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Good rows, a loop, a tiny image, an empty answer on that tiny image, a mail address."""
    good, tiny = picture(1), noise(12, 30)
    samples = [
        sample("good", [good], "<image>\nWhat is it?", "A circle on white ground."),
        sample("loop", [good], "<image>\nDescribe it.", LOOP),
        sample("tiny", [tiny], "<image>\nWhat is it?", "A circle."),
        sample("tiny-empty", [tiny], "<image>\nAnd?", " ... "),
        sample("mail", [good], "<image>\nWhom to ask?", "Write to jane.doe@gmail.com for more."),
        sample("bare", [], "Say hello.", "Hello."),
    ]
    return write_dataset(tmp_path / "data", [good, tiny], samples)


def reasons(dataset: Dataset, run: str = "filter-rules") -> dict[str, str]:
    names = dataset.union("samples").select("sample_id", "source_id").collect()
    rows = dataset.read("decisions", run).join(names, on="sample_id")
    Decisions.validate(dataset.read("decisions", run), cast=False)
    return dict(rows.select("source_id", "reason").iter_rows())


def test_the_first_rule_is_the_reason_and_all_are_counted(data):
    pytest.importorskip("phonenumbers")
    options = FilterOptions(preset="basic", pii="email")
    outcome = filter_samples(data, options, RunOptions())
    assert outcome.table == "decisions/filter-rules"
    assert reasons(data) == {
        "good": "kept", "loop": "repetition", "tiny": "resolution", "tiny-empty": "resolution",
        "mail": "pii", "bare": "kept",
    }  # fmt: skip
    metrics = outcome.summary["filters"]
    assert metrics["resolution"]["removed"] == 2
    assert metrics["resolution"]["only"] == 1
    assert (
        metrics["empty_answer"] | {"removed": 1, "only": 0, "first": 0} == metrics["empty_answer"]
    )
    assert metrics["resolution"]["histogram"]["counts"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    rows = data.read("decisions", "filter-rules").filter(pl.col("reason") == "resolution")
    assert rows["similarity"].to_list() == [12.0, 12.0]
    assert rows["method"].unique().to_list() == ["resolution: shorter side below 16"]
    assert data.current_samples().collect().height == 2
    assert "jane.doe" not in outcome.message
    assert "j***m" in outcome.message


def test_a_dry_run_says_the_same_and_writes_nothing(data):
    options = FilterOptions(preset="basic")
    dry = filter_samples(data, options, RunOptions(dry_run=True))
    assert not (data.path / "decisions").exists()
    real = filter_samples(data, options, RunOptions())
    assert dry.message.splitlines()[2:] == real.message.splitlines()[1:-1]
    assert dry.summary["filters"] == real.summary["filters"]


def test_again_there_is_nothing_to_do_and_a_change_is_refused(data):
    filter_samples(data, FilterOptions(preset="basic"), RunOptions())
    again = filter_samples(data, FilterOptions(preset="basic", show=9), RunOptions())
    assert "nothing to do" in again.message
    assert "repetition" in again.message
    with pytest.raises(ConfigChangedError, match="min_side was 16, now 20"):
        filter_samples(data, FilterOptions(preset="basic", min_side=20), RunOptions())
    other = filter_samples(data, FilterOptions(min_side=20), RunOptions(run="strict"))
    assert other.rows == again.rows == 6
    assert "not active, decisions/filter-rules is" in other.message


def test_scores_and_other_rules_are_active_side_by_side(tmp_path):
    data = make_dataset(tmp_path / "data", images=4, questions=1)
    ids = data.union("samples").collect()["sample_id"].to_list()
    scores = [
        {
            "target_id": i, "rubric": "r", "criterion": "accuracy", "judge": "j", "repeat": 0,
            "target_kind": "sample", "score": float(n), "rubric_hash": "x", "prompt_hash": "y",
        }
        for n, i in enumerate(ids)
    ]  # fmt: skip
    with data.write("scores", "score", step="score", config={}) as writer:
        writer.add(scores)
    filter_samples(data, FilterOptions(min_score=1), RunOptions())
    filter_samples(data, FilterOptions(max_answer_words=5), RunOptions())
    assert {m.run for m in data.active("decisions").values()} == {"filter", "filter-rules"}
    assert data.manifest("decisions", "filter").config.keys() == {
        "min_score", "unscored", "limit",
    }  # fmt: skip
    both = FilterOptions(min_score=2, max_answer_words=5, unscored="drop")
    with pytest.raises(ConfigChangedError):
        filter_samples(data, both, RunOptions())
    outcome = filter_samples(data, both, RunOptions(replace=True))
    assert outcome.table == "decisions/filter"
    assert data.manifest("decisions", "filter").step == "filter"
    assert [r == "score" for r in data.read("decisions", "filter")["reason"]] == [
        True,
        True,
        False,
        False,
    ]


def test_a_row_with_an_unreadable_image_is_removed_and_listed(tmp_path):
    good, bad = picture(1), picture(2)
    data = write_dataset(
        tmp_path / "data", [good, bad],
        [sample("a", [good], "<image> a?", "b"), sample("b", [good, bad], "<image><image>", "c")],
    )  # fmt: skip
    part = next((data.path / "images" / "tiny").glob("*.parquet"))
    frame = pl.read_parquet(part)
    broken = pl.when(pl.col("image_id") == hashlib.sha256(bad).hexdigest()).then(pl.lit(b"\x89PNG"))
    frame.with_columns(broken.otherwise("bytes").alias("bytes")).write_parquet(part)
    outcome = filter_samples(data, FilterOptions(min_std=1), RunOptions())
    assert outcome.rejects == 1
    row = data.read("decisions", "filter-rules").filter(~pl.col("kept"))
    assert row["reason"].to_list() == ["unreadable_image"]
    assert row["method"][0].endswith("(not_an_image)")


def test_short_closed_answers_are_all_kept(tmp_path):
    """Hundreds of yes, no and colours on few wordings: no rule of a preset touches one."""
    contents = [picture(n) for n in range(4)]
    samples = [
        sample(f"{n}-{q}", [contents[n % 4]], f"<image>\n{question}", answer)
        for n in range(100)
        for q, (question, answer) in enumerate(
            [("is it red?", "yes"), ("is it red?", "no"), ("what color is it?", "red"),
             ("how many?", "2"), ("option?", "B"), ("what does it say?", "STOP"), ("well?", "✓")]
        )
    ]  # fmt: skip
    data = write_dataset(tmp_path / "data", contents, samples)
    pytest.importorskip("py3langid")
    options = FilterOptions(preset="llava", language="en", pii="all", template_of="both")
    outcome = filter_samples(data, options, RunOptions(dry_run=True))
    assert outcome.summary["removed"] == 0, outcome.message


def test_image_text_removes_the_rows_that_fit_least(tmp_path):
    data = make_dataset(tmp_path / "data", images=4, questions=1)
    samples = data.union("samples").collect()
    answers = ["a circle that is brown", "a circle that is blue", "yes", "a wheel of a car"]
    rows = [
        {**row, "messages": [row["messages"][0], {"role": "assistant", "content": answer}]}
        for row, answer in zip(samples.to_dicts(), answers, strict=True)
    ]
    with data.write("samples", "tiny", step="ingest", config={}, replace=True, rejects=False) as w:
        w.add(rows)
    with pytest.raises(UsageError, match="curate embed --text"):
        filter_samples(data, FilterOptions(min_clip_score=0.2), RunOptions())
    from pairwright.dataset.ids import text_id

    angles = {answers[0]: 0.9, answers[1]: 0.1, answers[3]: 0.4}
    vectors = [(i, "image", [1.0, 0.0]) for i in samples["image_ids"].explode().unique()]
    vectors += [(text_id(t), "text", [c, (1 - c * c) ** 0.5]) for t, c in angles.items()]
    frame = pl.DataFrame(vectors, schema=["item_id", "kind", "vector"], orient="row")
    frame = frame.with_columns(
        pl.lit("m").alias("model"), pl.col("vector").cast(pl.Array(pl.Float16, 2))
    )
    with data.write("embeddings", "m-text", step="embed", config={}, rejects=False) as writer:
        writer.add(frame)
    outcome = filter_samples(data, FilterOptions(min_clip_score=0.2), RunOptions())
    decisions = data.read("decisions", "filter-rules")
    assert decisions["reason"].to_list() == ["kept", "image_text", "kept", "kept"]
    assert decisions["similarity"][1] == pytest.approx(0.1, abs=1e-3)
    assert outcome.summary["filters"]["image_text"]["measured"] == 3
    lowest = filter_samples(data, FilterOptions(drop_clip_fraction=0.67), RunOptions(dry_run=True))
    assert lowest.summary["removed"] == 2


def test_the_preset_is_resolved_and_recorded(data, capsys):
    program = ("curate", "x", COMMANDS, ["filter", str(data.path), "--preset", "llava"])
    assert main(*program[:3], [*program[3], "--without", "blur,cut_answer", "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert "min_side: 56" in shown
    assert "min_sharpness: null" in shown
    assert "rules: empty_answer,template_leak,refusal,repetition\n" in shown
    filter_samples(data, FilterOptions(preset="llava", min_side=10), RunOptions())
    config = data.manifest("decisions", "filter-rules").config
    assert config["min_side"] == 10
    assert config["max_repetition"] == 0.4
    assert "show" not in config
    assert "pii" not in config


def test_every_reason_has_one_name_and_every_preset_can_be_used():
    names = [reason.name for rule in load_rules() for reason in rule.reasons]
    assert len(set(names)) == len(names)
    basic, llava = (set(FilterOptions(preset=name).recorded()) for name in ("basic", "llava"))
    assert {"rules", "min_side", "max_aspect"} <= basic < llava


def test_names_that_rules_had_are_still_understood(data, capsys):
    program = ("curate", "x", COMMANDS)
    words = ["filter", str(data.path), "--broken", "empty,cut", "--cut-certainty", "0.5"]
    assert main(*program, [*words, "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert "rules: empty_answer,truncated_answer\n" in shown
    assert "truncation_certainty: 0.5" in shown
    assert main(*program, ["filter", "--help"]) == 0
    assert "broken" not in capsys.readouterr().out


def test_a_run_of_an_older_version_stays_finished(data):
    options = FilterOptions(preset="llava", without="blur", max_answer_words=90)
    filter_samples(data, options, RunOptions())
    path = data.path / "decisions" / "filter-rules" / "_table.json"
    manifest = json.loads(path.read_text())
    config = manifest["config"]
    # As version 1 recorded it.
    del config["rules"]
    config["broken"] = "empty,cut,repetition,refusal,template"
    config["cut_certainty"] = config.pop("truncation_certainty")
    config["max_template_share"] = config.pop("max_template_fraction")
    path.write_text(json.dumps(manifest))
    assert "nothing to do" in filter_samples(data, options, RunOptions()).message
    changed = dataclasses.replace(options, truncation_certainty=0.5)
    with pytest.raises(ConfigChangedError, match=r"truncation_certainty was 0\.8, now 0\.5"):
        filter_samples(data, changed, RunOptions())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no rule is on"),
        ({"rules": "cuts"}, "--rules takes a comma list of empty_answer, template_leak"),
        ({"pii": " , "}, "--pii names nothing"),
        ({"max_aspect": 0.5}, "--max-aspect is longer side over shorter side"),
        ({"min_turns": 3, "max_turns": 2}, "no row would be kept"),
        ({"max_template_fraction": 2}, "fraction from 0 to 1"),
        ({"min_sharpness": float("nan")}, "--min-sharpness must be a number"),
        ({"without": "blur"}, "give --preset too"),
        ({"preset": "basic", "without": "blurr"}, "--without takes a comma list"),
    ],
)
def test_options_that_mean_nothing_are_refused(data, values: dict[str, Any], message):
    with pytest.raises(UsageError, match=message):
        filter_samples(data, FilterOptions(**values), RunOptions())


def test_an_empty_set_and_a_limit(tmp_path, data):
    outcome = filter_samples(data, FilterOptions(preset="basic"), RunOptions(limit=1))
    assert outcome.summary["rows"] == 1
    empty = Dataset.create(tmp_path / "empty")
    options = FilterOptions(preset="llava", min_turns=1, min_entropy=1)
    outcome = filter_samples(empty, options, RunOptions())
    assert outcome.summary["rows"] == outcome.rows == 0
    assert np.isfinite(outcome.summary["seconds"])
