"""Cores on a plain frame: they find what the commands find."""

import importlib
import io

import polars as pl
import pytest
from PIL import Image

import pairwright as pw
from pairwright.demo.steps import MODELS, RUBRIC

tiny = importlib.import_module("tiny_dataset")
LONG = "the quick brown fox jumps over the lazy dog near the river bank this morning"


def jpeg(content):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def test_texts():
    texts = [LONG, None, f"{LONG} too", "something else", LONG.upper(), None, "<image> x", "x"]
    found = pw.near_duplicates(pl.DataFrame({"t": texts}), text="t")
    assert found.columns == ["row", "kept_row", "similarity", "method"]
    assert found.drop("similarity").rows() == [(2, 0, "minhash"), (4, 0, "exact")]
    assert found["similarity"][0] == pytest.approx(13 / 14)
    assert pw.near_duplicates(pl.LazyFrame({"t": texts}), text="t").equals(found)
    assert pw.near_duplicates(pl.DataFrame({"t": texts}), text="t", threshold=0.95).height == 1


def test_images_as_bytes_paths_structs_and_lists(tmp_path):
    first, second = (tiny.picture(n, size=(256, 256)) for n in (1, 2))
    contents = [first, second, jpeg(first), first, None, b"broken", b"broken"]
    expected = [(2, 0, "phash"), (3, 0, "exact"), (6, 5, "exact")]
    found = pw.near_duplicates(pl.DataFrame({"i": contents}), image="i")
    assert found.drop("similarity").rows() == expected
    assert found["similarity"].is_between(0.99, 1).all()
    paths = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.png"
        path.write_bytes(content or b"")
        paths.append(None if content is None else str(path))
    forms = {
        "paths": pl.Series(paths),
        "structs": pl.Series([{"bytes": c, "path": None} for c in contents]),
        "half": pl.Series([{"bytes": c if n % 2 else None, "path": paths[n]} for n, c in enumerate(contents)]),
        "lists": pl.Series([[] if c is None else [c] for c in contents]),
    }  # fmt: skip
    for form in forms.values():
        assert pw.near_duplicates(form.to_frame("i"), image="i").equals(found)


def test_text_and_image_together():
    first, second = tiny.picture(1), tiny.picture(2)
    frame = pl.DataFrame(
        {"i": [first, second, first, None, None, first], "t": [LONG, LONG, f"{LONG} too", LONG, LONG, "x"]}
    )  # fmt: skip
    found = pw.near_duplicates(frame, text="t", image="i")
    assert found.drop("similarity").rows() == [(2, 0, "minhash"), (4, 3, "exact")]


def test_it_decides_as_the_command_does(data):
    pw.curate.dedup(data, on="image", keep="order", run="images")
    pw.curate.dedup(data, on="text", keep="order", run="texts")
    samples = data.scan("samples").collect().with_row_index("row")
    images = dict(data.scan("images").select("image_id", "bytes").collect().iter_rows())
    frame = samples.select(
        image=pl.Series([images[ids[0]] for ids in samples["image_ids"]]),
        # The command compares turn by turn, this one text: the questions are told by the answers.
        text=pl.col("messages").list.last().struct.field("content"),
    )
    for name, found in (
        ("images", pw.near_duplicates(frame, image="image")),
        ("texts", pw.near_duplicates(frame, text="text")),
    ):
        dropped = data.scan(f"decisions/{name}").filter(~pl.col("kept")).collect()
        rows = dict(samples.select("sample_id", "row").iter_rows())
        pairs = [(rows[a], rows[b]) for a, b in dropped.select("sample_id", "kept_id").iter_rows()]
        assert found.select("row", "kept_row").rows() == sorted(pairs)
        assert found.height > 0


