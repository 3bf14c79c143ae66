"""Every snippet of docs/how-to/python.md runs, one after the other, and the notebook runs whole."""

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

import pairwright as pw
from pairwright.demo.steps import MODELS, RUBRIC

REPO = Path(__file__).resolve().parents[3]
PAGE = (REPO / "docs" / "how-to" / "python.md").read_text()
NOTEBOOK = REPO / "examples" / "notebook.ipynb"
SHADOWS = ("schemas", "judge", "prefs", "train", "curate")
tiny = importlib.import_module("tiny_dataset")


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    rows = []
    (tmp_path / "images").mkdir()
    for n in range(4):
        (tmp_path / "images" / f"{n}.png").write_bytes(tiny.picture(n))
        turns = [("human", "<image>\nwhat shape is it?"), ("gpt", ("circle", "red")[n % 2])]
        talk = [{"from": who, "value": text} for who, text in turns]
        rows += [{"id": str(n), "image": f"{n}.png", "conversations": talk}] * (n + 1)
    (tmp_path / "llava.json").write_text(json.dumps(rows))
    # The large model of the page is a small one here, by the user's own configuration.
    config = {
        "models": {"Qwen2-VL-7B": str(MODELS / "judge")},
        "defaults": {"judge score": {"backend": "transformers", "rubric": str(RUBRIC)}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("PAIRWRIGHT_CONFIG", str(tmp_path / "config.yaml"))
    seen: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(snippet, seen)
    assert seen["found"].summary["removed"] == 6
    assert seen["near"].rows() == [(1, 0, 1.0, "exact")]
    assert seen["distinct"].height == 1
    assert seen["scored"]["error"].null_count() == 2
    assert seen["rows"].column_names == ["images", "messages"]
    assert "did you mean threshold?" in capsys.readouterr().out


def test_what_the_page_names_is_there():
    for program, name in re.findall(r"\bpw\.(curate|judge|prefs|train)\.(\w+)", PAGE):
        assert callable(getattr(getattr(pw, program), name))
    for name in re.findall(r"\bpw\.(\w+)", PAGE):
        assert hasattr(pw, name)


def outputs(notebook, kind):
    return [
        output for cell in notebook.cells for output in cell.get("outputs", ())
        if output["output_type"] == kind
    ]  # fmt: skip


def execute(notebook, folder):
    client = pytest.importorskip("nbclient").NotebookClient
    client(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


@pytest.mark.slow
def test_the_notebook_runs_in_a_folder_with_modules_of_our_names(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} is the wrong one')\n")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    notebook = execute(nbformat.read(NOTEBOOK, 4), tmp_path)
    streams = outputs(notebook, "stream")
    assert [one["text"] for one in streams if one["name"] == "stderr"] == []
    printed = "".join(one["text"] for one in streams)
    assert "no option 'min_scor'; did you mean min_score?" in printed
    shown = "".join(one["data"].get("text/html", "") for one in outputs(notebook, "execute_result"))
    assert "221 rows in, 211 kept, 10 removed" in shown
    assert "dropped by filter" in shown
    assert re.search(r"prefs build \N{RIGHTWARDS ARROW} pairs/best-of-n", shown)
    assert "label_mass" in shown


def test_the_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not c.get("outputs") and not c.get("execution_count") for c in cells)


PROGRESS = """
import threading, time
from pairwright.commands.progress import Progress, say
bar = Progress("reading <b>", 10)
bar.__enter__()
def work():
    for _ in range(4):
        time.sleep(0.3)
        bar.advance(note="<i>a row</i>")
threading.Thread(target=work).start()
work()
time.sleep(0.5)
say("a line")
"""


@pytest.mark.slow
def test_progress_in_a_notebook_is_plain_html_and_is_cleared(tmp_path):
    v4 = pytest.importorskip("nbformat.v4")
    cells = [v4.new_code_cell(PROGRESS)]
    shown = execute(v4.new_notebook(cells=cells), tmp_path)
    (drawn,) = outputs(shown, "display_data")
    html = drawn["data"]["text/html"]
    assert html.startswith('<progress value="')
    assert 'max="10"' in html
    assert "reading &lt;b&gt;" in html
    assert "&lt;i&gt;a row&lt;/i&gt;" in html
    assert [one["name"] for one in outputs(shown, "stream")] == ["stdout"]
    cells.append(v4.new_code_cell("bar.__exit__(None, None, None)"))
    (drawn,) = outputs(execute(v4.new_notebook(cells=cells), tmp_path), "display_data")
    assert drawn["data"]["text/html"] == ""
