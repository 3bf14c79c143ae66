"""What we add to TRL's trainers, in subclasses and callbacks; nothing is patched."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pairwright.commands.progress import Progress, say
from pairwright.dataset.writer import RunWriter
from train.session.checkpoints import set_complete

CHOSEN_LOGRATIO = "chosen_logratio"
# Nats per response. Less than this is the noise of training, not a collapse.
_CLEAR_FALL = 0.5
_WINDOW = 8
# TRL counts tokens from zero again after a resume.
_NOT_METRICS = ("epoch", "total_flos", "num_tokens")


class TrainerHooks:
    """Overrides for SFTTrainer and DPOTrainer, mixed in before them."""

    vision: Any = None

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Replace image names by the features of the frozen vision tower, computed once an image."""
        parent: Any = super()
        prepared: dict[str, Any] = parent._prepare_inputs(inputs)
        image_ids = prepared.pop("image_ids", None)
        if image_ids:
            import torch

            me: Any = self
            with torch.no_grad(), me.accelerator.autocast():
                prepared.update(self.vision.see(image_ids))
        return prepared

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save the adapter that is trained only.

        TRL adds a frozen copy of it (`ref`) when an adapter is continued. With both in a checkpoint
        the trainer would restore the copy alone and train on from scratch.
        """
        from peft import PeftModel

        me: Any = self
        if isinstance(me.model, PeftModel):
            me.model.save_pretrained(output_dir, selected_adapters=["default"])
            return
        parent: Any = super()
        parent._save(output_dir, state_dict)

    def _send_telemetry(self) -> None:
        """Send nothing."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Checkpoints need none."""


class RunCallback:
    """Writes metrics, shows progress, decides when to save; mixed in before TrainerCallback."""

    def __init__(
        self,
        writer: RunWriter,
        progress: Progress,
        *,
        save_minutes: float,
        save_steps: int | None,
        beta: float | None,
    ) -> None:
        """Keep the run and its bar.

        Args:
            writer: The run.
            progress: Its bar.
            save_minutes: Minutes between checkpoints.
            save_steps: Steps between them instead.
            beta: DPO's; turns its rewards back into log-probability ratios.
        """
        self._writer, self._progress = writer, progress
        self._save_s, self._save_steps = 60 * save_minutes, save_steps
        self._saved_at = time.monotonic()
        known = writer.written(["step", "name"])
        self._known = set() if known is None else set(known.iter_rows())
        self._beta = beta
        self.watch = ChosenWatch()
        self.last: dict[str, float] = {}
        self._shown = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the step; ask for a checkpoint when one is due."""
        self._progress.advance(state.global_step - self._shown)
        self._shown = state.global_step
        late = time.monotonic() - self._saved_at > self._save_s
        if state.global_step < state.max_steps:
            due = late if self._save_steps is None else state.global_step % self._save_steps == 0
            control.should_save = control.should_save or due

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Make the metrics so far durable, then record that the checkpoint is complete."""
        self._saved_at = time.monotonic()
        self._writer.flush()
        set_complete(Path(args.output_dir), state.global_step)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Keep the metrics."""
        values = {
            k: float(v)
            for k, v in (logs or {}).items()
            if isinstance(v, int | float) and k not in _NOT_METRICS
        }
        if "train_runtime" in values:
            return  # the closing totals, which count from the last resume only
        if self._beta is not None and "rewards/chosen" in values:
            values[CHOSEN_LOGRATIO] = values["rewards/chosen"] / self._beta
            self.watch.add(values[CHOSEN_LOGRATIO])
        self.last = values
        self._progress.advance(0, note=f"loss {values.get('loss', math.nan):.4f}")
        self._writer.add(
            {"step": state.global_step, "name": name, "value": value}
            for name, value in values.items()
            if (state.global_step, name) not in self._known
        )


class ChosenWatch:
    """Watches the chosen responses' log-probability against the reference.

    Margin and reward accuracy can rise while both responses lose probability and the model
    collapses; this number shows it.
    """

    def __init__(self) -> None:
        """Start without values."""
        self._recent: deque[float] = deque(maxlen=_WINDOW)
        self._warned = False

    def add(self, value: float) -> None:
        """Take one logged mean; warn once when the mean has clearly fallen."""
        self._recent.append(value)
        if not self._warned and len(self._recent) == _WINDOW and _clearly_below(self._recent):
            self._warned = True
            say(
                f"warning: the chosen responses are losing probability (log-ratio to the reference "
                f"{statistics.fmean(self._recent):.2f} nats): the margin can grow while the model "
                "gets worse; keep the sft term (--loss sigmoid,sft), or lower --lr or raise --beta"
            )


def fallen(log_ratios: Sequence[float]) -> float | None:
    """By how many nats the chosen responses fell in a whole training, if they clearly did.

    Args:
        log_ratios: Logged means of their log-probability against the reference, in order.
    """
    tail = log_ratios[-max(2, len(log_ratios) // 4) :]
    return -statistics.fmean(tail) if _clearly_below(tail) else None


def _clearly_below(values: Iterable[float]) -> bool:
    numbers = list(values)
    if len(numbers) < 2:
        return False
    mean = statistics.fmean(numbers)
    error = statistics.stdev(numbers) / math.sqrt(len(numbers))
    return mean < -_CLEAR_FALL and mean < -2 * error


def mixed_in(base: type[Any], *hooks: type[Any]) -> type[Any]:
    """A subclass of a library's class with our hooks before it."""
    names = "".join(hook.__name__ for hook in hooks)
    return type(f"{names}{base.__name__}", (*hooks, base), {})
