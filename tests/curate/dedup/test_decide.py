"""Dedup of samples: what is a duplicate, a conflict, or neither."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup.corpus import SampleSource
from curate.dedup.decide import Found, find_duplicates
from curate.dedup.options import DedupOptions
from curate.dedup.rank import Preference
from curate.near.text.fold import fold

SCHEMA = {
    "sample_id": pl.String,
    "image_ids": pl.List(pl.String),
    "messages": pl.List(pl.Struct({"role": pl.String, "content": pl.String})),
}
LONG = (
    "the photograph shows a quiet street in the old town where several people walk past a row of "
    "small shops while a brown dog waits beside a bicycle that leans against the wall of a bakery"
)


def table(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """Samples from (image or images or None, question, answer, question, answer, ...)."""
    out = []
    for number, (images, *turns) in enumerate(rows):
        ids = [] if images is None else [images] if isinstance(images, str) else list(images)
        roles = ["user", "assistant"] * len(turns)
        messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=False)]
        out.append({"sample_id": f"s{number}", "image_ids": ids, "messages": messages})
    return pl.DataFrame(out, schema=SCHEMA)


def find(*rows: tuple[Any, ...], **options: Any) -> Found:
    return find_duplicates(table(*rows), options=DedupOptions(**{"keep": "order", **options}))


def removed(found: Found) -> dict[str, str]:
    rows = found.decisions.filter(~pl.col("kept"))
    return dict(zip(rows["sample_id"], rows["kept_id"], strict=True))


def conflicting(found: Found) -> list[tuple[str, str]]:
    return list(zip(found.conflicts["sample_id"], found.conflicts["other_id"], strict=True))


def test_same_image_question_and_answer_is_a_duplicate():
    found = find(("a", "<image>\nIs it red?", "Yes."), ("a", "is  it RED ?\n<image>", "yes"))
    assert removed(found) == {"s1": "s0"}
    assert found.decisions.row(1)[3:7] == ("exact", "exact", "s0", 1.0)


def test_other_image_is_no_duplicate():
    found = find(
        ("a", "Is it red?", "yes"), ("b", "Is it red?", "yes"), (None, "Is it red?", "yes")
    )
    assert removed(found) == {}
    assert found.conflicts.is_empty()


def test_rows_without_image_share_one_group():
    assert removed(find((None, "Is it red?", "yes"), (None, "is it red", "Yes"))) == {"s1": "s0"}


def test_a_different_answer_is_a_conflict():
    found = find(("a", "Is it red?", "Yes."), ("a", "is it red?", "No."), ("b", "is it red?", "no"))
    assert removed(found) == {}
    assert conflicting(found) == [("s0", "s1")]
    row = found.conflicts.row(0, named=True)
    assert (row["question"], row["answer"], row["other_answer"]) == ("Is it red?", "Yes.", "No.")
    assert (row["similarity"], row["turn"]) == (1.0, 1)


def test_all_short_answers_survive_as_conflicts_of_one_group():
    answers = ["yes", "no", "red", "red car", "blue car", "2"]
    found = find(*[("a", "What?", answer) for answer in answers])
    assert removed(found) == {}
    assert len(conflicting(found)) == 15
    assert found.conflicts["group_id"].n_unique() == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("is there a red shape?", "is there not a red shape?"),
        ("is there a red shape?", "is there a blue shape?"),
        ("is there a big round object on the left?", "is there a big round object on the right?"),
        (
            "Answer with yes or no and explain your reasoning step by step before you do so: is "
            "there a cat in the image or not?",
            "Answer with yes or no and explain your reasoning step by step before you do so: is "
            "there a dog in the image or not?",
        ),
        ("What is 5 + 3?", "What is 5 - 3?"),
    ],
)
def test_questions_with_different_meanings_are_kept(one, other):
    found = find(("a", one, "yes"), ("a", other, "yes"), ("a", one, "maybe"))
    assert removed(found) == {}
    assert conflicting(found) == [("s0", "s2")]


def test_pairs_kept_as_distinct_are_counted():
    one = "is there a big round object on the left?"
    found = find(("a", one, "yes"), ("a", one.replace("left", "right"), "yes"))
    assert found.summary["distinct_pairs"] == 1
    assert found.distinct.tolist() == [[0, 1]]
    same = find(("a", one, "yes"), ("a", one.replace("left", "right"), "yes"), word_check=False)
    assert removed(same) == {"s1": "s0"}


def test_articles_and_politeness_do_not_make_another_question():
    question = (
        "in this picture of the market what do the two men at the front stall sell to people who "
        "walk past it"
    )
    found = find(
        ("a", question, "fish"),
        ("a", f"please, {question}?", "fish"),
        ("a", question.replace("the two men", "these two men"), "Fish."),
    )
    assert removed(found) == {"s1": "s0", "s2": "s0"}
    assert found.decisions["method"].to_list() == ["none", "minhash", "minhash"]
    assert found.decisions["similarity"][1] == pytest.approx(20 / 21)


def test_long_answers_almost_word_for_word_are_duplicates():
    found = find(("a", "Describe.", LONG), ("a", "Describe.", LONG.replace("quiet", "calm")))
    assert removed(found) == {"s1": "s0"}
    assert found.decisions["reason"][1] == "near_text"


@pytest.mark.parametrize(
    ("word", "other"),
    [("brown", "black"), ("several", "two"), ("beside", "not beside"), ("past", "left past")],
)
def test_long_answers_that_state_another_fact_are_conflicts(word, other):
    found = find(("a", "Describe.", LONG), ("a", "Describe.", LONG.replace(word, other, 1)))
    assert removed(found) == {}
    assert conflicting(found) == [("s0", "s1")]


def test_conversations_are_compared_turn_by_turn():
    talk = ("a", "what is it", "a cat", "what colour has it", "black")
    other_end = (*talk[:4], "white")
    other_start = ("a", "what is it", "a dog", *talk[3:])
    found = find(talk, other_end, other_start, talk[:3], (*talk, "where", "there"), talk)
    assert removed(found) == {"s5": "s0"}
    # where two conversations part, and only there
    assert sorted(conflicting(found)) == [
        ("s0", "s1"), ("s0", "s2"), ("s1", "s2"), ("s1", "s4"), ("s2", "s3"), ("s2", "s4"),
    ]  # fmt: skip
    turns = dict(zip(conflicting(found), found.conflicts["turn"], strict=True))
    assert turns["s0", "s1"] == 3
    assert turns["s0", "s2"] == 1


def test_order_of_several_images_counts():
    question = "<image> before <image> what changed"
    found = find(
        (["a", "b"], question, "x"), (["b", "a"], question, "x"), (["a", "b"], question, "x")
    )
    assert removed(found) == {"s2": "s0"}


def test_images_that_were_not_ingested_still_distinguish_rows():
    rows = table(*[(None, "Describe the image.", "a cat on a mat")] * 5)
    meta = [
        '{"image": "a.jpg"}',
        '{"image": "b.jpg"}',
        '{"image_id": 7}',
        None,
        '{"image": "a.jpg"}',
    ]
    found = find_duplicates(
        rows.with_columns(meta=pl.Series(meta)), options=DedupOptions(keep="order")
    )
    assert removed(found) == {"s4": "s0"}
    text = find_duplicates(
        rows.with_columns(meta=pl.Series(meta)), options=DedupOptions(keep="order", on="text")
    )
    assert len(removed(text)) == 4


def test_the_position_of_a_placeholder_counts_only_with_several_images():
    found = find(
        (["a", "b"], "<image> first <image> second", "x"),
        (["a", "b"], "<image> <image> first second", "x"),
        ("a", "<image> what is it", "x"),
        ("a", "what is it <image>", "x"),
        ("a", "what is \\<image> it", "x"),
    )
    assert removed(found) == {"s3": "s2"}


def test_prompts_without_answer():
    found = find(("a", "What is it?"), ("a", "what is it"), ("a", "what is it", "a cat"))
    assert removed(found) == {"s1": "s0"}


def test_on_text_ignores_images_and_on_image_ignores_texts():
    rows = [("a", "Is it?", "yes"), ("b", "Is it?", "yes"), ("a", "What?", "x"), (None, "q", "r")]
    assert removed(find(*rows, on="text")) == {"s1": "s0"}
    found = find(*rows, (None, "z", "z"), on="image")
    assert removed(found) == {"s2": "s0"}
    assert find(*rows, on="text").conflicts.is_empty()


def test_keep_decides_which_row_is_kept():
    rows = table(
        ("a", "What is it?", "a cat"), ("a", "What is  it?", "A cat."), ("a", "what is it", "a cat")
    )
    scores = pl.DataFrame({"target_id": ["s0", "s2"], "score": [1.0, 2.0]})

    def kept(keep: str) -> str:
        options = DedupOptions(keep=keep)
        found = find_duplicates(rows, options=options, preference=Preference(scores))
        return found.decisions.filter("kept")["sample_id"].item()

    assert kept("order") == "s0"
    assert kept("length") == "s1"
    assert kept("score,length") == "s2"


def test_no_chains():
    """s1 is similar to s0 and s2 to s1, but s2 is not similar to s0: it is kept."""
    words = [f"w{i}" for i in range(40)]
    answers = [" ".join(words[k : k + 30]) for k in (0, 4, 8)]
    found = find(*[("a", "Describe.", answer) for answer in answers])
    assert removed(found) == {"s1": "s0"}
    # if s1 is preferred, both others match it
    found = find(*[("a", "Describe.", answers[k]) for k in (1, 0, 2)])
    assert removed(found) == {"s1": "s0", "s2": "s0"}


def test_long_answers_on_many_images_are_counted_and_capped_on_request():
    rows = [(name, "Describe.", LONG) for name in "abcd"]
    found = find(*rows)
    assert removed(found) == {}
    assert found.summary["repeated_answer_rows"] == 4
    found = find(*rows, ("d", "describe", LONG), answer_cap=2)
    assert removed(found) == {"s2": "s0", "s3": "s0", "s4": "s0"}
    assert found.decisions["reason"].to_list()[2:4] == ["repeated_answer"] * 2


def test_a_question_without_image_with_very_many_answers_is_open():
    found = find(*[(None, "Describe the image.", f"thing number {k}") for k in range(500)])
    assert found.conflicts.is_empty()
    assert found.summary["open_question_rows"] == 500


def test_one_question_with_many_answers_makes_few_conflicts():
    found = find(*[("a", "What?", f"thing number {k}") for k in range(200)])
    assert found.conflicts.height == sum(min(k, 8) for k in range(200))
    assert found.summary["conflict_rows_truncated"] == 191


def test_empty_and_odd_tables():
    assert find().decisions.height == 0
    samples = table(("a", "", ""), ("a", "", ""), ("a", "q", "")).with_columns(
        messages=pl.when(pl.int_range(3) == 2).then(None).otherwise("messages")
    )
    found = find_duplicates(samples, options=DedupOptions())
    assert removed(found) == {"s1": "s0"}


QUESTION_WORDS = ["is", "there", "a", "the", "red", "blue", "not", "cat", "left", "2", "please"]
TURN = st.lists(st.sampled_from(QUESTION_WORDS), max_size=12).map(" ".join)
ROW = st.tuples(
    st.sampled_from(["a", "b", None]), TURN, st.sampled_from(["yes", "no", "Yes.", LONG])
)


def jaccard(one: str, other: str) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        if len(words) >= 3:
            return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}
        return {tuple(words), *((word,) for word in words)}

    a, b = (shingles(text) for text in fold(pl.Series([one, other])))
    return len(a & b) / len(a | b)


def check(samples: pl.DataFrame, found: Found, threshold: float) -> None:
    """One decision per row; each removed row matches a kept row, exactly verified."""
    decisions = found.decisions
    assert decisions["sample_id"].to_list() == samples["sample_id"].to_list()
    by_id = {row["sample_id"]: row for row in samples.iter_rows(named=True)}
    kept = set(decisions.filter("kept")["sample_id"])
    for row in decisions.iter_rows(named=True):
        assert row["group_id"] in kept
        if row["kept"]:
            assert row["kept_id"] is None
            continue
        assert row["kept_id"] in kept
        mine, other = by_id[row["sample_id"]], by_id[row["kept_id"]]
        assert mine["image_ids"] == other["image_ids"]
        similarities = [
            jaccard(m["content"], o["content"])
            for m, o in zip(mine["messages"], other["messages"], strict=True)
        ]
        assert row["similarity"] == pytest.approx(min(similarities))
        assert row["similarity"] >= threshold
    for row in found.conflicts.iter_rows(named=True):
        assert {row["sample_id"], row["other_id"]} <= kept
        assert row["answer"] != row["other_answer"]


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(ROW, max_size=25),
    threshold=st.sampled_from([0.4, 0.7]),
    word_check=st.booleans(),
)
def test_every_row_is_decided_once_and_kept_rows_remain_kept(rows, threshold, word_check):
    samples = table(*rows)
    options = DedupOptions(threshold=threshold, word_check=word_check)
    found = find_duplicates(samples, options=options)
    check(samples, found, threshold)
    again = samples.filter(found.decisions["kept"])
    assert find_duplicates(again, options=options).decisions["kept"].all()


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(ROW, max_size=20), old=st.integers(0, 20))
def test_new_samples_are_compared_with_existing_ones(rows, old):
    samples, options = table(*rows), DedupOptions(threshold=0.4, keep="order")
    before = find_duplicates(samples.head(old), options=options).decisions
    existing = samples.head(old).filter(before["kept"])
    parts = [existing, samples[old:]]
    later = find_duplicates(
        SampleSource(lambda: iter(part for part in parts if part.height), existing.height),
        options=options,
    )
    # As if all had been there from the start, since the preferred samples came first.
    together = find_duplicates(samples, options=options)
    assert later.decisions["sample_id"].to_list() == samples[old:]["sample_id"].to_list()
    assert together.decisions.equals(pl.concat([before, later.decisions]))
    fresh = set(samples[old:]["sample_id"])
    for row in later.conflicts.iter_rows(named=True):
        assert {row["sample_id"], row["other_id"]} & fresh


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(ROW, max_size=20), order=st.randoms(use_true_random=False))
def test_order_of_rows_matters_for_ties_only(rows, order):
    samples = table(*rows)
    scores = pl.DataFrame(
        {"target_id": samples["sample_id"], "score": [float(k) for k in range(len(rows))]},
        schema={"target_id": pl.String, "score": pl.Float64},
    )
    options = DedupOptions(keep="score", threshold=0.4)
    places = list(range(len(rows)))
    order.shuffle(places)
    first = find_duplicates(samples, options=options, preference=Preference(scores))
    second = find_duplicates(samples[places], options=options, preference=Preference(scores))
    assert first.decisions.sort("sample_id").equals(second.decisions.sort("sample_id"))
    assert first.conflicts.sort("conflict_id").equals(second.conflicts.sort("conflict_id"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"threshold": 0.0}, "--threshold must be above 0"),
        (
            {"keep": "best"},
            "--keep takes a comma-separated list of order, length, resolution, score",
        ),
        ({"phash_distance": 40}, "--phash-distance must be from 0 to 16"),
        ({"answer_cap": 0}, "--answer-cap must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        DedupOptions(**values)


def rows_of(images: Sequence[str], question: str) -> list[tuple[str, str, str]]:
    return [(image, question, "yes") for image in images]


def test_one_question_on_many_images_is_no_quadratic_work():
    import time

    samples = table(*rows_of([f"image{k}" for k in range(20_000)], "what color is the shape?"))
    options = DedupOptions()
    find_duplicates(samples[:10], options=options)
    started = time.process_time()
    assert find_duplicates(samples, options=options).decisions["kept"].all()
    assert time.process_time() - started < 5


def test_crowds_of_conversations_lose_nothing(monkeypatch):
    words = [f"w{k}" for k in range(12)]
    answers = [" ".join(words[: 6 + k % 5] + ["x"] * (k % 3)) for k in range(120)]
    samples = table(*[(None, f"say {k % 4} of it", a, "and", a[:9]) for k, a in enumerate(answers)])
    options = DedupOptions(threshold=0.5, word_check=False)
    calm = find_duplicates(samples, options=options)
    monkeypatch.setattr("curate.near.buckets.CROWDED", 0)
    crowded = find_duplicates(samples, options=options)
    assert crowded.decisions.equals(calm.decisions)
    assert not calm.decisions["kept"].all()
