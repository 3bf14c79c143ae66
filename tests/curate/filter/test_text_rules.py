"""Rules on texts: what is malformed is removed, what only looks so is kept."""

# ruff: noqa: RUF001 (quotes and stops of print and of other scripts are meant)

import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from filter_rules import ask, removed_texts, text_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.filter.report import section
from curate.filter.rules.templated import wording

LONG = (
    "A man in a blue coat walks two dogs along the beach. The tide is out, and the sand is wet. "
    "Behind him stands a lighthouse with a red door."
)


MALFORMED = ("empty_answer", "template_leak", "refusal", "repetition", "truncated_answer")


def _removed(name: str, texts: list[str], **options: float) -> list[str]:
    return removed_texts(ask(name, text_rows(*texts), **options)[0], texts)


def test_empty_answers():
    texts = ["", "  \n", "...", "-", "<image>", "no", "7", "✓", "是", "$", "👍"]
    assert _removed("empty_answer", texts) == ["", "  \n", "...", "-", "<image>"]


def test_remains_of_templates():
    leaks = [
        "It is red.<|im_end|>", "[INST] What is it? [/INST] A cat.", "A dog.</s>",
        "It is a cat.\nASSISTANT: It is a cat.", "### Response: a cat", "Dear {name}, hello.",
        "Hello {{ user_name }}!", "The patient [Insert Name] came.", "A bus <|endoftext|><|pad|>",
        "\nHuman: and the dog?", "A <0x0A> cat.",
    ]  # fmt: skip
    fine = [
        "The set {a, b} is finite.", r"\frac{name}{b} of \text{cat}", 'JSON: {"name": "cat"}',
        "```python\nprint(f'Hello {name}')\n```", "USER: Maroc, a tweet says.", "1 < 2 | 3 > 2",
        "<p>Notes</p>", "An assistant: she helps.", "Use x[i] and y{3}.", "the {} braces", "a [sic] b",
        "It says </div> on the screen.", "The Assistant: a film from 2023.", r"\<image>",
    ]  # fmt: skip
    texts = leaks + fine
    assert _removed("template_leak", texts) == leaks


def test_refusals_but_not_doubts():
    refusals = [
        "I'm sorry, but I can't assist with that request.",
        "As an AI language model, I am unable to view images directly.",
        "I’m sorry for the trouble, but as an AI, I'm currently unable to view or analyze images.",
        "I am unable to help you with that. Is there something else?",
        "Please provide the image so that I can help.",
        "Unfortunately, I cannot see the image you are referring to.",
        "I do not have the ability to access external files.",
    ]
    doubts = [
        "I cannot tell from the image how old she is.",
        "I'm unable to determine the woman's facial expression based on the image provided.",
        "I'm sorry, but there is no dice in the image.",
        "The man cannot see the car because the wall is in the way.",
        "I'm sorry, but I cannot provide the licence plate as it is obscured in the image.",
        "The sign says sorry, we cannot help you without a ticket.",
        "No, there are no people in the picture.",
        "As an AI-generated image, it shows typical faults.",
        "As an AI, I cannot view images. However: " + "the text describes a street. " * 20,
    ]
    texts = refusals + doubts
    assert _removed("refusal", texts) == refusals


def test_cut_answers_but_not_captions():
    cut = [
        f"{LONG} The man looks at the",
        "The colours are red, green, and",
        "A list:\n1. a red bus\n2.",
        "Here is the code:\n```python\nprint(1)",
        f"{LONG} He seems to be waiting for",
        f"{LONG} The lighthous",
        f"{LONG} It has a horse, a cart,",
    ]
    fine = [
        "a man riding a wave on a surfboard", LONG, "yes", "A red bus", "He said: \"Stop!\"",
        "1. a red bus\n2. a blue car", "| a | b |\n|---|---|\n| 1 | 2 |", "print(a, b),\nprint(c, d),",
        f"{LONG} Location: Paris", f"{LONG}\n\n**Colour:** red", "What are you looking at",
        "A colorful umbrella by the beach,", "那是一只猫。", f"{LONG} #beach #dogs #Sunset", "x = 3, y = 4", "Emoji at the end 😀",
        f"{LONG} The beliefs of the people are many and varied", "```\ncode\n```", "From A to Z",
    ]  # fmt: skip
    texts = cut + fine
    (found,) = ask("truncated_answer", text_rows(*texts))
    assert removed_texts(found, texts) == cut
    assert found.values[texts.index(fine[-3])] == 0.5
    assert fine[-3] in _removed("truncated_answer", texts, truncation_certainty=0.5)


