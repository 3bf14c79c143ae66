"""`curate embed`: unit vectors of images, and of texts on request, by an open_clip model."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.embed.options import EmbedOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress, say
from pairwright.dataset.ids import text_id
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.images import ImageError, ImageReader
from pairwright.text.conversation import plain_text

if TYPE_CHECKING:
    import polars as pl

    from curate.clip.model import ClipModel
    from pairwright.dataset.writer import RunWriter

STEP = "embed"
STAGE = "embed"
# A killed run loses the rows after its last part: at most this many, or those of half a minute.
PART_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class _Items:
    """What to embed.

    Attributes:
        images: Ids of all images.
        texts: Distinct texts by id.
    """

    images: list[str]
    texts: dict[str, str]


def embed(dataset: Dataset, options: EmbedOptions, run: RunOptions) -> Outcome:
    """Embed each distinct image that has no vector yet.

    The run is named after the model and the fingerprint of its weights, so that vectors of
    different weights never mix. The same command after a further ingest adds the new images.

    Raises:
        Error: If the dataset has no images, or the model cannot be loaded.
    """
    from curate.clip.model import load_clip

    inputs = [one for one in dataset.runs("images") if one.is_complete]
    ids = dataset.union("images").select("image_id").collect()["image_id"].to_list()
    texts = _texts(dataset, run.limit) if options.text else {}
    items = _Items(ids[: run.limit], texts)
    if not items.images and not items.texts:
        msg = f"{dataset.path}: no images yet; read some with `curate ingest SRC -o {dataset.path}`"
        raise UsageError(msg)
    say(f"loading {options.model}")
    model = load_clip(options.model, options.pretrained, options.device)
    name = run.run or (f"{model.name}-text" if options.text else model.name)
    if run.dry_run:
        return Outcome(message=_dry_run(dataset, name, items))
    if options.text:
        inputs += dataset.sample_inputs()
    config = {"model": model.name, "text": options.text, "limit": run.limit}
    with dataset.write(
        "embeddings", name, step=STEP, config=config, inputs=inputs, replace=run.replace,
        grows=True, part_rows=PART_ROWS,
    ) as writer:  # fmt: skip
        if writer.is_complete:
            message = f"nothing to do: embeddings/{name} is finished ({writer.n_rows:,} rows)"
            return _outcome(writer, name, message)
        message = _embed_missing(dataset, model, items, writer, options)
    return _outcome(writer, name, f"embeddings/{name}: {message}")


def _embed_missing(
    dataset: Dataset, model: ClipModel, items: _Items, writer: RunWriter, options: EmbedOptions
) -> str:
    """Embed what the run does not contain yet; returns a line for the user."""
    done = writer.keys("item_id") | writer.rejected_ids()
    if done:
        say(f"resuming after {len(done):,} rows")
    missing = [image_id for image_id in items.images if image_id not in done]
    started, cpu = time.monotonic(), time.process_time()
    reader = ImageReader(dataset)
    _embed_images(model, reader, sorted(missing, key=reader.sort_key), writer, options)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    texts = {key: text for key, text in items.texts.items() if key not in done}
    _embed_texts(model, texts, writer, options)
    rate = len(missing) / seconds if seconds > 0 else 0.0
    writer.summary.update(
        images=len(items.images), texts=len(items.texts), images_embedded=len(missing),
        images_per_second=round(rate, 1), cpu_seconds=round(cpu, 1),
        dimension=_dimension(model), device=model.device,
    )  # fmt: skip
    return (
        f"{writer.n_rows:,} rows, {len(missing):,} images in {seconds:.1f} s "
        f"({rate:,.1f} images/s on {model.device}, {cpu:.1f} s of CPU), {writer.n_rejects:,} "
        "invalid\nnext: `curate dedup --image-match clip` or `curate select`"
    )


def _dry_run(dataset: Dataset, name: str, items: _Items) -> str:
    old = dataset.manifest("embeddings", name)
    found = None if old is None else dataset.scan(old).select("item_id").collect()["item_id"]
    done = set() if found is None else set(found.to_list())
    words = f" and {len(items.texts.keys() - done):,} texts" if items.texts else ""
    n_images = sum(image_id not in done for image_id in items.images)
    return f"dry run: would embed {n_images:,} images{words} into embeddings/{name}"


def _outcome(writer: RunWriter, name: str, message: str) -> Outcome:
    return Outcome(
        message=message,
        table=f"embeddings/{name}",
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )


def _dimension(model: ClipModel) -> int:
    return int(model.texts(["a"]).shape[1])


def _texts(dataset: Dataset, limit: int | None) -> dict[str, str]:
    """Distinct texts of current samples by id, without image placeholders."""
    frame = dataset.current_samples().select("messages")
    messages = (frame.head(limit) if limit else frame).collect()["messages"]
    contents = messages.explode().struct.field("content").drop_nulls().unique(maintain_order=True)
    plain = dict.fromkeys(plain_text(content) for content in contents)
    return {text_id(text): text for text in plain if text}


def _embed_images(
    model: ClipModel, reader: ImageReader, ids: list[str], writer: RunWriter, options: EmbedOptions
) -> None:
    with Progress("embedding images", len(ids), unit="images") as progress:
        for batch in _batches(_prepared(model, reader, ids, writer, options), options.batch_size):
            vectors = model.images([prepared for _, prepared in batch])
            writer.add(_rows([name for name, _ in batch], "image", model.name, vectors))
            progress.advance(len(batch))


def _prepared(
    model: ClipModel, reader: ImageReader, ids: list[str], writer: RunWriter, options: EmbedOptions
) -> Iterator[tuple[str, Any]]:
    """Yield prepared images in order; this thread reads files, other threads decode them ahead.

    Threads, not processes: Pillow decodes and resizes without the interpreter lock, so threads use
    no more CPU time per image, and each process takes seconds to import torch
    (`benchmarks/embed.py` measures both).
    """
    from curate.near.threads import n_threads

    workers = options.workers or n_threads()
    ahead = options.batch_size + 2 * workers
    running: deque[tuple[str, Future[Any]]] = deque()

    def collect() -> Iterator[tuple[str, Any]]:
        name, future = running.popleft()
        try:
            yield name, future.result()
        except ImageError as error:
            writer.reject(name, STAGE, error.reason, error.detail)

    with ThreadPoolExecutor(workers) as pool:
        for image_id in ids:
            try:
                content = reader.read(image_id)
            except ImageError as error:
                writer.reject(image_id, STAGE, error.reason, error.detail)
                continue
            running.append((image_id, pool.submit(model.preprocess.prepare, content)))
            if len(running) > ahead:
                yield from collect()
        while running:
            yield from collect()


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _embed_texts(
    model: ClipModel, texts: dict[str, str], writer: RunWriter, options: EmbedOptions
) -> None:
    with Progress("embedding texts", len(texts), unit="texts") as progress:
        for batch in _batches(texts.items(), options.batch_size):
            vectors = model.texts([text for _, text in batch])
            writer.add(_rows([name for name, _ in batch], "text", model.name, vectors))
            progress.advance(len(batch))


def _rows(names: list[str], kind: str, model: str, vectors: Any) -> pl.DataFrame:
    import polars as pl

    dtype = pl.Array(pl.Float16, vectors.shape[1])
    return pl.DataFrame({"item_id": names}).with_columns(
        pl.lit(kind).alias("kind"),
        pl.lit(model).alias("model"),
        pl.Series("vector", vectors).cast(dtype),
    )
