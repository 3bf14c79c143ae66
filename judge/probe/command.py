"""`judge probe`: how easily a judge is swayed, by marks of answers that were tampered with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.ask.scoring import expected_value
from judge.ask.targets import (
    Source,
    by_image,
    choose_source,
    count_targets,
    most_images,
    target_batches,
    targets_of,
)
from judge.probe.options import ProbeOptions
from judge.probe.report import describe, movements, summarise
from judge.probe.tricks import injections, probe_names, tampered
from judge.rubric.render import prompt_hash, render
from judge.rubric.rubric import Criterion, Rubric, load_rubric
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import config_hash
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.vlm.asking import ask_into, unwritten
from pairwright.vlm.backend import ModelChoice, choose_model, image_source, open_backend, recorded
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader

_PART_SECONDS = 5.0
_NO_PART = ("max_flip_rate",)


class _Key(NamedTuple):
    target_id: str
    probe: str
    criterion: str
    prompt: str


def probe(dataset: Dataset, options: ProbeOptions, run: RunOptions) -> Outcome:
    """Mark answers as they are and tampered with; `probes/RUN` holds both, the report compares.

    Raises:
        UsageError: If there is nothing to judge.
        ServerError: If the judge cannot be started or is gone; what was marked is kept.
    """
    rubric = load_rubric(options.rubric)
    choice = choose_model(options, dataset)
    source = choose_source(dataset, options)
    name = run.run or ("probe" if source.kind == "sample" else "probe-responses")
    ref = f"probes/{name}"
    names = probe_names(options.probes, injections())
    if run.dry_run:
        answers = count_targets(dataset, source, for_run=RunKey("probe", ref), limit=run.limit)
        asked = answers * len(names) * len(rubric.criteria)
        message = f"dry run, nothing written: {ref} would hold {asked:,} marks of {answers:,} answers, each in {len(names)} versions"
        return Outcome(message=message, summary={"targets": answers, "requests": asked})
    inputs = dataset.sample_inputs(for_run=RunKey("probe", ref))
    with dataset.write(
        "probes",
        name,
        step="probe",
        config=_config(options, choice, rubric, source, run),
        inputs=[*inputs, source.responses] if source.responses else inputs,
        fingerprints=choice.fingerprints(),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            probing = _Probing(dataset, writer, rubric, choice, options, source, run.limit)
            probing.ask(len(names))
            writer.flush()
            writer.summary.update(_figures(dataset, writer, rubric, source, names))
    summary = writer.summary
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}\n  {describe(summary)}",
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=summary,
        gate_failed=_gate(summary, options.max_flip_rate),
    )


def _gate(summary: dict[str, Any], most: float | None) -> str | None:
    if most is None:
        return None
    found = summary["probes"]["inject"]
    if not found["marks"]:
        return "no injection has a mark: the share of changed verdicts is not known"
    rate = found["flip_rate"][0]
    if rate <= most:
        return None
    return f"injections change {100 * rate:.1f} % of the verdicts, --max-flip-rate allows {100 * most:g} %"


def _config(
    options: ProbeOptions, choice: ModelChoice, rubric: Rubric, source: Source, run: RunOptions
) -> dict[str, Any]:
    config = {k: v for k, v in recorded(options, choice).items() if k not in _NO_PART}
    return config | {
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        "rubric": rubric.name,
        "rubric_hash": rubric.hash,
        "injections": config_hash([[one.name, one.where, one.text] for one in injections()]),
        "limit": run.limit,
    }


def best_label(rubric: Rubric, criterion: Criterion) -> str:
    """The label worth most, in its first spelling."""
    labels = rubric.labels_of(criterion)
    return max(labels, key=lambda label: labels[label]).split("|")[0]


@dataclass(frozen=True, slots=True)
class _Probing:
    """The marks of one run that are not written yet."""

    dataset: Dataset
    writer: RunWriter
    rubric: Rubric
    choice: ModelChoice
    options: ProbeOptions
    source: Source
    limit: int | None

    def ask(self, versions: int) -> None:
        """Ask for each of them."""
        from pairwright.images import ImageReader

        ref = self.writer.manifest.ref
        reader = ImageReader(self.dataset)
        per_target = versions * len(self.rubric.criteria)
        requests = self._requests(reader, per_target)
        first = next(requests, None)
        if first is None:
            return
        total = per_target * count_targets(
            self.dataset, self.source, for_run=RunKey("probe", ref), limit=self.limit
        )
        images = image_source(reader, self.options, self.choice)
        with (
            open_backend(
                self.options, self.choice, images, logs=self.dataset.path / "logs",
                max_images=most_images(self.dataset, for_run=RunKey("probe", ref)),
            ) as backend,
            Progress("probe", max(0, total - self.writer.n_rows), unit="marks") as progress,
        ):  # fmt: skip
            ask_into(
                self.writer, backend, itertools.chain([first], requests),
                lambda reply: [self._row(reply)],
                # A version that cannot be asked about does not make the answer a rejected one.
                ids_of=lambda key: ("/".join(key[:3]), "/".join(key[:3])),
                progress=progress, note_of=_note,
            )  # fmt: skip

    def _requests(self, reader: ImageReader, per_target: int) -> Iterator[ChatRequest]:
        images = self._images()
        texts = injections()
        gone = self.writer.rejected_ids()
        batches = target_batches(
            self.dataset,
            self.source,
            for_run=self.writer.manifest.key,
            limit=self.limit,
            rows=2_000,
        )
        for frame, written in unwritten(batches, self.writer, "target_id", per_target):
            for target in targets_of(by_image(frame, reader), self.writer):
                done = {key[:2] for key in written.get(target.target_id, set())}
                for criterion in self.rubric.criteria:
                    best = best_label(self.rubric, criterion)
                    for name, one in tampered(
                        target, self.options.probes, texts, best, images, self.options.seed
                    ):
                        where = f"{target.target_id}/{name}/{criterion.name}"
                        if (name, criterion.name) in done or where in gone:
                            continue
                        turns = render(self.rubric, criterion, one)
                        yield ChatRequest(
                            key=_Key(target.target_id, name, criterion.name, prompt_hash(turns)),
                            messages=turns,
                            labels=tuple(self.rubric.labels_of(criterion)),
                        )

    def _images(self) -> list[str]:
        """Images of current samples, from which other images are drawn."""
        import polars as pl

        if "other_image" not in self.options.probes:
            return []
        ids = self.dataset.current_samples(for_run=self.writer.manifest.key).select(
            pl.col("image_ids").explode().drop_nulls().unique().sort()
        )
        return ids.collect(engine="streaming")["image_ids"].to_list()

    def _row(self, reply: Reply) -> dict[str, Any]:
        key: _Key = reply.key
        probs = reply.label_probs or {}
        labels = self.rubric.labels_of(self.rubric.named(key.criterion))
        mark, mass = expected_value(probs, labels)
        return {
            "target_id": key.target_id,
            "probe": key.probe,
            "criterion": key.criterion,
            "judge": self.choice.label,
            "target_kind": self.source.kind,
            "rubric": self.rubric.name,
            "score": mark,
            "label_probs": [{"label": label, "p": p} for label, p in probs.items()],
            "label_mass": mass,
            "read_from": reply.read_from,
            "text": reply.texts[0] if reply.texts else None,
            "rubric_hash": self.rubric.hash,
            "prompt_hash": key.prompt,
            "n_prompt_tokens": reply.usage.prompt_tokens,
            "n_tokens": reply.usage.completion_tokens,
            "latency_s": reply.latency_s,
            "error": "no_verdict" if mark is None else None,
        }


def _figures(
    dataset: Dataset, writer: RunWriter, rubric: Rubric, source: Source, names: list[str]
) -> dict[str, Any]:
    import polars as pl

    found = writer.scan()
    if found is None:
        return {"probes": {n: {"marks": 0} for n in [*names[1:], "inject"]}, "worst": []}
    image = pl.col("image_ids").list.first().alias("image")
    about = dataset.current_samples(for_run=writer.manifest.key).select("sample_id", image)
    if source.responses is not None:
        answers = dataset.scan(source.responses).select("response_id", "sample_id")
        images = answers.join(about, on="sample_id").select("image", target_id="response_id")
    else:
        images = about.rename({"sample_id": "target_id"})
    values = {
        c.name: {label.split("|")[0]: v for label, v in rubric.labels_of(c).items()}
        for c in rubric.criteria
    }
    columns = ["target_id", "criterion", "probe", "score", "label_probs"]
    rows = found.select(columns).sort("target_id", "criterion", "probe").collect()
    return summarise(movements(rows, images.collect(), values), names)


def _note(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows or rows[-1]["score"] is None:
        return None
    return f"{rows[-1]['probe']}: {rows[-1]['score']:.2f}"
