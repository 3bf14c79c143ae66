"""Declarations of every table.

A table's name is its folder in the dataset directory; `TABLES` maps it to the declaration. Column
descriptions are the documentation: `docs/tables.md` is generated from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import dataframely as dy
import polars as pl


class Table(dy.Schema):
    """Base of every table: adds a version.

    A newer version reads what older ones wrote: columns it added are nullable and read as null,
    columns it renamed are listed in `renamed`.

    Attributes:
        version: Of the declaration; written into each part and each `_table.json`.
        renamed: Old name to new name, of columns that an older version called otherwise.
    """

    version: ClassVar[int] = 1
    renamed: ClassVar[Mapping[str, str]] = {}


def _message() -> dy.Struct:
    return dy.Struct(
        {
            "role": dy.String(description="`system`, `user` or `assistant`"),
            "content": dy.String(description="text; `<image>` marks where an image stands"),
        }
    )


def _messages(description: str, *, min_length: int = 1) -> dy.List:
    return dy.List(_message(), min_length=min_length, description=description)


def _spans(description: str) -> dy.List:
    return dy.List(
        dy.Struct(
            {
                "start": dy.Int32(description="first code point"),
                "end": dy.Int32(description="one past the last code point"),
                "text": dy.String(description="the slice itself"),
                "kind": dy.String(description="`replace`, `insert`, `delete` or `equal`"),
            }
        ),
        nullable=True,
        description=description,
    )


def _label_probs(description: str) -> dy.List:
    return dy.List(
        dy.Struct({"label": dy.String(), "p": dy.Float64()}), nullable=True, description=description
    )


class Images(Table):
    """One row a distinct image, keyed by the hash of its bytes."""

    image_id = dy.String(
        primary_key=True, regex="^[0-9a-f]{64}$", description="sha256 of the bytes"
    )
    bytes = dy.Binary(nullable=True, description="the file as it was found; null in link mode")
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
    image_ids = dy.List(dy.String(), description="images in the order of their `<image>` marks")
    messages = _messages("the conversation; as many `<image>` marks as there are images")
    criteria = dy.String(nullable=True, description="per-sample judging criteria of the source")
    reference = dy.String(nullable=True, description="reference answer of the source")
    source = dy.String(description="name of the ingest")
    source_id = dy.String(description="id in the source, or the row number where it has none")
    license = dy.String(nullable=True, description="license of the source")
    split = dy.String(nullable=True, description="split of the source (`train`, `test`, ...)")
    task = dy.String(nullable=True, description="task tag of the source")
    meta = dy.String(nullable=True, description="other source fields as JSON")


class Embeddings(Table):
    """Vectors of images or texts; one folder a model."""

    item_id = dy.String(primary_key=True, description="image_id, or the text's xxh3-128")
    kind = dy.String(primary_key=True, description="`image` or `text`")
    model = dy.String(description="architecture, weights' fingerprint and preprocessing")
    vector = dy.Any(description="unit length, fixed-size list of float16")


class Decisions(Table):
    """Exactly one row per sample that was current when the run started."""

    sample_id = dy.String(primary_key=True, description="the sample decided on")
    run = dy.String(description="name of the run")
    kept = dy.Bool(description="whether the sample stays")
    reason = dy.String(description="`kept`, or why it goes: `exact`, `near_text`, `score`, ...")
    method = dy.String(description="what found it: `exact`, `minhash`, `clip`, a filter's name")
    kept_id = dy.String(
        nullable=True, description="the sample that stands for it, if it is a double"
    )
    similarity = dy.Float64(nullable=True, description="exact Jaccard to kept_id, or the mark")
    group_id = dy.String(nullable=True, description="sample_id of the group's kept row")


class Conflicts(Table):
    """Same question, same image, different answers: preference candidates."""

    conflict_id = dy.String(primary_key=True, description="hash of the two sample ids")
    run = dy.String(description="the dedup run that found it")
    group_id = dy.String(description="one question on one image group")
    sample_id = dy.String(description="the sample with the earlier answer")
    other_id = dy.String(description="the sample with the other answer")
    question = dy.String(description="the question of sample_id")
    answer = dy.String(description="the answer of sample_id")
    other_answer = dy.String(description="the answer of other_id")
    similarity = dy.Float64(description="exact Jaccard of the two questions")
    turn = dy.Int32(nullable=True, description="turn of the answers in their conversations, from 0")


class Overlaps(Table):
    """Training rows that a benchmark holds as well, and the benchmark row beside them."""

    sample_id = dy.String(primary_key=True, description="the training row")
    benchmark = dy.String(primary_key=True, description="name of the benchmark")
    kind = dy.String(primary_key=True, description="`image` or `text`")
    run = dy.String(description="the decontaminate run that found it")
    method = dy.String(
        description="`exact` (bytes), `phash`, `copy` (of a copy), `clip`; `words`, `minhash`, "
        "`ngram`, `group` (another row on the picture of a text match)"
    )
    similarity = dy.Float64(
        description="likeness of the pixels, cosine, Jaccard, or share of word sequences"
    )
    bench_id = dy.String(description="sample_id of the benchmark row")
    bench_source_id = dy.String(description="its id in its source")
    text = dy.String(description="the training row's texts, cut")
    bench_text = dy.String(description="the benchmark row's texts, cut")


class Tags(Table):
    """What a sample trains: its tasks, and the rule that says so."""

    sample_id = dy.String(primary_key=True, description="the sample")
    task = dy.String(primary_key=True, description="`captioning`, `ocr`, `reasoning`, ...")
    run = dy.String(description="name of the run")
    rule = dy.String(description="first rule of this task that fits the sample")
    main = dy.Bool(description="whether that rule is the first of all that fit: its main task")


class Responses(Table):
    """Candidate answers of a policy, or imported ones."""

    response_id = dy.String(primary_key=True, description="hash of sample, model, index and text")
    sample_id = dy.String(description="the sample whose question is answered")
    prompt = _messages("the conversation up to the answer")
    text = dy.String(description="the answer")
    model = dy.String(description="model that answered, as it was asked for")
    adapter = dy.String(nullable=True, description="LoRA adapter, if any")
    temperature = dy.Float64(nullable=True, description="sampling temperature")
    top_p = dy.Float64(nullable=True, description="nucleus mass")
    top_k = dy.Int32(nullable=True, description="-1: off")
    seed = dy.Int64(nullable=True, description="sampling seed")
    index = dy.Int32(description="number of the draw, from 0")
    finish_reason = dy.String(nullable=True, description="`stop`, `length`, ...")
    n_tokens = dy.Int32(nullable=True, description="tokens of the answer")
    logprob = dy.Float64(nullable=True, description="sum of the tokens' log-probabilities (nats)")


class Scores(Table):
    """A judge's scores for a sample's answer or a response."""

    version: ClassVar[int] = 3
    renamed: ClassVar[Mapping[str, str]] = {"draw": "repeat"}

    target_id = dy.String(primary_key=True, description="sample_id or response_id")
    rubric = dy.String(primary_key=True, description="name of the rubric")
    criterion = dy.String(primary_key=True, description="criterion of the rubric")
    judge = dy.String(
        primary_key=True, description="model that judged, as it was asked for; `jury`: several"
    )
    repeat = dy.Int32(
        primary_key=True,
        description="number of the score, from 0: the same question asked again; where every turn "
        "was judged, turn times the number of repeats plus the repeat",
    )
    turn = dy.Int32(
        nullable=True, description="which of the assistant's turns, from 0, if all were judged"
    )
    target_kind = dy.String(description="`sample` or `response`")
    score = dy.Float64(nullable=True, description="expected value over the labels; null on error")
    calibrated = dy.Float64(nullable=True, description="the score as a fitted calibration reads it")
    label_probs = _label_probs("probability of each label, as the judge gave it (not renormalised)")
    label_mass = dy.Float64(nullable=True, description="sum of label_probs; low: it did not answer")
    read_from = dy.String(
        nullable=True,
        description="`logprobs` of the labels, `top_logprobs` of the likeliest tokens, or `text`",
    )
    text = dy.String(nullable=True, description="the verdict, as written")
    rationale = dy.String(nullable=True, description="the judge's reasons, if they were asked for")
    rubric_hash = dy.String(description="hash of the rubric's content")
    prompt_hash = dy.String(description="hash of the rendered prompt")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of the prompt")
    n_tokens = dy.Int32(nullable=True, description="tokens of the reply")
    latency_s = dy.Float64(nullable=True, description="seconds from sending to the reply")
    error = dy.String(nullable=True, description="why there is no score")


class Probes(Table):
    """Marks of answers that were tampered with: how easily a judge is swayed."""

    target_id = dy.String(primary_key=True, description="sample_id or response_id")
    probe = dy.String(
        primary_key=True,
        description="what was done: `clean`, `blind`, `other_image`, `padded`, `inject:NAME`",
    )
    criterion = dy.String(primary_key=True, description="criterion of the rubric")
    judge = dy.String(primary_key=True, description="model that judged, as it was asked for")
    target_kind = dy.String(description="`sample` or `response`")
    rubric = dy.String(description="name of the rubric")
    score = dy.Float64(nullable=True, description="expected value over the labels; null on error")
    label_probs = _label_probs("probability of each label (not renormalised)")
    label_mass = dy.Float64(nullable=True, description="sum of label_probs")
    read_from = dy.String(nullable=True, description="as in scores")
    text = dy.String(nullable=True, description="the verdict, as written")
    rubric_hash = dy.String(description="hash of the rubric's content")
    prompt_hash = dy.String(description="hash of the rendered prompt")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of the prompt")
    n_tokens = dy.Int32(nullable=True, description="tokens of the reply")
    latency_s = dy.Float64(nullable=True, description="seconds from sending to the reply")
    error = dy.String(nullable=True, description="why there is no score")


class Claims(Table):
    """An answer split into claims, with the verdicts of a judge or of people."""

    version: ClassVar[int] = 2

    claim_id = dy.String(primary_key=True, description="hash of target_id and index")
    response_id = dy.String(description="the answer: response_id or sample_id")
    target_kind = dy.String(nullable=True, description="`sample` or `response`")
    index = dy.Int32(description="place in the answer, from 0")
    text = dy.String(description="the self-contained claim")
    question = dy.String(nullable=True, description="the claim as a yes/no question")
    p_yes = dy.Float64(nullable=True, description="probability of yes; of people 1 or 0")
    p_no = dy.Float64(nullable=True, description="probability of no; of people 0 or 1")
    judge = dy.String(description="model or annotator that judged")
    read_from = dy.String(nullable=True, description="as in scores; null: people")
    rubric_hash = dy.String(nullable=True, description="hash of the prompts' content")
    prompt_hash = dy.String(nullable=True, description="hash of the rendered prompt")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of the verdict's prompt")
    n_tokens = dy.Int32(nullable=True, description="tokens of the verdict")
    latency_s = dy.Float64(nullable=True, description="seconds from sending to the reply")
    error = dy.String(nullable=True, description="why there is no verdict")


class Comparisons(Table):
    """Pairwise verdicts on two answers to one sample, by judges or people."""

    version: ClassVar[int] = 2

    comparison_id = dy.String(primary_key=True, description="hash of sample, a, b, by, criterion")
    sample_id = dy.String(description="the sample whose question both answer")
    a = dy.String(description="response_id, or sample_id for the sample's own answer")
    b = dy.String(description="the same for the other answer")
    p_a = dy.Float64(
        nullable=True, description="P(a better) of those two, probabilities of both orders averaged"
    )
    p_a_first_order = dy.Float64(nullable=True, description="P(a better), a shown first")
    p_a_second_order = dy.Float64(nullable=True, description="P(a better), b shown first")
    verdict = dy.String(description="`a`, `b`, `tie`, `both_bad` or `undecided`")
    verdict_first_order = dy.String(nullable=True, description="verdict with a shown first")
    verdict_second_order = dy.String(nullable=True, description="verdict with b shown first")
    grade = dy.Float64(
        nullable=True, description="how much better a is than b, where people say so: 2 to -2"
    )
    probs_first_order = _label_probs("probabilities of `a`, `b`, `tie`, `both_bad`, a shown first")
    probs_second_order = _label_probs("the same, b shown first; labels still name a and b")
    label_mass = dy.Float64(nullable=True, description="the lower of both orders' label masses")
    read_from = dy.String(nullable=True, description="as in scores; null: people")
    by = dy.String(description="judge or annotator")
    rubric = dy.String(nullable=True, description="name of the rubric")
    criterion = dy.String(nullable=True, description="what was compared")
    rationale = dy.String(nullable=True, description="the reasons given")
    rubric_hash = dy.String(nullable=True, description="hash of the rubric's content")
    prompt_hash = dy.String(nullable=True, description="hash of both rendered prompts")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of both prompts")
    n_tokens = dy.Int32(nullable=True, description="tokens of both replies")
    latency_s = dy.Float64(nullable=True, description="seconds of both requests")
    error = dy.String(nullable=True, description="why there is no verdict")


class Feedback(Table):
    """Corrections of spans of an answer, by people or a judge."""

    feedback_id = dy.String(primary_key=True, description="hash of response_id and by")
    response_id = dy.String(description="the answer that is corrected")
    spans = dy.List(
        dy.Struct(
            {
                "start": dy.Int32(description="first code point"),
                "end": dy.Int32(description="one past the last code point"),
                "text": dy.String(description="must equal the slice of the answer"),
                "kind": dy.String(nullable=True, description="kind of error"),
                "correct": dy.Bool(nullable=True, description="false: a mistake"),
                "reward": dy.Float64(nullable=True, description="mark of the span"),
                "replacement": dy.String(nullable=True, description="text that mends it"),
            }
        ),
        description="offsets are code points of the answer",
    )
    corrected = dy.String(nullable=True, description="the whole corrected answer")
    by = dy.String(description="annotator or judge")


class Pairs(Table):
    """Preference pairs, with spans and provenance."""

    pair_id = dy.String(primary_key=True, description="hash of sample, chosen, rejected, method")
    sample_id = dy.String(description="the sample whose question both answer")
    image_ids = dy.List(dy.String(), description="images of the prompt")
    prompt = _messages("the conversation up to the answer")
    chosen = dy.String(description="the better answer")
    rejected = dy.String(description="the worse answer")
    chosen_spans = _spans("changed parts of chosen")
    rejected_spans = _spans("changed parts of rejected")
    chosen_score = dy.Float64(nullable=True, description="mark of chosen")
    rejected_score = dy.Float64(nullable=True, description="mark of rejected")
    margin = dy.Float64(nullable=True, description="difference of the marks")
    method = dy.String(description="`best-of-n`, `spans`, `comparisons`, ...")
    control = dy.String(nullable=True, description="`random` or `longest`: built as a control")
    chosen_id = dy.String(
        nullable=True, description="response_id, sample_id or feedback_id of chosen"
    )
    rejected_id = dy.String(
        nullable=True, description="response_id, sample_id or feedback_id of rejected"
    )
    rejected_image_ids = dy.List(dy.String(), nullable=True, description="images for visual DPO")
    policy = dy.String(nullable=True, description="model whose answers these are, if one")


class Predictions(Table):
    """What a model answered in an evaluation, and whether it was right."""

    item_id = dy.String(primary_key=True, description="sample_id or pair_id")
    image_group = dy.String(nullable=True, description="image the intervals resample by")
    model = dy.String(description="model evaluated")
    adapter = dy.String(nullable=True, description="LoRA adapter, if any")
    task = dy.String(description="`exact-match` or `preference`")
    text = dy.String(nullable=True, description="the answer")
    reference = dy.String(nullable=True, description="the right answer")
    correct = dy.Bool(description="whether it was right")
    margin = dy.Float64(nullable=True, description="preference: log p(chosen) - log p(rejected)")


class ReferenceLogps(Table):
    """Reference log-probabilities of pairs."""

    pair_id = dy.String(primary_key=True, description="the pair")
    model = dy.String(primary_key=True, description="fingerprint of the reference model")
    chosen_logp = dy.Float64(description="sum over the answer's tokens (nats)")
    rejected_logp = dy.Float64(description="sum over the answer's tokens (nats)")


class Metrics(Table):
    """What a training run logged; kept in the run's folder."""

    step = dy.Int32(primary_key=True, description="optimizer step")
    name = dy.String(primary_key=True, description="metric")
    value = dy.Float64(nullable=True, description="value")


