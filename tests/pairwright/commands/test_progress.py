"""Progress: what is drawn in a real terminal, and the lines where there is none."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from pairwright.commands import progress
from pairwright.commands.progress import Progress, shown, span

HOSTILE = "[red]evil[/red] [link=x] \x1b[2J\x1b]0;title\x07 a\rb \u202e \u200b \x00 \u00e9\n second"

SCRIPT = """
import ast, sys, time
from pairwright.commands.progress import Progress, say
with Progress("judge [bold]", 40, unit="marks") as bar:
    time.sleep(0.6)
    for n in range(20):
        bar.advance(note=f"note {n}" if n < 19 else ast.literal_eval(sys.argv[1]), tokens=100)
    say("a line from [elsewhere]")
    time.sleep(float(sys.argv[2]))
print("on stdout")
"""


def in_terminal(last, *, columns=100, resize=None, seconds=1.0):
    """Run the script with stderr on a terminal; returns what was drawn, and stdout."""
    master, slave = pty.openpty()
    size(slave, columns)
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, ascii(last), str(seconds)],
        stderr=slave,
        stdout=subprocess.PIPE,
        env=env | {"TERM": "xterm-256color"},
    )
    drawn, started = b"", time.monotonic()
    while process.poll() is None or select.select([master], [], [], 0.2)[0]:
        if resize and drawn.count(b"note 15") > 2:
            size(slave, resize)
            resize = None
        if select.select([master], [], [], 0.1)[0]:
            drawn += os.read(master, 65536)
        assert time.monotonic() - started < 60
    os.close(slave)
    with contextlib.suppress(OSError):
        drawn += os.read(master, 65536)
    os.close(master)
    return drawn, process.communicate()[0].decode()


def size(terminal, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def frames(drawn):
    """The lines of each picture, without colours; rich clears the picture before the next one."""
    text = re.sub(r"(\r\x1b\[2K)(\x1b\[1A\x1b\[2K)*", "\f", drawn)
    text = re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", text)
    return [[line for line in part.splitlines() if line.strip()] for part in text.split("\f")]


def test_a_terminal_shows_the_last_notes_above_the_bar():
    drawn, stdout = in_terminal("the last one")
    text = drawn.decode()
    assert stdout == "on stdout\n"
    whole = next(frame for frame in frames(text) if "20/40" in "".join(frame[-1:]))
    assert [line.strip() for line in whole[:-1]] == [
        "note 15", "note 16", "note 17", "note 18", "the last one",
    ]  # fmt: skip
    bar = whole[-1]
    assert "judge [bold]" in bar
    assert "20/40" in bar
    assert re.search(r"[\d.]+ marks/s, [\d,]+ tokens/s, \d+ s left", bar)
    assert "a line from [elsewhere]" in text


@pytest.mark.slow
def test_what_a_note_holds_is_seen_and_does_nothing():
    drawn, _ = in_terminal(HOSTILE)
    text = drawn.decode()
    assert r"[red]evil[/red] [link=x] \x1b[2J\x1b]0;title\x07 a b \u202e \u200b \x00" in text
    for acting in ("\x1b[2J", "\x1b]0;", "\x07", "\u202e", "\u200b", "\x00"):
        assert acting not in text
    assert "\u00e9 second" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "bar"),
    [
        (20, r"judge \[bold\] 20/40$"),
        (40, r"judge \[bold\] 20/40 \d+ marks/s, \d+ s left"),
        (60, r"marks/s, [\d,]+ tokens/s, \d+ s left"),
    ],
)
def test_narrow_terminals_get_lines_that_fit(columns, bar):
    drawn, stdout = in_terminal("a very long note " * 20, columns=columns)
    assert stdout == "on stdout\n"
    lines = [line for frame in frames(drawn.decode()) for line in frame]
    assert any(line.startswith("a very long note") for line in lines)
    assert max(len(line) for line in lines) <= columns
    assert any(re.search(bar, line.strip()) for line in lines)
    # Five notes and the bar, never a wrapped line more.
    assert all(len(frame) <= 7 for frame in frames(drawn.decode()))


@pytest.mark.slow
def test_a_terminal_may_be_resized():
    drawn, _ = in_terminal("a very long note " * 20, columns=100, resize=30, seconds=2.5)
    lines = [line for frame in frames(drawn.decode()) for line in frame]
    assert max(len(line) for line in lines) > 90
    assert all(len(line) <= 30 for line in lines[-6:])


def test_elsewhere_a_line_now_and_then_tells_how_long_it_will_take(monkeypatch, capsys):
    clock = iter([0.0, 0.0, 10.0, 20.0, 20.0, 20.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress("judge", 1000, unit="marks") as bar:
        bar.advance(50, "first", tokens=500)  # at 10 s: too early for a line
        bar.advance(50, "second", tokens=1500)  # at 20 s: 100 done, so 5 a second and 180 s to go
        bar.advance(1, "third")
    assert capsys.readouterr().err == (
        "judge: 100 of 1,000 marks, 5.0 marks/s, 100 tokens/s, 3 min left, second\n"
    )


def test_quiet_is_quiet(monkeypatch, capsys):
    monkeypatch.setattr(Progress, "quiet", True)
    monkeypatch.setattr(progress, "_LINE_S", 0.0)
    with Progress("judge", 10) as bar:
        bar.advance(5, "note")
    assert capsys.readouterr() == ("", "")


def test_a_length_of_time_in_words():
    lengths = {0.2: "1 s", 45: "45 s", 60: "1 min", 200: "3 min 20 s", 3600: "1 h",
               7530: "2 h 5 min", 273_600: "3 d 4 h"}  # fmt: skip
    assert {seconds: span(seconds) for seconds in lengths} == lengths


def test_a_huge_note_is_cut_before_it_is_looked_at():
    note = "x" * 50_000_000
    started = time.perf_counter()
    assert shown(note) == "x" * 197 + "..."
    assert time.perf_counter() - started < 0.1
