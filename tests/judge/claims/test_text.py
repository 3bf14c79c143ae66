import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.claims.text import MAX_CHARS, Claim, read_claims, sentences
from pairwright.errors import DataError


def texts(claims):
    return [claim.text for claim in claims]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"claims": ["A dog runs.", "It is red."]}', ["A dog runs.", "It is red."]),
        ('```json\n{"claims": ["A dog runs."]}\n```', ["A dog runs."]),
        ('Here you are:\n{"claims": ["A"]} and more } {', ["A"]),
        ('["A", "B", "a", "  ", "..."]', ["A", "B"]),
        ("1. A dog runs.\n2) It is red.\n\nThat is all.", ["A dog runs.", "It is red."]),
        ("- one\n* two\n\u2022 three", ["one", "two", "three"]),
        ('{"claims": []}', []),
        ("None.", []),
        ("No claims", []),
        ('{"claims": ["' + "x" * 5000 + '"]}', ["x" * MAX_CHARS]),
        ('{"claims": ["a\\u0000b\\nc", "\\ud800z"]}', ["ab c", "?z"]),
    ],
)
def test_lists_in_many_forms(reply, expected):
    assert texts(read_claims(reply, 30)) == expected


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "\0\0",
        "The dog is red and I refuse to split this.",
        '{"claims": "A"}',
        '{"claim": ["A"]}',
        '{"claims": [1, 2]}',
        '{"claims": [["A"]]}',
        '{"claims": [{"question": "Is it?"}]}',
        '{"claims": ["A", "B',
        "[" * 100_000,
        "{" * 100_000,
    ],
)
def test_garbage_is_refused_and_never_taken_for_claims(reply):
    with pytest.raises(DataError):
        read_claims(reply, 30)


def test_questions_and_the_limit():
    reply = '{"claims": [{"claim": "A", "question": "Is it A?"}, {"text": "B"}, "C"]}'
    assert read_claims(reply, 2) == [Claim("A", "Is it A?"), Claim("B", None)]


@given(st.text(), st.integers(1, 5))
def test_any_text_is_a_list_or_refused(reply, most):
    try:
        found = read_claims(reply, most)
    except DataError:
        return
    assert len(found) <= most


@given(st.lists(st.text(st.characters(categories=["L", "Nd", "Po"]), min_size=1), max_size=6))
def test_what_a_model_writes_as_json_comes_back(claims):
    wanted = [c for c in claims if any(x.isalnum() for x in c)]
    found = texts(read_claims(json.dumps({"claims": claims}), 30))
    assert {c.casefold() for c in found} == {" ".join(c.split()).casefold() for c in wanted}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("circle", ["circle"]),
        ("A dog runs. It is red!", ["A dog runs.", "It is red!"]),
        ("Dr. Smith holds 3.5 cm of rope. E.g. a J. Doe.",
         ["Dr. Smith holds 3.5 cm of rope.", "E.g. a J. Doe."]),
        ("The cat is black and the dog is white.", ["The cat is black", "the dog is white."]),
        ("A man with a hat and a coat is there.", ["A man with a hat and a coat is there."]),
        ("A cup and a plate.", ["A cup and a plate."]),
        ("What is it? A cat.", ["A cat."]),
        ("1. A cat.\n2. A dog.\n---", ["A cat.", "A dog."]),
        ("\u732b\u3067\u3059\u3002\u72ac\u3067\u3059\u3002",
         ["\u732b\u3067\u3059\u3002", "\u72ac\u3067\u3059\u3002"]),
        ("", []),
        ("...", []),
    ],
)  # fmt: skip
def test_sentences(answer, expected):
    assert texts(sentences(answer, 30)) == expected


@given(st.text())
def test_sentences_of_any_text(answer):
    assert len(sentences(answer, 3)) <= 3
