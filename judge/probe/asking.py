"""Asks for every score of a run of probes that is not written yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from judge.ask.scoring import score_columns
from judge.ask.session import Rows, Session, peek
from judge.ask.targets import Source, by_image, count_targets, target_batches, targets_of
from judge.probe.changes import changed, injections
from judge.probe.options import ProbeOptions
from judge.rubric.render import prompt_hash, render
from judge.rubric.rubric import Criterion, Rubric
from pairwright.vlm.asking import unwritten
from pairwright.vlm.types import ChatRequest, Reply

_ROWS = 2_000


class _Key(NamedTuple):
    target_id: str
    probe: str
    criterion: str
    prompt: str

    @property
    def id(self) -> str:
        """Name of the request."""
        return f"{self.target_id}/{self.probe}/{self.criterion}"


@dataclass(frozen=True, slots=True)
class Probing:
    """The probes of one run.

    Attributes:
        session: The judge and the run.
        rubric: What is asked.
        options: Of the command.
        source: What is judged.
    """

    session: Session
    rubric: Rubric
    options: ProbeOptions
    source: Source

    def ask(self, versions: int) -> None:
        """Ask for every score that is missing.

        Args:
            versions: Versions of a response, the unchanged one included.
        """
        session = self.session
        per_target = versions * len(self.rubric.criteria)
        requests = peek(self._requests(per_target))
        if requests is None:
            return
        targets = count_targets(
            session.dataset, self.source, for_run=session.key, limit=session.limit
        )
        total = max(0, per_target * targets - session.writer.n_rows)
        with session.open("probe", total=total, unit="scores") as judge:
            judge.ask(
                requests,
                lambda reply: [self._row(reply)],
                # A version that the judge cannot read does not make the response invalid.
                ids_of=lambda key: (key.id, key.id),
                note_of=_note,
            )

    def _requests(self, per_target: int) -> Iterator[ChatRequest]:
        session = self.session
        images = self._images()
        texts = injections()
        rejected = session.writer.rejected_ids()
        batches = target_batches(
            session.dataset, self.source, for_run=session.key, limit=session.limit, rows=_ROWS
        )
        for frame, written in unwritten(batches, session.writer, "target_id", per_target):
            for target in targets_of(by_image(frame, session.reader), session.writer):
                done = {key[:2] for key in written.get(target.target_id, set())}
                for criterion in self.rubric.criteria:
                    best = best_label(self.rubric, criterion)
                    versions = changed(
                        target, self.options.probes, texts, best, images, self.options.seed
                    )
                    for name, version in versions:
                        turns = render(self.rubric, criterion, version)
                        key = _Key(target.target_id, name, criterion.name, prompt_hash(turns))
                        if (name, criterion.name) in done or key.id in rejected:
                            continue
                        labels = tuple(self.rubric.labels_of(criterion))
                        yield ChatRequest(key=key, messages=turns, labels=labels)

    def _images(self) -> list[str]:
        """Images of current samples, from which other images are chosen."""
        import polars as pl

        if "other_image" not in self.options.probes:
            return []
        ids = self.session.dataset.current_samples(for_run=self.session.key).select(
            pl.col("image_ids").explode().drop_nulls().unique().sort()
        )
        return ids.collect(engine="streaming")["image_ids"].to_list()

    def _row(self, reply: Reply) -> dict[str, Any]:
        key: _Key = reply.key
        return score_columns(self.rubric, key.criterion, reply) | {
            "target_id": key.target_id,
            "probe": key.probe,
            "judge": self.session.choice.label,
            "target_kind": self.source.kind,
            "prompt_hash": key.prompt,
        }


def best_label(rubric: Rubric, criterion: Criterion) -> str:
    """The label with the highest value, in its first spelling."""
    labels = rubric.labels_of(criterion)
    return max(labels, key=lambda label: labels[label]).split("|")[0]


def _note(rows: Rows) -> str | None:
    if not rows or rows[-1]["score"] is None:
        return None
    return f"{rows[-1]['probe']}: {rows[-1]['score']:.2f}"
