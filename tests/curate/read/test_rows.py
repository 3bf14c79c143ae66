"""Rows to drafts: conversations, questions with answers, preferences, and rows of any shape."""

import base64
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.read import conversations, preferences, questions
from curate.read.fields import Naming
from curate.read.formats import load_formats
from curate.read.rows import RowError
from pairwright.text.conversation import count_images

NAMING = Naming()
FORMATS = load_formats()


def png():
    out = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(out, "PNG")
    return out.getvalue()


def test_llava_rows_keep_their_placeholders():
    row = {
        "id": "000",
        "image": ["a.jpg", "b.jpg"],
        "conversations": [
            {"from": "human", "value": "Compare <image> and <image>."},
            {"from": "gpt", "value": "An answer about the tag <image>."},
        ],
        "source_set": "x",
    }
    draft = conversations.convert(row, NAMING)
    assert [ref.path for ref in draft.images] == ["a.jpg", "b.jpg"]
    assert draft.messages[0] == {"role": "user", "content": "Compare <image> and <image>."}
    assert draft.messages[1]["content"] == "An answer about the tag \\<image>."
    assert json.loads(draft.meta) == {"source_set": "x"}


def test_images_without_a_placeholder_come_before_the_first_question():
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "That."},
    ]
    draft = conversations.convert(
        {"messages": turns, "images": [{"bytes": png(), "path": None}]}, NAMING
    )
    assert [m["content"] for m in draft.messages] == ["Be brief.", "<image>\nWhat?", "That."]
    assert draft.images[0].content == png()


def test_structured_content_places_images_and_escapes_text():
    uri = "data:image/png;base64," + base64.b64encode(png()).decode()
    turns = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What does <image> mean here:", "image": None},
                {"type": "image_url", "image_url": {"url": uri}, "text": None},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "A tag."}]},
    ]
    draft = conversations.convert({"messages": turns}, NAMING)
    assert draft.messages[0]["content"] == "What does \\<image> mean here:\n<image>"
    assert draft.images[0].content == png()
    assert conversations.convert({"messages": turns}, Naming(no_images=True)).images == []


def test_no_images_reads_placeholders_as_text():
    row = {"question": "<image>\nWhat?", "answer": "That.", "image": "gone.jpg"}
    draft = questions.convert(row, Naming(no_images=True))
    assert draft.images == []
    assert draft.messages[0]["content"] == "\\<image>\nWhat?"
    assert count_images(draft.messages) == 0
    assert json.loads(draft.meta) == {"image_names": ["gone.jpg"]}
    caption = questions.convert(
        {"image": ["a.jpg", {"path": "b.jpg"}], "caption": "C"}, Naming(no_images=True)
    )
    assert json.loads(caption.meta) == {"image_names": ["a.jpg", "b.jpg"]}


@pytest.mark.parametrize(
    ("row", "question", "answer"),
    [
        ({"question": "Q", "answer": 3}, "Q", "3"),
        ({"prompt": ["Q"], "text": "A"}, "Q", "A"),
        ({"text": "Q", "label": "yes"}, "Q", "yes"),
        ({"instruction": "Q", "input": "more", "output": "A"}, "Q\nmore", "A"),
        ({"image": "a.png", "caption": "A"}, "<image>\nDescribe the image.", "A"),
        ({"file_name": "a.png", "text": "A"}, "<image>\nDescribe the image.", "A"),
        ({"prompt": [{"role": "user", "content": "Q"}], "completion": "A"}, "Q", "A"),
        ({"question": "Q"}, "Q", None),
    ],
)
def test_question_and_answer_columns(row, question, answer):
    messages = questions.convert(row, NAMING).messages
    assert messages[0]["content"] == question
    assert (messages[1]["content"] if len(messages) == 2 else None) == answer


