"""Importing responses, verdicts and marked spans."""

import json

import pytest

from curate.cli import COMMANDS
from curate.read.rows import RowError
from curate.read.spans import apply_spans, read_spans
from curate.read.votes import Vote, combine
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from schemas.tables import TABLES


def run(capsys, *words):
    code = command.main("curate", "", COMMANDS, ["ingest", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture
def asked(tmp_path, capsys):
    """A dataset with two questions."""
    rows = [{"id": n, "question": f"Q{n}?", "criteria": "c"} for n in (1, 2)]
    run(capsys, lines(tmp_path / "asked.jsonl", rows), "-o", tmp_path / "d")
    return tmp_path / "d"


def test_answers_find_their_samples(asked, tmp_path, capsys):
    rows = [
        {"id": 1, "model": "x", "answer": "one", "temperature": 0.7, "seed": 3, "top_k": "high"},
        {"id": 1, "model": "x", "answer": "one again"},
        {"question_id": "2", "model_id": "y", "text": "two <image>"},
        {"id": 3, "model": "x", "answer": "whose?"},
        {"id": 1, "answer": "by whom?"},
        {"id": 1, "model": "x", "answer": " "},
        {"model": "x", "answer": "to what?"},
        {"id": 1, "model": "x", "answer": "nul\0"},
    ]
    source = lines(tmp_path / "answers.jsonl", rows)
    code, shown = run(capsys, source, "-o", asked, "--as", "responses")
    assert (code, shown["rows"]) == (3, 3)
    assert shown["reject_reasons"] == {
        "missing_field": 2, "empty_answer": 1, "nul_in_text": 1, "unknown_sample": 1
    }  # fmt: skip
    responses = Dataset(asked).read("responses", "answers")
    assert TABLES["responses"].validate(responses) is not None
    assert responses["index"].to_list() == [0, 1, 0]
    assert responses["temperature"].to_list() == [0.7, None, None]
    assert responses["prompt"][0].to_list() == [{"role": "user", "content": "Q1?"}]
    assert run(capsys, source, "-o", asked, "--as", "responses")[1]["rows"] == 3

    shown = run(capsys, source, "-o", asked, "--as", "responses", "--model", "z", "--run", "b")[1]
    assert shown["rows"] == 4


def test_an_id_of_two_sources_is_ambiguous_until_one_is_named(asked, tmp_path, capsys):
    other = lines(tmp_path / "other.jsonl", [{"id": 1, "question": "Other?"}])
    run(capsys, other, "-o", asked)
    source = lines(tmp_path / "a.jsonl", [{"id": 1, "model": "x", "answer": "one"}])
    shown = run(capsys, source, "-o", asked, "--as", "responses", "--run", "r")[1]
    assert shown["reject_reasons"] == {"ambiguous_sample": 1}
    words = [source, "-o", asked, "--as", "responses", "--match-source", "other"]
    assert run(capsys, *words)[1]["rows"] == 1
    assert Dataset(asked).read("responses", "a")["prompt"][0][0]["content"] == "Other?"


def test_votes_point_to_responses(asked, tmp_path, capsys):
    answers = [{"id": n, "model": m, "answer": f"{m}{n}"} for n in (1, 2) for m in ("x", "y")]
    run(capsys, lines(tmp_path / "a.jsonl", answers), "-o", asked, "--as", "responses")
    votes = [
        {"id": 1, "order": "1", "model_1": "x", "model_2": "y", "judge": "j", "parsed": "A2"},
        {"id": 1, "order": "2", "model_1": "y", "model_2": "x", "judge": "j", "parsed": "A1"},
        {"id": 2, "model_a": "x", "model_b": "y", "winner": "tie (bothbad)", "judge": "k"},
        {"id": 2, "model_a": "x", "model_b": "y", "winner": "perhaps"},
        {"id": 2, "model_a": "x", "model_b": "z", "winner": "model_a"},
        {"id": 2, "model_a": "x", "model_b": "x", "winner": "model_a"},
    ]
    source = lines(tmp_path / "votes.jsonl", votes)
    code, shown = run(capsys, source, "-o", asked, "--as", "comparisons")
    assert (code, shown["verdicts"]) == (3, {"b": 1, "both_bad": 1})
    assert shown["reject_reasons"] == {
        "same_answers": 1, "unknown_response": 1, "unknown_verdict": 1
    }  # fmt: skip
    dataset = Dataset(asked)
    comparisons = dataset.read("comparisons", "votes")
    assert TABLES["comparisons"].validate(comparisons) is not None
    texts = dict(dataset.read("responses", "a").select("response_id", "text").iter_rows())
    row = comparisons.row(0, named=True)
    assert (texts[row["a"]], texts[row["b"]], row["by"]) == ("x1", "y1", "j")
    words = [source, "-o", asked, "--as", "comparisons", "--dry-run", "--run", "dry"]
    assert run(capsys, *words)[1]["reject_reasons"] == shown["reject_reasons"]
    assert dataset.manifest("comparisons", "dry") is None


def test_what_is_missing_is_said(asked, tmp_path, capsys):
    source = lines(tmp_path / "v.jsonl", [{"id": 1}])
    code, shown = run(capsys, source, "-o", asked, "--as", "comparisons")
    assert (code, "--as responses" in shown["error"]) == (2, True)
    words = [source, "-o", asked, "--as", "responses", "--match-source", "gone"]
    code, shown = run(capsys, *words)
    assert (code, "no samples of the source gone" in shown["error"]) == (2, True)


def test_spans_by_offset_by_text_and_with_corrections_after_them():
    answer = "A red cat and a red dog."
    spans = read_spans(
        answer,
        [
            {"span": "red", "correct": False, "reward": -1},
            {"correction": "blue"},
            {"span": "red", "correct": False, "replacement": "green"},
            {"start": 20, "end": 23, "text": "dog", "correct": True},
        ],
    )
    assert [(s["start"], s["text"], s["correct"], s["replacement"]) for s in spans] == [
        (2, "red", False, "blue"),
        (16, "red", False, "green"),
        (20, "dog", True, None),
    ]
    assert apply_spans(answer, spans) == "A blue cat and a green dog."
    for bad in (
        [{"correction": "blue"}],
        [{"span": "cow"}],
        [{"start": 0, "end": 3, "text": "cat"}],
        [{"start": 5, "end": 99}],
    ):
        with pytest.raises(RowError, match="bad_span"):
            read_spans(answer, bad)


def vote(winner, *, swapped=False, by="j", ordered=True, row="r"):
    first, second = ("y", "x") if swapped else ("x", "y")
    return Vote(
        row_id=row, sample_id="s", first=first, second=second, winner=winner, by=by,
        ordered=ordered, shown_second=swapped,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ([vote("first"), vote("second", swapped=True)], "a"),
        ([vote("second"), vote("first", swapped=True)], "b"),
        ([vote("tie"), vote("tie", swapped=True)], "tie"),
        ([vote("first"), vote("first", swapped=True)], "undecided"),
        ([vote("tie"), vote("second", swapped=True)], "undecided"),
        ([vote("first")], "undecided"),
        ([vote("first", swapped=True)], "undecided"),
        ([vote("first", ordered=False)], "a"),
        ([vote("first"), vote("second", swapped=True, by="k")], "a"),
    ],
)
def test_both_orders_make_one_verdict(votes, verdict):
    for order in (votes, votes[::-1]):
        (row,), duplicates = combine(order)
        assert (row["a"], row["b"], row["verdict"]) == ("x", "y", verdict)
        assert duplicates == []


def test_a_vote_cast_twice_is_rejected_and_judges_stay_apart():
    votes = [vote("first"), vote("second", row="again"), vote("tie", swapped=True)]
    rows, duplicates = combine([*votes, vote("tie", by="k"), vote("tie", swapped=True, by="k")])
    assert [(row["by"], row["verdict"]) for row in rows] == [("j", "undecided"), ("k", "tie")]
    assert [(row_id, error.reason) for row_id, error in duplicates] == [("again", "duplicate_vote")]
