"""Command lines in the pages parse with the real parsers, and their flags are no old ones."""

import argparse
import re
import shlex
from pathlib import Path

import pytest
from doc_pages import REPO, code_spans, fences, name_of, pages

from pairwright import pipeline
from tools.docs_cli import PROGRAMS, commands, make_parser

COMMANDS = {(p, c.name): c for p in PROGRAMS for c in commands(p)}
# Flags of other programs that the pages name.
FOREIGN = {
    "--generation-config", "--enable-prefix-caching", "--limit-mm-per-prompt",
    "--mm-processor-cache-gb", "--help", "--no-",
}  # fmt: skip


def flags(parser: argparse.ArgumentParser, *, hidden: bool) -> set[str]:
    actions = [a for a in parser._actions if (a.help == argparse.SUPPRESS) == hidden]
    return {flag for action in actions for flag in action.option_strings}


PARSERS = {key: make_parser(key[0], command) for key, command in COMMANDS.items()}
KNOWN = {flag for parser in PARSERS.values() for flag in flags(parser, hidden=False)}


def command_lines(text: str) -> list[list[str]]:
    """Words of each line of a code block that calls one of our programs."""
    found = []
    for language, block in fences(text):
        if language not in ("", "bash", "sh", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r" && | > |;", line):
                if part.split()[:1] and part.split()[0] in PROGRAMS:
                    found.append(shlex.split(part, comments=True))
    return found


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_command_lines_parse(page, capsys):
    for words in command_lines(page.read_text()):
        if words[1:2] in (["--help"], ["--print-completion"], ["COMMAND"]):
            continue
        key = (words[0], words[1])
        assert key in COMMANDS, shlex.join(words)
        try:
            PARSERS[key].parse_args(words[2:])
        except SystemExit:
            pytest.fail(f"{shlex.join(words)}\n{capsys.readouterr().err}")
        old = flags(PARSERS[key], hidden=True) & {w.partition("=")[0] for w in words}
        assert not old, f"{shlex.join(words)}: {old} is an old name"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_and_flags_in_the_text_exist(page):
    for span in code_spans(page.read_text()):
        words = span.split()
        if words[0] in PROGRAMS and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
            assert (words[0], words[1]) in COMMANDS, span
            known = flags(PARSERS[words[0], words[1]], hidden=False)
        elif words[0].startswith("--") and page.parent.name not in ("benchmarks", "easy_vqa"):
            known = KNOWN | FOREIGN
        else:  # a flag of a script
            continue
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert named <= known, f"`{span}`: {named - known}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_pipelines_are_valid(page, tmp_path: Path):
    for language, block in fences(page.read_text()):
        if language == "yaml" and re.search(r"^steps:", block, re.MULTILINE):
            (tmp_path / "pipeline.yaml").write_text(block)
            assert pipeline.plan(tmp_path / "pipeline.yaml")


def test_the_pages_name_every_command():
    text = "\n".join(page.read_text() for page in REPO.glob("docs/how-to/*.md"))
    missing = [f"{p} {n}" for p, n in COMMANDS if f"{p} {n}" not in text]
    assert missing in ([], ["pairwright demo"])