def test_loops_but_not_comparisons():
    loops = [
        "The tea bag is in the cup and the cup is on the table. " * 5,
        "1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1",
        f"{LONG}\n\nAnswer: {LONG}",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "这张图片显示一只猫坐在红色的沙发上看着窗外的两只小鸟。" * 4,
    ]
    fine = [
        LONG, "yes", "no no no", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
        "1. The penguin on the left holds a rod, the penguin on the right holds none.\n"
        "2. The penguin on the left wears a hat, the penguin on the right wears a scarf.\n"
        "3. The penguin on the left is black, the penguin on the right is grey.",
        "```\n" + "<li><a href='#'>item</a></li>\n" * 20 + "```",
        "这张图片显示一只猫坐在红色的沙发上，另一只猫坐在蓝色的沙发上，第三只坐在地上。",
        "| a | b |\n| --- | --- |\n" + "\n".join(f"| row {n} | {n * n} |" for n in range(20)),
    ]  # fmt: skip
    texts = loops + fine
    assert _removed("repetition", texts) == loops


def test_repetition_is_what_it_says():
    """Words in an n-gram of ten that stood before, by a slow and plain count."""
    generator = random.Random(5)
    texts = [" ".join(generator.choices("abcdef", k=generator.randint(1, 400))) for _ in range(60)]
    texts += [" ".join(generator.choices("ab", k=60)) for _ in range(40)]
    values = ask("repetition", text_rows(*texts))[0].values
    for text, value in zip(texts, values, strict=True):
        words = text.split()
        if len(words) < 15:
            assert value is None
            continue
        seen, covered = set(), set()
        for start in range(len(words) - 9):
            gram = tuple(words[start : start + 10])
            if gram in seen:
                covered.update(range(start, start + 10))
            seen.add(gram)
        assert value == pytest.approx(len(covered) / len(words))


def test_turns_that_come_again():
    talks = [
        ["What is it?", "A cat.", "what is it", "A cat on a mat."],
        ["Colour?", "It is a red bus.", "And the size?", "It is a red bus."],
        ["<image> What is it?", "A cat.", "<image> What is it?", "A dog."],
        ["Is it red?", "yes", "Is it big?", "yes"],
    ]
    (found,) = ask("repeated_turn", text_rows(*talks), max_repeated_turns=0)
    assert found.removes.tolist() == [True, True, False, False]
    (found,) = ask("repeated_turn", text_rows(*talks), max_repeated_turns=1)
    assert found.removes.tolist() == [False] * 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.text(max_size=60), min_size=1, max_size=4), min_size=1, max_size=6))
def test_any_text_is_measured_without_a_failure(talks):
    """Control characters, lone marks, other scripts: one value and verdict per row and rule."""
    some = text_rows(*talks)
    limits = dict.fromkeys(("min_answer_words", "min_question_words", "min_chars", "min_turns"), 1)
    found = [one for name in MALFORMED for one in ask(name, some)]
    found += ask("lengths", some, **limits)
    found += ask("repeated_turn", some, max_repeated_turns=0)
    found += ask("templated", some, max_template_fraction=0.1)
    for one in found:
        assert len(one.values) == len(one.removes) == len(talks), one.name
        assert section(one, some, 2, {}) is not None


