"""Text of strangers on a page stays text."""

import json

import pytest

from pairwright.text.htmltext import data_uri, json_island, plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<script>a && b</script>", "&lt;script&gt;a &amp;&amp; b&lt;/script&gt;"),
        ("\"'>", "&quot;&#x27;&gt;"),
        ("a\nb\tc", "a\nb\tc"),
        ("caf\u00e9 \u8fd9 \u05e9\u05dc\u05d5\u05dd", "caf\u00e9 \u8fd9 \u05e9\u05dc\u05d5\u05dd"),
        ("\U0001f469\u200d\U0001f469", "\U0001f469\u200d\U0001f469"),  # a joiner that joins
    ],
)
def test_text_is_escaped_and_else_left_alone(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "name"), [("\u202e", "RLO"), ("\u2066", "LRI"), ("\u200b", "ZWSP"), ("\x1b", "1B")]
)
def test_what_deceives_is_shown_by_name(text, name):
    shown = visible(f"a{text}b")
    assert text not in shown
    assert f">{name}<" in shown


def test_an_island_cannot_be_left():
    value = {"a": "</script><!-- <script> &amp; \u2028", "b": [1, None]}
    text = json_island(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_data_uri_knows_the_format():
    assert data_uri(b"\xff\xd8\xff").startswith("data:image/jpeg;base64,")
    assert data_uri(b"RIFF\0\0\0\0WEBPVP8 ").startswith("data:image/webp;base64,")
    assert data_uri(b"\x89PNG").startswith("data:image/png;base64,")


def test_plain_text_is_one_line_with_nothing_hidden():
    assert plain("a\u202eb\n c\x1b \udc80 d") == "a b c d"
    assert plain("x" * 300, 10) == "x" * 9 + "\u2026"
