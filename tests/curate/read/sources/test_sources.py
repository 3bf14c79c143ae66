"""Readers of files: JSON of every shape, compressed files, tables, and what cannot be a source."""

import base64
import bz2
import gzip
import json
import lzma

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.read.sources import find, jsonfile, jsonstream
from pairwright.errors import DataError, NotFoundError, UsageError


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
    monkeypatch.setattr(jsonstream, "_CHUNK_CHARS", 37)  # rows larger than the window
    assert read(path) == (ROWS, [])


def test_rows_inside_a_long_object_are_streamed(tmp_path, monkeypatch):
    others = {"info": {"rows": [1]}, "images": [{"id": 1}] * 3, "licenses": [{"a": "}]"}]}
    text = json.dumps({**others, "annotations": ROWS, "note": 1})
    path = write(tmp_path / "rows.json", text)
    assert read(path) == (ROWS, [])
    monkeypatch.setattr(jsonstream, "_CHUNK_CHARS", 37)
    monkeypatch.setattr(jsonstream, "_WRAP_CHARS", 500)
    monkeypatch.setattr(jsonstream, "MAX_ROW_CHARS", 600)
    assert read(path) == (ROWS, [])
    good, bad = read(write(path, text[:2000]))
    assert good == ROWS[: len(good)]
    assert len(good) > 5
    assert bad
    alone = [{"id": 1, "annotations": [{"a": 1}]}]
    assert read(write(path, json.dumps(alone))) == (alone, [])


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_compressed_files_are_read_and_a_truncated_one_keeps_its_beginning(tmp_path, kind):
    import pyarrow as pa

    rows = [{"id": n, "noise": base64.b64encode(bytes([n % 251, n % 13]) * 40).decode()[n % 50 :]}
            for n in range(4000)]  # fmt: skip
    raw = "\n".join(map(json.dumps, rows)).encode()
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
            "zst": lambda b: pa.compress(b, codec="zstd", asbytes=True)}[kind]  # fmt: skip
    path = tmp_path / f"rows.jsonl.{kind}"
    path.write_bytes(pack(raw))
    source = find.find_source(str(path))
    assert source.name == "rows"
    assert [row.value for _, row in source.rows()] == rows
    path.write_bytes(pack(raw) + pack(b"\n" + raw) if kind != "xz" else pack(raw))
    assert len(list(source.rows())) == (4000 if kind == "xz" else 8000)
    path.write_bytes(pack(raw)[: len(pack(raw)) * 3 // 4])
    found = [row for _, row in source.rows()]
    assert found[-1].error.reason == "truncated_file"
    table = pack(b"id,question\n1,Q\n")
    (tmp_path / f"t.csv.{kind}").write_bytes(table)
    found = list(find.find_source(str(tmp_path / f"t.csv.{kind}")).rows())
    assert [row.value for _, row in found] == [{"id": "1", "question": "Q"}]


def test_utf_16_is_read(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(json.dumps(ROWS, ensure_ascii=False).encode("utf-16"))
    assert read(path) == (ROWS, [])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ('{"id": 7, "text": "trailing comma",}', "malformed_json"),
        ('{"id": 7, "text": "no quote}', "malformed_json"),
        ('{"id": 7, "text": "no brace"', "malformed_json"),
        ('{"id": 7, "text": ' + "[" * 50_000 + "]" * 50_000 + "}", "too_deep"),
        ('{"id": 7, "text": ' + "9" * 5000 + "}", "malformed_json"),
    ],
)
@pytest.mark.parametrize("shape", ["array", "lines", "objects"])
@pytest.mark.parametrize("chunk", [40, 1 << 20])
def test_a_malformed_row_costs_one_row(tmp_path, monkeypatch, broken, reason, shape, chunk):
    flat = [{"id": n, "text": f"row {n}"} for n in range(20)]
    indent = 1 if shape == "objects" else None
    parts = [json.dumps(row, indent=indent) for row in flat]
    parts.insert(7, broken)
    text = {"array": "[" + ",\n".join(parts) + "]"}.get(shape, "\n".join(parts))
    path = write(tmp_path / "rows.json", text)
    if shape != "lines":
        monkeypatch.setattr(jsonstream, "_CHUNK_CHARS", chunk)
    assert read(path) == (flat, [(8, reason)])


def test_a_truncated_array_keeps_its_whole_rows(tmp_path):
    text = json.dumps(ROWS)
    good, bad = read(write(tmp_path / "rows.json", text[: len(text) // 2]))
    assert good == ROWS[: len(good)]
    assert len(good) > 10
    assert {reason for _, reason in bad} <= {"malformed_json", "truncated_file"}


def test_parquet_shards_and_csv_are_found(tmp_path):
    shards = tmp_path / "set" / "data"
    shards.mkdir(parents=True)
    for number, split in enumerate(["train", "train", "test"]):
        frame = pl.DataFrame({"question": [f"q{number}"] * 3, "answer": ["a"] * 3})
        frame.write_parquet(shards / f"{split}-0000{number}-of-00003.parquet")
    source = find.find_source(str(tmp_path / "set"))
    assert [file.split for file, _ in source.rows()] == ["test"] * 3 + ["train"] * 6
    assert source.files[0].name == "data/test-00002-of-00003.parquet"
    assert len(list(find.find_source(str(tmp_path / "set"), "test").rows())) == 3
    assert len(list(find.find_source(str(shards / "train-*.parquet")).rows())) == 6

    table = write(
        tmp_path / "rows.csv", 'image,question,answer\na.png,"x, ""y""\nz",1\nb.png,,2\n1,2\n'
    )
    rows = [row for _, row in find.find_source(str(table)).rows()]
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
        list(find.find_source(str(tmp_path / name)).rows())
    assert "\n" not in str(caught.value)


def test_what_cannot_be_a_source(tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        find.find_source(str(tmp_path / "gone.json"))
    with pytest.raises(DataError, match="no table of rows"):
        find.find_source(str(tmp_path))
    (tmp_path / "a.jsonl").write_text("{}")
    (tmp_path / "b.jsonl").write_text("{}")
    with pytest.raises(UsageError, match="several files"):
        find.find_source(str(tmp_path))


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_damage_of_a_file_costs_few_rows(tmp_path, data):
    rows = [{"id": n, "text": 'a "quoted" [text] {'} for n in range(5)]
    indent = data.draw(st.sampled_from([None, 1]))
    text = json.dumps(rows, indent=indent)
    start = data.draw(
        st.integers(12, len(text))
    )  # after the first key, which rows are recognized by
    junk = data.draw(st.text(alphabet='{}[],:"\\ x1\n', max_size=5))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    good, _ = read(write(tmp_path / "rows.json", text[:start] + junk + text[end:]))
    assert sum(row in good for row in rows) >= 3
