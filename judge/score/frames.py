"""Scores for a plain frame: what `judge score` does, without a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.ask.scoring import ScoreKey, score_columns, score_request
from judge.rubric.render import Target
from judge.rubric.rubric import Rubric
from judge.score.command import chosen_rubric
from judge.score.options import ScoreOptions
from pairwright.commands.progress import Progress
from pairwright.errors import UsageError
from pairwright.frames import ImageColumn, column
from pairwright.text.conversation import IMAGE, escape
from pairwright.vlm.backend import choose_model, image_source, open_backend
from pairwright.vlm.types import ChatRequest, Reply, ask_all

if TYPE_CHECKING:
    import polars as pl

_ADDED = ("score", "label_probs", "label_mass", "scores", "error")


def score_frame(
    frame: pl.DataFrame | pl.LazyFrame,
    options: ScoreOptions,
    *,
    question: str,
    response: str,
    image: str | None = None,
) -> pl.DataFrame:
    """Score the responses of a frame by a rubric.

    Args:
        frame: The rows.
        options: The judge and the rubric.
        question: Column of questions.
        response: Column of the responses to them.
        image: Column of images.

    Returns:
        The frame with more columns; see `pairwright.score_frame`.

    Raises:
        UsageError: If a column is missing or of another type, or the frame has one of the new
            columns already.
        ServerError: If the judge cannot be started or reached.
    """
    questions, responses = column(frame, question, "question"), column(frame, response, "response")
    images = None if image is None else ImageColumn(column(frame, image, "image"))
    taken = [name for name in frame.collect_schema() if name in _ADDED]
    if taken:
        msg = f"the frame has a column {taken[0]!r} already; rename or drop it"
        raise UsageError(msg)
    rubric = chosen_rubric(options)
    rows = _Rows(rubric, questions, responses, images)
    choice = choose_model(options)
    source = image_source(rows, options, choice)
    total = rows.n_complete * len(rubric.criteria)
    if total:
        max_images = max(images.counts(), default=0) if images is not None else 0
        with (
            open_backend(options, choice, source, logs=_logs(), max_images=max_images) as backend,
            Progress("judge", total, unit="scores") as progress,
        ):

            def on_reply(reply: Reply) -> None:
                rows.take(reply)
                progress.advance()

            ask_all(rows.requests(), backend, on_reply)
    return rows.onto(frame.lazy().collect())


def _logs() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "pairwright" / "logs"


class _Rows:
    """The rows that are judged, and the replies; `target_id` is the number of the row."""

    def __init__(
        self,
        rubric: Rubric,
        questions: pl.Series,
        responses: pl.Series,
        images: ImageColumn | None,
    ) -> None:
        self._rubric, self._images = rubric, images
        self._questions, self._responses = questions, responses
        self._positions: dict[str, tuple[int, int]] = {}
        self._replies: dict[tuple[str, str], Reply] = {}
        self._missing = [self._missing_in(row) for row in range(len(responses))]

    @property
    def n_complete(self) -> int:
        """How many rows can be judged."""
        return self._missing.count(None)

    def _missing_in(self, row: int) -> str | None:
        """Why a row cannot be judged, if it cannot."""
        if self._responses[row] is None:
            return "no_response"
        if self._questions[row] is None:
            return "no_question"
        has_none = self._images is not None and self._images.is_missing(row)
        return "no_image" if has_none else None

    def requests(self) -> Iterator[ChatRequest]:
        """A request for each response and criterion."""
        for row, response in enumerate(self._responses):
            if self._missing[row] is not None:
                continue
            ids = self._ids(row)
            question = escape(self._questions[row])
            target = Target(
                target_id=str(row),
                image_ids=ids,
                prompt=[{"role": "user", "content": IMAGE * len(ids) + question}],
                answer=response,
            )
            for criterion in self._rubric.criteria:
                yield score_request(self._rubric, criterion, target)

    def _ids(self, row: int) -> tuple[str, ...]:
        """Names of a row's images: a server is sent the bytes behind each name once."""
        keys = () if self._images is None else self._images.keys(row)
        for number, key in enumerate(keys):
            self._positions.setdefault(key, (row, number))
        return tuple(keys)

    def read(self, image_id: str) -> bytes:
        """Bytes of an image.

        Raises:
            ImageError: If it cannot be read.
        """
        assert self._images is not None
        return self._images.read(*self._positions[image_id])

    def take(self, reply: Reply) -> None:
        """Keep a reply."""
        key: ScoreKey = reply.key
        self._replies[key.target_id, key.criterion] = reply

    def onto(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the scores."""
        import polars as pl

        schema: dict[str, Any] = {
            "score": pl.Float64,
            "label_probs": pl.List(
                pl.Struct({"criterion": pl.String, "label": pl.String, "p": pl.Float64})
            ),
            "label_mass": pl.Float64,
            "scores": pl.Struct({c.name: pl.Float64 for c in self._rubric.criteria}),
            "error": pl.String,
        }
        made = [self._row(row) for row in range(frame.height)]
        return frame.hstack(pl.DataFrame(made, schema=schema))

    def _row(self, row: int) -> dict[str, Any]:
        scores: dict[str, float | None] = {}
        probs: list[dict[str, Any]] = []
        masses, errors = [], []
        for criterion in self._rubric.criteria:
            name = criterion.name
            reply = self._replies.get((str(row), name))
            scores[name] = None
            if reply is None:
                errors.append(self._missing[row] or "no_reply")
                continue
            if reply.error is not None:
                errors.append(f"{reply.error.reason}: {reply.error.detail}")
                continue
            found = score_columns(self._rubric, name, reply)
            scores[name] = found["score"]
            masses.append(found["label_mass"])
            probs += [{"criterion": name, **entry} for entry in found["label_probs"]]
            if found["error"] is not None:
                errors.append(found["error"])
        known = [score for score in scores.values() if score is not None]
        return {
            "score": sum(known) / len(known) if known else None,
            "label_probs": probs,
            "label_mass": min(masses, default=None),
            "scores": scores,
            "error": "; ".join(dict.fromkeys(errors)) or None,
        }
