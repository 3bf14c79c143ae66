"""`pairwright status`, `show`, `use`: no option that does nothing."""

import pytest

from pairwright.programs import run


@pytest.mark.parametrize("name", ["status", "show", "use", "doctor"])
@pytest.mark.parametrize("flag", ["--dry-run", "--replace", "--limit 1", "--run x"])
def test_commands_without_a_run_have_no_flags_of_one(capsys, name, flag):
    assert run("pairwright", [name, *flag.split()]) == 2
    assert "unrecognized arguments" in capsys.readouterr().err or name in ("show", "use")


@pytest.mark.parametrize("name", ["status", "show", "use", "doctor"])
def test_their_help_does_not_show_them(capsys, name):
    assert run("pairwright", [name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--json" in shown
    assert "--dry-run" not in shown
