"""`prefs build` on a dataset directory, through the command line."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pairwright.commands import command
from pairwright.commands.command import call
from pairwright.dataset.ids import stable_id
from pairwright.dataset.store import Dataset
from prefs.cli import COMMANDS

IMAGE = "a" * 64
RESPONSES = ("a red circle", "A red circle.", "a blue circle", "two large blue squares", "")


def run(capsys: pytest.CaptureFixture, dataset: Dataset, *words: str) -> tuple[int, dict[str, Any]]:
    code = command.main("prefs", "", COMMANDS, ["build", str(dataset.path), *words, "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out.splitlines()[-1]) if out.out else {"error": out.err}


def sample(number: int, answer: str = "a red circle", question: str | None = None) -> dict:
    text = question or f"what is in image {number}?"
    return {
        "sample_id": f"s{number}",
        "image_ids": [IMAGE],
        "messages": [
            {"role": "user", "content": f"<image>\n{text}"},
            {"role": "assistant", "content": answer},
        ],
        "source": "toy",
        "source_id": str(number),
    }


def response(number: int, index: int, text: str, **more: Any) -> dict:
    return {
        "response_id": f"s{number}r{index}",
        "sample_id": f"s{number}",
        "prompt": sample(number)["messages"][:1],
        "text": text,
        "model": "policy",
        "index": index,
        **more,
    }


def score(target: str, value: float | None, criterion: str = "accuracy", **more: Any) -> dict:
    return {
        "target_id": target,
        "rubric": "default",
        "criterion": criterion,
        "judge": "judge",
        "repeat": 0,
        "target_kind": "response",
        "score": value,
        "label_probs": [{"label": str(n), "p": 0.2} for n in range(1, 6)],
        "label_mass": 1.0,
        "rubric_hash": "r",
        "prompt_hash": "p",
        "error": None if value is not None else "no verdict",
        **more,
    }


def write(
    dataset: Dataset, kind: str, step: str, rows: list[dict], name: str | None = None
) -> None:
    with dataset.write(kind, name or step, step=step, config={}) as out:
        out.add(rows)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    data = Dataset.create(tmp_path / "toy")
    write(data, "samples", "ingest", [sample(n) for n in range(4)])
    return data


@pytest.fixture
def scored(dataset: Dataset) -> Dataset:
    rows = [response(n, i, text) for n in range(4) for i, text in enumerate(RESPONSES)]
    write(dataset, "responses", "sample", rows)
    values = (5.0, 5.0, 3.0, 1.0, 1.0)
    rows = [score(f"s{n}r{i}", value) for n in range(3) for i, value in enumerate(values)]
    rows += [score("s3r0", 4.0), score("s3r2", 4.0), score("s3r3", None)]
    write(dataset, "scores", "score-responses", rows)
    return dataset


def test_best_of_n(scored: Dataset, capsys: pytest.CaptureFixture) -> None:
    code, shown = run(capsys, scored)
    assert code == 0
    pairs = scored.read("pairs", "best-of-n")
    assert shown["rows"] == pairs.height
    assert shown["scale"] == [1.0, 5.0]
    assert shown["margin"] == 1.0
    assert shown["policy"] == {"model": "policy", "adapter": None}
    assert shown["not_paired"]["duplicates"] == 3
    assert shown["not_paired"]["ties"] == 1
    assert shown["not_paired"]["score_errors"] == 1
    assert shown["not_paired"]["empty"] == 3
    assert shown["lengths"]["chosen_words"]["mean"] > 0
    assert (pairs["margin"] >= 1).all()
    assert (pairs["chosen_score"] - pairs["rejected_score"] == pairs["margin"]).all()
    assert pairs.group_by("sample_id").len()["len"].max() <= 2
    assert pairs["image_ids"].to_list() == [[IMAGE]] * pairs.height
    assert set(pairs["policy"]) == {"policy"}
    assert pairs["prompt"][0][0]["content"].startswith("<image>")
    code, shown = run(capsys, scored)
    assert code == 0
    assert shown["rows"] == pairs.height


def test_the_same_seed_makes_the_same_pairs_whatever_else_is_there(
    scored: Dataset, capsys: pytest.CaptureFixture
) -> None:
    run(capsys, scored, "--no-length-balance")
    run(capsys, scored, "--no-length-balance", "--limit", "2", "--run", "few")
    all_pairs, few = scored.read("pairs", "best-of-n"), scored.read("pairs", "few")
    assert few.height == 4
    assert set(few["pair_id"]) < set(all_pairs["pair_id"])


def test_presets(scored: Dataset, capsys: pytest.CaptureFixture) -> None:
    _, shown = run(capsys, scored, "--preset", "best-worst", "--no-length-balance", "--run", "bw")
    pairs = scored.read("pairs", "bw")
    assert shown["rows"] == 3
    assert set(pairs["margin"]) == {4.0}
    _, shown = run(capsys, scored, "--preset", "vlfeedback", "--run", "vl")
    assert shown["rows"] == 9
    _, shown = run(capsys, scored, "--preset", "rlaif-v", "--run", "rv", "--margin", "3")
    assert shown["margin"] == 3.0
    code, shown = run(capsys, scored, "--preset", "rlaif-v", "--method", "spans")
    assert code == 2


def test_both_bad_and_truncated_responses_are_not_chosen(
    dataset: Dataset, capsys: pytest.CaptureFixture
) -> None:
    rows = [response(0, i, text) for i, text in enumerate(("one", "two", "three"))]
    rows += [response(1, 0, "cut", finish_reason="length"), response(1, 1, "whole")]
    write(dataset, "responses", "sample", rows)
    values = {"s0r0": 3.0, "s0r1": 2.0, "s0r2": 1.0, "s1r0": 5.0, "s1r1": 1.0}
    write(dataset, "scores", "score-responses", [score(i, v) for i, v in values.items()])
    _, shown = run(capsys, dataset, "--min-chosen", "3", "--max-pairs-per-prompt", "0")
    pairs = dataset.read("pairs", "best-of-n")
    assert set(zip(pairs["chosen"], pairs["rejected"], strict=True)) == {
        ("one", "two"),
        ("one", "three"),
    }
    assert shown["not_paired"]["both_bad"] == 1
    assert shown["not_paired"]["chosen_unfit"] == 1


@pytest.mark.parametrize("control", ["random", "longest"])
def test_controls(scored: Dataset, capsys: pytest.CaptureFixture, control: str) -> None:
    words = ("--no-length-balance", "--max-pairs-per-prompt", "1")
    run(capsys, scored, *words)
    code, shown = run(capsys, scored, *words, "--control", control)
    assert code == 0
    assert shown["table"] == f"pairs/best-of-n-{control}"
    real, made = (scored.read("pairs", r) for r in ("best-of-n", f"best-of-n-{control}"))
    assert sorted(made["sample_id"]) == sorted(real["sample_id"])
    assert set(made["control"]) == {control}
    if control == "longest":
        assert set(made["chosen"]) == {"two large blue squares"}
    # No reader takes the control for a run of the method.
    picked = scored.pick("pairs", steps=("build",))
    assert picked is not None
    assert picked.run == "best-of-n"


def test_what_is_missing_is_named(dataset: Dataset, capsys: pytest.CaptureFixture) -> None:
    code, shown = run(capsys, dataset)
    assert code == 2
    assert "prefs sample" in shown["error"]
    write(dataset, "samples", "ingest", [sample(9, "a cat", "what is in image 0?")], "more")
    code, shown = run(capsys, dataset)
    assert code == 2
    assert "judge score" in shown["error"]
    write(dataset, "responses", "sample", [response(0, 0, "x")])
    code, shown = run(capsys, dataset)
    assert code == 2
    assert "--method best-of-n needs scores" in shown["error"]
    for method, kind in (("spans", "feedback"), ("comparisons", "comparisons")):
        code, shown = run(capsys, dataset, "--method", method)
        assert code == 2
        assert f"needs {kind}" in shown["error"]
    assert not dataset.runs("pairs")


@pytest.mark.parametrize("with_run", [False, True])
def test_conflicting_answers(
    dataset: Dataset, capsys: pytest.CaptureFixture, with_run: bool
) -> None:
    more = [
        sample(9, "a cat", "What is in  image 0?"),
        sample(8, "a dog", "what is in image 1?"),
    ]
    write(dataset, "samples", "ingest", more, "more")
    if with_run:
        rows = [
            {
                "conflict_id": f"c{n}",
                "run": "dedup",
                "group_id": f"g{n}",
                "sample_id": f"s{n}",
                "other_id": other,
                "question": "q",
                "answer": "a red circle",
                "other_answer": text,
                "similarity": 1.0,
            }
            for n, other, text in ((0, "s9", "a cat"), (1, "s8", "another turn"))
        ]
        write(dataset, "conflicts", "dedup", rows)
    values = {"s0": 5.0, "s9": 1.0, "s1": 1.0, "s8": 4.0}
    rows = [score(i, v, target_kind="sample") for i, v in values.items()]
    write(dataset, "scores", "score", rows)
    # A filter by score drops the worse answer; it is still the one to reject.
    kept = [
        {
            "sample_id": f"s{n}",
            "run": "filter",
            "kept": n not in (9, 1),
            "reason": "low_score",
            "method": "score",
        }
        for n in (0, 1, 2, 3, 8, 9)
    ]
    write(dataset, "decisions", "filter", kept)
    code, shown = run(capsys, dataset, "--no-length-balance")
    pairs = dataset.read("pairs", "best-of-n")
    found = set(pairs.select("chosen", "rejected").iter_rows())
    expected = {("a red circle", "a cat")}
    if with_run:
        assert shown["not_paired"]["not_last_turn"] == 1
    else:
        expected |= {("a dog", "a red circle")}
    assert code == 0
    assert found == expected
    assert shown["policy"] is None


def comparison(
    a: str, b: str, verdict: str, first: str | None, second: str | None, by: str = "j"
) -> dict:
    return {
        "comparison_id": stable_id(a, b, by, verdict, first, second),
        "sample_id": a[:2],
        "a": a,
        "b": b,
        "verdict": verdict,
        "verdict_first_order": first,
        "verdict_second_order": second,
        "by": by,
    }


def test_comparisons(scored: Dataset, capsys: pytest.CaptureFixture) -> None:
    rows = [
        comparison("s0r0", "s0r2", "a", "a", "a"),
        comparison("s0r2", "s0r3", "b", "b", "b"),
        comparison("s1r0", "s1r2", "a", "a", "b"),
        comparison("s1r0", "s1r3", "tie", "tie", "tie"),
        comparison("s1r0", "s1r1", "a", "a", "a"),
        comparison("s2r0", "s2r3", "b", None, None, by="a person"),
        comparison("s2r0", "s2r2", "a", "a", "a"),
        comparison("s2r0", "s2r2", "b", "b", "b", by="another"),
        {**comparison("s2r2", "s2r3", "a", "a", None), "p_a_first_order": 0.9},
        comparison("s0r0", "s1r2", "a", "a", "a"),
        comparison("s0r0", "nobody", "a", "a", "a"),
    ]
    write(scored, "comparisons", "ingest", rows)
    code, shown = run(capsys, scored, "--method", "comparisons", "--max-rejects", "1")
    pairs = scored.read("pairs", "comparisons")
    assert code == 0
    assert set(pairs.select("chosen_id", "rejected_id").iter_rows()) == {
        ("s0r0", "s0r2"),
        ("s0r3", "s0r2"),
        ("s2r3", "s2r0"),
    }
    assert shown["not_paired"] == {
        "conflicting_verdicts": 2,
        "duplicates": 1,
        "one_order": 1,
        "order_flip": 1,
        "tie": 1,
    }
    rejects = scored.read("rejects/build", "comparisons")
    assert sorted(rejects["reason"]) == ["missing_response", "sample_mismatch"]
    code, _ = run(capsys, scored, "--method", "comparisons", "--replace")
    assert code == 3


def test_comparisons_with_the_samples_own_answers(
    scored: Dataset, capsys: pytest.CaptureFixture
) -> None:
    rows = [
        comparison("s0r2", "s0", "b", "b", "b"),
        comparison("s1", "s1r0", "a", "a", "a"),  # the same words
        comparison("s1", "s1r3", "b", "b", "b"),
        comparison("s2", "s2r3", "tie", "tie", "tie"),
        comparison("s2", "s1r3", "a", "a", "a"),
        comparison("s3r0", "nobody", "a", "a", "a"),
    ]
    write(scored, "comparisons", "compare", rows)
    code, shown = run(capsys, scored, "--method", "comparisons", "--max-rejects", "1")
    pairs = scored.read("pairs", "comparisons").sort("chosen_id")
    assert code == 0
    assert pairs.select("sample_id", "chosen_id", "rejected_id", "chosen", "rejected").rows() == [
        ("s0", "s0", "s0r2", "a red circle", "a blue circle"),
        ("s1", "s1r3", "s1", "two large blue squares", "a red circle"),
    ]
    assert pairs["prompt"].to_list() == [sample(n)["messages"][:1] for n in (0, 1)]
    assert pairs["image_ids"].to_list() == [[IMAGE], [IMAGE]]
    # Half of each pair is of no policy.
    assert shown["policy"] is None
    assert shown["not_paired"] == {"duplicates": 1, "tie": 1}
    rejects = scored.read("rejects/build", "comparisons")
    assert sorted(rejects["reason"]) == ["missing_response", "sample_mismatch"]


@pytest.mark.parametrize(
    ("verdict", "hint"),
    [
        ("tie", "`judge compare --no-ties`"),
        ("undecided", "`judge score`"),
        ("both_bad", "by reason"),
    ],
)
def test_no_pairs_of_comparisons_does_not_blame_the_margin(scored: Dataset, verdict, hint) -> None:
    rows = [comparison("s0r0", "s0r2", verdict, verdict, verdict)]
    write(scored, "comparisons", "compare", rows)
    last = call("prefs build", scored, method="comparisons").message.splitlines()[-1]
    assert last.strip().startswith("no pairs")
    assert hint in last
    assert "--margin" not in last


def test_invalid_prompts(dataset: Dataset, capsys: pytest.CaptureFixture) -> None:
    prompt = [{"role": "user", "content": "no placeholder"}]
    rows = [response(0, 0, "good", prompt=prompt), response(0, 1, "bad", prompt=prompt)]
    write(dataset, "responses", "sample", rows)
    write(dataset, "scores", "score-responses", [score("s0r0", 5.0), score("s0r1", 1.0)])
    code, shown = run(capsys, dataset)
    assert code == 3
    assert shown["rejects"] == 1
    assert dataset.read("rejects/build", "best-of-n")["reason"].to_list() == ["image_placeholders"]


def test_dry_run_writes_nothing(scored: Dataset, capsys: pytest.CaptureFixture) -> None:
    code, shown = run(capsys, scored, "--dry-run", "--no-length-balance")
    assert code == 0
    assert shown["prompts"] == 3
    assert not scored.runs("pairs")


def test_samples_that_were_dropped_make_no_pairs(
    scored: Dataset, capsys: pytest.CaptureFixture
) -> None:
    rows = [
        {"sample_id": f"s{n}", "run": "filter", "kept": n != 0, "reason": "x", "method": "filter"}
        for n in range(4)
    ]
    write(scored, "decisions", "filter", rows)
    _, shown = run(capsys, scored)
    assert shown["not_paired"]["sample_dropped"] == len(RESPONSES)
    assert "s0" not in set(scored.read("pairs", "best-of-n")["sample_id"])


def test_pairs_fit_their_declaration(scored: Dataset, capsys: pytest.CaptureFixture) -> None:
    from schemas.tables import Pairs

    run(capsys, scored)
    frame = scored.read("pairs", "best-of-n")
    assert Pairs.validate(frame, cast=True).height == frame.height
    assert isinstance(frame, pl.DataFrame)
