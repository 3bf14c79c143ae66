"""Readers and converters: what a row of each format becomes."""

import base64
import bz2
import gzip
import io
import json
import lzma

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.read import detect
from curate.read.fields import Naming
from curate.read.formats import chat, preference, qa
from curate.read.formats.registry import FORMATS
from curate.read.rows import RowError
from curate.read.sources import files, jsonfile
from pairwright.errors import DataError, NotFoundError, UsageError
from pairwright.text.conversation import count_images

NAMING = Naming()


def png():
    out = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(out, "PNG")
    return out.getvalue()


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


def read(path):
    rows = list(jsonfile.read_json(path))
    return [row.value for row in rows if row.error is None], [
        (row.number, row.error.reason) for row in rows if row.error is not None
    ]


ROWS = [{"id": n, "text": f"zeile {n} \u00e4\u4e2d", "list": [{"id": -n}]} for n in range(50)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2, ensure_ascii=False),
        "\n".join(json.dumps(row) for row in ROWS),
        "\r\n".join(json.dumps(row) for row in ROWS) + "\r\n\r\n",
        "\n".join(json.dumps(row, indent=4) for row in ROWS),
        "".join(json.dumps(row) for row in ROWS),
        "\ufeff" + json.dumps(ROWS),
        json.dumps({"version": 1, "data": ROWS}),
    ],
    ids=["array", "indented", "lines", "crlf", "objects", "one-line", "bom", "wrapped"],
)
def test_json_of_every_shape_is_read(tmp_path, monkeypatch, text):
    path = write(tmp_path / "rows.json", text)
    assert read(path) == (ROWS, [])
    monkeypatch.setattr(jsonfile, "_CHUNK_CHARS", 37)  # rows larger than the window
    assert read(path) == (ROWS, [])