def test_empty_and_duplicate_free_frames():
    frame = pl.DataFrame({"t": ["a", "b"], "i": [tiny.picture(1), tiny.picture(2)]})
    for some in (frame, frame.head(0)):
        assert pw.near_duplicates(some, text="t", image="i").is_empty()
    rest = frame.with_row_index("row").join(
        pw.near_duplicates(pl.concat([frame, frame]), text="t"), on="row", how="anti"
    )
    assert rest.height == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name a column to compare: text=, image= or both"),
        ({"text": "txet"}, "text='txet': the frame has no such column; did you mean 'text'?"),
        ({"text": "n"}, "text='n': must be a column of texts, it is Int64"),
        ({"image": "n"}, "image='n': must be a column of bytes, paths"),
        ({"txet": "text"}, "pw.near_duplicates: no option 'txet'; did you mean text?"),
        ({"text": "text", "frame": 1}, "pw.near_duplicates: multiple values for argument 'frame'"),
        ({"text": "text", "threshold": 7}, "threshold must be above 0 and at most 1, got 7"),
        ({"text": "text", "threshold": "x"}, "threshold must be a number, got 'x'"),
    ],
)
def test_wrong_arguments_are_usage_errors(options, message):
    with pytest.raises(pw.UsageError) as caught:
        pw.near_duplicates(pl.DataFrame({"text": ["a"], "n": [1]}), **options)
    assert str(caught.value).startswith(message)


def test_columns_of_texts_in_other_types_and_blank_texts():
    texts = pl.Series("t", [LONG, "", " ", LONG, "", None, "\u3000"])
    expected = [(3, 0)]
    for kind in (pl.String, pl.Categorical, pl.Enum([LONG, "", " ", "\u3000"])):
        found = pw.near_duplicates(texts.cast(kind).to_frame(), text="t")
        assert found.select("row", "kept_row").rows() == expected
    assert pw.near_duplicates(pl.DataFrame({"t": [None, None]}), text="t").is_empty()
    pandas = pytest.importorskip("pandas")
    with pytest.raises(
        pw.UsageError, match=r"got pandas\.DataFrame; convert it with polars\.from_p"
    ):
        pw.near_duplicates(pandas.DataFrame({"t": ["a"]}), text="t")


def test_no_word_check_is_made():
    texts = [f"{LONG} with {number} other dogs" for number in (3, 4)]
    found = pw.near_duplicates(pl.DataFrame({"t": texts}), text="t", threshold=0.5)
    assert found.select("row", "kept_row").rows() == [(1, 0)]


def test_an_image_file_that_is_missing_is_named():
    with pytest.raises(pw.DataError, match=r"row 1, 'gone\.png'"):
        pw.near_duplicates(pl.DataFrame({"i": [None, "gone.png"]}), image="i")
    with pytest.raises(pw.UsageError, match="must be a polars DataFrame or LazyFrame, got list"):
        pw.near_duplicates([{"t": "a"}], text="t")


def frame_of(data):
    """The samples of a dataset as a frame of one's own."""
    images = dict(data.scan("images").select("image_id", "bytes").collect().iter_rows())
    samples = data.scan("samples").collect()
    text = pl.col("messages").list
    return samples.select(
        "sample_id",
        question=text.first().struct.field("content").str.strip_prefix("<image>\n"),
        response=text.last().struct.field("content"),
        image=pl.Series([images[ids[0]] for ids in samples["image_ids"]]),
    )


JUDGE = {"model": str(MODELS / "judge"), "rubric": RUBRIC, "backend": "transformers"}


@pytest.mark.slow
def test_scores_of_a_frame_are_those_of_the_command(data):
    pytest.importorskip("transformers")
    pw.judge.score(data, **JUDGE)
    frame = frame_of(data)
    extra = frame.head(2).with_columns(
        response=pl.Series([None, "yes"], dtype=pl.String),
        image=pl.Series([frame["image"][0], b"broken"]),
    )
    found = pw.score_frame(
        pl.concat([frame, extra]), question="question", response="response", image="image", **JUDGE
    )
    assert found.columns == [
        *frame.columns,
        "score",
        "label_probs",
        "label_mass",
        "scores",
        "error",
    ]
    ours = found.head(frame.height)
    theirs = ours.select("sample_id").join(
        data.scan("scores").rename({"target_id": "sample_id"}).collect(), on="sample_id", how="left",
        maintain_order="left",
    )  # fmt: skip
    assert ours["score"].to_list() == pytest.approx(theirs["score"].to_list(), abs=1e-6)
    assert ours["label_mass"].to_list() == pytest.approx(theirs["label_mass"].to_list(), abs=1e-6)
    assert ours["score"].is_between(0, 1).all()
    assert [p["label"] for p in ours["label_probs"][0]] == ["no", "yes"]
    assert ours["scores"].struct.field("accuracy").equals(ours["score"].alias("accuracy"))
    assert ours["error"].null_count() == ours.height
    assert found["error"].to_list()[-2] == "no_response"
    assert found["error"].to_list()[-1].startswith("image: ")
    assert found["score"].to_list()[-2:] == [None, None]


