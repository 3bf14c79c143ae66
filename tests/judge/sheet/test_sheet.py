"""The annotation page in a real browser: what it saves is ingested as scores."""

import json

import pytest
from chromium import chromium, find_chromium
from tiny_dataset import make_dataset, picture, sample, write_dataset

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.errors import UsageError

# Hands over what the page saves instead of starting a download.
SAVED = """
new Promise((done) => {
  const real = URL.createObjectURL;
  URL.createObjectURL = (blob) => { blob.text().then(done); return real(blob); };
  document.getElementById("save").click();
})
"""


@pytest.fixture
def page(tmp_path):
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine")
    with chromium(tmp_path / "profile") as one:
        yield one


def test_scores_given_in_a_browser_are_ingested(tmp_path, page):
    dataset = make_dataset(tmp_path / "data", images=3, questions=2)
    outcome = call("judge sheet", dataset, n=4, rubric="faithful")
    file = dataset.path / "reports" / "sheet" / "sheet" / "sheet.html"
    assert outcome.summary["responses"] == 4
    for width, dark in ((1280, False), (400, True)):
        page.open(file, width=width, height=800, dark=dark)
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.run("document.getElementById('who').value = 'Ann'")
    labels = page.run(
        "[...document.querySelectorAll('article:not([hidden]) input')].map(i => i.value)"
    )
    assert sorted(labels) == ["", "no", "yes"]
    page.run(f"document.querySelector('article:not([hidden]) input[value={labels[0]}]').click()")
    page.run("document.getElementById('next').click()")
    # The second label by its number, as typed.
    page.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: '2', bubbles: true}))")
    assert page.run("document.getElementById('done').textContent") == "2 of 4 scored"
    rows = [json.loads(line) for line in page.run(SAVED).splitlines()]
    assert [list(row["scores"].values()) for row in rows] == [
        [float(label == "yes")] for label in labels[:2]
    ]
    assert {row["annotator"] for row in rows} == {"Ann"}
    saved = tmp_path / "labels.jsonl"
    saved.write_text("".join(json.dumps(row) + "\n" for row in rows))
    call(
        "curate ingest", source=str(saved), output=dataset.path, as_="scores", source_name="people"
    )
    read = dataset.read("scores", "people")
    assert set(read["judge"]) == {"Ann"}
    assert sorted(read["score"].to_list()) == [0, 1]
    assert set(read["target_id"]) == {row["sample_id"] for row in rows}


def test_scores_are_kept_by_the_browser_and_nothing_is_saved_without_a_name(tmp_path, page):
    dataset = make_dataset(tmp_path / "data", images=2, questions=1)
    call("judge sheet", dataset, n=2)
    file = dataset.path / "reports" / "sheet" / "sheet" / "sheet.html"
    page.open(file)
    for key in "531":  # accuracy, completeness, relevance
        page.run(f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}}))")
    page.run("document.getElementById('save').click()")
    assert "Enter your name" in page.run("document.getElementById('done').textContent")
    page.open(file)
    assert page.run("document.getElementById('done').textContent") == "1 of 2 scored"
    page.run("document.getElementById('who').value = 'Bo'")
    [row] = [json.loads(line) for line in page.run(SAVED).splitlines()]
    assert row["scores"] == {"accuracy": 5, "completeness": 3, "relevance": 1}


def test_text_of_rows_stays_text(tmp_path, page):
    content = picture(1)
    hostile = "</script><script>document.title = 'owned'</script><img src=x onerror=alert(1)>\u202e"
    dataset = write_dataset(
        tmp_path / "data", [content], [sample("a", [content], f"<image>\n{hostile}?", hostile)]
    )
    call("judge sheet", dataset)
    page.open(dataset.path / "reports" / "sheet" / "sheet" / "sheet.html")
    assert page.errors == []
    assert page.run("document.title") != "owned"
    assert "onerror" in page.run("document.querySelector('.answer').textContent")
    assert page.run("document.querySelectorAll('.answer img').length") == 0


def test_the_sample_depends_on_ids_and_seed_only(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=10, questions=4)

    def sampled(**options):
        run = RunOptions(replace=True)
        call("judge sheet", dataset, run=run, **options)
        text = (dataset.path / "reports" / "sheet" / "sheet" / "sheet.html").read_text()
        island = text.partition("<script type=application/json id=sheet>")[2]
        return json.loads(island.partition("</script>")[0])["ids"]

    first = sampled(n=10)
    assert first == sampled(n=10)
    assert first == sampled(n=20)[:10]
    assert set(first) != set(sampled(n=10, seed=1))


def test_a_page_that_may_contain_work_is_not_overwritten(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=1)
    call("judge sheet", dataset)
    with pytest.raises(UsageError, match="exists: give another --run"):
        call("judge sheet", dataset)
    empty = write_dataset(tmp_path / "empty", [], [])
    with pytest.raises(UsageError, match="there is nothing to label"):
        call("judge sheet", empty)
