"""A user's own modules of our packages' names break nothing."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pairwright.errors import Error, NameTakenError
from pairwright.names import NAMES, foreign

REPO = Path(__file__).resolve().parents[3]
PROGRAMS = ("curate", "judge", "prefs", "train", "pairwright")


@pytest.fixture
def folder(tmp_path):
    """A working directory with a module or package of each name that ends whoever imports it."""
    for name in ("schemas", "judge", "prefs", "train"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} is the wrong one')\n")
    (tmp_path / "curate").mkdir()
    (tmp_path / "curate" / "__init__.py").write_text("raise SystemExit('curate is wrong')\n")
    return tmp_path


def python(folder, *words, path="", **more):
    """Run Python in a folder that is in front of everything on its path."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*([path] if path else []), str(REPO)]),
    }
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=environment | more, text=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_finds_ours(folder):
    code = "import sys, pairwright, " + ", ".join(NAMES) + ", schemas.tables\n"
    code += f"print(*[sys.modules[n].__file__ for n in {NAMES}])"
    found = python(folder, "-c", code).split()
    assert found == [str(REPO / name / "__init__.py") for name in NAMES]


def test_without_pairwright_python_finds_theirs(folder):
    done = subprocess.run([sys.executable, "-c", "import train"], cwd=folder, capture_output=True)
    assert b"train is the wrong one" in done.stderr  # the folder does shadow our packages


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_as_installed(program, folder):
    # What an installer writes for `[project.scripts]`, started with the folder on the path.
    code = f"import sys; from pairwright.programs import {program}; sys.argv[0] = '{program}'\n"
    code += f"sys.exit({program}())"
    out = python(folder, "-c", code, "--help", path=str(folder))
    assert out.startswith(f"usage: {program} ")


@pytest.mark.parametrize("program", PROGRAMS[:-1])
def test_sub_programs_of_pairwright(program, folder):
    out = python(folder, "-m", "pairwright", program, "--help")
    assert out.startswith(f"usage: pairwright {program} COMMAND")
    commands = [
        line.split()[0] for line in out.partition("commands:\n")[2].split("\n\n")[0].splitlines()
    ]
    helped = python(folder, "-m", "pairwright", program, commands[0], "--help")
    assert helped.startswith(f"usage: pairwright {program} {commands[0]}")


def test_pyproject_starts_the_programs_through_pairwright():
    import tomllib

    scripts = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {name: f"pairwright.programs:{name}" for name in PROGRAMS}


SPAWN = """
    import multiprocessing, os, sys
    from concurrent.futures import ProcessPoolExecutor

    def main():
        import pairwright
        from schemas.docs import tables_page
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(1) as pool:
            print(len(pool.apply(tables_page)) > 1000)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            print(len(pool.submit(tables_page).result()) > 1000)

    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_functions_of_ours_reach_worker_processes(method, folder):
    (folder / "script.py").write_text(textwrap.dedent(SPAWN))
    assert python(folder, "script.py", method).split() == ["True", "True"]


def test_spawned_workers_of_a_session_without_a_script(folder):
    # As in a notebook: sys.path[0] is "", there is no main module to import, and multiprocessing
    # may be loaded before pairwright.
    code = "import sys, multiprocessing.spawn; assert sys.path[0] == ''; import pairwright\n"
    code += "from schemas.docs import tables_page\n"
    code += "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
    code += "    print(len(pool.apply(tables_page)) > 1000)"
    assert python(folder, "-c", code) == "True\n"


def test_a_spawned_worker_needs_no_pairwright_on_its_path(folder):
    # The session found pairwright through sys.path; its workers get that path only later.
    code = f"import sys; sys.path[:0] = ['', {str(REPO)!r}]; import pairwright, multiprocessing\n"
    code += "from schemas.docs import tables_page\n"
    code += "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
    code += "    print(len(pool.apply(tables_page)) > 1000)"
    assert python(folder, "-I", "-c", code) == "True\n"


def test_a_foreign_module_that_is_imported_already_is_one_clear_error(tmp_path):
    for name in ("schemas", "train"):
        (tmp_path / f"{name}.py").write_text("")
    code = "import {}\ntry:\n    {}\nexcept ImportError as error:\n    print(type(error).__name__, error)"
    told = python(tmp_path, "-c", code.format("schemas", "import pairwright"))
    assert told.startswith("NameTakenError ")
    assert str(tmp_path / "schemas.py") in told
    assert told.rstrip().endswith("rename that module")
    later = "from pairwright.commands.command import load; load('train.cli:COMMANDS')"
    told = python(tmp_path, "-c", code.format("train, pairwright", later))
    assert "needs its own package 'train'" in told


def test_foreign_knows_ours(monkeypatch):
    import train  # noqa: F401

    assert foreign("train") is None
    assert foreign("json") is None
    monkeypatch.setitem(sys.modules, "prefs", type(sys)("prefs"))
    assert foreign("prefs")
    assert issubclass(NameTakenError, Error)
