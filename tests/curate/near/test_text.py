"""MinHash: signatures as in datasketch, exact similarities, short texts, no chains."""

import time
import unicodedata

import numpy as np
import polars as pl
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.near.groups import minhash_groups
from curate.near.text.fold import fold, fold_packed, fold_unicode
from curate.near.text.minhash import choose_bands, shingle, shingle_hash32, signatures
from curate.near.text.packed import Packed, hash64
from curate.near.text.wording import hash_wording, wording

WORDS = st.sampled_from(["red", "a", "is", "there", "no", "cat", "é", "日本", "ß"])
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)


def reference_shingles(text: str, ngram: int = 3) -> set[bytes]:
    """Shingles of a folded text, by definition."""
    words = text.split(" ") if text else []
    if len(words) >= ngram:
        return {" ".join(words[i : i + ngram]).encode() for i in range(len(words) - ngram + 1)}
    return {text.encode(), *(word.encode() for word in words)}


def jaccard(a: set[bytes], b: set[bytes]) -> float:
    return len(a & b) / len(a | b)


def test_xxh3_is_the_library_s():
    from curate.near.kernels.xxh3 import xxh3

    content = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
    for n in [*range(300), 512, 513, 1023, 1024, 1025, 1088, 2048, 2049, 4999]:
        assert int(xxh3(content, 1, n)) == xxhash.xxh3_64_intdigest(content[1 : 1 + n].tobytes())


@settings(deadline=None, max_examples=30)
@given(texts=st.lists(TEXTS, min_size=1, max_size=8), num_perm=st.sampled_from([16, 128]))
def test_signatures_are_datasketch_s(texts, num_perm):
    from datasketch import MinHash

    folded = fold(pl.Series(texts))
    found = signatures(shingle(folded), num_perm=num_perm)
    for row, text in zip(found, folded, strict=True):
        expected = MinHash(num_perm, hashfunc=shingle_hash32)
        expected.update_batch(reference_shingles(text))
        assert np.array_equal(row, expected.hashvalues)


def test_signature_of_a_conversation_is_that_of_its_tagged_shingles():
    from datasketch import MinHash

    from curate.near.kernels.text import tagged

    folded = fold(pl.Series(["is there a cat on it", "no", "is there a dog on it"]))
    items = (np.array([0, 2, 3]), np.array([0, 1, 2], dtype=np.int32))
    found = signatures(shingle(folded), items=items)

    def hashed(shingle_and_turn: tuple[bytes, int]) -> int:
        content, turn = shingle_and_turn
        return int(tagged(np.uint64(xxhash.xxh3_64_intdigest(content)), turn)) & 0xFFFFFFFF

    for row, turns in zip(found, [[0, 1], [2]], strict=True):
        expected = MinHash(128, hashfunc=hashed)
        for turn, text in enumerate(turns):
            expected.update_batch([(s, turn) for s in reference_shingles(folded[text])])
        assert np.array_equal(row, expected.hashvalues)


@pytest.mark.parametrize(
    ("threshold", "bands"), [(0.7, (32, 4)), (0.8, (25, 5)), (0.9, (16, 8)), (1.0, (1, 128))]
)
def test_bands_reach_the_recall(threshold, bands):
    assert choose_bands(threshold, 128) == bands


@given(threshold=st.floats(0.05, 1), num_perm=st.integers(16, 256))
def test_bands_fit_and_find(threshold, num_perm):
    bands, rows = choose_bands(threshold, num_perm, 0.99)
    assert bands * rows <= num_perm
    assert rows == 1 or 1 - (1 - threshold**rows) ** bands >= 0.99


@settings(max_examples=300)
@given(text=st.text(st.characters(max_codepoint=0x0DFF, exclude_categories=["Cs", "Cn"])))
def test_folding_is_python_s_where_nothing_else_applies(text):
    """NFC, case folding, white space; compared without what we fold beyond that."""
    plain = "".join(c for c in text if c not in "\u00ad\x1c\x1d\x1e\x1f\0")
    ours = fold(pl.Series([f"x {plain} x"]))[0]
    nfc = unicodedata.normalize("NFC", f"x {plain} x")
    assert ours == " ".join(unicodedata.normalize("NFC", nfc.casefold()).split())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Red.", "red"), ("  a\tb\n", "A  B"), ("It\u2019s", "it's!"), ("STRASSE", "straße"),
        ("cafe\u0301", "CAFÉ"), ("ΟΔΟΣ", "οδος"), ("\u201cyes\u201d", "yes"), ("re\u00add", "red"),
    ],
)  # fmt: skip
def test_what_folding_makes_equal(one, other):
    a, b = fold(pl.Series([one, other]))
    assert a == b


@pytest.mark.parametrize(
    ("one", "other"), [("50%", "50"), ("c++", "c"), ("?", "!"), ("-5", "5"), ("a b", "ab")]
)
def test_what_folding_keeps_apart(one, other):
    a, b = fold(pl.Series([one, other]))
    assert a != b


def test_short_answers_remain_distinct():
    answers = ["yes", "no", "red", "2", "3", "red car", "blue car", "", "?", "a", "猫", "犬", "😀"]
    assert minhash_groups(pl.Series(answers))["kept"].all()


def test_scripts_without_spaces_have_words():
    one, other = "这张图片里有一只红色的猫在桌子上睡觉", "这张图片里有一只红色的猫在桌子上睡着"
    found = minhash_groups(pl.Series([one, other, "完全不同的一句话"]))
    assert found["kept"].to_list() == [True, False, True]
    assert found["similarity"][1] >= 0.7