class Rejects(Table):
    """Rows that could not be processed. Nothing is dropped without a row here."""

    row_id = dy.String(primary_key=True, description="id of the row, or file and row number")
    stage = dy.String(primary_key=True, description="what was being done (`parse`, `image`, ...)")
    reason = dy.String(description="short, stable name of the cause")
    detail = dy.String(nullable=True, description="what to look at")


TABLES: dict[str, type[Table]] = {
    "images": Images,
    "samples": Samples,
    "embeddings": Embeddings,
    "decisions": Decisions,
    "conflicts": Conflicts,
    "overlaps": Overlaps,
    "tags": Tags,
    "responses": Responses,
    "scores": Scores,
    "probes": Probes,
    "claims": Claims,
    "comparisons": Comparisons,
    "feedback": Feedback,
    "pairs": Pairs,
    "predictions": Predictions,
    "reference_logps": ReferenceLogps,
    "rejects": Rejects,
    "runs": Metrics,
}


def conform(frame: pl.DataFrame, schema: type[Table]) -> pl.DataFrame:
    """Order and cast a frame to a declaration, adding nullable columns that are missing.

    Args:
        frame: Rows to write; extra columns are refused.
        schema: The declaration.

    Raises:
        ValueError: If a required column is missing, a column is not declared, or a value does not
            fit its type.
    """
    columns = schema.columns()
    extra = [name for name in frame.columns if name not in columns]
    if extra:
        msg = f"{schema.__name__} has no column {extra}"
        raise ValueError(msg)
    missing = [n for n, c in columns.items() if n not in frame.columns and not c.nullable]
    if missing:
        msg = f"{schema.__name__} needs the columns {missing}"
        raise ValueError(msg)
    frame = frame.with_columns(
        pl.lit(None).alias(n) for n in columns if n not in frame.columns
    ).select(list(columns))
    try:
        return frame.with_columns(
            pl.col(n).cast(c.dtype) for n, c in columns.items() if not isinstance(c, dy.Any)
        )
    except pl.exceptions.PolarsError as error:
        msg = f"{schema.__name__}: {error}"
        raise ValueError(msg) from error