def test_lengths_count_signs_of_dense_scripts_as_words():
    texts = ["a b c", "图片上有一只猫", "", "one"]
    asked = ask("lengths", text_rows(*texts), min_answer_words=3, max_chars=25, max_turns=1)
    found = {one.name: one for one in asked}
    assert found["answer_words"].values.to_list() == [3.0, 7.0, 0.0, 1.0]
    assert found["answer_words"].removes.tolist() == [False, False, True, True]
    assert found["characters"].values.to_list() == [16.0, 18.0, 11.0, 14.0]
    assert not found["turns"].removes.any()


def test_a_wording_leaves_numbers_names_and_quotes_out():
    texts = pl.DataFrame(
        {
            "t": [
                'The sign of Paul Smith says "Stop" at 12:30.',
                "The sign of Ann says “Go on” at 7.",
            ]
        }
    )
    masked = texts.select(wording(pl.col("t")))["t"].to_list()
    assert masked[0] == masked[1] == "the sign of n says q at 0"


def test_templated_answers_are_capped_and_the_rest_stays():
    many = [f"The number plate of the car is {n} in total." for n in range(300)]
    texts = (
        many + [f"{LONG} {'x' * n}" for n in range(1, 100)] + ["yes"] * 600 + ["a red car"] * 600
    )
    nobody = np.zeros(len(texts), dtype=bool)
    nobody[:10] = True
    rows = text_rows(*texts)
    (found,) = ask("templated", rows, removed=nobody, max_template_fraction=0.05)
    assert found.removes[:300].sum() == 300 - int(0.05 * len(texts))
    assert found.removes[:10].all()  # what goes anyhow takes no place of the others
    assert not found.removes[300:].any()
    (few,) = ask("templated", text_rows(*many[:15]), max_template_fraction=0.01)
    assert not few.removes.any()


def test_the_frame_of_generated_questions_is_found_behind_rare_words():
    things = [f"{a}{b}ox" for a in "bcdfghjklm" for b in "aeiouy"]
    talks = [[f"Is there a {things[n % 60]} in the image?", "yes"] for n in range(600)]
    talks += [
        [f"What does the person number {n} hold in {'x' * n}?", "a cup"] for n in range(1, 60)
    ]
    options = {"max_template_fraction": 0.1, "template_of": "question", "template_words": 5}
    rows = text_rows(*talks)
    (found,) = ask("templated", rows, template_mask="rare", **options)
    assert found.removes[:600].sum() == 600 - int(0.1 * len(talks))
    assert not found.removes[600:].any()
    assert "is there a _ in the image" in next(iter(found.evidence.values()))
    (found,) = ask("templated", rows, **options)
    assert not found.removes[:600].any()


@pytest.fixture(scope="module")
def captions(shared_data: Path) -> list[str]:
    lines = (shared_data / "llava-bench-coco" / "coco2014_val_gpt4_qa_30x3.jsonl").open()
    return [json.loads(line)["output"] for line in lines]


def test_gpt4s_answers_all_stay(captions):
    """Ninety answers that were made with care: none is malformed."""
    some = text_rows(*captions)
    for name in MALFORMED:
        strict = {"truncation_certainty": 0.5} if name == "truncated_answer" else {}
        (found,) = ask(name, some, **strict)
        assert not found.removes.any(), (name, removed_texts(found, captions))


def test_model_answers_on_photos_and_charts(shared_data: Path):
    """7,478 answers of 36 models, whose dropped rows were looked at one by one."""
    lines = (shared_data / "mllm-bench" / "answers.jsonl").open(encoding="utf-8")
    texts = [json.loads(line)["answer"] for line in lines]
    some = text_rows(*texts)
    found = {name: int(ask(name, some)[0].removes.sum()) for name in MALFORMED}
    assert 30 <= found["refusal"] <= 50
    assert 50 <= found["repetition"] <= 100
    assert 30 <= found["truncated_answer"] <= 60
    assert found["template_leak"] <= 4
    assert found["empty_answer"] == 0
