"""Asks about every claim of a run that has no verdict yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.ask.scoring import expected_value
from judge.ask.session import Rows, Session, peek
from judge.ask.targets import Source, by_image, target_batches, targets_of
from judge.claims.text import as_question
from judge.rubric.render import Target, Turns, prompt_hash, render
from judge.rubric.rubric import Rubric
from judge.rubric.template import shows
from pairwright.dataset.manifest import Manifest
from pairwright.vlm.asking import unwritten
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    import polars as pl

# Responses whose claims are in memory at a time.
_ROWS = 2_000


class _Key(NamedTuple):
    claim_id: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Checking:
    """The claims of one run.

    Attributes:
        session: The judge and the run.
        rubric: What is asked about a claim.
        source: The responses that the claims are about.
        claims: The run of claims.
        asked: By id, the claims that are asked about and have no reply yet.
    """

    session: Session
    rubric: Rubric
    source: Source
    claims: Manifest
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask(self) -> None:
        """Ask about every claim without a verdict."""
        requests = peek(self._requests())
        if requests is None:
            return
        total = max(0, self.claims.rows - self.session.writer.n_rows)
        with self.session.open("check", total=total, unit="claims") as judge:
            judge.ask(
                requests,
                lambda reply: [self._row(reply, self.asked.pop(reply.key.claim_id))],
                ids_of=lambda key: (key.claim_id, key.claim_id),
                note_of=_note,
                on_failure=lambda reply: self.asked.pop(reply.key.claim_id),
            )

    def _requests(self) -> Iterator[ChatRequest]:
        """Requests for claims without a verdict; those of one image follow each other."""
        session = self.session
        for frame in target_batches(
            session.dataset, self.source, for_run=session.key, limit=session.limit, rows=_ROWS
        ):
            found = self._claims_of(frame)
            for missing, _ in unwritten([found], session.writer, "claim_id", 1):
                claims_of: dict[str, list[dict[str, Any]]] = {}
                for row in missing.iter_rows(named=True):
                    claims_of.setdefault(row["response_id"], []).append(row)
                targets = frame.filter(frame["target_id"].is_in(list(claims_of)))
                for target in targets_of(by_image(targets, session.reader), session.writer):
                    for claim in claims_of[target.target_id]:
                        turns = self._turns(target, claim)
                        self.asked[claim["claim_id"]] = claim
                        key = _Key(claim["claim_id"], prompt_hash(turns))
                        labels = tuple(self.rubric.labels)
                        yield ChatRequest(key=key, messages=turns, labels=labels)

    def _claims_of(self, targets: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        ids = targets.lazy().select(response_id="target_id")
        return (
            self.session.dataset.scan(self.claims)
            .filter(pl.col("index") >= 0)
            .select("claim_id", "response_id", "index", "text", "question")
            .join(ids, on="response_id", how="semi")
            .sort("response_id", "index", "claim_id")
            .collect(engine="streaming")
        )

    def _turns(self, target: Target, claim: dict[str, Any]) -> Turns:
        """The prompt; one that shows the question of the sample gets the claim itself next to it."""
        question = claim["question"] or as_question(claim["text"])
        answer = claim["text"] if shows(self.rubric.prompt, "question") else question
        return render(self.rubric, self.rubric.criteria[0], replace(target, answer=answer))

    def _row(self, reply: Reply, claim: dict[str, Any]) -> dict[str, Any]:
        probs = {name.lower(): p for name, p in (reply.label_probs or {}).items()}
        score, _ = expected_value(reply.label_probs or {}, self.rubric.labels)
        has_verdict = score is not None
        return {
            "claim_id": claim["claim_id"],
            "response_id": claim["response_id"],
            "target_kind": self.source.kind,
            "index": claim["index"],
            "text": claim["text"],
            "question": claim["question"] or as_question(claim["text"]),
            "p_yes": probs.get("yes", 0.0) if has_verdict else None,
            "p_no": probs.get("no", 0.0) if has_verdict else None,
            "judge": self.session.choice.label,
            "read_from": reply.read_from,
            "rubric_hash": self.rubric.hash,
            "prompt_hash": reply.key.prompt,
            "n_prompt_tokens": reply.usage.prompt_tokens,
            "n_tokens": reply.usage.completion_tokens,
            "latency_s": reply.latency_s,
            "error": None if has_verdict else "no_verdict",
        }


def _note(rows: Rows) -> str | None:
    if not rows or rows[-1]["p_yes"] is None:
        return None
    row = rows[-1]
    return f"{'yes' if row['p_yes'] >= row['p_no'] else 'no'}: {row['text']}"
