"""`curate tag`: each tag names its rule; errors in rules name the wrong key."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_dataset import make_dataset, picture, sample, write_dataset

from curate.tag.command import tag
from curate.tag.options import TagOptions
from curate.tag.rules import apply_rules, facts_of, read_rules
from pairwright.commands.options import RunOptions
from pairwright.errors import UsageError
from schemas.tables import Tags

ROWS = {
    "Describe the image in detail.": ("It shows a red barn beside a lake.", "captioning"),
    "Provide a one-sentence caption for the image.": ("A dog runs.", "captioning"),
    "How many birds are on the wire?": ("There are four birds on the wire.", "counting"),
    "What does the sign say?": ("It says that parking is free on Sundays.", "ocr"),
    "What is the highest value in the bar chart?": ("The highest value is 42 in May.", "ocr"),
    "Give the bounding box of the cup.": ("[0.12, 0.3, 0.4, 0.55]", "grounding"),
    "Where is the cup?": ("At (120, 30, 220, 90).", "grounding"),
    "Why is the man holding an umbrella?": ("Because it rains.", "reasoning"),
    "What might happen next?": ("The glass will fall.", "reasoning"),
    "Is there a dog in the image?": ("No.", "vqa_closed"),
    "What color is the bus?": ("red", "vqa_closed"),
    "What is the man on the left wearing?": ("He wears a long grey coat.", "vqa_open"),
    "Write a short poem about the picture.": ("Roses are red ...", "writing"),
    "Which one? Options: A. cat B. dog": ("The answer is B, of course.", "vqa_closed"),
}


def conversation(number: int, *turns: str, images: int = 1) -> dict[str, Any]:
    row = sample(str(number), [picture(number)] * images, turns[0], None)
    roles = ("user", "assistant")
    row["messages"] = [{"role": roles[n % 2], "content": t} for n, t in enumerate(turns)]
    return row


def test_the_built_in_rules_find_the_usual_tasks(tmp_path):
    rows = [conversation(n, f"<image>\n{q}", a) for n, (q, (a, _)) in enumerate(ROWS.items())]
    rows.append(conversation(100, "<image>\nWhat is it?", "a cat", "How many legs?", "four"))
    rows.append(conversation(101, "Why is the sky blue?", "Because of scattering.", images=0))
    data = write_dataset(tmp_path / "data", [picture(n) for n in range(101)], rows)
    outcome = tag(data, TagOptions(show=True), RunOptions())
    tags = data.read("tags", "tag")
    Tags.validate(tags, cast=False)
    names = data.union("samples").select("sample_id", "source_id").collect()
    main = dict(
        tags.filter("main").join(names, on="sample_id").select("source_id", "task").iter_rows()
    )
    wanted = {str(n): task for n, (_, task) in enumerate(ROWS.values())}
    assert main == wanted | {"100": "multi_turn", "101": "text_only"}
    all_of = tags.join(names, on="sample_id").filter(pl.col("source_id") == "100")
    assert set(all_of["task"]) == {"multi_turn", "counting", "vqa_closed"}
    assert all_of.filter(task="counting")["rule"].to_list() == ["asks_how_many"]
    assert "asks_how_many -> counting" in outcome.message
    assert "e.g. How many birds" in outcome.message
    assert tag(data, TagOptions(), RunOptions()).message.startswith("nothing to do")


def test_own_rules_with_counts_sources_and_a_last_resort(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "rules:\n"
        "  - {name: short, task: easy, when: {answer_words: {max: 1}, source: tiny}, not: {question: '^is'}}\n"
        "  - {name: red, task: colour, when: {question: [zzz, RED]}}\n"
        "  - {name: rest, task: other, otherwise: true, when: {turns: 1}}\n"
    )
    data = make_dataset(tmp_path / "data", images=1, questions=4)
    tag(data, TagOptions(rules=file), RunOptions(run="mine"))
    tags = data.read("tags", "mine")
    assert tags["rule"].to_list() == ["short", "red", "short", "rest"]
    assert tags["main"].all()


def test_dropped_samples_are_tagged_too_so_that_a_second_run_finds_the_same(tmp_path):
    data = make_dataset(tmp_path / "data", images=2, questions=2)
    tag(data, TagOptions(), RunOptions())
    ids = data.union("samples").collect()["sample_id"]
    dropped = {"run": "dedup", "kept": False, "reason": "exact", "method": "exact"}
    with data.write("decisions", "dedup", step="dedup", config={}, rejects=False) as writer:
        writer.add({"sample_id": i, **dropped} for i in ids)
    assert tag(data, TagOptions(), RunOptions()).message.startswith("nothing to do")
    tag(data, TagOptions(), RunOptions(run="again", limit=3))
    assert data.read("tags", "again")["sample_id"].n_unique() == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []", "rules must be a list"),
        ("rule: []", "rule: unknown key; did you mean rules"),
        ("rules:\n - {name: a, task: b}", r"rules\[0\].when: must be a mapping of conditions"),
        ("rules:\n - {name: a, when: {turns: 1}}", r"rules\[0\].task: must be a word, got None"),
        (
            "rules:\n - {name: a, task: b, when: {turn: 1}}",
            r"rules\[0\].when.turn: unknown key; did",
        ),
        (
            "rules:\n - {name: a, task: b, when: {turns: {min: x}}}",
            r"when.turns.min: must be a whole",
        ),
        (
            "rules:\n - {name: a, task: b, when: {question: [ok, '(']}}",
            r"question\[1\]: not a regular",
        ),
        ("rules:\n - {name: a, task: b, when: {question: 3}}", r"when.question: must be a regular"),
        ("rules: [1", "not valid YAML"),
    ],
)
def test_wrong_rules_name_the_key(tmp_path, text, words):
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as error:
        read_rules(file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_hostile_rows_are_tagged_like_others():
    rows = pl.DataFrame(
        {
            "sample_id": ["a", "b", "c"],
            "image_ids": [["x"], [], ["x", "y"]],
            "messages": [
                [{"role": "user", "content": "<image> ? \n\n \u202e"}],
                [{"role": "assistant", "content": None}],
                [{"role": "user", "content": "(((((" * 10_000}, {"role": "assistant", "content": ""}],
            ],
            "reference": [None, "x", None], "source": ["s"] * 3, "split": [None, "train", None],
            "task": [None, None, "vqa"],
        }
    )  # fmt: skip
    found = apply_rules(facts_of(rows), read_rules(None)).filter("main")
    assert dict(found.select("sample_id", "task").iter_rows()) == {
        "a": "vqa_open", "b": "text_only", "c": "vqa_open",
    }  # fmt: skip


def test_real_questions_of_known_kind(shared_data: Path):
    """LLaVA's own three kinds of questions, and POPE's one."""
    folder = shared_data / "llava-bench-coco" / "coco2014_val_qa_eval"
    rows = pl.read_ndjson(folder / "qa90_questions.jsonl")
    answers = pl.read_ndjson(folder / "qa90_gpt4_answer.jsonl")["text"]
    pope = pl.read_ndjson(shared_data / "pope" / "coco_pope_random.json").head(500)
    texts = [
        *zip(rows["text"], answers, strict=True),
        *zip(pope["text"], pope["label"], strict=True),
    ]
    frame = pl.DataFrame(
        {
            "sample_id": [str(n) for n in range(len(texts))],
            "image_ids": [["x"]] * len(texts),
            "messages": [
                [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
                for q, a in texts
            ],
        }
    ).with_columns(
        pl.lit(None, pl.String).alias(c) for c in ("reference", "source", "split", "task")
    )
    main = apply_rules(facts_of(frame), read_rules(None)).filter("main")
    tasks = dict(main.select("sample_id", "task").iter_rows())
    expected = {
        "conv": {"vqa_open", "vqa_closed", "counting"},
        "detail": {"captioning"},
        "complex": {"reasoning"},
    }
    right = sum(tasks[str(n)] in expected[kind] for n, kind in enumerate(rows["category"]))
    assert right >= 88
    assert all(tasks[str(n)] == "vqa_closed" for n in range(90, 590))


def test_texts_of_rows_do_not_act_on_the_terminal(tmp_path):
    rows = [conversation(1, "<image>\nHow many \x1b[31m\x07\u202ebirds?", "four")]
    data = write_dataset(tmp_path / "data", [picture(1)], rows)
    message = tag(data, TagOptions(show=True), RunOptions()).message
    assert "How many \\x1b[31m\\x07\\u202ebirds? -> four" in message
    assert not set("\x1b\x07\u202e") & set(message)
