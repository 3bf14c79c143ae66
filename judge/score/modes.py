"""The four ways to ask for scores: the score only, once or sampled; reasons after or before it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from judge.ask.scoring import ScoreKey, Scoring
from judge.ask.session import OpenJudge, Rows
from judge.rubric.render import ask_why, follow_up
from judge.score.missing import REASON_TOKENS, Missing
from judge.score.options import NEEDLESS_REPEATS
from pairwright.errors import UsageError
from pairwright.vlm.types import ChatRequest, Reply, ask_all

# Targets whose first reply is kept until the second one has come.
_CHUNK = 2_000


def score_only(judge: OpenJudge, scoring: Scoring, missing: Iterable[Missing]) -> None:
    """One request per score."""
    _ask(judge, (one.request for one in missing), lambda reply: [scoring.row(reply)])


def sampled_score_only(judge: OpenJudge, scoring: Scoring, missing: Iterator[Missing]) -> None:
    """One request per score, with several sampled verdicts where there are no probabilities.

    Raises:
        UsageError: If the server reports probabilities: one score is exact then.
    """
    first = next(missing)
    replies: list[Reply] = []
    ask_all([first.request], judge.backend, replies.append)
    if any(reply.read_from in ("logprobs", "top_logprobs") for reply in replies):
        raise UsageError(NEEDLESS_REPEATS)
    score_only(judge, scoring, itertools.chain([first], missing))


def score_then_reasons(judge: OpenJudge, scoring: Scoring, missing: Iterator[Missing]) -> None:
    """Ask for scores, then for the reasons; a row is written when both are there."""
    while chunk := [one.request for one in itertools.islice(missing, _CHUNK)]:
        _score_then_reasons(judge, scoring, chunk)


def _score_then_reasons(
    judge: OpenJudge, scoring: Scoring, requests: Sequence[ChatRequest]
) -> None:
    prompts = {request.key: request.messages for request in requests}
    rows: dict[ScoreKey, dict[str, Any]] = {}  # scored, and still without reasons

    def on_score(reply: Reply) -> Rows:
        row = scoring.row(reply)
        if row["score"] is None:
            judge.progress.advance()  # there is nothing to explain
            return [row]
        rows[reply.key] = row
        return []

    def on_reasons(reply: Reply) -> Rows:
        row = rows.pop(reply.key)
        return [_with_cost(row, reply) | {"rationale": reply.texts[0].strip()}]

    def on_failure(reply: Reply) -> None:
        # The score is written without reasons, unless the next run can get both.
        if reply.error is not None and reply.error.reason != "unanswered":
            judge.writer.add([rows.pop(reply.key)])

    _ask(judge, requests, on_score)
    questions = [
        ChatRequest(
            key=key, messages=ask_why(prompts[key], row["text"] or ""), max_tokens=REASON_TOKENS
        )
        for key, row in rows.items()
    ]
    _ask(judge, questions, on_reasons, on_failure=on_failure, stage="why")


def reasons_then_score(judge: OpenJudge, scoring: Scoring, missing: Iterator[Missing]) -> None:
    """Ask for reasons, one text per repeat, then for the score that follows from each text."""
    while chunk := list(itertools.islice(missing, _CHUNK)):
        _reasons_then_score(judge, scoring, chunk)


def _reasons_then_score(judge: OpenJudge, scoring: Scoring, missing: Sequence[Missing]) -> None:
    wanted = {one.request.key: one for one in missing}
    reasons: dict[ScoreKey, Reply] = {}

    def on_reasons(reply: Reply) -> Rows:
        reasons[reply.key] = reply
        return []

    def score_requests() -> Iterator[ChatRequest]:
        for key, reply in reasons.items():
            criterion = scoring.rubric.named(key.criterion)
            for repeat, text in enumerate(reply.texts):
                if repeat not in wanted[key].repeats:
                    continue  # written by a run that ended between two repeats
                prompt = wanted[key].request.messages
                yield ChatRequest(
                    key=key._replace(repeat=repeat),
                    messages=follow_up(prompt, text, scoring.rubric, criterion),
                    labels=tuple(scoring.rubric.labels_of(criterion)),
                )

    def on_score(reply: Reply) -> Rows:
        key: ScoreKey = reply.key
        before = reasons[key._replace(repeat=0)]
        row = scoring.row(reply, before.texts[key.repeat].strip())
        # One request gave the reasons of all repeats: its cost is counted once.
        return [_with_cost(row, before) if key.repeat == 0 else row]

    _ask(judge, (one.request for one in missing), on_reasons)
    _ask(judge, score_requests(), on_score)


def _ask(
    judge: OpenJudge,
    requests: Iterable[ChatRequest],
    rows_of: Callable[[Reply], Rows],
    *,
    on_failure: Callable[[Reply], object] = lambda _reply: None,
    stage: str = "",
) -> None:
    def ids_of(key: ScoreKey) -> tuple[str, str]:
        target, request = key.ids
        # Missing reasons do not make the target invalid.
        return (f"{request}/{stage}", f"{request}/{stage}") if stage else (target, request)

    judge.ask(requests, rows_of, ids_of=ids_of, note_of=_note, on_failure=on_failure)


def _with_cost(row: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """The row with the cost of another request added."""
    return row | {
        "n_prompt_tokens": row["n_prompt_tokens"] + reply.usage.prompt_tokens,
        "n_tokens": row["n_tokens"] + reply.usage.completion_tokens,
        "latency_s": row["latency_s"] + reply.latency_s,
    }


def _note(rows: Rows) -> str | None:
    if not rows:
        return None
    row = rows[-1]
    score = "no verdict" if row["score"] is None else f"{row['score']:.2f}"
    return f"last {row['criterion']}: {score}"
