"""Commands: layers of options, messages, exit codes, help that works."""

import json
import shlex

import pytest

from pairwright import pipeline
from pairwright.commands import command
from pairwright.dataset.store import Dataset

PROGRAMS = ("curate", "judge", "prefs", "train", "pairwright")
COMMANDS = [(p, c) for p in PROGRAMS for c in command.load(f"{p}.cli:COMMANDS")]


def run(program, *words):
    return command.main(
        program, "", command.load(f"{program}.cli:COMMANDS"), [str(w) for w in words]
    )


@pytest.fixture
def dataset(tmp_path):
    dataset = Dataset.create(tmp_path / "data")
    with dataset.write("samples", "src", step="ingest", config={}) as writer:
        writer.add(
            {
                "sample_id": f"s{n}",
                "image_ids": [],
                "messages": [{"role": "user", "content": "\x1b[31mred\x1b[0m"}],
                "source": "src",
                "source_id": str(n),
            }
            for n in range(3)
        )
    return dataset


@pytest.mark.parametrize(("program", "one"), COMMANDS, ids=lambda v: getattr(v, "name", v))
def test_help_and_examples(program, one, capsys):
    assert run(program, one.name, "--help") == 0
    text = capsys.readouterr().out
    assert one.examples, "a command shows an example"
    for example in one.examples:
        assert example in text
        words = shlex.split(example)
        assert words[:2] == [program, one.name]
        command.make_parser(program, one).parse_args(words[2:])


@pytest.mark.parametrize("program", PROGRAMS)
def test_overview(program, capsys):
    assert run(program, "--help") == 0
    text = capsys.readouterr().out
    for name, one in COMMANDS:
        if name == program:
            assert f"  {one.name} " in text
    assert "exit codes" in text
    assert run(program) == 2


def test_unknown_command_and_option(capsys):
    assert run("pairwright", "statsu") == 2
    assert "did you mean status?" in capsys.readouterr().err
    assert run("pairwright", "status", "--bogus") == 2


def test_missing_dataset_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("pairwright", "status") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "PAIRWRIGHT_DATA" in error


def test_json_on_stdout_alone(dataset, capsys):
    assert run("pairwright", "status", dataset.path, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["funnel"]["samples ingested"] == 3
    assert run("pairwright", "show", dataset.path, "samples/nope", "--json") == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit_code"] == 2
    assert "there are: samples/src" in captured.err


def test_show_does_not_pass_control_characters_on(dataset, capsys):
    assert run("pairwright", "show", dataset.path, "samples/src", "--rows", "1") == 0
    assert "\x1b" not in capsys.readouterr().out


def test_layers_file_environment_flag(dataset, tmp_path, monkeypatch, capsys):
    user = tmp_path / "user.yaml"
    user.write_text("defaults: {pairwright show: {rows: 1}}")
    monkeypatch.setenv("PAIRWRIGHT_CONFIG", str(user))
    base = ["show", dataset.path, "samples/src", "--print-config"]
    assert run("pairwright", *base) == 0
    assert "rows: 1\n" in capsys.readouterr().out
    monkeypatch.setenv("PAIRWRIGHT_PAIRWRIGHT_SHOW_ROWS", "2")
    assert run("pairwright", *base) == 0
    assert "rows: 2\n" in capsys.readouterr().out
    file = tmp_path / "c.yaml"
    file.write_text("rows: 3")
    assert run("pairwright", *base, "--config", file) == 0
    assert "rows: 3\n" in capsys.readouterr().out
    assert run("pairwright", *base, "--config", file, "--rows", "4") == 0
    assert "rows: 4\n" in capsys.readouterr().out
    file.write_text("bogus: 3")
    assert run("pairwright", *base, "--config", file) == 2
    assert "no option 'bogus'" in capsys.readouterr().err


def test_pipeline_is_checked_before_anything_runs(tmp_path, capsys):
    file = tmp_path / "p.yaml"
    for text, words in [
        ("steps: []", "needs a list"),
        ("stepz: [x]", "unknown key"),
        ("steps: [curate nope]", "no command 'nope'"),
        ("steps: [rm -rf]", "a step is"),
        ("dataset: d\nsteps: [{curate dedup: {bogus: 1}}]", "options are wrong"),
    ]:
        file.write_text(text)
        assert run("pairwright", "run", file) == 2
        assert words in capsys.readouterr().err


def test_pipeline_becomes_command_lines(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(
        "dataset: d\nsteps:\n- curate dedup: {threshold: 0.8}\n- prefs build\n- train dpo: {beta: 0.2}\n"
    )
    assert pipeline.plan(file) == [
        ["curate", "dedup", "d", "--threshold", "0.8"],
        ["prefs", "build", "d"],
        ["train", "dpo", "d", "--beta", "0.2"],
    ]


def test_the_example_pipeline_is_valid(request):
    steps = pipeline.plan(request.config.rootpath / "examples" / "pipeline.yaml")
    assert [words[:2] for words in steps][-2:] == [["prefs", "build"], ["train", "dpo"]]
