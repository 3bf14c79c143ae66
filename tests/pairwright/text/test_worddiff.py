import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pairwright.text.worddiff import Span, diff_spans, words

# Words that meet: the same few again and again, scripts without spaces, marks, odd white space.
WORD = st.sampled_from(
    ["a", "dog", "don't", "man-made", "caf\u00e9", "cafe\u0301", "\u72d7", "\u732b", "\u0e2a\u0e38",
     "\u0939\u093f", "\U0001f469\u200d\U0001f680", "\u0301", ".", ",", "'", "-", "\u200d"]
)  # fmt: skip
SPACE = st.sampled_from(["", " ", "  ", "\n", "\t", "\u3000", "\u00a0"])
TEXT = st.one_of(
    st.lists(st.one_of(WORD, SPACE), max_size=24).map("".join),
    st.text(max_size=30),
)


def outside(text: str, spans: list[Span]) -> str:
    """The text without its spans, which must lie in order and be slices."""
    out, done = "", 0
    for span in spans:
        assert done <= span["start"] < span["end"] <= len(text)
        assert span["text"] == text[span["start"] : span["end"]]
        out, done = out + text[done : span["start"]], span["end"]
    return out + text[done:]


@settings(deadline=None)
@given(TEXT, TEXT)
@example("", "")
@example("", "a")
@example("a  b", "a b")
@example("a b", "ab")
@example("caf\u00e9", "cafe\u0301")
def test_outside_the_spans_both_sides_are_the_same_text(original: str, corrected: str) -> None:
    removed, added = diff_spans(original, corrected)
    assert outside(original, removed) == outside(corrected, added)
    assert {s["kind"] for s in removed} <= {"replace", "delete"}
    assert {s["kind"] for s in added} <= {"replace", "insert"}
    assert sum(s["kind"] == "replace" for s in removed) == sum(
        s["kind"] == "replace" for s in added
    )


@settings(deadline=None)
@given(TEXT)
def test_an_equal_text_has_no_spans(text: str) -> None:
    assert diff_spans(text, text) == ([], [])


@settings(deadline=None)
@given(TEXT)
def test_words_cover_all_but_white_space(text: str) -> None:
    covered = "".join(text[s:e] for s, e in words(text))
    assert covered == "".join(text.split())


@settings(deadline=None)
@given(TEXT, TEXT)
def test_spans_hold_whole_words(original: str, corrected: str) -> None:
    removed, added = diff_spans(original, corrected)
    for text, spans in ((original, removed), (corrected, added)):
        inside = {place for start, end in words(text) for place in range(start + 1, end)}
        assert not any(edge in inside for s in spans for edge in (s["start"], s["end"]))


@pytest.mark.parametrize(
    ("original", "corrected", "removed", "added"),
    [
        ("A red dog runs.", "A blue dog runs.", [("red", "replace")], [("blue", "replace")]),
        ("A dog and a cat.", "A dog.", [(" and a cat", "delete")], []),
        ("A dog.", "A big dog.", [], [(" big", "insert")]),
        ("big dog", "dog", [("big ", "delete")], []),
        ("I don't see it", "I do see it", [("don't", "replace")], [("do", "replace")]),
        ("\u4e00\u53ea\u72d7", "\u4e00\u53ea\u732b", [("\u72d7", "replace")], [("\u732b", "replace")]),
        ("cafe\u0301 au lait", "cafe au lait", [("cafe\u0301", "replace")], [("cafe", "replace")]),
    ],
)  # fmt: skip
def test_kinds(original: str, corrected: str, removed: list, added: list) -> None:
    got = diff_spans(original, corrected)
    assert [[(s["text"], s["kind"]) for s in side] for side in got] == [removed, added]


def test_one_changed_word_in_a_long_text_is_one_span() -> None:
    # With difflib's autojunk such an edit marked hundreds of words.
    text = "the man in the red hat and the dog near the tree " * 60
    corrected = text.replace("red", "blue", 31).replace("blue", "red", 30)
    removed, added = diff_spans(text, corrected)
    assert [s["text"] for s in removed] == ["red"]
    assert [s["text"] for s in added] == ["blue"]


@pytest.mark.parametrize(
    ("original", "corrected"),
    [
        ("x " + "a " * 30_000 + "y", "z " + "a " * 29_000 + "w"),
        (
            " ".join(f"a x{n}" for n in range(1900)),
            " ".join(f"a y{n}" for n in range(1900)),
        ),
    ],
)
def test_a_hostile_text_takes_no_long_time(original: str, corrected: str) -> None:
    started = time.monotonic()
    removed, added = diff_spans(original, corrected)
    assert time.monotonic() - started < 10
    assert outside(original, removed) == outside(corrected, added)