@pytest.mark.slow
def test_scores_over_http_by_several_criteria(data, proxy, monkeypatch):
    server = importlib.import_module("tiny_server")
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", "any")
    judge = {
        "model": server.MODEL,
        "base_url": proxy.url,
        "criteria": ["right: it is", "short: it is"],
    }
    pw.judge.score(data, **judge)
    found = pw.score_frame(
        frame_of(data), question="question", response="response", image="image", **judge
    )
    theirs = data.scan("scores").collect().group_by("target_id", maintain_order=True).agg(
        pl.col("score").mean(), pl.col("label_mass").min()
    )  # fmt: skip
    both = found.join(theirs, left_on="sample_id", right_on="target_id", suffix="_theirs")
    assert both.height == found.height
    assert both["score"].to_list() == pytest.approx(both["score_theirs"].to_list(), abs=1e-3)
    assert both["label_mass"].to_list() == pytest.approx(
        both["label_mass_theirs"].to_list(), abs=1e-3
    )
    assert found["scores"].struct.fields == ["right", "short"]


@pytest.mark.slow
def test_rows_without_a_question_or_an_image_are_not_judged():
    pytest.importorskip("transformers")
    images = [[tiny.picture(1)], None, [None], [], [tiny.picture(1)], None]
    frame = pl.DataFrame(
        {"q": ["a?", "a?", "a?", "a?", None, "a?"], "r": ["b"] * 5 + [None], "i": images},
        schema_overrides={"i": pl.List(pl.Binary)},
    )
    found = pw.score_frame(frame, question="q", response="r", image="i", **JUDGE)
    errors = [None, "no_image", "no_image", None, "no_question", "no_response"]
    assert found["error"].to_list() == errors
    assert [score is None for score in found["score"]] == [e is not None for e in errors]


def test_wrong_arguments_of_score_frame():
    frame = pl.DataFrame({"q": ["a"], "r": ["b"], "score": [1.0]})
    columns = {"question": "q", "response": "r"}
    with pytest.raises(pw.UsageError, match="has a column 'score' already"):
        pw.score_frame(frame, **columns, **JUDGE)
    frame = frame.drop("score")
    with pytest.raises(pw.UsageError, match="question='x': the frame has no such column"):
        pw.score_frame(frame, question="x", response="r", **JUDGE)
    with pytest.raises(pw.UsageError, match="rubric nothing: no such file"):
        pw.score_frame(frame, **columns, **JUDGE | {"rubric": "nothing"})
    with pytest.raises(pw.UsageError, match="model must be a text, got None"):
        pw.score_frame(frame, **columns, **JUDGE | {"model": None})
    with pytest.raises(pw.UsageError, match="backend must be one of 'vllm', 'transformers'"):
        pw.score_frame(frame, **columns, **JUDGE | {"backend": "magic"})
    with pytest.raises(pw.UsageError, match="base_url names a server, backend='transformers' uses"):
        pw.score_frame(frame, **columns, **JUDGE, base_url="http://127.0.0.1:1/v1")
    with pytest.raises(
        pw.UsageError, match=r"pw.score_frame: no option 'modle'; did you mean model"
    ):
        pw.score_frame(frame, **columns, modle="x")
    with pytest.raises(
        pw.UsageError, match=r"pw.score_frame: missing a required argument: 'model'"
    ):
        pw.score_frame(frame, **columns)
    nobody = frame.with_columns(r=pl.lit(None, pl.String))
    assert pw.score_frame(nobody, **columns, **JUDGE)["error"].to_list() == ["no_response"]
