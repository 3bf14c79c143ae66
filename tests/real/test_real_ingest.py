"""Ingest of real files, counted apart from our own readers."""

import json
from collections import Counter, defaultdict

import pytest

from curate.cli import COMMANDS
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from schemas.tables import TABLES


def run(capsys, *words):
    code = command.main("curate", "", COMMANDS, ["ingest", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_mllm_bench_questions_answers_and_votes(shared_data, tmp_path, capsys):
    folder, out = shared_data / "mllm-bench", tmp_path / "d"
    questions, answers = lines(folder / "questions.jsonl"), lines(folder / "answers.jsonl")
    code, shown = run(capsys, folder / "questions.jsonl", "-o", out)
    assert (code, shown["rows"], shown["rejects"]) == (0, len(questions), 0)
    assert shown["text_only"] == sum(not question["image"] for question in questions)
    assert shown["unanswered"] == len(questions)
    dataset = Dataset(out)
    samples = dataset.read("samples", "questions")
    assert samples["criteria"].to_list() == [question["criteria"] for question in questions]
    wanted = [question["reference"] or None for question in questions]
    assert samples["reference"].to_list() == wanted
    assert shown["tables"]["images"] == len({q["image"] for q in questions} - {None})

    code, shown = run(capsys, folder / "answers.jsonl", "-o", out, "--as", "responses")
    assert (code, shown["rows"], shown["rejects"]) == (0, len(answers), 0)
    responses = dataset.read("responses", "answers")
    assert TABLES["responses"].validate(responses) is not None
    counts = responses.group_by("model").len().rows()
    assert dict(counts) == Counter(answer["model"] for answer in answers)

    code, shown = run(capsys, folder / "votes.jsonl", "-o", out, "--as", "comparisons")
    comparisons = dataset.read("comparisons", "votes")
    assert TABLES["comparisons"].validate(comparisons) is not None
    assert (code, shown["rejects"]) == (0, 0)
    assert shown["verdicts"] == dict(Counter(comparisons["verdict"]))
    ids = dict(responses.select("response_id", "model").iter_rows())
    numbers = dict(samples.select("sample_id", "source_id").iter_rows())
    found = {
        (numbers[row["sample_id"]], frozenset((ids[row["a"]], ids[row["b"]]))): (
            {"a": ids[row["a"]], "b": ids[row["b"]]}.get(row["verdict"], row["verdict"])
        )
        for row in comparisons.iter_rows(named=True)
    }
    assert found == direct_verdicts(lines(folder / "votes.jsonl"))


def direct_verdicts(votes):
    """The winner of every pair, if both orders name it."""
    winners = defaultdict(list)
    for vote in votes:
        names = {"A1": vote["model_1"], "A2": vote["model_2"], "tie": "tie"}
        key = (str(vote["id"]), frozenset((vote["model_1"], vote["model_2"])))
        winners[key].append(names[vote["parsed"]])
    assert all(len(named) == 2 for named in winners.values())
    return {
        key: named[0] if named[0] == named[1] else "undecided" for key, named in winners.items()
    }


@pytest.mark.parametrize("model", ["instructblip", "llava", "minigpt-4", "mmgpt", "mplug"])
def test_pope_captions_as_text(shared_data, tmp_path, capsys, model):
    path = shared_data / "pope" / f"Instruction1_{model}.json"
    code, shown = run(capsys, path, "-o", tmp_path / "d", "--no-images", "--run", model)
    assert (code, shown["rows"], shown["rejects"], shown["text_only"]) == (0, 2000, 0, 2000)
    samples = Dataset(tmp_path / "d").read("samples", model)
    assert TABLES["samples"].validate(samples) is not None
    text = path.read_text(encoding="utf-8")
    decoder, at, rows = json.JSONDecoder(), 0, []
    while at < len(text.rstrip()):
        row, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip()) if at < len(text) else 0
        rows.append(row)
    assert [m[1]["content"] for m in samples["messages"]] == [row["text"] for row in rows]
    assert samples["source_id"].to_list() == [str(row["question_id"]) for row in rows]
    question = samples["messages"][0][0]["content"]
    assert ("\\<image>" in question) == (model == "mplug")


def test_pope_questions_name_images_that_are_not_there(shared_data, tmp_path, capsys):
    path = shared_data / "pope" / "coco_pope_random.json"
    code, shown = run(capsys, path, "-o", tmp_path / "d", "--reference", "label")
    assert (code, shown["rows"], shown["reject_reasons"]) == (3, 0, {"missing_image": 3000})
    code, shown = run(capsys, path, "-o", tmp_path / "e", "--reference", "label", "--no-images")
    assert (code, shown["rows"]) == (0, 3000)
    references = Dataset(tmp_path / "e").read("samples", "coco_pope_random")["reference"]
    assert Counter(references) == Counter(row["label"] for row in lines(path))


@pytest.mark.slow
def test_easy_vqa_train(tmp_path, capsys):
    easy_vqa = pytest.importorskip("easy_vqa")
    texts, answers, images = easy_vqa.get_train_questions()
    code, shown = run(capsys, "easy-vqa", "--split", "train", "-o", tmp_path / "d")
    assert (code, shown["rows"], shown["rejects"]) == (0, len(texts), 0)
    assert shown["tables"]["images"] == len(set(images)) == 4000
    samples = Dataset(tmp_path / "d").read("samples", "easy-vqa-train")
    turns = [(m[0]["content"], m[1]["content"]) for m in samples["messages"]]
    assert turns == [(f"<image>\n{q}", a) for q, a in zip(texts, answers, strict=True)]
