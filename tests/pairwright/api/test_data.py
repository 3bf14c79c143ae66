"""Datasets and results as Python objects, and what notebooks show of them."""

import re

import pytest

import pairwright as pw
from pairwright.api.result import Result
from pairwright.commands.command import Outcome

HOSTILE = "<script>alert(1)</script>&<img src=x onerror=alert(2)>"


def test_open_and_create(data, tmp_path, monkeypatch):
    assert pw.open(data).path == pw.open(str(data.path)).path == data.path
    assert pw.create(data.path).path == data.path
    monkeypatch.chdir(data.path)
    assert pw.open().path == data.path
    with pytest.raises(pw.NotFoundError):
        pw.open(tmp_path / "nothing")
    with pytest.raises(pw.UsageError):
        pw.create(tmp_path)  # holds files that are no dataset
    with pytest.raises(pw.UsageError, match="got int"):
        pw.open(3)


def test_tables_runs_and_rows(data):
    pw.curate.dedup(data)
    pw.curate.dedup(data, threshold=0.9, run="strict")
    assert data.tables["table"].to_list() == [
        "images/tiny", "samples/tiny", "decisions/dedup", "decisions/strict", "conflicts/dedup",
        "conflicts/strict",
    ]  # fmt: skip
    active = dict(data.tables.select("table", "active").iter_rows())
    assert active["decisions/dedup"]
    assert not active["decisions/strict"]
    assert data.runs("decisions") == ["dedup", "strict"]
    assert data.scan("samples").collect().height == 13
    assert data.scan("images/tiny").collect().height == 6
    assert set(data.scan("decisions").collect()["run"]) == {"dedup"}
    assert data.current().collect().height == 11
    data.use("decisions/strict")
    assert set(data.scan("decisions").collect()["run"]) == {"strict"}
    assert data.funnel.columns == ["stage", "rows"]
    assert data.funnel["rows"][0] == 13


def test_tables_that_are_not_there(data):
    with pytest.raises(pw.UsageError, match=r"no table 'sample'; did you mean samples\?"):
        data.scan("sample")
    with pytest.raises(pw.NotFoundError, match="no table 'pairs'; there are images/tiny"):
        data.scan("pairs")
    with pytest.raises(pw.NotFoundError, match=r"did you mean samples/tiny\?"):
        data.scan("samples/tin")
    with pytest.raises(pw.UsageError):
        data.use("decisions/nothing")
    with pytest.raises(pw.UsageError):
        data.runs("nothing")


def test_several_active_runs_are_not_mixed(data):
    pw.curate.dedup(data)
    pw.curate.select(data, n=5)
    with pytest.raises(pw.UsageError, match="scan one of decisions/dedup, decisions/select"):
        data.scan("decisions")
    assert data.current().collect().height == 5


def test_text_and_notebook_views(data):
    found = pw.curate.dedup(data)
    assert re.search(r"decisions/dedup +13  active", repr(data))
    assert "samples now current" in data._repr_html_()
    assert "decisions/dedup" in found._repr_html_()
    assert repr(pw.create(data.path.parent / "empty")).endswith("no tables yet")


def test_strangers_texts_stay_texts(tmp_path):
    data = pw.create(tmp_path / "<b>data")
    row = {
        "sample_id": HOSTILE, "image_ids": [], "source": HOSTILE, "source_id": "1",
        "messages": [{"role": "user", "content": HOSTILE}],
    }  # fmt: skip
    with data.store.write("samples", "x", step="ingest", config={}) as writer:
        writer.add([row])
        writer.reject("1", "row", "bad", HOSTILE)
    result = pw.curate.dedup(data)
    result.message += HOSTILE
    for html in (data._repr_html_(), result._repr_html_()):
        assert not re.search(r"<(script|img|b>)", html.replace("<p><b>", ""))
    assert "&lt;script&gt;" in result._repr_html_()


def test_report_is_a_page_that_cannot_reach_the_notebook(data):
    pytest.importorskip("vl_convert")
    found = pw.curate.dedup(data)
    page = found.report()
    assert page.path == data.path / "reports" / "report.html"
    html = page._repr_html_()
    assert html.startswith('<iframe sandbox="allow-scripts" srcdoc="&lt;!doctype')
    assert html.count("<") == 2
    assert pw.curate.report(data, title="Mine").report().path == page.path
    assert "Mine" in page.path.read_text()
    assert data.report(examples=0, title="Other").path == page.path
    with pytest.raises(pw.UsageError, match="works on no dataset"):
        pw.judge.rubrics().report()
    with pytest.raises(pw.UsageError, match="works on no dataset"):
        pw.judge.rubrics().to_datasets()


def test_a_result_names_characters_that_hide():
    found = Result(
        "curate show", Outcome(message="a \u202e b <b>\nc"), None, None, "a \u202e b <b>\nc"
    )
    html = found._repr_html_()
    assert '<span class=ctl title="U+202E">RLO</span> b &lt;b&gt;\nc' in html
    assert "\u202e" not in html


def test_wrong_arguments_are_usage_errors(data, tmp_path):
    for call, message in (
        (lambda: data.scan(5), "a table is given by its name, such as 'decisions', got int"),
        (lambda: data.use(5), "a table is given by its name, such as 'decisions', got int"),
        (
            lambda: data.to_datasets("both"),
            "what must be one of 'auto', 'samples', 'pairs', got 'both'",
        ),
        (lambda: data.to_datasets("sample"), "what must be one of 'auto', 'samples', 'pairs'"),
        (lambda: data.to_datasets(split=3), "split must be a text or None, got 3"),
        (lambda: data.to_datasets("samples", pairs="p"), "pairs names pairs, what='samples' means"),
        (lambda: data.report(title=5), "title must be a text or None, got 5"),
        (lambda: data.report(examples=-1), "examples must be from 0 to 200, got -1"),
    ):
        with pytest.raises(pw.UsageError) as caught:
            call()
        assert str(caught.value).startswith(message)


def test_where_no_dataset_can_be_made(tmp_path):
    (tmp_path / "file.json").write_text("{}")
    for path in (tmp_path / "file.json" / "x", "/proc/foo"):
        with pytest.raises(pw.UsageError, match=r": no dataset can be made here \("):
            pw.create(path)
    with pytest.raises(pw.UsageError, match="given by its folder, got NoneType"):
        pw.create(None)
    (tmp_path / "qa.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    with pytest.raises(pw.UsageError, match="no dataset can be made here"):
        pw.curate.ingest("/proc/foo", tmp_path / "qa.jsonl", images=False)