def test_chains_remove_nothing():
    """Each text is similar to the next, the first and last are not similar: the third is kept."""
    words = [f"w{i}" for i in range(40)]
    steps = [" ".join(words[k : k + 30]) for k in (0, 4, 8)]
    sets = [reference_shingles(text) for text in steps]
    assert jaccard(sets[0], sets[1]) >= 0.7 > jaccard(sets[0], sets[2])
    assert jaccard(sets[1], sets[2]) >= 0.7
    assert minhash_groups(pl.Series(steps))["kept"].to_list() == [True, False, True]


@settings(deadline=None, max_examples=60)
@given(texts=st.lists(TEXTS, max_size=20), threshold=st.sampled_from([0.3, 0.7, 1.0]))
def test_every_removed_text_is_exactly_similar_to_a_kept_one(texts, threshold):
    found = minhash_groups(pl.Series(texts, dtype=pl.String), threshold=threshold)
    folded = [reference_shingles(text) for text in fold(pl.Series(texts, dtype=pl.String))]
    assert found.height == len(texts)
    for row, (kept, index, similarity) in enumerate(found.iter_rows()):
        assert kept == (index == row)
        assert found["kept"][index]
        assert similarity == pytest.approx(jaccard(folded[row], folded[index]))
        assert similarity >= threshold
    again = [text for text, kept in zip(texts, found["kept"], strict=True) if kept]
    assert minhash_groups(pl.Series(again, dtype=pl.String), threshold=threshold)["kept"].all()


def test_pairs_above_the_threshold_are_found():
    generator = np.random.default_rng(3)
    originals = [[f"w{k}" for k in generator.integers(0, 3000, 30)] for _ in range(3000)]
    texts = [" ".join(words) for words in originals]
    texts += [" ".join([*words[:28], "x", "y"]) for words in originals]
    found = minhash_groups(pl.Series(texts))
    assert not found["kept"][3000:].any()


def test_one_text_many_times_is_no_quadratic_work():
    texts = [
        f"describe image number {k % 7} in every detail that you can see" for k in range(200_000)
    ]
    minhash_groups(pl.Series(texts[:10]))
    started = time.process_time()
    assert minhash_groups(pl.Series(texts))["kept"].sum() <= 7
    assert time.process_time() - started < 5


def test_many_variants_of_one_template_are_no_quadratic_work():
    rest = " ".join(f"word{k}" for k in range(30))
    texts = [f"{rest} number {k}" for k in range(50_000)]
    started = time.process_time()
    assert minhash_groups(pl.Series(texts))["kept"].sum() == 1
    assert time.process_time() - started < 5


def test_same_result_for_any_number_of_threads(monkeypatch):
    texts = pl.Series([f"some text number {k} about things {k // 3}" for k in range(50_000)])
    parallel = minhash_groups(texts)
    monkeypatch.setattr("curate.near.threads.n_threads", lambda: 1)
    assert minhash_groups(texts).equals(parallel)


def test_long_templates_round_other_contents_are_no_quadratic_work():
    """All are similar to 0.45, so that nearly all share a band; the planted pairs are found."""
    generator = np.random.default_rng(1)
    template = " ".join(f"said{k}" for k in range(20))
    texts = [
        f"{template} {' '.join(f'w{k}' for k in row)}"
        for row in generator.integers(0, 20_000, (20_000, 10))
    ]
    texts += [f"{text} too" for text in texts[:500]]
    started = time.process_time()
    found = minhash_groups(pl.Series(texts))
    assert time.process_time() - started < 10
    assert found["kept"].to_list() == [True] * 20_000 + [False] * 500


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9])
def test_crowded_buckets_lose_nothing(threshold, monkeypatch):
    generator = np.random.default_rng(2)
    texts = pl.Series(
        [
            " ".join([*(f"t{k}" for k in range(8)), *(f"w{k}" for k in row)])
            for row in generator.integers(0, 4, (400, 6))
        ]
    )
    sets = [reference_shingles(text) for text in texts]
    kept: list[int] = []
    for k, mine in enumerate(sets):
        if all(jaccard(mine, sets[other]) < threshold for other in kept):
            kept.append(k)
    monkeypatch.setattr("curate.near.buckets.choose_bands", lambda *_: (128, 1))
    for crowd in (10**9, 0):
        monkeypatch.setattr("curate.near.buckets.CROWDED", crowd)
        found = minhash_groups(texts, threshold=threshold)
        assert np.flatnonzero(found["kept"].to_numpy()).tolist() == kept


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=127), max_size=12), max_size=8))
def test_plain_texts_are_folded_as_all_others(texts):
    series = pl.Series("text", texts, dtype=pl.String)
    assert fold(series).to_list() == fold_unicode(series).to_list()


def test_texts_of_both_kinds_in_one_column():
    texts = ["  “Straße”  ", " The CAT. ", "...", "", "ne\u0301e"]
    assert fold(pl.Series("x", texts)).to_list() == ["strasse", "the cat", "...", "", "née"]


WORDINGS = st.lists(
    st.sampled_from(
        ["isn't", "n't", "cannot", "the", "a", "grey", "photo", "-5", "+3.5", "x-2", "3d", "a5",
         "not", "left", "left-hand", "$5", "don't!", "can't_", "pic", "_", "2nd", "it's", "~", "-"]
    )
    | st.text(st.characters(max_codepoint=127), max_size=5),
    max_size=8,
).map(" ".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDINGS | TEXTS, max_size=6))
def test_the_compiled_loop_finds_the_wording_that_the_patterns_find(texts):
    folded = fold_packed(pl.Series("text", texts, dtype=pl.String))
    expected = wording(folded.series())
    for name, found in zip(("wording", "facts"), hash_wording(folded), strict=True):
        assert found.tolist() == hash64(Packed.of(expected[name])).tolist(), expected
