"""From options to something that answers: a running server, one of our own, or a local model."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from pairwright.commands.options import as_config
from pairwright.commands.userconfig import user_config
from pairwright.errors import UsageError
from pairwright.models import ADAPTER_CONFIG, PolicyRef, model_fingerprint, resolve_policy
from pairwright.vlm.options import NOT_RECORDED, ModelOptions
from pairwright.vlm.prepare import ImageSource, ReadsImages, pixel_budget
from pairwright.vlm.servers.launch import KEY_VARIABLE
from pairwright.vlm.types import Backend

if TYPE_CHECKING:
    from pairwright.dataset.store import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model that was named, resolved.

    Attributes:
        label: Name in tables: as given, without the folders of this machine.
        source: Hub id or local folder of the base model.
        adapter: LoRA adapter folder, absolute.
        base_names: What a server may call the base model, best first.
        adapter_names: What a server may call the adapter, best first.
    """

    label: str
    source: str
    adapter: Path | None
    base_names: tuple[str, ...]
    adapter_names: tuple[str, ...]

    def fingerprints(self) -> dict[str, str]:
        """Hashes of what lies in local folders, so that a changed model does not pass as the same."""
        folders = {"model": self.source, "adapter": self.adapter}
        return {k: model_fingerprint(f) for k, f in folders.items() if f and Path(f).is_dir()}


def choose_model(options: ModelOptions, dataset: Dataset | None = None) -> ModelChoice:
    """Resolve the model and adapter that options name.

    Raises:
        UsageError: If the model can be nothing, or the adapter folder is none.
    """
    try:
        found = resolve_policy(dataset, options.model, options.adapter)
    except UsageError:
        has_server = options.base_url or options.model in user_config().endpoints
        if not has_server or options.model.startswith(("runs/", "run:", ".", "/", "~")):
            raise
        # A name that only the server has to understand.
        found = PolicyRef(model=options.model, adapter=_adapter_folder(options.adapter))
    is_folder = Path(found.model).is_dir()
    base = Path(found.model).name if is_folder else found.model
    adapter_names: tuple[str, ...] = ()
    if found.run is not None:
        label = f"runs/{found.run.run}"
    elif Path(options.model).exists():
        label = base
    else:
        label = options.model
    if found.adapter is not None:
        folder = options.adapter or found.adapter
        if found.run is None or options.adapter is not None:
            label = f"{label}+{folder.name}"
        # Folders of different adapters may have the same name: ours are distinguished by content.
        exact = f"{label}-{model_fingerprint(found.adapter)[:8]}"
        adapter_names = (exact, label, folder.name, found.adapter.name)
    return ModelChoice(
        label=label,
        source=found.model,
        adapter=found.adapter,
        base_names=tuple(dict.fromkeys((base, options.model, found.model))),
        adapter_names=tuple(dict.fromkeys(adapter_names)),
    )


def _adapter_folder(folder: Path | None) -> Path | None:
    if folder is not None and not (folder / ADAPTER_CONFIG).is_file():
        msg = f"--adapter {folder}: no adapter there (no {ADAPTER_CONFIG})"
        raise UsageError(msg)
    return folder.resolve() if folder is not None else None


def recorded(options: ModelOptions, choice: ModelChoice) -> dict[str, Any]:
    """What of the options belongs to a run's lineage: no address, no key."""
    config = {k: v for k, v in as_config(options).items() if k not in NOT_RECORDED}
    adapter = str(choice.adapter) if choice.adapter else None
    return config | {"model": choice.source, "adapter": adapter}


def image_source(reader: ReadsImages, options: ModelOptions, choice: ModelChoice) -> ImageSource:
    """Images as this model takes them."""
    return ImageSource(reader, pixel_budget(choice.source, options.max_pixels))


@contextlib.contextmanager
def open_backend(
    options: ModelOptions,
    choice: ModelChoice,
    images: ImageSource,
    *,
    logs: Path,
    max_images: int = 1,
) -> Iterator[Backend]:
    """Something that answers requests, for the length of a block.

    Args:
        options: How the model is reached.
        choice: The model.
        images: Where images come from.
        logs: Folder for the log of a server that has to be started.
        max_images: Max images in one prompt.

    Raises:
        ServerError: If a server cannot be started or reached.
    """
    if options.backend == "transformers":
        from pairwright.vlm.local import LocalBackend

        length = options.max_model_len
        yield LocalBackend(choice.source, images, adapter=choice.adapter, max_model_len=length)
        return
    from pairwright.vlm.http.client import HttpBackend
    from pairwright.vlm.servers.fleet import open_fleet
    from pairwright.vlm.servers.server import our_server

    urls = _known_urls(options)
    with contextlib.ExitStack() as stack:
        if not urls:
            servers = stack.enter_context(
                open_fleet(
                    options,
                    choice.source,
                    logs=logs,
                    names=choice.base_names[:1],
                    adapters={choice.adapter_names[0]: choice.adapter} if choice.adapter else {},
                    max_model_len=options.max_model_len,
                    max_images=max(1, max_images),
                    max_pixels=images.max_pixels,
                )
            )
            urls = tuple(server.base_url for server in servers)
        for url in urls:
            ours = our_server(url)
            if ours is not None and choice.adapter is not None:
                ours.load_adapter(choice.adapter_names[0], choice.adapter)
        yield HttpBackend(
            urls,
            choice.adapter_names or choice.base_names,
            images,
            api_key=api_key_for,
            concurrency=options.concurrency * len(urls),
            timeout_s=options.timeout,
            deadline_s=options.deadline,
            why_dead=_why_dead,
        )


def _known_urls(options: ModelOptions) -> tuple[str, ...]:
    """Addresses of running servers: those of the options, else of the user's configuration."""
    if options.base_url or options.names_a_place() is not None:
        return options.base_url
    known = user_config().endpoints.get(options.model)
    return (known,) if known is not None else ()


def api_key_for(base_url: str) -> str | None:
    """Key of a server: ours if we started it, else the environment's, else that of `judge serve`."""
    from pairwright.vlm.servers.server import our_server

    ours = our_server(base_url)
    if ours is not None:
        return ours.api_key
    if os.environ.get(KEY_VARIABLE):
        return os.environ[KEY_VARIABLE]
    try:
        saved = json.loads(key_file(base_url).read_text(encoding="utf-8"))
        return str(saved["api_key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def key_file(base_url: str) -> Path:
    """Where `judge serve` leaves its key for the same user's other commands."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME")
    folder = Path(base) if base else Path.home() / ".cache"
    name = xxhash.xxh3_64_hexdigest(base_url.rstrip("/").encode())
    return folder / "pairwright" / "servers" / f"{name}.json"


def _why_dead(base_url: str) -> str | None:
    from pairwright.vlm.servers.server import our_server

    ours = our_server(base_url)
    if ours is None or ours.is_alive():
        return None
    return f"vLLM ended; the end of {ours.log}:\n{ours.last_words()}\n"
