"""Running a model on items: encoding, batches, rows of the predictions table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairwright.commands.choices import own_options
from pairwright.commands.progress import Progress
from pairwright.images import ImageError
from train.batch.encode import Encoder, RowError
from train.batch.images import ImageBank
from train.evaluate.metrics.base import Encoded, Item

if TYPE_CHECKING:
    from pairwright.dataset.store import Dataset
    from pairwright.dataset.writer import RunWriter
    from pairwright.models import PolicyRef
    from train.evaluate.options import EvalOptions

_PROBES = 8


class Evaluation:
    """A model, a metric and the run that the predictions go to."""

    def __init__(
        self, dataset: Dataset, policy: PolicyRef, options: EvalOptions, writer: RunWriter
    ) -> None:
        """Keep them; nothing is loaded yet."""
        self._dataset, self._policy = dataset, policy
        self._options, self._writer = options, writer
        self._metric = options.metric

    def run(self, items: list[Item]) -> None:
        """Load the model and write one row per item; items that cannot be encoded are rejected."""
        from train.evaluate.model import EvaluatedModel, batches
        from train.model.loading import load_for_inference, prepare_environment

        prepare_environment(*(["peft"] if self._policy.adapter else []))
        processor, loaded = load_for_inference(self._policy, self._options.precision)
        encoder = Encoder(processor, ImageBank(self._dataset, processor))
        encoded = self._encode(encoder, items)
        if not encoded:
            return
        first = next((t.tokens[0].image_ids for t in encoded if t.tokens[0].image_ids), ())
        model = EvaluatedModel(loaded, encoder, first)
        size = self._options.batch_size or model.default_batch_size()
        lengths = [max(t.length for t in one.tokens) for one in encoded]
        own = own_options(self._options, self._metric)
        with Progress("evaluating", len(encoded)) as progress:
            for numbers in batches(lengths, size):
                batch = [encoded[k] for k in numbers]
                predicted = self._metric.predict(model, batch, own)
                self._writer.add(
                    self._row(one.item) | row for one, row in zip(batch, predicted, strict=True)
                )
                progress.advance(len(batch))

    def _row(self, item: Item) -> dict[str, Any]:
        adapter = self._options.adapter
        return {
            "item_id": item.row.row_id,
            "image_group": item.group,
            "model": self._options.model,
            "adapter": None if adapter is None else str(adapter),
            "task": self._metric.name,
        }

    def _encode(self, encoder: Encoder, items: list[Item]) -> list[Encoded]:
        bad = encoder.bank.check({i for item in items for i in item.row.image_ids})
        usable = [i for i in items if not any(x in bad for x in i.row.image_ids)][:_PROBES]
        probes = []
        for item in usable:
            try:
                probes.append((self._metric.segments(encoder, item)[0], item.row.image_ids))
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
                    for segments in self._metric.segments(encoder, item)
                )
            except (RowError, ImageError) as error:
                stage = "image" if isinstance(error, ImageError) else "encode"
                self._writer.reject(item.row.row_id, stage, error.reason, error.detail)
            else:
                out.append(Encoded(item, tokens))
        return out
