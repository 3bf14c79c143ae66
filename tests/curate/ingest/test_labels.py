"""Human labels: graded verdicts, judged claims, scores, spans."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.cli import COMMANDS
from curate.read.claims import read_claims, read_parts, yes_or_no
from curate.read.levels import read_level
from curate.read.rows import RowError
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
def answered(tmp_path, capsys):
    """Two questions, the first with an answer of its own; answers of two models to each."""
    rows = [{"id": 1, "question": "Q1?", "answer": "own"}, {"id": 2, "question": "Q2?"}]
    run(capsys, lines(tmp_path / "asked.jsonl", rows), "-o", tmp_path / "d")
    answers = [{"id": n, "model": m, "answer": f"{m} says {n}"} for n in (1, 2) for m in ("x", "y")]
    source = lines(tmp_path / "answers.jsonl", answers)
    run(capsys, source, "-o", tmp_path / "d", "--as", "responses")
    return tmp_path / "d"


def ids_of(path):
    frame = Dataset(path).read("responses", "answers")
    return dict(frame.select("text", "response_id").iter_rows())


@pytest.mark.parametrize(
    ("text", "winner", "grade"),
    [
        ("IIW-Human is substantially better", "first", 2),
        ("IIW is marginally better", "first", 1),
        ("IIW-P5B is marginally better", "second", -1),
        ("IIW-P5B is substantially better.", "second", -2),
        ("iiw-p5b  is  slightly   worse", "first", 1),
        ("Neutral", "tie", 0),
        ("About the same", "tie", 0),
        ("Both bad", "both_bad", None),
        ("A is much better", "first", 2),
        ("Response B: a little better", "second", -1),
        ("B better", "second", -1),
        ("model_a is better", "first", 1),
    ],
)
def test_levels_name_a_winner_and_how_much(text, winner, grade):
    found = read_level(text, "IIW", "IIW-P5B")
    assert (found.winner, found.grade) == (winner, grade)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "better",
        "DOCCI is much better",
        "IIW is oddly better",
        "IIWX is better",
        "4",
        "IIW is best",
    ],
)
def test_levels_that_say_nothing_clear_are_refused(text):
    with pytest.raises(RowError, match="unknown_verdict"):
        read_level(text, "IIW", "IIW-P5B")


@settings(deadline=None)
@given(
    st.sampled_from(["substantially", "marginally"]),
    st.sampled_from(["better", "worse"]),
    st.booleans(),
    st.sampled_from([("x", "x-1"), ("long name", "other"), ("a", "b"), ("b", "a"), ("worse", "y")]),
)
def test_swapping_the_answers_swaps_the_grade(how, what, of_first, names):
    who = names[0] if of_first else names[1]
    text = f"{who} is {how} {what}"
    here, there = read_level(text, *names), read_level(text, *names[::-1])
    assert here.grade == -there.grade
    assert (here.winner == "first") == (of_first == (what == "better"))


def test_graded_votes_turn_round_with_the_order():
    def vote(first, second, winner, grade, by="j"):
        return Vote(
            row_id="r", sample_id="s", first=first, second=second, winner=winner, by=by,
            ordered=False, grade=grade,
        )  # fmt: skip

    (row,), _ = combine([vote("x", "y", "first", 2.0), vote("y", "x", "second", -1.0)])
    assert (row["a"], row["verdict"], row["grade"]) == ("x", "a", 1.5)
    rows, _ = combine([vote("x", "y", "first", 1.0), vote("y", "x", "first", 2.0, by="k")])
    assert [(row["a"], row["verdict"], row["grade"]) for row in rows] == [
        ("x", "a", 1.0), ("x", "b", -2.0)
    ]  # fmt: skip


def side(**values):
    row = {
        "text_a": "A cat.", "text_b": "A dog.", "a": "P", "b": "P-2",
        "metrics": {"truth": "P-2 is marginally better", "style": "Neutral"},
        "image": "x.jpg",
    }  # fmt: skip
    return row | values


def test_two_answers_in_a_row_become_samples_responses_and_graded_verdicts(tmp_path, capsys):
    rows = [
        side(sum_score_a_minus_b=-1),
        side(sum_score_a_minus_b=-1),  # the same row again
        side(sum_score_a_minus_b=1),  # an inverted legend
        side(metrics={"truth": "P-2 is oddly better"}),
        side(text_b="A cat."),
        side(text_b=" "),
        side(metrics={}),
        side(image=None),
        side(question="What is it?", metrics={"truth": "P-Human is substantially better"}),
    ]
    source = lines(tmp_path / "sxs.jsonl", rows)
    code, shown = run(capsys, source, "-o", tmp_path / "d", "--no-images", "--by", "ann")
    assert code == 3
    assert shown["tables"] == {"images": 0, "samples": 2, "responses": 4, "comparisons": 3}
    assert shown["reject_reasons"] == {
        "duplicate_row": 1, "wrong_sum": 1, "unknown_verdict": 1, "same_answers": 1,
        "empty_answer": 1, "wrong_type": 1, "missing_field": 1,
    }  # fmt: skip
    dataset = Dataset(tmp_path / "d")
    found = dataset.read("comparisons", "sxs")
    assert TABLES["comparisons"].validate(found) is not None
    assert found.select("criterion", "verdict", "grade", "by").rows() == [
        ("truth", "b", -1.0, "ann"), ("style", "tie", 0.0, "ann"), ("truth", "a", 2.0, "ann")
    ]  # fmt: skip
    models = dict(dataset.read("responses", "sxs").select("response_id", "model").iter_rows())
    assert [(models[a], models[b]) for a, b in found.select("a", "b").iter_rows()] == [
        ("P", "P-2")
    ] * 3
    prompts = [m[0]["content"] for m in dataset.read("samples", "sxs")["messages"]]
    assert prompts == ["Describe the image.", "What is it?"]
    again = run(capsys, source, "-o", tmp_path / "d", "--no-images", "--by", "ann")[1]
    assert again["tables"] == shown["tables"]


def test_one_plain_verdict_a_row_needs_no_metrics(tmp_path, capsys):
    rows = [
        {"prompt": "Why?", "response_a": "So.", "response_b": "No.", "winner": w, "annotator": "k"}
        for w in ("b", "tie", "B is slightly better")
    ]
    code, shown = run(capsys, lines(tmp_path / "v.jsonl", rows), "-o", tmp_path / "d")
    assert (code, shown["rows"]) == (0, 3)
    found = Dataset(tmp_path / "d").read("comparisons", "v")
    assert found.select("verdict", "grade", "by").rows() == [
        ("b", None, "k"), ("tie", 0.0, "k"), ("b", -1.0, "k")
    ]  # fmt: skip


def labelled(**values):
    row = {
        "question": "What?",
        "answer": "A cat sits. It is happy.",
        "spans": [
            {"start": 0, "end": 10, "text": "A cat sits", "descriptive": 1},
            {"start": 12, "end": 23, "text": "It is happy", "descriptive": 0},
        ],
        "claims": [
            {"text": "There is a cat.", "supported": 1},
            {"text": "It sits.", "supported": 0},
        ],
    }
    return row | values


def test_judged_claims_and_labelled_parts_of_an_answer(tmp_path, capsys):
    shifted = [{"start": 1, "end": 11, "text": "A cat sits", "descriptive": 1}]
    rows = [
        labelled(model="m"),
        labelled(model="m"),
        labelled(spans=shifted),
        labelled(claims=[{"text": "There is a cat.", "supported": "perhaps"}]),
        labelled(claims=[{"text": " ", "supported": 1}]),
        labelled(claims=[{"text": "Judged by nobody.", "supported": "N/A"}], annotator="k"),
        labelled(claims=[], spans=[]),
    ]
    source = lines(tmp_path / "c.jsonl", rows)
    code, shown = run(capsys, source, "-o", tmp_path / "d")
    assert code == 3
    assert shown["format"] == "claims"
    assert shown["tables"] == {
        "images": 0, "samples": 3, "responses": 3, "claims": 3, "feedback": 3
    }  # fmt: skip
    assert shown["reject_reasons"] == {
        "bad_span": 1, "duplicate_row": 1, "empty_claim": 1, "unknown_verdict": 1
    }  # fmt: skip
    dataset = Dataset(tmp_path / "d")
    claims = dataset.read("claims", "c")
    assert TABLES["claims"].validate(claims) is not None
    columns = claims.select("text", "index", "p_yes", "p_no", "judge", "target_kind", "error")
    assert columns.rows() == [
        ("There is a cat.", 0, 1.0, 0.0, "human", "response", None),
        ("It sits.", 1, 0.0, 1.0, "human", "response", None),
        ("Judged by nobody.", 0, None, None, "k", "response", "no verdict"),
    ]
    responses = dataset.read("responses", "c")
    texts = dict(responses.select("response_id", "text").iter_rows())
    assert set(claims["response_id"]) <= texts.keys()
    assert responses["model"].to_list() == ["m", "c", "c"]
    feedback = dataset.read("feedback", "c").row(0, named=True)
    assert [(s["kind"], s["correct"]) for s in feedback["spans"]] == [
        ("descriptive", None), ("analytical", None)
    ]  # fmt: skip
    for span in feedback["spans"]:
        assert texts[feedback["response_id"]][span["start"] : span["end"]] == span["text"]

    run(capsys, source, "-o", tmp_path / "d", "--inverted", "--run", "turned")
    turned = dataset.read("claims", "turned")
    assert turned["p_yes"].to_list() == [0.0, 1.0, None]


def test_a_legend_that_looks_inverted_is_reported(tmp_path, capsys):
    rows = [labelled(claims=[{"text": f"Claim {n}.", "supported": 0}]) for n in range(3)]
    words = ["ingest", str(lines(tmp_path / "c.jsonl", rows)), "-o", str(tmp_path / "d")]
    command.main("curate", "", COMMANDS, words)
    shown = capsys.readouterr().out
    assert "0.0 % of the judged claims are supported" in shown
    assert "--inverted" in shown
    assert shown.endswith("\nnext: `judge claims --claims RUN` or `prefs build --method claims`\n")


@settings(deadline=None)
@given(
    st.one_of(st.none(), st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=2))
)
def test_labels_are_yes_no_or_nothing_and_anything_else_is_an_error(value):
    words = {
        True: ["1", "1.0", "yes", "true", "supported", "correct", "right", "faithful", "entailed"],
        False: [
            "0",
            "0.0",
            "no",
            "false",
            "unsupported",
            "not_supported",
            "incorrect",
            "wrong",
            "hallucinated",
            "unfaithful",
            "contradicted",
            "refuted",
        ],
        None: ["", *["n/a", "na", "none", "null", "-", "nan", "unsure", "unclear", "unknown"]],
    }
    word = str(value).strip().casefold() if isinstance(value, str | int) else "?"
    known = [verdict for verdict, names in words.items() if word in names]
    if known:
        assert yes_or_no(value, "supported") is known[0]
    else:
        with pytest.raises(RowError, match="unknown_verdict"):
            yes_or_no(value, "supported")


def test_hostile_claims_cost_their_row_only():
    for bad in (
        "text",
        [1],
        [{"supported": 1}],
        [{"text": "nul\0", "supported": 1}],
        [{"text": []}],
    ):
        with pytest.raises(RowError):
            read_claims(bad)
    with pytest.raises(RowError, match="bad_span"):
        read_parts("abc", [{"start": -1, "end": 2, "descriptive": 1}])


def test_human_scores_find_their_answers(answered, tmp_path, capsys):
    ids = ids_of(answered)
    rows = [
        {"id": 1, "criterion": "truth", "score": 4, "annotator": "k", "label": "good"},
        {"id": 1, "model": "x", "criterion": "truth", "score": "3.5", "reason": "why"},
        {"response_id": ids["y says 1"], "scores": {"truth": 1, "style": "N/A"}},
        {"target_id": ids["y says 2"], "score": True},
        {"id": 1, "model": "x", "criterion": "truth", "score": 1},  # the same annotator again
        {"id": 1, "model": "x", "criterion": "truth", "score": 1, "by": "k"},
        {"id": 2, "criterion": "truth", "score": 4},  # no answer of its own
        {"id": 2, "model": "z", "score": 4},
        {"response_id": "gone", "score": 4},
        {"id": 1, "score": "high"},
        {"id": 1, "criterion": "truth"},
        {"id": 1, "score": "inf"},
    ]
    source = lines(tmp_path / "marks.jsonl", rows)
    words = [source, "-o", answered, "--as", "scores"]
    dry = run(capsys, *words, "--dry-run")[1]
    code, shown = run(capsys, *words)
    assert (code, shown["rows"]) == (3, 6)
    assert shown["reject_reasons"] == {
        "unknown_response": 2, "not_a_number": 2, "duplicate_score": 1, "missing_field": 1,
        "no_answer": 1,
    }  # fmt: skip
    assert dry["reject_reasons"] == shown["reject_reasons"]
    scores = Dataset(answered).read("scores", "marks")
    assert TABLES["scores"].validate(scores) is not None
    names = {value: key for key, value in ids.items()}
    found = [
        (names.get(r["target_id"], "own"), r["criterion"], r["score"], r["judge"], r["target_kind"])
        for r in scores.iter_rows(named=True)
    ]
    assert found == [
        ("own", "truth", 4.0, "k", "sample"),
        ("x says 1", "truth", 3.5, "human", "response"),
        ("y says 1", "truth", 1.0, "human", "response"),
        ("y says 1", "style", None, "human", "response"),
        ("y says 2", "overall", 1.0, "human", "response"),
        ("x says 1", "truth", 1.0, "k", "response"),
    ]
    assert scores["text"].to_list()[:2] == ["good", None]
    assert scores["rationale"].to_list()[:2] == [None, "why"]
    assert scores["error"][3] == "no rating: N/A"
    assert set(scores["rubric"]) == {"marks"}
    again = run(capsys, *words)[1]
    assert (again["rows"], again["reject_reasons"]) == (6, shown["reject_reasons"])


def test_scores_in_a_csv_with_empty_cells(answered, tmp_path, capsys):
    source = tmp_path / "m.csv"
    named = ids_of(answered)["x says 2"]
    source.write_text(
        "id,response_id,model,criterion,score,annotator\n"
        f",{named},,truth,2,k\n1,,y,truth,5,\n1,,,,4,\n1,,x,truth,,k\n"
    )
    run(capsys, source, "-o", answered, "--as", "scores", "--by", "me")
    scores = Dataset(answered).read("scores", "m")
    found = scores.select("criterion", "score", "judge", "target_kind").rows()
    assert found[:3] == [
        ("truth", 2.0, "k", "response"), ("truth", 5.0, "me", "response"),
        ("overall", 4.0, "me", "sample"),
    ]  # fmt: skip
    # An empty score is a row without a score, or an invalid row, and never zero.
    assert [row[1] for row in found[3:]] in ([], [None])


def test_claims_about_answers_that_are_there(answered, tmp_path, capsys):
    rows = [
        {"id": 1, "model": "x", "claim": "It is so.", "supported": 1},
        {"id": 1, "model": "x", "claim": "It is not.", "supported": "no"},
        {"id": 1, "model": "x", "claim": "It is so.", "supported": 0},  # judged before
        {"id": 1, "model": "x", "claim": "It is so.", "supported": 0, "by": "k"},
        {"id": 1, "claims": [{"text": "Own.", "supported": True}]},
        {"id": 1, "model": "x", "claims": "none"},
        {"id": 1, "model": "x"},
    ]
    source = lines(tmp_path / "c.jsonl", rows)
    code, shown = run(capsys, source, "-o", answered, "--as", "claims")
    assert (code, shown["rows"]) == (3, 4)
    assert shown["reject_reasons"] == {"duplicate_claim": 1, "missing_field": 1, "wrong_type": 1}
    claims = Dataset(answered).read("claims", "c")
    assert claims.select("text", "index", "p_yes", "judge", "target_kind").rows() == [
        ("It is so.", 0, 1.0, "human", "response"),
        ("It is not.", 1, 0.0, "human", "response"),
        ("It is so.", 0, 0.0, "k", "response"),
        ("Own.", 0, 1.0, "human", "sample"),
    ]


def test_feedback_on_answers_that_are_there(answered, tmp_path, capsys):
    ids = ids_of(answered)
    wrong = {"start": 0, "end": 1, "text": "x", "correct": False, "replacement": "z"}
    rows = [
        {"response_id": ids["x says 1"], "spans": [wrong], "by": "k"},
        {"response_id": ids["x says 1"], "corrected": "x says 2"},
        {"response_id": ids["x says 1"], "corrected": "x says 3"},  # human again
        {"response_id": ids["y says 1"], "spans": [wrong]},
        {"response_id": ids["y says 1"], "corrected": "y says 1"},
        {"response_id": ids["y says 1"]},
    ]
    source = lines(tmp_path / "f.jsonl", rows)
    code, shown = run(capsys, source, "-o", answered, "--as", "feedback")
    assert (code, shown["rows"]) == (3, 2)
    assert shown["reject_reasons"] == {
        "bad_span": 1, "duplicate_feedback": 1, "missing_field": 1, "same_answers": 1
    }  # fmt: skip
    feedback = Dataset(answered).read("feedback", "f")
    assert TABLES["feedback"].validate(feedback) is not None
    assert feedback.select("corrected", "by").rows() == [("z says 1", "k"), ("x says 2", "human")]
    assert [(s["text"], s["correct"]) for s in feedback["spans"][1]] == [("1", False)]


def test_votes_may_be_graded(answered, tmp_path, capsys):
    rows = [
        {"id": 1, "a": "x", "b": "y", "verdict": "y is much better", "metric": "truth"},
        {"id": 1, "a": "x", "b": "y", "verdict": "z is much better"},
    ]
    source = lines(tmp_path / "v.jsonl", rows)
    shown = run(capsys, source, "-o", answered, "--as", "comparisons")[1]
    assert shown["reject_reasons"] == {"unknown_verdict": 1}
    found = Dataset(answered).read("comparisons", "v")
    assert found.select("verdict", "grade", "criterion").rows() == [("b", -2.0, "truth")]
