"""Rows, their images, and what was decided on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import dataframely as dy

from schemas.base import Table, messages


class Images(Table):
    """One row per distinct image, keyed by the hash of its bytes."""

    image_id = dy.String(
        primary_key=True, regex="^[0-9a-f]{64}$", description="sha256 of the bytes"
    )
    bytes = dy.Binary(nullable=True, description="the bytes of the file; null in link mode")
    path = dy.String(nullable=True, description="link mode: absolute path of the file")
    format = dy.String(description="sniffed format (`png`, `jpeg`, ...), never the extension")
    width = dy.Int32(description="pixels, after EXIF orientation")
    height = dy.Int32(description="pixels, after EXIF orientation")
    n_bytes = dy.Int64(description="size of the file")
    phash = dy.UInt64(description="64-bit DCT perceptual hash")


class Samples(Table):
    """One row per training conversation; refers to images by id."""

    version: ClassVar[int] = 2
    renamed: ClassVar[Mapping[str, str]] = {"licence": "license"}

    sample_id = dy.String(
        primary_key=True, description="hash of source name, source id and occurrence number"
    )
    image_ids = dy.List(
        dy.String(), description="images in the order of their `<image>` placeholders"
    )
    messages = messages("the conversation; as many `<image>` placeholders as images")
    criteria = dy.String(nullable=True, description="per-sample judging criteria of the source")
    reference = dy.String(nullable=True, description="reference answer of the source")
    source = dy.String(description="name of the ingest")
    source_id = dy.String(description="id in the source, or the row number if it has none")
    license = dy.String(nullable=True, description="license of the source")
    split = dy.String(nullable=True, description="split of the source (`train`, `test`, ...)")
    task = dy.String(nullable=True, description="task tag of the source")
    meta = dy.String(nullable=True, description="other source fields as JSON")


class Embeddings(Table):
    """Vectors of images or texts; one folder per model."""

    item_id = dy.String(primary_key=True, description="image_id, or the text's xxh3-128")
    kind = dy.String(primary_key=True, description="`image` or `text`")
    model = dy.String(description="architecture, fingerprint of the weights, preprocessing")
    vector = dy.Any(description="unit length, fixed-size list of float16")


class Decisions(Table):
    """Exactly one row per sample that was current when the run started."""

    sample_id = dy.String(primary_key=True, description="the sample")
    run = dy.String(description="name of the run")
    kept = dy.Bool(description="whether the sample is kept")
    reason = dy.String(
        description="`kept`, or why it was dropped: `exact`, `near_text`, `score`, ..."
    )
    method = dy.String(
        description="what detected it: `exact`, `minhash`, `clip`, name of a filter rule"
    )
    kept_id = dy.String(
        nullable=True, description="the kept representative, if the sample is a duplicate"
    )
    similarity = dy.Float64(
        nullable=True, description="exact Jaccard similarity to kept_id, or the score"
    )
    group_id = dy.String(nullable=True, description="sample_id of the kept row of the group")


class Conflicts(Table):
    """Conflicting answers: same question, same image, different answers. Preference candidates."""

    conflict_id = dy.String(primary_key=True, description="hash of the two sample ids")
    run = dy.String(description="the dedup run that found it")
    group_id = dy.String(description="the question about one image or group of equal images")
    sample_id = dy.String(description="the sample with the first answer")
    other_id = dy.String(description="the sample with the other answer")
    question = dy.String(description="the question of sample_id")
    answer = dy.String(description="the answer of sample_id")
    other_answer = dy.String(description="the answer of other_id")
    similarity = dy.Float64(description="exact Jaccard similarity of the two questions")
    turn = dy.Int32(nullable=True, description="turn of the answers in the conversations, from 0")


class Overlaps(Table):
    """Training rows that a benchmark contains too, each with the benchmark row."""

    sample_id = dy.String(primary_key=True, description="the training row")
    benchmark = dy.String(primary_key=True, description="name of the benchmark")
    kind = dy.String(primary_key=True, description="`image` or `text`")
    run = dy.String(description="the decontaminate run that found it")
    method = dy.String(
        description="`exact` (bytes), `phash`, `copy` (of a copy), `clip`; `words`, `minhash`, "
        "`ngram`, `group` (another row with the image of a text match)"
    )
    similarity = dy.Float64(
        description="similarity of the pixels, cosine, Jaccard, or fraction of word n-grams"
    )
    bench_id = dy.String(description="sample_id of the benchmark row")
    bench_source_id = dy.String(description="its id in its source")
    text = dy.String(description="texts of the training row, truncated")
    bench_text = dy.String(description="texts of the benchmark row, truncated")


class Tags(Table):
    """What a sample trains: its tasks, and the rule that matched."""

    sample_id = dy.String(primary_key=True, description="the sample")
    task = dy.String(primary_key=True, description="`captioning`, `ocr`, `reasoning`, ...")
    run = dy.String(description="name of the run")
    rule = dy.String(description="first rule of this task that matches the sample")
    main = dy.Bool(description="whether that rule is the first of all that match: the main task")
