"""One mark of an answer from all its scores."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairwright.errors import UsageError
from pairwright.scores import check_scores, criterion_scores, mean_scores, usable_scores


def scores(*rows):
    """Rows of (target, criterion, judge, draw, score), optionally with more columns."""
    base = {
        "rubric": "r", "target_kind": "sample", "label_mass": 1.0, "calibrated": None, "error": None
    }  # fmt: skip
    names = ("target_id", "criterion", "judge", "repeat", "score")
    found = []
    for row in rows:
        extra = row[5] if len(row) > 5 else {}
        found.append(base | dict(zip(names, row[:5], strict=True)) | extra)
    types = {
        "rubric": pl.String, "target_kind": pl.String, "label_mass": pl.Float64,
        "calibrated": pl.Float64, "error": pl.String, "target_id": pl.String,
        "criterion": pl.String, "judge": pl.String, "repeat": pl.Int32, "score": pl.Float64,
    }  # fmt: skip
    return pl.LazyFrame(found, schema=types)


def scores_of(frame, **options):
    return dict(mean_scores(frame, **options).collect().iter_rows())


def test_draws_are_averaged_before_judges_and_judges_before_criteria():
    frame = scores(
        # Judge j drew three times, k once: j counts for no more.
        ("s", "truth", "j", 0, 1.0), ("s", "truth", "j", 1, 2.0), ("s", "truth", "j", 2, 3.0),
        ("s", "truth", "k", 0, 4.0),
        ("s", "style", "j", 0, 5.0),
    )  # fmt: skip
    assert scores_of(frame) == {"s": ((2.0 + 4.0) / 2 + 5.0) / 2}
    assert scores_of(frame, criterion="truth") == {"s": 3.0}
    assert scores_of(frame, by="k") == {"s": 4.0}
    assert scores_of(frame, by="j") == {"s": (2.0 + 5.0) / 2}


def test_the_jury_stands_for_its_judges():
    frame = scores(
        ("s", "truth", "j", 0, 1.0), ("s", "truth", "k", 0, 2.0), ("s", "truth", "jury", 0, 1.2),
        ("t", "truth", "j", 0, 3.0),
    )  # fmt: skip
    assert scores_of(frame) == {"s": 1.2}
    assert scores_of(frame, by="j") == {"s": 1.0, "t": 3.0}


def test_what_says_nothing_is_left_out():
    frame = scores(
        ("null", "c", "j", 0, None, {"error": "no verdict"}),
        ("nan", "c", "j", 0, float("nan")),
        ("faint", "c", "j", 0, 2.0, {"label_mass": 0.1}),
        ("person", "c", "j", 0, 3.0, {"label_mass": None}),
        ("other", "c", "j", 0, 4.0, {"target_kind": "response"}),
        ("read", "c", "j", 0, 4.0, {"calibrated": 0.5}),
    )  # fmt: skip
    assert scores_of(frame, kind="sample", min_label_mass=0.5) == {"person": 3.0, "read": 4.0}
    assert scores_of(frame, kind="response") == {"other": 4.0}
    assert scores_of(frame, calibrated=True) == {"read": 0.5}


def test_what_a_run_lacks_is_said():
    frame = scores(
        ("s", "truth", "j", 0, 1.0, {"calibrated": 0.5}), ("s", "truth", "k", 0, 1.0),
        ("s", "style", "k", 0, None, {"error": "no verdict"}),
    )  # fmt: skip
    check_scores(frame, "scores/x", kind="sample", criterion="truth", by="j", calibrated=True)
    for options, text in [
        ({"kind": "response"}, "scores/x has no scores of responses"),
        ({"kind": "sample", "criterion": "tone"}, "--criterion tone: scores/x has style, truth"),
        ({"kind": "sample", "by": "l"}, "--by l: scores/x has j, k"),
        ({"kind": "sample", "calibrated": True}, "1 of 2 scores of .* are not calibrated"),
    ]:
        with pytest.raises(UsageError, match=text):
            check_scores(frame, "scores/x", **options)


ROWS = st.lists(
    st.tuples(
        st.sampled_from("st"), st.sampled_from("cd"), st.sampled_from("jk"), st.integers(0, 2),
        st.integers(1, 5).map(float),
    ),
    min_size=1, max_size=24, unique_by=lambda row: row[:4],
)  # fmt: skip


@settings(deadline=None)  # a loaded machine is no error
@given(ROWS, st.randoms())
def test_the_order_of_the_rows_does_not_matter_and_plain_loops_agree(rows, rng):
    def mean(values):
        values = list(values)
        return sum(values) / len(values)

    wanted = {}
    for target in {row[0] for row in rows}:
        mine = [row for row in rows if row[0] == target]
        per_criterion = []
        for criterion in sorted({row[1] for row in mine}):
            judges = sorted({row[2] for row in mine if row[1] == criterion})
            per_criterion.append(
                mean(
                    mean(row[4] for row in mine if row[1:3] == (criterion, judge))
                    for judge in judges
                )
            )
        wanted[target] = mean(per_criterion)
    shuffled = rng.sample(rows, len(rows))
    assert scores_of(scores(*rows)) == pytest.approx(wanted)
    assert scores_of(scores(*shuffled)) == pytest.approx(wanted)
    one = criterion_scores(usable_scores(scores(*rows))).collect()
    assert one.select("target_id", "criterion").is_unique().all()
