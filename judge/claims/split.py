"""The first stage of `judge claims`: answers become lists of claims, kept in a run of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.ask.targets import Source, count_targets, target_batches, targets_of
from judge.claims.options import ClaimsOptions
from judge.claims.text import Claim, as_question, read_claims, sentences
from judge.rubric.render import Target, prompt_hash, render
from judge.rubric.rubric import FOLDER, load_rubric
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError
from pairwright.vlm.asking import ask_into, unwritten
from pairwright.vlm.backend import choose_model, image_source, open_backend, recorded
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    from pairwright.dataset.writer import RunWriter

_PART_SECONDS = 5.0
_CLAIM = {"type": "string"}
_ASKED = {
    "type": "object",
    "properties": {"claim": _CLAIM, "question": {"type": "string"}},
    "required": ["claim", "question"],
    "additionalProperties": False,
}


class _Key(NamedTuple):
    target_id: str
    prompt: str


def split_answers(
    dataset: Dataset, options: ClaimsOptions, source: Source, run: RunOptions, name: str
) -> Manifest:
    """Write the run of claims without verdicts; what it holds already is not asked for again.

    An answer that claims nothing has one row with index -1, and so has one whose list could not
    be read (error `unreadable`).
    """
    ref = f"claims/{name}"
    inputs = dataset.sample_inputs(for_run=RunKey("claims-split", ref))
    splitter = _splitter(options)
    by_model = options.split == "model"
    choice = choose_model(splitter, dataset) if by_model else None
    config: dict[str, Any] = {
        "split": options.split,
        "questions": options.questions,
        "max_claims": options.max_claims,
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        "limit": run.limit,
    }
    if choice is not None:
        known = recorded(splitter, choice)
        kept = ("model", "adapter", "backend", "max_model_len", "split_tokens")
        config |= {key: known[key] for key in kept}
        config["rubric_hash"] = load_rubric(str(FOLDER / "claims" / "split.yaml")).hash
    with dataset.write(
        "claims",
        name,
        step="claims-split",
        config=config,
        inputs=[*inputs, source.responses] if source.responses else inputs,
        fingerprints=choice.fingerprints() if choice else None,
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        if not writer.is_complete:
            stage = _Splitting(dataset, writer, splitter, source, run.limit)
            if by_model:
                stage.ask()
            else:
                stage.by_rule()
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
    """The answers of one run that are not split yet."""

    def __init__(
        self, dataset: Dataset, writer: RunWriter, options: ClaimsOptions, source: Source,
        limit: int | None,
    ) -> None:  # fmt: skip
        self._dataset, self._writer, self._options = dataset, writer, options
        self._source, self._limit = source, limit
        self._rubric = load_rubric(str(FOLDER / "claims" / "split.yaml"))
        asks = "claims and questions" if options.questions == "model" else "claims"
        self._criterion = self._rubric.named(asks)

    def by_rule(self) -> None:
        """Split by sentences."""
        for target in self._open():
            found = sentences(target.answer, self._options.max_claims)
            self._writer.add(self._rows(target.target_id, found, judge="sentences"))

    def ask(self) -> None:
        """Have the model split."""
        from pairwright.images import ImageReader

        options, ref = self._options, self._writer.manifest.ref
        choice = choose_model(options, self._dataset)
        requests = (self._request(target) for target in self._open())
        first = next(requests, None)
        if first is None:
            return
        total = count_targets(
            self._dataset, self._source, for_run=RunKey("claims-split", ref), limit=self._limit
        )
        images = image_source(ImageReader(self._dataset), options, choice)

        def rows_of(reply: Reply) -> Sequence[dict[str, Any]]:
            return self._read(reply, choice.label)

        def all_of() -> Iterator[ChatRequest]:
            yield first
            yield from requests

        with (
            open_backend(options, choice, images, logs=self._dataset.path / "logs") as backend,
            Progress("split", total, unit="answers") as progress,
        ):
            ask_into(
                self._writer, backend, all_of(), rows_of,
                ids_of=lambda key: (key.target_id, key.target_id), progress=progress, note_of=_note,
            )  # fmt: skip

    def _open(self) -> Iterator[Target]:
        frames = target_batches(
            self._dataset, self._source, for_run=self._writer.manifest.key, limit=self._limit
        )
        named = (frame.rename({"target_id": "response_id"}) for frame in frames)
        for frame, _ in unwritten(named, self._writer, "response_id", 1):
            yield from targets_of(frame.rename({"response_id": "target_id"}), self._writer)

    def _request(self, target: Target) -> ChatRequest:
        # Splitting is about words: no image, and no turn but the last question and its answer.
        turns = render(self._rubric, self._criterion, replace(target, image_ids=()))
        item = _ASKED if self._options.questions == "model" else _CLAIM
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
        facts = {
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
            return [row | facts | {"error": "unreadable"}]
        # The cost is the whole list's: told once.
        rows = self._rows(key.target_id, found, judge)
        return [rows[0] | facts, *rows[1:]]

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


def _note(rows: Sequence[dict[str, Any]]) -> str | None:
    return rows[-1]["text"] or None if rows else None
