"""`curate report`: numbers against counts in plain Python, and a page that no text can break."""

import itertools
import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_data import build, curated, made
from tiny_dataset import sample, write_dataset

from curate.dedup.command import dedup
from curate.dedup.options import DedupOptions
from curate.report.command import report
from curate.report.options import ReportOptions
from curate.report.sankey import Sankey
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import MissingExtraError, UsageError

pytest.importorskip("altair")
pytest.importorskip("vl_convert")


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return build(tmp_path / "data")


class Tags(HTMLParser):
    """Elements and attributes as a parser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[tuple[str, str]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {(name, value or "") for name, value in attrs}


def test_numbers_equal_counts_in_plain_python(data):
    metrics, _ = made(curated(data))
    samples = {row["sample_id"]: row for row in data.union("samples").collect().to_dicts()}
    first = {row["sample_id"]: row for row in data.read("decisions", "dedup").to_dicts()}
    second = {row["sample_id"]: row for row in data.read("decisions", "filter").to_dicts()}
    removed_ids = [i for i in samples if not first[i]["kept"]]
    later = [i for i in samples if first[i]["kept"] and not second[i]["kept"]]
    kept = [i for i in samples if i not in removed_ids and i not in later]
    assert len(removed_ids) >= 3
    head = metrics["headline"]
    assert (head["samples_read"], head["samples_kept"]) == (len(samples), len(kept))
    assert head["invalid_rows"] == 2
    assert head["images_kept"] == len({x for i in kept for x in samples[i]["image_ids"]})
    steps = metrics["funnel"]["steps"]
    assert [s["run"] for s in steps] == ["dedup", "filter"]
    assert [s["dropped"] for s in steps] == [len(removed_ids), len(later)]
    reasons = Counter(first[i]["reason"] for i in removed_ids)
    assert {r["reason"]: r["rows"] for r in steps[0]["reasons"]} == dict(reasons)
    by_source = {
        s["source"]: (s["rows"], s["kept"]) for s in metrics["funnel"]["sources"] if s["rows"]
    }
    for source in ("<i>a", "b"):
        rows = [i for i in samples if samples[i]["source"] == source]
        assert by_source[source] == (len(rows), len([i for i in rows if i in kept]))
    spread = {one["key"]: one for one in metrics["distributions"]}
    width = spread["answer_words"]["width"]
    words = Counter(
        len(re.findall(r"\w+", m["content"])) // width * width
        for i in kept
        for m in samples[i]["messages"]
        if m["role"] == "assistant"
    )
    shown = {b["from"]: b["kept"] for b in spread["answer_words"]["bins"] if b["kept"]}
    assert shown == dict(words)
    shapes = {v["value"]: (v["kept"], v["dropped"]) for v in metrics["images"][1]["values"]}
    assert shapes["about square"] == (head["images_kept"], 6 - head["images_kept"])
    licenses = {v["value"]: v["kept"] + v["dropped"] for v in spread["license"]["values"]}
    assert licenses == dict(Counter(row["license"] for row in samples.values()))
    (scores,) = metrics["scores"]
    assert scores["scored"] == len(second)
    assert sum(b["dropped"] for b in scores["bins"]) == len(later)
    assert scores["mean_dropped"] == 1.0


def test_galleries_show_what_was_removed_and_why(data):
    metrics, page = made(curated(data), examples=50)
    decisions = {row["sample_id"]: row for row in data.read("decisions", "dedup").to_dicts()}
    removed = {i: row["kept_id"] for i, row in decisions.items() if not row["kept"]}
    groups = metrics["duplicates"]["examples"]
    assert {m["sample_id"]: g["kept"] for g in groups for m in g["removed"]} == removed
    similarities = [g["similarity"] for g in groups]
    assert similarities == sorted(similarities), "borderline first"
    assert similarities[0] < 1
    assert "<mark> quietly</mark>" in page
    (reason,) = metrics["dropped"]
    assert (reason["reason"], reason["threshold"]) == ("score", 1.5)
    assert len(reason["examples"]) == reason["rows"]
    assert metrics["conflicts"]["rows"] == data.read("conflicts", "dedup").height > 0
    (invalid,) = metrics["invalid_rows"]
    assert (invalid["rows"], invalid["reason"], invalid["stage"]) == (2, "broken_image", "image")
    assert {one["table"] for one in metrics["runs"]} >= {"samples/tiny", "decisions/dedup"}


def test_text_of_rows_stays_text(data):
    _, page = made(curated(data), examples=50, title="</title><script>alert(3)</script>")
    seen = Tags(page)
    assert seen.tags["script"] == 1
    assert seen.tags["b"] > 0
    assert seen.tags["svg"] == 6  # our charts, and none of a row
    assert "i><" not in seen.tags
    assert not [a for a in seen.attributes if a[0].startswith("on")]
    assert {v[:5] for n, v in seen.attributes if n == "src"} <= {"data:"}
    links = {v[0] for n, v in seen.attributes if n == "href"}
    assert links <= {"#", "d"}  # places in the page, and the empty icon
    assert "\u202e" not in page
    assert "<i>a" not in page
    assert page.count("&lt;i&gt;a") > 4, "in bars, charts and what they say under the pointer"
    policy = next(v for n, v in seen.attributes if v.startswith("default-src"))
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_samples_alone_name_the_next_commands(data):
    metrics, page = made(data)
    assert metrics["duplicates"] is None
    assert metrics["headline"]["samples_kept"] == metrics["headline"]["samples_read"]
    for command in ("curate dedup data/", "curate filter data/", "judge score data/"):
        assert command in page


def test_an_empty_dataset_and_text_alone(tmp_path):
    _, page = made(Dataset.create(tmp_path / "empty"))
    assert "No samples yet" in page
    rows = [sample(str(n), [], f"what is {n}?", "a number") for n in range(3)]
    metrics, page = made(write_dataset(tmp_path / "text", [], rows))
    assert metrics["images"] == []
    assert "class=pics" not in page


@pytest.mark.slow
def test_the_page_keeps_to_its_size(tmp_path):
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    contents = []
    for number in range(60):
        file = tmp_path / f"{number}.jpg"
        Image.fromarray(noise.integers(0, 255, (300, 300, 3), dtype=np.uint8)).save(file)
        contents.append(file.read_bytes())
    rows = [sample(f"{n}{k}", [c], "what?", "noise") for n, c in enumerate(contents) for k in "ab"]
    dataset = write_dataset(tmp_path / "data", contents, rows)
    dedup(dataset, DedupOptions(), RunOptions())
    small, large = (
        len(made(dataset, examples=60, max_mb=mb, thumbnail=300)[1].encode()) for mb in (2.0, 10.0)
    )  # fmt: skip
    assert small < 2e6 < large < 10e6


def test_the_same_data_give_the_same_metrics(data):
    curated(data)
    first, again, other = (made(data, examples=2, seed=s)[0] for s in (0, 0, 5))
    for one in (first, again, other):
        del one["made_at"]
    assert first == again
    assert first != other


def test_rows_that_were_added_later_are_reported(data):
    dedup(data, DedupOptions(), RunOptions())
    with data.write("samples", "more", step="ingest", config={}) as writer:
        writer.add(
            [sample("new", [], "is it new?", "yes"), sample("duplicate", [], "again", "yes")]
        )
    metrics, page = made(data)
    assert metrics["funnel"]["steps"][0]["undecided"] == 1
    assert "1 sample was added after decisions/dedup" in page
    assert metrics["headline"]["samples_read"] == data.union("samples").collect().height


def test_values_that_are_not_numbers_leave_valid_json(data):
    ids = data.union("samples").collect()["sample_id"].to_list()
    values = [float("nan"), float("inf"), None, 0.5]
    with data.write("decisions", "odd", step="filter-rules", config={}, rejects=False) as writer:
        writer.add(
            {"sample_id": i, "run": "odd", "kept": n > 3, "reason": "kept" if n > 3 else "strange",
             "method": "strange", "similarity": values[n % 4]}
            for n, i in enumerate(ids)
        )  # fmt: skip
    outcome = report(data, ReportOptions(), RunOptions())
    assert outcome.message.endswith("\nnext: `curate select` or `curate export`")
    text = (data.path / "reports/report.json").read_text(encoding="utf-8")
    metrics = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert metrics["dropped"][0]["value"] == {"min": 0.5, "median": 0.5, "max": 0.5}


def test_where_it_is_written_and_what_it_never_overwrites(data, tmp_path):
    dry = report(data, ReportOptions(), RunOptions(dry_run=True))
    assert not (data.path / "reports").exists()
    assert dry.summary["samples_read"] == 24
    made(data, output=tmp_path / "out")
    report(data, ReportOptions(), RunOptions(run="march", limit=5))
    metrics = json.loads((data.path / "reports/march/report.json").read_text(encoding="utf-8"))
    assert metrics["headline"]["samples_read"] == 5
    made(data, output=tmp_path / "out")  # its own page it remakes
    (tmp_path / "out/report.html").write_text("mine")
    with pytest.raises(UsageError, match="not a report of pairwright"):
        made(data, output=tmp_path / "out")
    with pytest.raises(UsageError, match="is a file"):
        made(data, output=tmp_path / "out/report.html")
    with pytest.raises(UsageError, match="--max-mb must be from 2 to 500"):
        ReportOptions(max_mb=0.1)


def test_no_row_of_the_data_where_none_is_wanted(data):
    metrics, page = made(curated(data), examples=0, images=False)
    assert metrics["samples"] == {}
    assert "data:image" not in page


@pytest.mark.parametrize("module", ["altair", "vl_convert"])
def test_without_the_extra_it_says_which(data, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match="report"):
        report(data, ReportOptions(), RunOptions())


def test_the_sankey_loses_no_row():
    reasons = [{"words": f"r{n}", "rows": 10 - n} for n in range(8)]
    flow = {
        "read": 1000, "kept": 900,
        "sources": [{"source": f"s{n}", "rows": 100, "invalid": n} for n in range(10)],
        "steps": [
            {"title": "A", "left": 948, "dropped": 52, "reasons": reasons},
            {"title": "B", "left": 900, "dropped": 48, "reasons": [{"words": "x", "rows": 48}]},
        ],
    }  # fmt: skip
    diagram = Sankey.of(flow)
    assert diagram.columns == 4
    for column in range(1, diagram.columns):
        into = sum(link.rows for link in diagram.links if link.column == column)
        assert into == sum(node.rows for node in diagram.nodes if node.column == column)
    boxes = sorted((n.column, n.y, n.y + n.height) for n in diagram.nodes)
    for (c, _, end), (d, start, _) in itertools.pairwise(boxes):
        assert c != d or end <= start, "nodes of a column lie apart"
