"""`train eval`: how often a model is right, with intervals that resample images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import Progress
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter
from pairwright.errors import DataError, UsageError
from pairwright.images import ImageError
from pairwright.models import PolicyRef, model_fingerprint, resolve_policy
from pairwright.stats import Interval, bootstrap_mean
from pairwright.text.conversation import Message, prompt_of, split_answer
from train.batch.encode import Encoder, RowError, Tokens
from train.batch.images import ImageBank
from train.batch.rows import Row, pair_rows, pick_pairs
from train.options import EvalOptions

if TYPE_CHECKING:
    from train.evaluate.answers import Reader

_PROBES = 8
_END_MARKS = ".!?,;:"


@dataclass(frozen=True, slots=True)
class Item:
    """One question, or one pair, to evaluate on.

    Attributes:
        row: Id, images, and the prompt or the two answered conversations.
        reference: The right answer; for pairs none.
    """

    row: Row
    reference: str | None

    @property
    def group(self) -> str:
        """What the intervals resample: the image, or the row where there is none."""
        return "+".join(self.row.image_ids) or self.row.row_id


def run_eval(dataset: Dataset, options: EvalOptions, run: RunOptions) -> Outcome:
    """Evaluate a model and write one row an item.

    All samples of the split count, whatever decisions say: an evaluation set is what it is.

    Raises:
        UsageError: If there is nothing to evaluate on, or the model means nothing.
    """
    policy = resolve_policy(dataset, options.model, options.adapter)
    items, inputs, skipped = _items(dataset, options, run.limit)
    name = run.run or "eval"
    if run.dry_run:
        return Outcome(
            message=f"would evaluate {options.model} on {len(items):,} items into predictions/{name}",
            summary={"dry_run": True, "n": len(items)},
        )
    fingerprints = {"model": model_fingerprint(policy.model)}
    if policy.adapter is not None:
        fingerprints["adapter"] = model_fingerprint(policy.adapter)
    writer = dataset.write(
        "predictions",
        name,
        step="eval",
        config={**as_config(options), "limit": run.limit},
        inputs=inputs,
        fingerprints=fingerprints,
        replace=run.replace,
    )
    with writer:
        if not writer.is_complete:
            done = writer.keys("item_id") | writer.rejected_ids()
            rest = [item for item in items if item.row.row_id not in done]
            if rest:
                _Evaluation(dataset, policy, options, writer).run(rest)
            writer.flush()
            writer.summary.update(_summary(writer, options, skipped))
            message = _message(name, writer)
        else:
            message = f"predictions/{name} is finished: nothing to do\n{_message(name, writer)}"
    return Outcome(
        message=message,
        table=f"predictions/{name}",
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )


def _items(
    dataset: Dataset, options: EvalOptions, limit: int | None
) -> tuple[list[Item], list[Manifest], int]:
    """Items, what they were read from, and how many samples had no right answer."""
    if options.task == "preference":
        pairs = pick_pairs(dataset, options.pairs)
        rows = pair_rows(dataset, pairs, ("chosen", "rejected"), limit)
        if not rows:
            msg = f"{pairs.ref}: holds no pairs"
            raise UsageError(msg)
        return [Item(row, None) for row in rows], [pairs], 0
    import polars as pl

    frame = dataset.union("samples")
    if options.split is not None:
        frame = frame.filter(pl.col("split") == options.split)
    columns = ["sample_id", "image_ids", "messages", "reference"]
    rows_in = frame.select(columns).collect().rows(named=True)
    items = [item for row in rows_in if (item := _item(row, options)) is not None]
    if not items:
        which = f"split {options.split!r}" if options.split else "samples"
        msg = f"{dataset.path}: no {which} with {'an answer' if options.reference_field == 'answer' else 'a reference'} to evaluate on"
        raise UsageError(msg)
    inputs = [m for m in dataset.runs("samples") if m.is_complete]
    return items[:limit], inputs, len(rows_in) - len(items)


def _item(row: dict[str, Any], options: EvalOptions) -> Item | None:
    messages: list[Message] = row["messages"]
    prompt, reference = prompt_of(messages), row["reference"]
    if options.reference_field == "answer":
        try:
            prompt, reference = split_answer(messages)
        except DataError:
            return None
    if not reference or not prompt:
        return None
    return Item(Row(row["sample_id"], tuple(row["image_ids"]), (prompt,)), reference)


class _Evaluation:
    """The loaded model at work on the items that are not done yet."""

    def __init__(
        self, dataset: Dataset, policy: PolicyRef, options: EvalOptions, writer: RunWriter
    ) -> None:
        self._dataset, self._policy = dataset, policy
        self._options, self._writer = options, writer

    def run(self, items: list[Item]) -> None:
        from train.evaluate.answers import Reader, batches
        from train.model.loading import load_for_reading, prepare_environment

        prepare_environment(*(["peft"] if self._policy.adapter else []))
        processor, model = load_for_reading(self._policy, self._options.precision)
        encoder = Encoder(processor, ImageBank(self._dataset, processor))
        encoded = self._encode(encoder, items)
        if not encoded:
            return
        first = next((t[0].image_ids for _, t in encoded if t[0].image_ids), ())
        reader = Reader(model, encoder, first)
        size = self._options.batch_size or reader.default_batch_size()
        lengths = [max(t.length for t in tokens) for _, tokens in encoded]
        with Progress("evaluating", len(encoded)) as progress:
            for numbers in batches(lengths, size):
                batch = [encoded[k] for k in numbers]
                self._writer.add(self._predict(reader, batch))
                progress.advance(len(batch))

    def _encode(self, encoder: Encoder, items: list[Item]) -> list[tuple[Item, tuple[Tokens, ...]]]:
        bad = encoder.bank.check({i for item in items for i in item.row.image_ids})
        usable = [i for i in items if not any(x in bad for x in i.row.image_ids)][:_PROBES]
        probes = []
        for item in usable:
            try:
                probes.append((self._segments(encoder, item)[0], item.row.image_ids))
            except RowError:
                continue
        encoder.verify(probes)
        out = []
        for item in items:
            try:
                for image_id in item.row.image_ids:
                    if image_id in bad:
                        raise bad[image_id]
                tokens = tuple(
                    encoder.encode(segments, item.row.image_ids)
                    for segments in self._segments(encoder, item)
                )
            except (RowError, ImageError) as error:
                stage = "image" if isinstance(error, ImageError) else "encode"
                self._writer.reject(item.row.row_id, stage, error.reason, error.detail)
            else:
                out.append((item, tokens))
        return out

    def _segments(self, encoder: Encoder, item: Item) -> list[Any]:
        if self._options.task == "exact-match":
            return [encoder.question(item.row.conversations[0])]
        return [encoder.answers(c, last_only=True) for c in item.row.conversations]

    def _predict(
        self, reader: Reader, batch: Sequence[tuple[Item, tuple[Tokens, ...]]]
    ) -> list[dict[str, Any]]:
        common = {
            "model": self._options.model,
            "adapter": None if self._options.adapter is None else str(self._options.adapter),
            "task": self._options.task,
        }
        if self._options.task == "exact-match":
            texts = reader.answers([t[0] for _, t in batch], self._options.generate_max_tokens)
            return [
                {
                    **common,
                    "item_id": item.row.row_id,
                    "image_group": item.group,
                    "text": text,
                    "reference": item.reference,
                    "correct": normalise(text) == normalise(item.reference or ""),
                }
                for (item, _), text in zip(batch, texts, strict=True)
            ]
        sums = [reader.logps([t[k] for _, t in batch]) for k in (0, 1)]
        margins = [
            (c / n_c - r / n_r) if self._options.per_token else c - r
            for (c, n_c), (r, n_r) in zip(*sums, strict=True)
        ]
        return [
            {
                **common,
                "item_id": item.row.row_id,
                "image_group": item.group,
                "correct": margin > 0,
                "margin": margin,
            }
            for (item, _), margin in zip(batch, margins, strict=True)
        ]


def normalise(text: str) -> str:
    """An answer without case, outer white space and final punctuation."""
    folded = re.sub(r"\s+", " ", text).strip().casefold()
    return folded.rstrip(_END_MARKS).rstrip() or folded


def _summary(writer: RunWriter, options: EvalOptions, skipped: int) -> dict[str, Any]:
    frame = writer.written()
    if frame is None or frame.is_empty():
        msg = f"none of the items could be evaluated; see rejects/eval/{writer.manifest.run}"
        raise DataError(msg)
    found = bootstrap_mean(
        frame["correct"].to_list(), frame["image_group"].to_list(), seed=options.seed
    )
    summary: dict[str, Any] = {
        "task": options.task,
        "model": options.model,
        "n": frame.height,
        "n_correct": int(frame["correct"].sum()),
        "n_groups": frame["image_group"].n_unique(),
        "n_without_answer": skipped,
        "accuracy": found.mean,
        "accuracy_low": found.low,
        "accuracy_high": found.high,
    }
    if options.task == "preference":
        return {**summary, "mean_margin": frame["margin"].mean()}
    return {**summary, **_yes_no(frame["text"].to_list(), frame["reference"].to_list())}


def _yes_no(texts: list[str], references: list[str]) -> dict[str, Any]:
    """How often a model says yes where yes or no is right: models that invent say it too often."""
    pairs = [(normalise(t), normalise(r)) for t, r in zip(texts, references, strict=True)]
    closed = [(t, r) for t, r in pairs if r in ("yes", "no")]
    if not closed:
        return {"n_yes_no": 0}
    said = Counter(t for t, _ in closed)
    right = sum(t == r for t, r in closed)
    return {
        "n_yes_no": len(closed),
        "share_yes": said["yes"] / len(closed),
        "share_yes_right": sum(r == "yes" for _, r in closed) / len(closed),
        "accuracy_yes_no": right / len(closed),
    }


def _message(name: str, writer: RunWriter) -> str:
    s = writer.summary
    found = Interval(s["accuracy"], s["accuracy_low"], s["accuracy_high"])
    what = "pairs put in order" if s["task"] == "preference" else "right"
    text = f"predictions/{name}: {found} of {s['n']:,} {what}, {s['n_groups']:,} images"
    if s.get("n_yes_no"):
        text += (
            f"\nyes/no questions: said yes to {100 * s['share_yes']:.1f} %, right to "
            f"{100 * s['share_yes_right']:.1f} % of {s['n_yes_no']:,}"
        )
    return text
