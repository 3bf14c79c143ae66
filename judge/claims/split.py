"""The first stage of `judge claims`: responses become lists of claims, kept in a run of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.ask.session import Rows, Session, open_run, peek
from judge.ask.targets import Source, count_targets, target_batches, targets_of
from judge.claims.options import ClaimsOptions
from judge.claims.text import Claim, as_question, read_claims, sentences
from judge.rubric.render import Target, prompt_hash, render
from judge.rubric.rubric import FOLDER, load_rubric
from pairwright.commands.options import RunOptions
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError
from pairwright.vlm.asking import unwritten
from pairwright.vlm.backend import choose_model, recorded
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    from pairwright.dataset.writer import RunWriter

_RUBRIC = str(FOLDER / "claims" / "split.yaml")
_CLAIM = {"type": "string"}
_CLAIM_AND_QUESTION = {
    "type": "object",
    "properties": {"claim": _CLAIM, "question": {"type": "string"}},
    "required": ["claim", "question"],
    "additionalProperties": False,
}


class _Key(NamedTuple):
    target_id: str
    prompt: str


def split_responses(
    dataset: Dataset, options: ClaimsOptions, source: Source, run: RunOptions, name: str
) -> Manifest:
    """Write the run of claims without verdicts; what it contains already is not asked for again.

    A response without claims has one row with index -1, and so has one whose list could not be read
    (error `unreadable`).
    """
    key = RunKey("claims-split", f"claims/{name}")
    splitter = _splitter(options)
    choice = choose_model(splitter, dataset) if options.split == "model" else None
    config: dict[str, Any] = {
        "split": options.split,
        "questions": options.questions,
        "max_claims": options.max_claims,
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
    }
    if choice is not None:
        known = recorded(splitter, choice)
        kept = ("model", "adapter", "backend", "max_model_len", "split_tokens")
        config |= {name: known[name] for name in kept}
        config["rubric_hash"] = load_rubric(_RUBRIC).hash
    with open_run(
        dataset,
        key,
        options=type(options),
        config=config,
        inputs=[source.responses],
        choice=choice,
        run=run,
    ) as writer:
        if not writer.is_complete:
            splitting = _Splitting(dataset, writer, splitter, source, run.limit)
            if choice is None:
                splitting.by_rule()
            else:
                splitting.by_model(Session(dataset, writer, splitter, choice, run.limit))
    return writer.manifest


def _splitter(options: ClaimsOptions) -> ClaimsOptions:
    """The options with the model that splits."""
    own: dict[str, Any] = {}
    if options.splitter_model:
        own |= {"model": options.splitter_model, "adapter": None}
    if options.splitter_base_url:
        own["base_url"] = options.splitter_base_url
    return replace(options, **own)


class _Splitting:
    """The responses of one run that are not split yet."""

    def __init__(
        self, dataset: Dataset, writer: RunWriter, options: ClaimsOptions, source: Source,
        limit: int | None,
    ) -> None:  # fmt: skip
        self._dataset, self._writer, self._options = dataset, writer, options
        self._source, self._limit = source, limit
        self._rubric = load_rubric(_RUBRIC)
        with_questions = options.questions == "model"
        self._criterion = self._rubric.named("claims and questions" if with_questions else "claims")

    def by_rule(self) -> None:
        """Split by sentences."""
        for target in self._missing():
            found = sentences(target.answer, self._options.max_claims)
            self._writer.add(self._rows(target.target_id, found, judge="sentences"))

    def by_model(self, session: Session) -> None:
        """Have the model split."""
        requests = peek(self._request(target) for target in self._missing())
        if requests is None:
            return
        total = count_targets(self._dataset, self._source, for_run=session.key, limit=self._limit)
        with session.open("split", total=total, unit="responses", images=False) as judge:
            judge.ask(
                requests,
                lambda reply: self._read(reply, session.choice.label),
                ids_of=lambda key: (key.target_id, key.target_id),
                note_of=_note,
            )

    def _missing(self) -> Iterator[Target]:
        frames = target_batches(
            self._dataset, self._source, for_run=self._writer.manifest.key, limit=self._limit
        )
        named = (frame.rename({"target_id": "response_id"}) for frame in frames)
        for frame, _ in unwritten(named, self._writer, "response_id", 1):
            yield from targets_of(frame.rename({"response_id": "target_id"}), self._writer)

    def _request(self, target: Target) -> ChatRequest:
        # Splitting is about text: no image, and only the last question and its response.
        turns = render(self._rubric, self._criterion, replace(target, image_ids=()))
        item = _CLAIM_AND_QUESTION if self._options.questions == "model" else _CLAIM
        listed = {"type": "array", "items": item, "maxItems": self._options.max_claims}
        return ChatRequest(
            key=_Key(target.target_id, prompt_hash(turns)),
            messages=turns,
            max_tokens=self._options.split_tokens,
            schema={
                "type": "object",
                "properties": {"claims": listed},
                "required": ["claims"],
                "additionalProperties": False,
            },
        )

    def _read(self, reply: Reply, judge: str) -> list[dict[str, Any]]:
        key: _Key = reply.key
        cost = {
            "rubric_hash": self._rubric.hash,
            "prompt_hash": key.prompt,
            "n_prompt_tokens": reply.usage.prompt_tokens,
            "n_tokens": reply.usage.completion_tokens,
            "latency_s": reply.latency_s,
        }
        try:
            found = read_claims(reply.texts[0] if reply.texts else "", self._options.max_claims)
        except DataError as error:
            row = self._row(key.target_id, -1, str(error), judge)
            return [row | cost | {"error": "unreadable"}]
        # The cost is that of the whole list: only the first row has it.
        rows = self._rows(key.target_id, found, judge)
        return [rows[0] | cost, *rows[1:]]

    def _rows(self, target_id: str, claims: Sequence[Claim], judge: str) -> list[dict[str, Any]]:
        if not claims:
            return [self._row(target_id, -1, "", judge) | {"error": "no_claims"}]
        return [
            self._row(target_id, index, claim.text, judge)
            | {"question": claim.question or as_question(claim.text)}
            for index, claim in enumerate(claims)
        ]

    def _row(self, target_id: str, index: int, text: str, judge: str) -> dict[str, Any]:
        return {
            "claim_id": stable_id(target_id, index),
            "response_id": target_id,
            "target_kind": self._source.kind,
            "index": index,
            "text": text,
            "judge": judge,
        }


def _note(rows: Rows) -> str | None:
    return rows[-1]["text"] or None if rows else None
