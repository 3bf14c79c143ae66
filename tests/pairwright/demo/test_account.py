"""The demo's accounting: what counts as found and as lost."""

import polars as pl

from pairwright.demo.account import account, judge_quality

KEY = pl.DataFrame(
    [
        ("a", "none", None, "red", "1"),
        ("b", "exact_copy", "a", "red", "1"),
        ("c", "wrong_answer", None, "red", "2"),
        ("d", "yes_bias", None, "no", "3"),
        ("e", "none", None, "no", "4"),
        ("f", "reworded_copy", "e", "no", "4"),
        ("g", "none", None, "no", "5"),
    ],
    schema=["id", "fault", "original_id", "true_answer", "meaning"],
    orient="row",
)


def by_kind(found):
    return {fault.kind: (fault.planted, fault.found) for fault in found.faults}


def test_either_row_of_a_double_may_go_and_nothing_is_lost():
    for gone in ("a", "b"):
        found = account(KEY, {"dedup": {gone}, "filter": set()})
        assert by_kind(found)["exact_copy"] == (1, 1)
        assert found.good_lost == 0
        assert found.rows_kept == 6


def test_a_good_row_is_lost_when_nothing_that_stands_for_it_is_left():
    found = account(KEY, {"dedup": {"b"}, "filter": {"a", "g"}})
    assert found.good == 3
    assert found.good_lost == 2


def test_dedup_loses_a_good_row_only_if_nothing_of_its_meaning_outlives_it():
    assert account(KEY, {"dedup": {"e"}, "filter": set()}).good_lost == 0
    assert account(KEY, {"dedup": {"e", "f"}, "filter": set()}).good_lost == 1


def test_filter_does_not_get_credit_for_doubles_but_does_for_wrong_rows():
    found = account(KEY, {"dedup": set(), "filter": {"c", "d", "f"}})
    assert by_kind(found) == {
        "exact_copy": (1, 0),
        "reworded_copy": (1, 0),
        "wrong_answer": (1, 1),
        "yes_bias": (1, 1),
    }


def test_judge_quality_by_hand():
    marks = pl.DataFrame(
        {
            "source_id": ["a", "c", "d", "g"],
            "answer": ["red", "blue", "yes", "no"],
            "score": [0.9, 0.2, 0.6, 0.5],
        }
    )
    found = judge_quality(KEY, marks)
    assert found["n"] == 4
    assert found["fraction_right"] == 0.5
    # right: a .9, g .5; wrong: c .2, d .6: of four (right, wrong) pairs three are in order
    assert found["auc"] == 0.75
    assert found["accuracy"] == 0.5  # the middle is .55: g and d are on the wrong side