def test_common_fields_find_their_columns():
    row = {
        "qid": 5,
        "question": "Q",
        "criteria": ["one", "two"],
        "reference": "R",
        "license": "mit",
        "split": "test",
        "level": float("nan"),
        "other": {"a": float("inf"), "b": "\ud800"},
    }
    draft = questions.convert(row, Naming(license="cc0"))
    assert (draft.criteria, draft.reference) == ("one\ntwo", "R")
    assert (draft.license, draft.split) == ("mit", "test")
    assert json.loads(draft.meta)["other"] == {"a": None, "b": "?"}
    assert (
        questions.convert({"question": "Q", "answer": "A"}, Naming(reference="answer")).reference
        == "A"
    )


def test_preferences_of_every_shape():
    turns = [{"role": "user", "content": "Q"}]
    good, bad = {"role": "assistant", "content": "G"}, {"role": "assistant", "content": "B"}
    shapes = [
        {"prompt": "Q", "chosen": "G", "rejected": "B"},
        {"prompt": turns, "chosen": [good], "rejected": [bad]},
        {"chosen": [*turns, good], "rejected": [*turns, bad]},
        {"text": json.dumps({"question": "Q", "chosen": "G", "rejected": "B"}), "idx": 1},
        {"question": "Q", "chosen": "G", "rejected": "B", "chosen_score": "N/A"},
    ]
    for row in shapes:
        draft = preferences.convert(row, NAMING)
        assert [m["content"] for m in draft.messages] == ["Q", "G"]
        assert draft.preference.rejected == "B"
        assert draft.preference.chosen_score is None
    with pytest.raises(RowError, match="same_answers"):
        preferences.convert({"prompt": "Q", "chosen": "G", "rejected": "G"}, NAMING)
    with pytest.raises(RowError, match="different_prompts"):
        preferences.convert({"chosen": [good], "rejected": [bad]}, NAMING)


NAMES = [
    "id", "conversations", "messages", "question", "prompt", "text", "answer", "label", "image",
    "images", "chosen", "rejected", "original", "spans", "criteria", "reference", "license", "system",
    "role", "from", "value", "content", "type", "bytes", "path", "span", "correct", "start", "end",
    "data", "annotations", "result", "completed_by", "from_name", "to_name", "labels", "selected",
    "completions", "response", "model", "query", "history", "rejected_response", "human", "assistant",
    "image_id", "dialogue", "caption", "captions", "url", "image_base64_str", "instruction", "inputs",
    "answer1", "answer2", "origin_split", "pair_id", "chosen_spans", "margin", "objects", "meta",
]  # fmt: skip
WORDS = [
    "user",
    "human",
    "gpt",
    "assistant",
    "image",
    "text",
    "<image>",
    "a.png",
    "data:,",
    "\0",
    "",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(WORDS),
    st.binary(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


# What makes rows get past the first check of some format.
OPENINGS = [
    {},
    {"data": {"answer": "text", "answer1": "a", "answer2": "b"}, "annotations": []},
    {"data": {"text": "\U0001f600 text"}, "annotations": [{"result": [
        {"type": "labels", "value": {"start": 2, "end": 7, "text": "text", "labels": ["x"]}}]}]},
    {"prompt": "Q", "completions": [{"model": "m", "response": "A", "annotations": {}}]},
    {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
    {"prompt": "Q", "chosen": "A", "rejected": "B"},
]  # fmt: skip


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.sampled_from(OPENINGS), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_a_row_of_any_shape_is_a_draft_or_a_reason(opening, more):
    row = {**opening, **more}
    for form in FORMATS.values():
        form.detect(row)
        assert form.table_of(row) in (None, *form.makes)
    converters = {make for form in FORMATS.values() for make in form.makes.values()}
    for convert in sorted(converters, key=lambda one: (one.__module__, one.__qualname__)):
        try:
            draft = convert(row, NAMING)
        except RowError:
            continue
        assert count_images(draft.messages) == len(draft.images)
        assert all(m["content"].strip() and "\0" not in m["content"] for m in draft.messages)
