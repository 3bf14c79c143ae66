"""Templates: text of rows stays text without being asked, and a missing name is an error."""

import jinja2
import pytest

from pairwright.webpage.parts import Thumbnails, pieces, word_spans
from pairwright.webpage.render import images_html, render_template

EVIL = '"><script>alert(1)</script>\u202e'


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with one template; `write` fills it."""
    name = f"pages_of_{tmp_path.name}"  # environments are kept by name
    folder = tmp_path / name / "templates"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def write(template: str, **values: object) -> str:
        (folder / "page.html.jinja").write_text(template)
        return render_template(name, "page.html.jinja", **values)

    return write


def test_text_is_escaped_without_being_asked_and_deceiving_characters_are_named(package):
    shown = package("<p>{{ text }}</p>", text=EVIL)
    assert "<script>" not in shown
    assert "&quot;&gt;&lt;script&gt;" in shown
    assert '<span class=ctl title="U+202E">RLO</span>' in shown


def test_text_in_attributes_is_one_plain_line(package):
    shown = package('<p title="{{ text|plain }}"></p>', text=EVIL)
    assert shown == '<p title="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"></p>'


def test_commands_between_backticks_are_code_and_still_text(package):
    shown = package("{{ text|code }}", text="run `curate <b>` now")
    assert shown == "run <code>curate &lt;b&gt;</code> now"


def test_a_name_that_is_not_there_is_an_error(package):
    with pytest.raises(jinja2.UndefinedError, match="'missing' is undefined"):
        package("{{ missing }}")


def test_shared_pieces_are_found_and_their_text_stays_text(package):
    text = '{% from "parts.html.jinja" import table %}{{ table(("a",), rows, texts=(0,)) }}'
    shown = package(text, rows=[(EVIL,)])
    assert "<td><bdi>&quot;&gt;&lt;script&gt;" in shown
    found = Thumbnails({}, {"i": EVIL}).of({"image_ids": ["i"], "source_id": EVIL})
    assert "<script>" not in images_html(found)


def test_of_a_long_text_most_of_what_both_sides_have_in_common_is_left_out():
    left, right = "a red bus " * 60 + "stops", "a red bus " * 60 + "waits"
    spans, _ = word_spans(left, right)
    head, gap, tail, differs, rest = pieces(left, spans)
    assert (head.kind, gap.kind, tail.kind, differs.kind) == ("same", "left_out", "same", "differs")
    assert gap.text in left
    assert len(gap.text) > 400
    assert left.endswith(tail.text.lstrip() + differs.text + rest.text)
    assert [piece.text for piece in pieces("short", [])] == ["short"]
