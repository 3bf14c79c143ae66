"""`judge agree` of 4,200 real verdicts of a GPT-4 judge, against counts from the raw files."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from curate.cli import COMMANDS as CURATE
from judge.cli import COMMANDS as JUDGE
from pairwright.commands import command


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def report(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    bench, folder = shared_data / "mllm-bench", tmp_path_factory.mktemp("agree") / "bench"
    for words in (
        ("questions.jsonl", "--source-name", "mllm-bench"),
        ("answers.jsonl", "--as", "responses"),
        ("votes.jsonl", "--as", "comparisons"),
    ):
        typed = ["ingest", str(bench / words[0]), "-o", str(folder), *words[1:], "--quiet"]
        assert command.main("curate", "", CURATE, typed) == 0
    typed = ["agree", str(folder), "--judge", "comparisons/votes", "--resamples", "200", "--quiet"]
    assert command.main("judge", "", JUDGE, typed) == 0
    file = folder / "reports" / "agree" / "votes" / "report.json"
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def verdicts(shared_data: Path) -> dict[tuple, list[tuple[str | None, str]]]:
    """Of each pair: (winner or nobody, answer shown first), one entry an order."""
    out: dict[tuple, list[tuple[str | None, str]]] = defaultdict(list)
    for vote in lines(shared_data / "mllm-bench" / "votes.jsonl"):
        winner = {"A1": vote["model_1"], "A2": vote["model_2"]}.get(vote["parsed"])
        pair = vote["id"], frozenset((vote["model_1"], vote["model_2"]))
        out[pair].append((winner, vote["model_1"]))
    return out


def test_flips_are_those_of_the_file(report, verdicts):
    both = [(one[0][0], one[1][0]) for one in verdicts.values()]
    strict = sum(None not in pair and pair[0] != pair[1] for pair in both)
    half = sum((pair[0] is None) != (pair[1] is None) for pair in both)
    found = report["audits"]["position"]
    assert found["pairs"] == len(both) == 2100
    assert found["strict_flips"]["count"] == strict == 226
    assert found["half_flips"]["count"] == half == 40
    # Both together are what the publication of the whole set counts as flips: 12.4 % there.
    assert (strict + half) / 2100 == pytest.approx(0.124, abs=0.01)
    single = [one for pair in verdicts.values() for one in pair if one[0] is not None]
    assert found["first_shown_wins"]["n"] == len(single)
    assert found["first_shown_wins"]["count"] == sum(winner == first for winner, first in single)


def test_the_longer_answer_wins_as_often_as_in_the_file(report, verdicts, shared_data):
    answers = {
        (r["id"], r["model"]): r["answer"] for r in lines(shared_data / "mllm-bench/answers.jsonl")
    }
    for unit, size in (("chars", len), ("words", lambda text: len(text.split()))):
        won = apart = equal = 0
        for (question, models), ((winner, _), (again, _)) in verdicts.items():
            if winner is None or winner != again:
                continue
            (loser,) = models - {winner}
            a, b = size(answers[question, winner]), size(answers[question, loser])
            won, apart, equal = won + (a > b), apart + (a != b), equal + (a == b)
        found = report["audits"]["length"]
        assert (found[unit]["count"], found[unit]["n"]) == (won, apart)
        assert found[f"{unit}_equal"] == equal
    # 68.1 % of 8,163 decisions in the whole published set, of which this is a part.
    assert report["audits"]["length"]["chars"]["value"] == pytest.approx(0.681, abs=0.04)
