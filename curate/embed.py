"""`curate embed`: unit vectors of images (and texts) by an open_clip model."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.filter_options import EmbedOptions
from pairwright.command import Outcome
from pairwright.errors import MissingExtraError, UsageError
from pairwright.images import ImageError, ImageReader, open_image
from pairwright.options import RunOptions
from pairwright.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from pairwright.store import Dataset
    from pairwright.writer import RunWriter

_LOCAL = "local-dir:"


def embed(dataset: Dataset, options: EmbedOptions, run: RunOptions) -> Outcome:
    """Embed every image of the dataset once; images that cannot be opened become rejects.

    Raises:
        UsageError: If the model or its weights cannot be had.
        MissingExtraError: If open_clip is not installed.
    """
    images = dataset.union("images").select("image_id").collect()["image_id"].to_list()
    if run.limit is not None:
        images = images[: run.limit]
    if run.dry_run:
        return Outcome(message=f"dry run, nothing written: would embed {len(images):,} images")
    model = _load(options)
    name = run.run or model.name
    inputs = [m for m in dataset.runs("images") if m.is_complete]
    if options.text:
        inputs += [m for m in dataset.runs("samples") if m.is_complete]
    config = {
        "model": options.model, "pretrained": options.pretrained, "text": options.text,
        "weights": model.fingerprint, "limit": run.limit,
    }  # fmt: skip
    started = time.monotonic()
    with dataset.write(
        "embeddings", name, verb="embed", config=config, inputs=inputs, replace=run.replace,
        part_seconds=20.0,
    ) as writer:  # fmt: skip
        done, before = writer.is_complete, writer.n_rows
        if not done:
            written = writer.keys("item_id") | writer.rejected_ids()
            _images(dataset, model, [i for i in images if i not in written], options, writer)
            if options.text:
                _texts(dataset, model, written, options, writer)
            writer.summary.update(model=model.name, dimensions=model.size)
    seconds = time.monotonic() - started
    new = writer.n_rows - before
    rate = f" in {seconds:.0f} s, {new / max(seconds, 1e-9):,.0f} a second" if new else ""
    text = f"embeddings/{name}: {writer.n_rows:,} vectors of {model.size} numbers{rate}"
    return Outcome(
        message=f"nothing to do: {text}" if done else text,
        table=f"embeddings/{name}",
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )


class _Model:
    """An open_clip model and what belongs to it."""

    def __init__(self, model: Any, preprocess: Any, options: EmbedOptions) -> None:
        import torch

        self.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device).eval()
        self.preprocess = preprocess
        self.fingerprint = _fingerprint(model, preprocess)
        base = options.model.removeprefix(_LOCAL)
        base = Path(base).name if options.model.startswith(_LOCAL) else base
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", base).strip("-.") or "model"
        self.name = f"{slug[:60]}-{self.fingerprint[:8]}"
        self.options = options
        self.size = 0

    def images(self, tensors: Sequence[Any]) -> np.ndarray:
        """Unit vectors, [n, d] float16."""
        import torch

        with torch.inference_mode():
            batch = torch.stack(list(tensors)).to(self.device)
            return self._unit(self.model.encode_image(batch))

    def texts(self, texts: Sequence[str], tokenizer: Callable[[Sequence[str]], Any]) -> np.ndarray:
        """Unit vectors, [n, d] float16."""
        import torch

        with torch.inference_mode():
            return self._unit(self.model.encode_text(tokenizer(texts).to(self.device)))

    def _unit(self, vectors: Any) -> np.ndarray:
        vectors = vectors.float()
        vectors = vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        self.size = int(vectors.shape[1])
        out: np.ndarray = vectors.half().cpu().numpy()
        return out


def _fingerprint(model: Any, preprocess: Any) -> str:
    """Hash of the weights and of how images are prepared."""
    import xxhash

    digest = xxhash.xxh3_128(re.sub(r" at 0x[0-9a-f]+", "", str(preprocess)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return str(digest.hexdigest())


def _load(options: EmbedOptions) -> _Model:
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtraError("open_clip_torch", "clip") from error
    has_schema = options.model.startswith((_LOCAL, "hf-hub:"))
    if options.model.startswith(_LOCAL) and not Path(options.model[len(_LOCAL) :]).is_dir():
        msg = f"--model {options.model}: no such folder"
        raise UsageError(msg)
    if not has_schema and options.model not in open_clip.list_models():
        import difflib

        near = difflib.get_close_matches(options.model, open_clip.list_models(), n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        msg = f"--model {options.model}: open_clip has no such architecture{hint}"
        raise UsageError(msg)
    if not has_schema and options.pretrained is None:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(options.model)[:6]) or "none"
        msg = (
            f"--model {options.model} needs weights: --pretrained TAG ({tags}) or a checkpoint file"
        )
        raise UsageError(msg)
    return _Model(*_create(open_clip, options, random=options.pretrained == "random"), options)


def _create(open_clip: Any, options: EmbedOptions, *, random: bool) -> tuple[Any, Any]:
    weights = None if random else options.pretrained
    try:
        with contextlib.redirect_stdout(None):
            model, _, preprocess = open_clip.create_model_and_transforms(
                options.model, pretrained=weights, load_weights=not random
            )
    except Exception as error:
        # open_clip and the hub raise nearly anything for weights that cannot be had.
        first = str(error).strip().splitlines() or [type(error).__name__]
        msg = f"--model {options.model}: its weights cannot be loaded ({first[0][:300]}); give a local folder (local-dir:FOLDER) or --pretrained FILE"
        raise UsageError(msg) from error
    return model, preprocess


def _images(
    dataset: Dataset, model: _Model, pending: list[str], options: EmbedOptions, writer: RunWriter
) -> None:
    if not pending:
        return
    reader = ImageReader(dataset)
    pending.sort(key=reader.sort_key)
    with Progress("embed", len(pending), unit="images") as progress:
        for batch in _prepared(reader, model, pending, options.batch_size, writer, progress):
            ids = [image_id for image_id, _ in batch]
            _add(writer, model, "image", ids, model.images([tensor for _, tensor in batch]))
            progress.advance(len(batch))


def _prepared(
    reader: ImageReader,
    model: _Model,
    pending: Sequence[str],
    size: int,
    writer: RunWriter,
    progress: Progress,
) -> Iterator[list[tuple[str, Any]]]:
    """Batches of preprocessed images; the next one is decoded while this one is embedded."""

    def prepare(content: bytes) -> Any:
        return model.preprocess(open_image(content))

    def submit(pool: ThreadPoolExecutor, ids: Sequence[str]) -> list[tuple[str, Any]]:
        jobs = []
        for image_id in ids:
            try:
                jobs.append((image_id, pool.submit(prepare, reader.read(image_id))))
            except ImageError as error:
                writer.reject(image_id, "image", error.reason, error.detail)
                progress.advance()
        return jobs

    def finish(jobs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        out = []
        for image_id, job in jobs:
            try:
                out.append((image_id, job.result()))
            except ImageError as error:
                writer.reject(image_id, "image", error.reason, error.detail)
                progress.advance()
        return out

    with ThreadPoolExecutor() as pool:
        waiting: list[tuple[str, Any]] | None = None
        for start in range(0, len(pending), size):
            jobs = submit(pool, pending[start : start + size])
            if waiting and (ready := finish(waiting)):
                yield ready
            waiting = jobs
        if waiting and (ready := finish(waiting)):
            yield ready


def _texts(
    dataset: Dataset, model: _Model, written: set[str], options: EmbedOptions, writer: RunWriter
) -> None:
    import open_clip
    import xxhash

    from pairwright.conversation import plain_text

    tokenizer = open_clip.get_tokenizer(options.model)
    texts: dict[str, str] = {}
    for messages in dataset.union("samples").select("messages").collect()["messages"].to_list():
        for message in messages:
            text = plain_text(message["content"])
            texts.setdefault(xxhash.xxh3_128_hexdigest(text.encode("utf-8", "replace")), text)
    ids = [i for i in texts if i not in written]
    with Progress("embed", len(ids), unit="texts") as progress:
        for start in range(0, len(ids), options.batch_size):
            batch = ids[start : start + options.batch_size]
            vectors = model.texts([texts[i] for i in batch], tokenizer)
            _add(writer, model, "text", batch, vectors)
            progress.advance(len(batch))


def _add(
    writer: RunWriter, model: _Model, kind: str, ids: Sequence[str], vectors: np.ndarray
) -> None:
    import polars as pl

    column = pl.Series("vector", vectors, dtype=pl.Array(pl.Float16, vectors.shape[1]))
    frame = pl.DataFrame({"item_id": ids}).with_columns(
        kind=pl.lit(kind), model=pl.lit(model.name), vector=column
    )
    writer.add(frame)
