"""Samples on copies of an image: duplicates and conflicts as on the image itself."""

import polars as pl
from photos import encoded, photo, scaled

from curate.dedup.decide import find_duplicates
from curate.dedup.options import DedupOptions
from curate.near.images.matching import ImageSource
from pairwright.images import inspect_image


def image_source(contents: list[bytes]) -> tuple[list[str], ImageSource]:
    facts = [inspect_image(content) for content in contents]
    by_id = {fact.image_id: content for fact, content in zip(facts, contents, strict=True)}
    frame = pl.DataFrame(
        [(f.image_id, f.width, f.height, f.phash) for f in facts],
        schema={"image_id": pl.String, "width": pl.Int32, "height": pl.Int32, "phash": pl.UInt64},
        orient="row",
    )
    return [fact.image_id for fact in facts], ImageSource(frame, by_id.__getitem__)


def samples(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sample_id": [f"s{k}" for k in range(len(rows))],
            "image_ids": [[image] for image, _, _ in rows],
            "messages": [
                [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
                for _, q, a in rows
            ],
        }
    )


def test_samples_on_copies_of_an_image():
    image = photo(7)
    contents = [encoded(scaled(image, 0.5), "JPEG", quality=85), encoded(image), encoded(photo(8))]
    (small, large, other), known = image_source(contents)
    rows = samples(
        (small, "What is it?", "a cat"),
        (large, "what is it?", "A cat."),
        (other, "what is it?", "a cat"),
        (large, "what is it?", "a dog"),
        (large, "where is it?", "there"),
    )
    found = find_duplicates(rows, options=DedupOptions(keep="resolution"), images=known)
    removed = found.decisions.filter(~pl.col("kept"))
    assert removed.select("sample_id", "kept_id", "reason", "method", "similarity").rows() == [
        ("s0", "s1", "near_image", "phash", 1.0)
    ]
    assert found.conflicts.select("sample_id", "other_id").rows() == [("s1", "s3")]
    exact = DedupOptions(image_match="exact")
    assert find_duplicates(rows, options=exact, images=known).decisions["kept"].all()
    by_image = find_duplicates(
        rows, options=DedupOptions(on="image", keep="order"), images=known
    ).decisions
    assert by_image["kept"].to_list() == [True, False, True, False, False]
    assert by_image["reason"][1] == "near_image"
    assert 0.9 < by_image["similarity"][1] < 1


def test_conflicting_answers_across_copies():
    image = photo(9)
    (one, copy), known = image_source([encoded(image), encoded(image, "JPEG", quality=80)])
    rows = samples((one, "Is it?", "yes"), (copy, "Is it?", "no"))
    found = find_duplicates(rows, options=DedupOptions(), images=known)
    assert found.decisions["kept"].all()
    assert found.conflicts.height == 1


def test_embeddings_as_the_same_image_test():
    known = ImageSource(
        pl.DataFrame(schema={"image_id": pl.String, "width": pl.Int32, "height": pl.Int32, "phash": pl.UInt64}),
        lambda _: b"",
        vectors=pl.DataFrame(
            {"item_id": ["a", "b", "c"], "vector": [[1.0, 0.0], [0.99, 0.14], [0.0, 1.0]]}
        ),
    )  # fmt: skip
    rows = samples(
        ("a", "q", "x"), ("b", "q", "x"), ("c", "q", "x"), ("d", "q", "x"), ("b", "z", "x")
    )
    options = DedupOptions(image_match="clip", clip_threshold=0.95)
    found = find_duplicates(rows, options=options, images=known)
    assert found.decisions["kept"].to_list() == [True, False, True, True, True]
    assert found.decisions["method"][1] == "clip"
    assert found.summary["clip_near_pairs"] == 1
    assert found.summary["images_without_embedding"] == 1
