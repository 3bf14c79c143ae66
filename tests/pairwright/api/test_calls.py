"""Commands as functions: signatures, refused values, errors in the words of Python."""

import inspect
import json
import pickle
import re
import shutil

import polars as pl
import pytest

import pairwright as pw
from pairwright.api.values import in_python
from pairwright.commands.command import load
from pairwright.commands.progress import say

FUNCTIONS = [
    (program, name)
    for program in ("curate", "judge", "prefs", "train")
    for name in dir(getattr(pw, program))
]


@pytest.mark.parametrize(("program", "name"), FUNCTIONS)
def test_every_command_is_a_function_with_signature_and_docs(program, name):
    function = getattr(getattr(pw, program), name)
    command = next(c for c in load(f"{program}.cli:COMMANDS") if c.name == name)
    parameters = inspect.signature(function).parameters
    if command.dataset != "none":
        assert next(iter(parameters)) == "dataset"
    fields = set(load(command.options).__dataclass_fields__) - {"output"}
    assert fields <= set(parameters)
    of_a_run = {"run", "replace", "limit", "dry_run", "max_rejects"}
    assert of_a_run & set(parameters) == (of_a_run if command.has_run else set())
    doc = inspect.getdoc(function)
    assert doc.lower().startswith(command.summary[:20].lower())
    for one in parameters:
        assert f"\n    {one}: " in doc
    flags = re.findall(r"--([a-z][\w-]*)", re.sub("`[^`]*`", "", doc))
    assert not {flag.replace("-", "_").removeprefix("no_") for flag in flags} & set(parameters)
    assert getattr(getattr(pw, program), name) is function
    assert pickle.loads(pickle.dumps(function)) is function


def test_a_call_does_what_the_command_does(data, capsys):
    found = pw.curate.dedup(data, threshold=0.8, word_check=False)
    assert found.table == "decisions/dedup"
    assert found.rows == 13
    assert found.summary["removed"] == 2
    frame = found.scan().collect()
    assert frame.filter(~pl.col("kept"))["reason"].to_list() == ["near_text", "exact"]
    assert found.rejects.is_empty()
    assert "13 rows in, 11 kept, 2 removed" in repr(found)
    assert capsys.readouterr().out == ""
    again = pw.curate.dedup(str(data.path), threshold=0.8, word_check=False)  # a path serves too
    assert "nothing to do" in again.message


def test_lineage_names_the_call(data):
    pw.curate.dedup(data, threshold=0.8)
    manifest = data.store.manifest("decisions", "dedup")
    assert manifest.command == f"pw.curate.dedup({str(data.path)!r}, threshold=0.8)"
    assert manifest.config["threshold"] == 0.8


def test_ingest_makes_the_dataset(tmp_path):
    (tmp_path / "qa.jsonl").write_text(json.dumps({"question": "q", "answer": "a"}) + "\n")
    made = pw.curate.ingest(tmp_path / "new", tmp_path / "qa.jsonl", images=False)
    assert made.table == "samples/qa"
    assert made.dataset.path == tmp_path / "new"
    assert made.scan().collect().height == 1
    into = pw.create(tmp_path / "other")
    assert pw.curate.ingest(into, str(tmp_path / "qa.jsonl"), images=False).rows == 1
    planned = pw.curate.ingest(tmp_path / "third", tmp_path / "qa.jsonl", dry_run=True)
    assert planned.table is None
    assert not (tmp_path / "third").exists()
    with pytest.raises(pw.UsageError, match="wrote no table"):
        planned.scan()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"treshold": 0.8}, "no option 'treshold'; did you mean threshold?"),
        ({"output": "x"}, "no option 'output'"),
        ({"threshold": 7}, "^threshold must be above 0 and at most 1, got 7"),
        ({"threshold": "0.8"}, "threshold must be a number, got '0.8'"),
        ({"threshold": None}, "threshold must be a number, got None"),
        ({"threshold": True}, "threshold must be a number, got True"),
        ({"limit": 2.5}, "limit must be a whole number or None, got 2.5"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"promote": "yes"}, "promote must be True or False, got 'yes'"),
        ({"on": "texts"}, "on must be one of 'sample', 'image', 'text', got 'texts'"),
        ({"against": 3}, "against must be a list of which each is a path, got 3"),
        ({"run": pl.DataFrame()}, "run must be a text or None, got"),
        ({"image_match": "clip"}, "^image_match='clip' needs embeddings"),
        ({"extend": True, "promote": True}, "^extend=True keeps .* and promote=True changes them"),
    ],
)
def test_wrong_options_are_usage_errors(data, options, message):
    with pytest.raises(pw.UsageError, match=message):
        pw.curate.dedup(data, **options)
    assert not (data.path / "decisions").exists()


