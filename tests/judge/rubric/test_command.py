import json
import re

import yaml

from judge.cli import COMMANDS
from pairwright.commands import command


def test_rubrics_are_listed_shown_and_checked(tmp_path, capsys, tiny_qwen):
    def run(*words):
        code = command.main("judge", "", COMMANDS, ["rubrics", *words])
        return code, capsys.readouterr()

    code, said = run("--json")
    assert code == 0
    assert set(json.loads(said.out)["rubrics"]) >= {"default", "vlfeedback", "own-criteria"}
    code, said = run("show", "faithful", "--json")
    assert yaml.safe_load(json.loads(said.out)["yaml"])["name"] == "faithful"
    code, said = run("check", "default", "--model", str(tiny_qwen), "--json")
    assert code == 0
    assert sorted(json.loads(said.out)["tokens"]) == ["1", "2", "3", "4", "5"]
    path = tmp_path / "mine.yaml"
    path.write_text(
        '{name: m, labels: {"12345": 1, b: 2}, prompt: "{answer}", criteria: [{name: c}]}'
    )
    code, said = run("check", str(path), "--model", str(tiny_qwen))
    assert code == 2
    assert re.search("label '12345' is . tokens", said.err)
    assert run("show")[0] == 2
    assert run("drw")[0] == 2
