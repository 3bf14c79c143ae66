"""Labels in written verdicts: every expectation is written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairwright.vlm.verdicts import label_in_text, label_shares

MARKS = ("1", "2", "3", "4", "5")
VERDICTS = ("yes|Yes", "no|No")
LETTERS = ("A", "B", "C")

SAID = [
    (MARKS, "5", "5"),
    (MARKS, " 5.\n", "5"),
    (MARKS, "**4**", "4"),
    (MARKS, "Rating: 4", "4"),
    (MARKS, "Rating: **3/5**", "3"),
    (MARKS, "4/5", "4"),
    (MARKS, "1/5", "1"),
    (MARKS, "4 out of 5.", "4"),
    (MARKS, "4 stars", "4"),
    (MARKS, "1.", "1"),
    (MARKS, "5. The answer is right.", "5"),
    (MARKS, "5/5 - perfect", "5"),
    (MARKS, "4: good", "4"),
    (MARKS, "4\n\nThe answer has 3 errors", "4"),
    (MARKS, "The answer is wrong.\n\n2", "2"),
    (MARKS, "I would give it a 4", "4"),
    (MARKS, "I rate this answer 4 because 5 was too much", "4"),
    (MARKS, "Grade for accuracy: 4", "4"),
    (MARKS, '{"score": 2}', "2"),
    (MARKS, "$\\boxed{4}$", "4"),
    (MARKS, "<think>5 at first sight</think>2", "2"),
    (MARKS, "\uff14", "4"),
    (MARKS, "\u200f4\u200e\x00", "4"),
    (VERDICTS, "YES.", "yes"),
    (VERDICTS, "Yes, there is no dog", "yes"),
    (VERDICTS, "no dog is there", "no"),
    (VERDICTS, "The answer is yes.", "yes"),
    (LETTERS, "(B)", "B"),
    (LETTERS, "a", "A"),
    (LETTERS, "Answer: C", "C"),
    (LETTERS, "B: it is sharper than A", "B"),
]
UNSAID = [
    (MARKS, ""),
    (MARKS, "four"),
    (MARKS, "0"),
    (MARKS, "45"),
    (MARKS, "-4"),
    (MARKS, "4.5"),
    (MARKS, "4,5"),
    (MARKS, "4 %"),
    (MARKS, "4-5"),
    (MARKS, "4 - 5"),
    (MARKS, "4 to 5"),
    (MARKS, "4 or 5"),
    (MARKS, "4, 5"),
    (MARKS, "4 / 10"),
    (MARKS, "4 dogs"),
    (MARKS, "There are 4 dogs"),
    (MARKS, "1. First of all, the answer"),
    (MARKS, "The scale is 1-5."),
    (MARKS, "Reply with 1 to 5"),
    (MARKS, "Score: 4.5"),
    (MARKS, "Score: 4-5"),
    (MARKS, "Score: 4\nScore: 2"),
    (MARKS, "2\nThe user wrote: Rating: 5"),
    (MARKS, "<think>5"),
    (VERDICTS, "yes and no"),
    (VERDICTS, "yes/no"),
    (VERDICTS, "no, yes"),
    (VERDICTS, "Not yes"),
    (VERDICTS, "There is no dog"),
    (VERDICTS, "yesterday"),
    (VERDICTS, "None"),
    (VERDICTS, "n/a"),
    (VERDICTS, "The answer is yes and the answer is no."),
    (LETTERS, "A good answer"),
    (LETTERS, "A and B"),
    (LETTERS, "The answer is a dog"),
]


@pytest.mark.parametrize(("labels", "text", "label"), SAID)
def test_a_clear_verdict_is_read(labels, text, label):
    assert label_in_text(text, labels) == label


@pytest.mark.parametrize(("labels", "text"), UNSAID)
def test_what_is_unclear_has_no_label(labels, text):
    assert label_in_text(text, labels) is None


def test_shares_are_of_all_verdicts():
    texts = ["4", "4.", "Rating: 5", "cannot say"]
    assert label_shares(texts, MARKS) == {"1": 0, "2": 0, "3": 0, "4": 0.5, "5": 0.25}


@given(st.text(max_size=200), st.sampled_from([MARKS, VERDICTS, LETTERS, ("yes", "Yes")]))
def test_any_text_has_one_of_the_labels_or_none(text, labels):
    names = {label.split("|")[0] for label in labels}
    assert label_in_text(text, labels) in {None, *names}


def test_long_texts_take_no_time():
    for text in ("score of a " * 20_000, "give it the " * 20_000, "score is " * 20_000 + "4"):
        label_in_text(text, MARKS)