def test_wrong_calls_are_usage_errors(data):
    with pytest.raises(pw.UsageError, match="give the dataset first"):
        pw.curate.dedup()
    with pytest.raises(pw.UsageError, match="too many positional arguments; give options by key"):
        pw.curate.dedup(data, 0.8)
    with pytest.raises(pw.UsageError, match="got int"):
        pw.curate.dedup(3)
    with pytest.raises(pw.UsageError, match=r"^model is required"):
        pw.judge.score(data)
    with pytest.raises(pw.UsageError, match="source is required"):
        pw.curate.ingest(data)
    with pytest.raises(pw.NotFoundError, match="no dataset here"):
        pw.curate.dedup("nowhere")
    with pytest.raises(AttributeError, match=r"did you mean dedup\?"):
        _ = pw.curate.dedupe


def test_another_configuration_under_one_name_is_refused(data):
    pw.curate.dedup(data, threshold=0.8)
    with pytest.raises(pw.ConfigChangedError, match=r"threshold was 0.8, now 0.9; .* run=NAME"):
        pw.curate.dedup(data, threshold=0.9)
    assert pw.curate.dedup(data, threshold=0.9, replace=True).summary["rows"] == 13


def test_too_many_rejects_is_an_error_that_holds_the_result(tmp_path):
    rows = [{"question": "q", "answer": "a"}, {"z": 1}]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(pw.TooManyRejectsError, match=r"max_rejects=0\.05 allows") as caught:
        pw.curate.ingest(tmp_path / "new", tmp_path / "qa.jsonl", images=False)
    result = caught.value.result
    assert result.rows == 1
    assert result.rejects["reason"].len() == 1
    assert result.rejects.columns == ["row_id", "stage", "reason", "detail"]
    allowed = pw.curate.ingest(
        tmp_path / "new", tmp_path / "qa.jsonl", images=False, max_rejects=0.5
    )
    assert allowed.rejects.height == 1


def test_options_come_from_the_users_configuration_too(data, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("defaults: {curate dedup: {threshold: 0.9}}\n")
    monkeypatch.setenv("PAIRWRIGHT_CONFIG", str(tmp_path / "config.yaml"))
    pw.curate.dedup(data)
    assert data.store.manifest("decisions", "dedup").config["threshold"] == 0.9


def test_a_dataset_stands_for_its_path_in_options(data, tmp_path):
    shutil.copytree(data.path, tmp_path / "other")
    other = pw.open(tmp_path / "other")
    found = pw.curate.dedup(data, against=other, run="against", dry_run=True)
    assert found.summary["compared_with"] == 13
    assert found.summary["removed"] == 13
    assert str(other.path) == other.__fspath__()
    with pytest.raises(pw.UsageError, match=r"^against .*: this is the dataset itself; name"):
        pw.curate.dedup(data, against=(other, data.path / "../data"))


def test_lines_and_docs_speak_of_keywords(tmp_path, capsys):
    (tmp_path / "qa.jsonl").write_text(json.dumps({"question": "q", "answer": "a"}) + "\n")
    pw.curate.ingest(tmp_path / "new", tmp_path / "qa.jsonl", images=False)
    told = capsys.readouterr().err
    assert "format=NAME overrules" in told
    assert "--" not in told
    say("--format NAME overrules")
    assert capsys.readouterr().err == "--format NAME overrules\n"
    doc = inspect.getdoc(pw.judge.agree)
    assert "max_rejects: fail (TooManyRejectsError) if" in doc
    assert "min_agreement: fail (GateError) if" in doc
    with pytest.raises(pw.UsageError, match=r"^n and max_tokens must be at least 1, got 0 and 256"):
        pw.prefs.sample(tmp_path / "new", model="x", n=0)
    with pytest.raises(pw.UsageError, match=r"^temperature=0 with n=3: several"):
        pw.prefs.sample(tmp_path / "new", model="x", n=3, temperature=0)


def test_flags_become_keywords():
    options = load("curate.ingest.options:IngestOptions")
    text = "--as pairs and --no-images; `curate x --as y`; --limit 5 or --bogus 3; --image-folder"
    assert in_python(text, options) == (
        "as_='pairs' and images=False; `curate x --as y`; limit=5 or --bogus 3; image_folder"
    )


def test_another_projects_module_under_a_name_of_ours(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "prefs", type(sys)("prefs"))
    monkeypatch.delitem(pw.__dict__, "prefs", raising=False)
    with pytest.raises(pw.NameTakenError, match="needs its own package 'prefs'"):
        _ = pw.prefs
    with pytest.raises(pw.Error):
        pw.__getattr__("prefs")


def test_the_face_is_complete():
    assert all(hasattr(pw, name) for name in pw.__all__)
    assert dir(pw) == sorted(pw.__all__)
    assert pw.__version__
    assert "drop samples" in repr(pw.curate)
    with pytest.raises(AttributeError):
        _ = pw.nothing
