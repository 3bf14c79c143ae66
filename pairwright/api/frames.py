"""`pw.near_duplicates` and `pw.score_frame`: cores of two commands on a frame of the user's own."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from pairwright.api.values import bound, checked, python_words
from pairwright.commands.command import load
from pairwright.commands.options import build

if TYPE_CHECKING:
    import polars as pl


P = ParamSpec("P")
R = TypeVar("R")


def _checks_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """A function that refuses wrong keywords with an error of ours."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **given: P.kwargs) -> R:
        bound(f"pw.{function.__name__}", signature, args, given, partial=False)
        return function(*args, **given)

    return call


@_checks_keywords
def near_duplicates(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    text: str | None = None,
    image: str | None = None,
    threshold: float = 0.7,
) -> pl.DataFrame:
    """Rows of a frame that repeat an earlier row.

    The first of several such rows is kept. A row is a duplicate only if it matches a kept row
    itself, and every match is verified exactly: texts by the Jaccard coefficient of their word
    3-grams, images by their pixels. With both columns, text and image must match.

    Texts match if their similarity reaches `threshold`, in whatever words they differ. The word
    check of `curate dedup`, which keeps texts that differ in a number or a negation, is not made.

    Args:
        frame: The rows.
        text: Column of texts. A row without a text (null, or white space only) is never a
            duplicate.
        image: Column of images: bytes, paths, the structs of `datasets`, or lists of these. Images
            match if their bytes are equal, or if one is a copy of the other (re-encoded, resized).
            Without `text`, a row without an image is never a duplicate; with it, such a row matches
            only others without an image.
        threshold: Min similarity of texts that match.

    Returns:
        One row a duplicate, in the frame's order: `row`, `kept_row` (row numbers from 0),
        `similarity` (of the texts; of the images if there are no texts) and `method` (`exact`,
        `minhash`, `phash` or `minhash+phash`). `frame.with_row_index("row").join(found,
        on="row", how="anti")` is the frame without them.

    Raises:
        UsageError: If no column is named, or one is missing or of another type.
        DataError: If an image file cannot be read.
    """
    options = load("curate.dedup.options:DedupOptions")
    with python_words(options):
        values = checked(options, {"threshold": threshold})
        found: pl.DataFrame = load("curate.dedup.frames:near_duplicates")(
            frame, text=text, image=image, **values
        )
        return found


@_checks_keywords
def score_frame(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    model: str | os.PathLike[str],
    question: str,
    response: str,
    image: str | None = None,
    rubric: str | os.PathLike[str] | None = None,
    criteria: str | Sequence[str] = (),
    base_url: str | Sequence[str] | None = None,
    backend: Literal["vllm", "transformers"] = "vllm",
    adapter: str | os.PathLike[str] | None = None,
    concurrency: int = 64,
) -> pl.DataFrame:
    """Score the responses of a frame with a judge, as `judge score` does.

    Args:
        frame: The rows.
        model: The judge: hub id, local folder or short name.
        question: Column of questions.
        response: Column of the responses to them.
        image: Column of images: bytes, paths, the structs of `datasets`, or lists of these. An
            empty list means that the question is asked without an image.
        rubric: A name of `pw.judge.rubrics()`, or a YAML file; `default` if not given.
        criteria: Criteria instead of the rubric's, "NAME: DESCRIPTION" each.
        base_url: OpenAI-compatible servers that are running, `/v1` included; without one vLLM is
            started, and stopped at the end.
        backend: `transformers` runs a small model in this process.
        adapter: LoRA adapter folder.
        concurrency: Max requests in flight at each server.

    Returns:
        The frame with five more columns: `score` (the expected value over the labels, the mean
        over criteria), `label_probs` (criterion, label, probability), `label_mass` (probability of
        all labels together, the lowest of the criteria; where it is low, the judge did not answer
        the question), `scores` (the score of each criterion) and `error` (why there is no score:
        `no_question`, `no_response` and `no_image` where the column is null, or what went wrong).

    Raises:
        UsageError: If a column or an option is wrong.
        ServerError: If the judge cannot be started or reached.
    """
    options = load("judge.score.options:ScoreOptions")
    given = {
        "model": model, "rubric": "default" if rubric is None else rubric, "criteria": criteria,
        "base_url": () if base_url is None else base_url, "backend": backend, "adapter": adapter,
        "concurrency": concurrency,
    }  # fmt: skip
    with python_words(options):
        found: pl.DataFrame = load("judge.score.frames:score_frame")(
            frame, build(options, checked(options, given)), question=question, response=response,
            image=image,
        )  # fmt: skip
        return found
