"""MLLM-Bench: real answers of 36 models and votes on them, from files to pairs and back.

Every figure is counted from the files themselves, by code that shares nothing with ours.
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from curate.cli import COMMANDS as CURATE
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from prefs.cli import COMMANDS as PREFS


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(program: str, *words: object) -> int:
    commands = {"curate": CURATE, "prefs": PREFS}[program]
    return command.main(program, "", commands, [*map(str, words), "--quiet"])


def plain(text: str) -> str:
    """Answers that differ in case, white space or a last full stop only are the same."""
    return " ".join(text.lower().split()).strip(" .!")


@pytest.fixture(scope="module")
def bench(shared_data: Path) -> Path:
    return shared_data / "mllm-bench"


@pytest.fixture(scope="module")
def dataset(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("mllm") / "bench"
    for words in (
        ("questions.jsonl", "--source-name", "mllm-bench"),
        ("answers.jsonl", "--as", "responses"),
        ("votes.jsonl", "--as", "comparisons"),
    ):
        assert run("curate", "ingest", bench / words[0], "-o", folder, *words[1:]) == 0
    return Dataset(folder)


def decided_votes(bench: Path) -> list[tuple[str, str, str]]:
    """(question, winner's answer, loser's answer) where both orders name the same winner."""
    answers = {(r["id"], r["model"]): r["answer"] for r in lines(bench / "answers.jsonl")}
    winners: dict[tuple, list[str]] = defaultdict(list)
    for vote in lines(bench / "votes.jsonl"):
        winner = {"A1": vote["model_1"], "A2": vote["model_2"]}.get(vote["parsed"], "tie")
        models = frozenset((vote["model_1"], vote["model_2"]))
        winners[vote["id"], models].append(winner)
    out = []
    for (question, models), named in winners.items():
        if len(named) == 2 and named[0] == named[1] != "tie":
            (loser,) = models - {named[0]}
            out.append((question, answers[question, named[0]], answers[question, loser]))
    return out


def test_votes_become_the_pairs_that_both_orders_agree_on(bench: Path, dataset: Dataset) -> None:
    assert run("prefs", "build", dataset.path, "--method", "comparisons") == 0
    pairs = dataset.read("pairs", "comparisons")
    ids = dict(dataset.union("samples").select("source_id", "sample_id").collect().iter_rows())
    votes = decided_votes(bench)
    expected = {(ids[str(q)], plain(better), plain(worse)) for q, better, worse in votes}
    found = pairs.select("sample_id", "chosen", "rejected").iter_rows()
    assert {(i, plain(better), plain(worse)) for i, better, worse in found} == expected
    assert len(votes) == 1799
    assert pairs.height == len(expected) == 1789
    counts = dataset.manifest("pairs", "comparisons").summary["not_paired"]
    assert counts["repeated"] == len(votes) - pairs.height
    # 2,100 comparisons: decided, tied, or named differently in the two orders.
    assert len(votes) + counts["tie"] + counts["undecided"] == 2100


def test_controls_say_nothing_about_quality(bench: Path, dataset: Dataset) -> None:
    better = {(winner, loser) for _, winner, loser in decided_votes(bench)}
    run("prefs", "build", dataset.path, "--method", "comparisons", "--control", "random")
    control = dataset.read("pairs", "comparisons-random")
    assert control.height == 1789
    sides = list(control.select("chosen", "rejected").iter_rows())
    agree = sum(side in better for side in sides)
    differ = sum(side[::-1] in better for side in sides)
    assert abs(agree - differ) < 0.15 * (agree + differ)


def test_dedup_keeps_every_question(dataset: Dataset) -> None:
    assert run("curate", "dedup", dataset.path) == 0
    # 210 different questions, some on one image: a tool that goes by image would drop rows.
    assert dataset.current_samples().collect().height == 210


def test_export_reads_back(dataset: Dataset, bench: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    if not dataset.runs("pairs"):
        run("prefs", "build", dataset.path, "--method", "comparisons")
    out = tmp_path / "out"
    assert run("curate", "export", dataset.path, out, "--pairs", "comparisons") == 0
    rows = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    stored = dataset.read("pairs", "comparisons").to_dicts()
    names = dict(dataset.union("samples").select("sample_id", "source_id").collect().iter_rows())
    questions = {str(r["id"]): r for r in lines(bench / "questions.jsonl")}
    assert len(rows) == len(stored)
    raw = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
    for row, pair in zip(raw, stored, strict=True):
        assert row["chosen"][0]["content"] == pair["chosen"]
        assert row["rejected"][0]["content"] == pair["rejected"]
        question = questions[names[pair["sample_id"]]]
        assert row["prompt"][0]["content"].strip() == question["question"].strip()
        file = question.get("image")
        expected = [(bench / file).read_bytes()] if file else []
        assert [image["bytes"] for image in row["images"]] == expected
    assert all(
        image.size[0] > 10 for row in rows.select(range(0, 1789, 100)) for image in row["images"]
    )
