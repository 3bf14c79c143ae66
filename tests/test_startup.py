"""Help must be quick: no program imports a heavy library before it runs a command."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch", "transformers", "vllm", "trl", "peft", "datasets", "open_clip", "ray", "datasketch",
    "numba", "polars", "pyarrow", "dataframely", "numpy", "PIL", "rich", "httpx", "aiohttp", "huggingface_hub",
    "starlette", "yaml", "jinja2", "altair",
}  # fmt: skip


def test_importing_pairwright_loads_nothing_heavy():
    code = (
        "import sys, pairwright as pw\n"
        "for name in ('curate', 'judge', 'prefs', 'train'):\n"
        "    assert all(getattr(getattr(pw, name), one).__doc__ for one in dir(getattr(pw, name)))\n"
        "assert pw.open and pw.near_duplicates and pw.UsageError\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("program", ["curate", "judge", "prefs", "train", "pairwright"])
def test_a_program_imports_nothing_heavy(program):
    code = (
        f"import sys, {program}.cli as cli; from pairwright.commands.command import main; "
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({program!r}, 'x', cli.COMMANDS, ['--help'])\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("program", ["curate", "judge", "prefs", "train"])
def test_the_help_of_every_command_imports_nothing_heavy(program):
    code = (
        f"import sys, {program}.cli as cli; from pairwright.commands.command import make_parser\n"
        "for command in cli.COMMANDS:\n"
        f"    assert make_parser({program!r}, command).format_help()\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
