"""Tab completion in a real bash."""

import subprocess
import sys

import pytest


def script(program):
    words = [sys.executable, "-m", "pairwright", *program, "--print-completion", "bash"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def completed(text, program, *words):
    shell = (
        f"source /dev/stdin <<'SCRIPT'\n{text}\nSCRIPT\n"
        f"COMP_WORDS=({program} {' '.join(words)}); COMP_CWORD={len(words)}\n"
        f"_shtab_{program}; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    )
    done = subprocess.run(["bash", "-c", shell], check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("program", "words", "found"),
    [
        ("curate", ["de"], {"dedup", "decontaminate"}),
        ("curate", ["dedup", "--thr"], {"--threshold"}),
        ("judge", ["scor"], {"score"}),
        ("prefs", ["build", "--dry"], {"--dry-run"}),
        ("pairwright", ["cur"], {"curate"}),
        ("pairwright", ["sta"], {"status"}),
        ("pairwright", ["train", "s"], {"sft"}),
        ("pairwright", ["curate", "dedup", "--thr"], {"--threshold"}),
    ],
)
def test_bash_completes_commands_and_options(program, words, found):
    assert (
        set(completed(script([program] if program != "pairwright" else []), program, *words))
        == found
    )


def test_another_shell_is_one_line():
    words = [sys.executable, "-m", "pairwright", "judge", "--print-completion", "fish"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: --print-completion fish: the shells are bash, zsh, tcsh\n"