def test_rows_inside_a_long_object_are_streamed(tmp_path, monkeypatch):
    others = {"info": {"rows": [1]}, "images": [{"id": 1}] * 3, "licenses": [{"a": "}]"}]}
    text = json.dumps({**others, "annotations": ROWS, "note": 1})
    path = write(tmp_path / "rows.json", text)
    assert read(path) == (ROWS, [])
    monkeypatch.setattr(jsonfile, "_CHUNK_CHARS", 37)
    monkeypatch.setattr(jsonfile, "_WRAP_CHARS", 500)
    monkeypatch.setattr(jsonfile, "MAX_ROW_CHARS", 600)
    assert read(path) == (ROWS, [])
    good, bad = read(write(path, text[:2000]))
    assert good == ROWS[: len(good)]
    assert len(good) > 5
    assert bad
    alone = [{"id": 1, "annotations": [{"a": 1}]}]
    assert read(write(path, json.dumps(alone))) == (alone, [])


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_compressed_files_are_read_and_a_cut_one_keeps_what_it_can(tmp_path, kind):
    import pyarrow as pa

    rows = [{"id": n, "noise": base64.b64encode(bytes([n % 251, n % 13]) * 40).decode()[n % 50 :]}
            for n in range(4000)]  # fmt: skip
    raw = "\n".join(map(json.dumps, rows)).encode()
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
            "zst": lambda b: pa.compress(b, codec="zstd", asbytes=True)}[kind]  # fmt: skip
    path = tmp_path / f"rows.jsonl.{kind}"
    path.write_bytes(pack(raw))
    source = files.find_source(str(path))
    assert source.name == "rows"
    assert [row.value for _, row in source.rows()] == rows
    path.write_bytes(pack(raw) + pack(b"\n" + raw) if kind != "xz" else pack(raw))
    assert len(list(source.rows())) == (4000 if kind == "xz" else 8000)
    path.write_bytes(pack(raw)[: len(pack(raw)) * 3 // 4])
    found = [row for _, row in source.rows()]
    assert found[-1].error.reason == "truncated_file"
    table = pack(b"id,question\n1,Q\n")
    (tmp_path / f"t.csv.{kind}").write_bytes(table)
    found = list(files.find_source(str(tmp_path / f"t.csv.{kind}")).rows())
    assert [row.value for _, row in found] == [{"id": "1", "question": "Q"}]


def test_utf_16_is_read(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(json.dumps(ROWS, ensure_ascii=False).encode("utf-16"))
    assert read(path) == (ROWS, [])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ('{"id": 7, "text": "trailing comma",}', "broken_json"),
        ('{"id": 7, "text": "no quote}', "broken_json"),
        ('{"id": 7, "text": "no brace"', "broken_json"),
        ('{"id": 7, "text": ' + "[" * 50_000 + "]" * 50_000 + "}", "too_deep"),
        ('{"id": 7, "text": ' + "9" * 5000 + "}", "broken_json"),
    ],
)
@pytest.mark.parametrize("shape", ["array", "lines", "objects"])
@pytest.mark.parametrize("chunk", [40, 1 << 20])
def test_a_broken_row_costs_one_row(tmp_path, monkeypatch, broken, reason, shape, chunk):
    flat = [{"id": n, "text": f"row {n}"} for n in range(20)]
    indent = 1 if shape == "objects" else None
    parts = [json.dumps(row, indent=indent) for row in flat]
    parts.insert(7, broken)
    text = {"array": "[" + ",\n".join(parts) + "]"}.get(shape, "\n".join(parts))
    path = write(tmp_path / "rows.json", text)
    if shape != "lines":
        monkeypatch.setattr(jsonfile, "_CHUNK_CHARS", chunk)
    assert read(path) == (flat, [(8, reason)])


def test_a_truncated_array_keeps_its_whole_rows(tmp_path):
    text = json.dumps(ROWS)
    good, bad = read(write(tmp_path / "rows.json", text[: len(text) // 2]))
    assert good == ROWS[: len(good)]
    assert len(good) > 10
    assert {reason for _, reason in bad} <= {"broken_json", "truncated_file"}


def test_llava_rows_keep_their_marks():
    row = {
        "id": "000",
        "image": ["a.jpg", "b.jpg"],
        "conversations": [
            {"from": "human", "value": "Compare <image> and <image>."},
            {"from": "gpt", "value": "An answer about the tag <image>."},
        ],
        "source_set": "x",
    }
    draft = chat.convert(row, NAMING)
    assert [ref.path for ref in draft.images] == ["a.jpg", "b.jpg"]
    assert draft.messages[0] == {"role": "user", "content": "Compare <image> and <image>."}
    assert draft.messages[1]["content"] == "An answer about the tag \\<image>."
    assert json.loads(draft.meta) == {"source_set": "x"}


def test_images_without_a_mark_stand_in_front_of_the_first_question():
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "That."},
    ]
    draft = chat.convert({"messages": turns, "images": [{"bytes": png(), "path": None}]}, NAMING)
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
    draft = chat.convert({"messages": turns}, NAMING)
    assert draft.messages[0]["content"] == "What does \\<image> mean here:\n<image>"
    assert draft.images[0].content == png()
    assert chat.convert({"messages": turns}, Naming(no_images=True)).images == []


def test_no_images_takes_marks_as_text():
    row = {"question": "<image>\nWhat?", "answer": "That.", "image": "gone.jpg"}
    draft = qa.convert(row, Naming(no_images=True))
    assert draft.images == []
    assert draft.messages[0]["content"] == "\\<image>\nWhat?"
    assert count_images(draft.messages) == 0
    assert json.loads(draft.meta) == {"image_names": ["gone.jpg"]}
    caption = qa.convert(
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
    messages = qa.convert(row, NAMING).messages
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
    draft = qa.convert(row, Naming(license="cc0"))
    assert (draft.criteria, draft.reference) == ("one\ntwo", "R")
    assert (draft.license, draft.split) == ("mit", "test")
    assert json.loads(draft.meta)["other"] == {"a": None, "b": "?"}
    assert qa.convert({"question": "Q", "answer": "A"}, Naming(reference="answer")).reference == "A"


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
        draft = preference.convert(row, NAMING)
        assert [m["content"] for m in draft.messages] == ["Q", "G"]
        assert draft.preference.rejected == "B"
        assert draft.preference.chosen_score is None
    with pytest.raises(RowError, match="same_answers"):
        preference.convert({"prompt": "Q", "chosen": "G", "rejected": "G"}, NAMING)
    with pytest.raises(RowError, match="different_prompts"):
        preference.convert({"chosen": [good], "rejected": [bad]}, NAMING)


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        ([{"conversations": [], "image": "a.png"}], "llava"),
        ([{"conversations": []}], "sharegpt"),
        ([{"messages": []}], "messages"),
        ([{"chosen": "a", "rejected": "b"}], "trl-preference"),
        ([{"text": '{"question": "q", "chosen": "a", "rejected": "b"}'}], "rlhf-v"),
        ([{}, {"question": "q"}, {"question": "q"}, {"messages": []}], "qa"),
    ],
)
def test_the_format_is_told_by_the_fields(rows, form):
    assert detect.detect(rows, "x.json").format.name == form


def test_an_unknown_format_names_the_fields_and_the_way_out():
    with pytest.raises(DataError, match=r"\(foo, bar\); give --format"):
        detect.detect([{"foo": 1, "bar": 2}], "x.json")


def test_parquet_shards_and_csv_are_found(tmp_path):
    shards = tmp_path / "set" / "data"
    shards.mkdir(parents=True)
    for number, split in enumerate(["train", "train", "test"]):
        frame = pl.DataFrame({"question": [f"q{number}"] * 3, "answer": ["a"] * 3})
        frame.write_parquet(shards / f"{split}-0000{number}-of-00003.parquet")
    source = files.find_source(str(tmp_path / "set"))
    assert [file.split for file, _ in source.rows()] == ["test"] * 3 + ["train"] * 6
    assert source.files[0].name == "data/test-00002-of-00003.parquet"
    assert len(list(files.find_source(str(tmp_path / "set"), "test").rows())) == 3
    assert len(list(files.find_source(str(shards / "train-*.parquet")).rows())) == 6

    table = write(
        tmp_path / "rows.csv", 'image,question,answer\na.png,"x, ""y""\nz",1\nb.png,,2\n1,2\n'
    )
    rows = [row for _, row in files.find_source(str(table)).rows()]
    assert rows[0].value == {"image": "a.png", "question": 'x, "y"\nz', "answer": "1"}
    assert rows[1].value["question"] is None
    assert rows[2].error.reason == "wrong_columns"


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("a.json", b"", DataError, "is empty"),
        ("a.json", b"hello", DataError, "neither JSON"),
        ("a.parquet", b"PAR1 and nothing more", DataError, "not a readable Parquet"),
        ("a.parquet", b"\xff\xd8\xff\xe0", DataError, "neither JSON"),
        ("a.csv", b"a,a\n1,2\n", DataError, "each once"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_one_line(tmp_path, name, content, error, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=match) as caught:
        list(files.find_source(str(tmp_path / name)).rows())
    assert "\n" not in str(caught.value)


def test_what_cannot_be_a_source(tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        files.find_source(str(tmp_path / "gone.json"))
    with pytest.raises(DataError, match="no table of rows"):
        files.find_source(str(tmp_path))
    (tmp_path / "a.jsonl").write_text("{}")
    (tmp_path / "b.jsonl").write_text("{}")
    with pytest.raises(UsageError, match="several files"):
        files.find_source(str(tmp_path))


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
        form.tell(row)
        assert form.usual(row) in (None, *form.makes)
    converters = {make for form in FORMATS.values() for make in form.makes.values()}
    for convert in sorted(converters, key=lambda one: (one.__module__, one.__qualname__)):
        try:
            draft = convert(row, NAMING)
        except RowError:
            continue
        assert count_images(draft.messages) == len(draft.images)
        assert all(m["content"].strip() and "\0" not in m["content"] for m in draft.messages)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_cut_or_change_of_a_file_ends_and_keeps_what_it_can(tmp_path, data):
    rows = [{"id": n, "text": 'a "quoted" [text] {'} for n in range(5)]
    indent = data.draw(st.sampled_from([None, 1]))
    text = json.dumps(rows, indent=indent)
    start = data.draw(st.integers(12, len(text)))  # behind the first key, by which rows are told
    junk = data.draw(st.text(alphabet='{}[],:"\\ x1\n', max_size=5))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    good, _ = read(write(tmp_path / "rows.json", text[:start] + junk + text[end:]))
    assert sum(row in good for row in rows) >= 3
