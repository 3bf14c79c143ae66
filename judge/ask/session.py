"""A judge and the run that its replies fill: what every command that asks a judge begins with."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from judge.ask.targets import max_images
from pairwright.commands.command import Outcome
from pairwright.commands.options import current_config
from pairwright.commands.progress import Progress
from pairwright.vlm.asking import ask_into
from pairwright.vlm.backend import ModelChoice, image_source, open_backend
from pairwright.vlm.types import Backend, ChatRequest, Reply

if TYPE_CHECKING:
    from pairwright.commands.options import RunOptions
    from pairwright.dataset.manifest import Manifest, RunKey
    from pairwright.dataset.store import Dataset
    from pairwright.dataset.writer import RunWriter
    from pairwright.vlm.options import ModelOptions

# A killed command loses at most the replies of so many seconds.
PART_SECONDS = 5.0

Rows = Sequence[dict[str, Any]]


def open_run(
    dataset: Dataset,
    key: RunKey,
    *,
    options: type[Any],
    config: dict[str, Any],
    inputs: Sequence[Manifest | None],
    choice: ModelChoice | None,
    run: RunOptions,
    more_fingerprints: dict[str, str] | None = None,
) -> RunWriter:
    """The writer of a run that a judge fills.

    Replies become durable within seconds. Requests that the server did not answer are sent again
    by the next run.

    Args:
        dataset: The dataset.
        key: The run.
        options: Class of the options of the command; it knows their older names.
        config: What decides whether an existing run is the same one.
        inputs: Runs that are read, besides the samples; `None` is left out.
        choice: The judge, if a model is asked.
        run: Options of every command.
        more_fingerprints: Hashes of further files that shape the rows.
    """
    kind, _, name = key.ref.partition("/")
    return dataset.write(
        kind,
        name,
        step=key.step,
        config=config | {"limit": run.limit},
        inputs=[*dataset.sample_inputs(for_run=key), *filter(None, inputs)],
        fingerprints=(choice.fingerprints() if choice else {}) | (more_fingerprints or {}),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=PART_SECONDS,
        current_config=partial(current_config, options),
    )


def outcome_of(
    writer: RunWriter,
    text: str,
    *,
    done: bool,
    summary: dict[str, Any],
    gate_failed: str | None = None,
) -> Outcome:
    """What a command reports at its end.

    Args:
        writer: Of the run.
        text: What the run found.
        done: Whether the run was finished before, so that nothing was asked.
        summary: Metrics of the run.
        gate_failed: Why the command fails in the end, if it does.
    """
    ref = writer.manifest.ref
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {text}",
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=summary,
        gate_failed=gate_failed,
    )


@dataclass(frozen=True, slots=True)
class OpenJudge:
    """A judge that can be asked.

    Attributes:
        writer: Takes the rows.
        backend: Answers requests.
        progress: Advances by one for each request.
    """

    writer: RunWriter
    backend: Backend
    progress: Progress

    def ask(
        self,
        requests: Iterable[ChatRequest],
        rows_of: Callable[[Reply], Rows],
        *,
        ids_of: Callable[[Any], tuple[str, str]],
        note_of: Callable[[Rows], str | None] = lambda _rows: None,
        on_failure: Callable[[Reply], object] = lambda _reply: None,
    ) -> None:
        """Have the judge answer requests and write the rows; see `ask_into`."""
        ask_into(
            self.writer,
            self.backend,
            requests,
            rows_of,
            ids_of=ids_of,
            progress=self.progress,
            note_of=note_of,
            on_failure=on_failure,
        )


class Session:
    """One judge, and the run that its replies fill.

    Attributes:
        dataset: Of the run.
        writer: Of the run.
        choice: The judge.
        limit: Maximum number of rows to judge.
        reader: Reads the images.
    """

    def __init__(
        self,
        dataset: Dataset,
        writer: RunWriter,
        options: ModelOptions,
        choice: ModelChoice,
        limit: int | None,
    ) -> None:
        """Name the parts; the model is started or reached by `open`."""
        from pairwright.images import ImageReader

        self.dataset, self.writer, self.choice, self.limit = dataset, writer, choice, limit
        self._options = options
        self.reader = ImageReader(dataset, cached_groups=2)  # a batch is in the images' order

    @property
    def key(self) -> RunKey:
        """Which run is made."""
        return self.writer.manifest.key

    @contextlib.contextmanager
    def open(
        self, title: str, *, total: int | None = None, unit: str, images: bool = True
    ) -> Iterator[OpenJudge]:
        """Start or reach the judge, for the length of a block.

        Args:
            title: Of the progress bar.
            total: Number of requests, if known.
            unit: What the progress bar counts.
            images: Whether prompts show the samples' images.

        Raises:
            ServerError: If a server cannot be started or reached.
        """
        source = image_source(self.reader, self._options, self.choice)
        with (
            open_backend(
                self._options, self.choice, source, logs=self.dataset.path / "logs",
                max_images=max_images(self.dataset, for_run=self.key) if images else 1,
            ) as backend,
            Progress(title, total, unit=unit) as progress,
        ):  # fmt: skip
            yield OpenJudge(self.writer, backend, progress)


def peek(requests: Iterator[Any]) -> Iterator[Any] | None:
    """The same requests, or `None` if there are none: then no model needs to be started."""
    for first in requests:
        return itertools.chain([first], requests)
    return None
