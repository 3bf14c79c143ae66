"""Pairs of scored candidates, their limits and their controls."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pairwright.text.texts import folded, n_words, normalised
from prefs.methods.pairing.controls import control_picks
from prefs.methods.pairing.limits import at_most, balance_lengths
from prefs.methods.pairing.picks import picks_frame
from prefs.methods.pairing.scored import MAX_CANDIDATES, distinct, mean_scores, pairs_by_score


def candidates(prompts: list[list[tuple[str, float]]]) -> pl.DataFrame:
    rows = [
        {
            "prompt_id": f"p{p}",
            "candidate_id": f"p{p}c{c}",
            "text": text,
            "score": score,
            "can_win": True,
        }
        for p, answers in enumerate(prompts)
        for c, (text, score) in enumerate(answers)
    ]
    schema = {"prompt_id": pl.String, "candidate_id": pl.String, "text": pl.String}
    return pl.DataFrame(rows, schema={**schema, "score": pl.Float64, "can_win": pl.Boolean})


CANDIDATES = st.lists(
    st.lists(st.tuples(st.text("ab .", max_size=4), st.floats(0, 5)), max_size=6), max_size=6
)


@settings(deadline=None)
@given(
    CANDIDATES, st.floats(0, 3), st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 5)
)
def test_no_pair_breaks_the_rule(prompts, margin, max_pairs, widest, balance, seed) -> None:
    kept, _ = distinct(candidates(prompts))
    every, _ = pairs_by_score(kept, margin=margin)
    picks = at_most(every, max_pairs, seed, widest=widest)
    if widest and max_pairs:
        best = every.group_by("prompt_id").agg(pl.col("margin").max())
        assert (
            picks.group_by("prompt_id")
            .agg(pl.col("margin").max())
            .sort("prompt_id")
            .equals(best.sort("prompt_id"))
        )
    picks = balance_lengths(picks) if balance else picks
    for row in picks.iter_rows(named=True):
        assert row["chosen_score"] > row["rejected_score"]
        assert row["margin"] >= margin - 1e-6
        assert folded(row["chosen"]) != folded(row["rejected"])
        assert row["chosen_id"].startswith(row["prompt_id"] + "c")
        assert row["rejected_id"].startswith(row["prompt_id"] + "c")
    if max_pairs and picks.height:
        assert picks["prompt_id"].value_counts()["count"].max() <= max_pairs
    assert not picks.select("chosen_id", "rejected_id").is_duplicated().any()
    for kind in ("random", "longest"):
        control = control_picks(picks, kept, kind, seed)
        quota = dict(picks["prompt_id"].value_counts().iter_rows())
        for prompt_id, count in control["prompt_id"].value_counts().iter_rows():
            assert count <= quota[prompt_id]
        if kind == "random":
            # Any two distinct answers will do, so there is one for every pair of the method.
            assert control.height == picks.height


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=30))
def test_balance_never_makes_it_worse_and_keeps_half(lengths: list[tuple[int, int]]) -> None:
    rows = [
        {
            "prompt_id": str(n),
            "chosen_id": "c",
            "rejected_id": "r",
            "chosen": "w " * c,
            "rejected": "w " * r,
        }
        for n, (c, r) in enumerate(lengths)
    ]
    picks = picks_frame(rows)
    kept = balance_lengths(picks)

    def excess(frame: pl.DataFrame) -> int:
        return abs(int(frame.select(n_words("chosen").sum() - n_words("rejected").sum()).item()))

    assert excess(kept) <= excess(picks)
    assert kept.height >= picks.height // 2
    if picks.filter(n_words("chosen") < n_words("rejected")).is_empty():
        assert balance_lengths(picks, only_short_chosen=True).height == picks.height


@settings(deadline=None)
@given(
    st.text("aA .!\n\t\u00e9\u0301e\u3002", max_size=6), st.text("aA .!\u00e9\u0301e", max_size=6)
)
def test_both_ways_to_compare_texts_agree(a: str, b: str) -> None:
    frame = pl.DataFrame({"a": [a], "b": [b]}).select(normalised("a"), normalised("b"))
    assert (frame["a"][0] == frame["b"][0]) == (folded(a) == folded(b))


def test_words_of_scripts_without_spaces() -> None:
    frame = pl.DataFrame({"t": ["a big dog.", "\u4e00\u53ea\u72d7 abc\u4e00", "", None]})
    assert frame.select(n_words("t"))["t"].to_list() == [3, 5, 0, None]


def test_a_prompt_with_very_many_candidates_is_bounded() -> None:
    many = candidates([[(f"answer {n}", float(n)) for n in range(500)]])
    kept, counts = distinct(many)
    assert kept.height == MAX_CANDIDATES
    assert counts["over_candidates_per_prompt"] == 500 - MAX_CANDIDATES


def test_scores_compare_only_over_the_same_criteria() -> None:
    rows = [
        ("p0c0", "accuracy", 5.0, None, 1.0),
        ("p0c0", "relevance", 1.0, None, 1.0),
        ("p0c1", "accuracy", 5.0, None, 1.0),
        ("p0c1", "relevance", None, "no verdict", None),
        ("p0c2", "accuracy", 2.0, None, 0.1),
        ("p0c2", "relevance", 4.0, None, 1.0),
    ]
    names = ["target_id", "criterion", "score", "error", "label_mass"]
    scores = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        rubric=pl.lit("r"), judge=pl.lit("j")
    )
    three = candidates([[("a", 0.0), ("b", 0.0), ("c", 0.0), ("d", 0.0)]]).drop("score")
    scored, counts = mean_scores(scores, three, min_label_mass=0.5)
    assert scored["score"].to_list() == [3.0, None, None, None]
    assert counts == {
        "score_errors": 1,
        "low_label_mass": 1,
        "incomplete_scores": 2,
        "unscored": 1,
    }
