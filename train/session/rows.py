"""Rows of a training become token sequences; what cannot be used is rejected, nothing is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pairwright.commands.progress import Progress, say
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter
from pairwright.errors import DataError
from pairwright.images import ImageError
from pairwright.text.counts import counted
from train.batch.encode import Encoder, RowError, Tokens
from train.batch.images import ImageBank
from train.batch.rows import Row
from train.model.loading import context_length, load_processor

_PROBES = 8


def prepare_rows(
    dataset: Dataset,
    model: str,
    rows: Sequence[Row],
    writer: RunWriter,
    *,
    last_only: bool,
    max_length: int | None,
) -> tuple[Encoder, list[tuple[Tokens, ...]]]:
    """Encode every row; what cannot be used or is too long becomes a reject.

    Args:
        dataset: Where the images are.
        model: The base model, whose processor encodes.
        rows: The rows.
        writer: The run; gets rejects and numbers for its summary.
        last_only: Whether only the last answer of a conversation is learned.
        max_length: Max tokens per row, if there is a limit other than the model's own.

    Raises:
        DataError: If no row is left.
    """
    processor = load_processor(model)
    bank = ImageBank(dataset, processor)
    encoder = Encoder(processor, bank)
    bad = bank.check({image_id for row in rows for image_id in row.image_ids})
    limit = min(max_length or 1 << 62, context_length(model))
    _verify(encoder, rows, bad, last_only=last_only)
    good: list[tuple[Tokens, ...]] = []
    reasons: Counter[str] = Counter()
    with Progress("measuring lengths", len(rows)) as progress:
        for row in rows:
            progress.advance()
            try:
                good.append(_encode(encoder, row, bad, limit, last_only=last_only))
            except (RowError, ImageError) as error:
                stage = "image" if isinstance(error, ImageError) else "encode"
                writer.reject(row.row_id, stage, error.reason, error.detail)
                reasons[error.reason] += 1
    if not good:
        raise DataError(_nothing_left(len(rows), reasons, writer.manifest.step))
    if reasons["too_long"]:
        say(
            f"{counted(reasons['too_long'], 'row is', 'rows are')} longer than {limit:,} tokens and left out"
        )
    writer.summary.update(
        n_rows=len(good),
        n_too_long=reasons["too_long"],
        n_rejects=writer.n_rejects,
        longest=max(tokens.length for row in good for tokens in row),
    )
    return encoder, good


def _nothing_left(n_rows: int, reasons: Counter[str], step: str) -> str:
    found = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common())
    return f"none of {n_rows:,} rows can be trained on ({found or 'there are none'}); see rejects/{step}"


def _verify(
    encoder: Encoder, rows: Sequence[Row], bad: Mapping[str, ImageError], *, last_only: bool
) -> None:
    probes = []
    for row in rows[:_PROBES]:
        try:
            segments = encoder.answers(row.conversations[0], last_only=last_only)
            if not any(image_id in bad for image_id in row.image_ids):
                encoder.encode(segments, row.image_ids)
                probes.append((segments, row.image_ids))
        except (RowError, ImageError):
            continue
    encoder.verify(probes)


def _encode(
    encoder: Encoder, row: Row, bad: Mapping[str, ImageError], limit: int, *, last_only: bool
) -> tuple[Tokens, ...]:
    for image_id in row.image_ids:
        if image_id in bad:
            raise bad[image_id]
    if len({str(c[-1]["content"]) for c in row.conversations}) < len(row.conversations):
        raise RowError("identical_responses", "chosen and rejected are the same text")
    made = tuple(
        encoder.encode(encoder.answers(c, last_only=last_only), row.image_ids)
        for c in row.conversations
    )
    longest = max(tokens.length for tokens in made)
    if longest > limit:
        raise RowError("too_long", f"{longest} tokens, the limit is {limit}")
    return made
