"""Human labels in real files, counted independently of our readers."""

import json
from collections import Counter

import polars as pl

from curate.cli import COMMANDS
from judge.cli import COMMANDS as JUDGE_COMMANDS
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from schemas.tables import TABLES


def run(capsys, *words):
    code = command.main("curate", "", COMMANDS, ["ingest", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# The nine wordings that the file has, each graded by hand: positive, `text_a` is better.
GRADES = {
    "IIW-Human is substantially better": 2,
    "IIW is substantially better": 2,
    "IIW-Human is marginally better": 1,
    "IIW is marginally better": 1,
    "Neutral": 0,
    "IIW-P5B is marginally better": -1,
    "DOCCI is marginally better": -1,
    "IIW-P5B is substantially better": -2,
    "DOCCI is substantially better": -2,
}


def test_image_in_words_side_by_side(shared_data, tmp_path, capsys):
    source = shared_data / "iiw_sxs.jsonl"
    raw = lines(source)
    code, shown = run(capsys, source, "-o", tmp_path / "d", "--no-images", "--license", "cc-by-4.0")
    assert (code, shown["rejects"], shown["format"]) == (0, 0, "side-by-side")
    assert shown["tables"] == {"images": 0, "samples": 200, "responses": 400, "comparisons": 1000}
    dataset = Dataset(tmp_path / "d")
    found = dataset.read("comparisons", "iiw_sxs")
    assert TABLES["comparisons"].validate(found) is not None
    texts = dict(dataset.read("responses", "iiw_sxs").select("response_id", "text").iter_rows())
    ours = {
        (texts[row["a"]], texts[row["b"]], row["criterion"]): (row["verdict"], row["grade"])
        for row in found.iter_rows(named=True)
    }
    theirs = {}
    for row in raw:
        for criterion, level in row["metrics"].items():
            grade = GRADES[level]
            verdict = "a" if grade > 0 else "b" if grade < 0 else "tie"
            theirs[row["text_a"], row["text_b"], criterion] = (verdict, float(grade))
    assert ours == theirs
    sums = found.group_by("sample_id", maintain_order=True).agg(pl.col("grade").sum())["grade"]
    assert sums.to_list() == [row["sum_score_a_minus_b"] for row in raw]


def test_claims_and_parts_of_faithscore(shared_data, tmp_path, capsys):
    source = shared_data / "faithscore_spans.jsonl"
    raw = lines(source)
    distinct = {json.dumps(row, sort_keys=True): row for row in raw}.values()
    assert (len(raw), len(distinct)) == (180, 174)
    code, shown = run(capsys, source, "-o", tmp_path / "d", "--no-images", "--license", "mit")
    assert (code, shown["reject_reasons"]) == (0, {"duplicate_row": 6})
    claims = [claim for row in distinct for claim in row["claims"]]
    assert shown["tables"] == {
        "images": 0, "samples": 174, "responses": 174, "claims": len(claims), "feedback": 174
    }  # fmt: skip
    dataset = Dataset(tmp_path / "d")
    found = dataset.read("claims", "faithscore_spans")
    assert TABLES["claims"].validate(found) is not None
    ours = Counter(found.select("text", "p_yes", "p_no").rows())
    assert ours == Counter((c["text"], float(c["supported"]), 1.0 - c["supported"]) for c in claims)
    # The right way round: what is there is supported.
    assert found["p_yes"].mean() > 0.8

    texts = dict(
        dataset.read("responses", "faithscore_spans").select("response_id", "text").iter_rows()
    )
    feedback = dataset.read("feedback", "faithscore_spans")
    spans = [
        (texts[r["response_id"]], s) for r in feedback.iter_rows(named=True) for s in r["spans"]
    ]
    assert all(text[span["start"] : span["end"]] == span["text"] for text, span in spans)
    assert {span["correct"] for _, span in spans} == {None}  # analytical is no mistake
    wanted = Counter(
        "descriptive" if span["descriptive"] else "analytical"
        for row in distinct
        for span in row["spans"]
    )
    assert Counter(span["kind"] for _, span in spans) == wanted


def test_two_criteria_of_the_same_annotators_agree_as_counted_by_hand(
    shared_data, tmp_path, capsys
):
    """Imported labels are what `judge agree` reads, on both sides."""
    source, data = shared_data / "iiw_sxs.jsonl", tmp_path / "d"
    words = [source, "-o", data, "--no-images", "--source-name", "iiw"]
    assert run(capsys, *words)[0] == 0
    asked = ["agree", data, "--judge", "comparisons/iiw", "--labels", "comparisons/iiw"]
    asked += ["--criterion", "Hallucination", "--labels-criterion", "Specificity", "--json"]
    assert command.main("judge", "", JUDGE_COMMANDS, [str(word) for word in asked]) == 0
    [found] = json.loads(capsys.readouterr().out)["criteria"]

    signs = [
        tuple(
            (GRADES[row["metrics"][name]] > 0) - (GRADES[row["metrics"][name]] < 0)
            for name in ("Hallucination", "Specificity")
        )
        for row in lines(source)
    ]
    decided = [pair for pair in signs if 0 not in pair]
    metrics = {one["metric"]: one for one in found["metrics"]}
    assert found["counts"]["rows"] == len(signs)
    assert found["counts"]["decided_by_both"] == len(decided) == 133
    assert found["counts"]["neither_decided"] == signs.count((0, 0))
    assert metrics["accuracy"]["value"] == sum(a == b for a, b in decided) / len(decided)
