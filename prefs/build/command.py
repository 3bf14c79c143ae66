"""`prefs build`: preference pairs, by one of the methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairwright.commands.choices import own_options
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter
from prefs.build.assemble import assemble, policy_of
from prefs.build.options import BuildOptions, config_of, method_of, resolved
from prefs.build.report import describe
from prefs.build.tables import find_runs, read
from prefs.methods.base import Inputs, InvalidRow, Method
from prefs.methods.pairing.controls import control_picks
from prefs.methods.pairing.limits import length_statistics, limited
from prefs.methods.pairing.picks import candidates_of

if TYPE_CHECKING:
    import polars as pl

_SLICE_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Pairs, rows that could not be used, and numbers for the summary."""

    pairs: pl.DataFrame
    invalid: list[InvalidRow]
    summary: dict[str, Any]


def build(dataset: Dataset, options: BuildOptions, run: RunOptions) -> Outcome:
    """Make a run of pairs.

    Raises:
        UsageError: If a table that the method needs is missing; the message names the command that
            makes it.
    """
    options = resolved(options)
    method = method_of(options)
    runs = find_runs(dataset, method, options)
    name = run.run or "-".join(filter(None, (method.name, options.control)))

    def open_writer() -> RunWriter:
        return dataset.write(
            "pairs",
            name,
            step="build-control" if options.control else "build",
            config={**config_of(options), "limit": run.limit},
            inputs=[*runs.values(), *dataset.sample_inputs()],
            replace=run.replace,
            resumable=False,
        )

    old = dataset.manifest("pairs", name)
    if old is not None and old.is_complete and not run.replace and not run.dry_run:
        with open_writer() as finished:
            return _outcome(method, finished.manifest, finished.n_rejects, "nothing to do; ")
    built = make_pairs(method, options, read(dataset, runs, run.limit))
    if run.dry_run:
        text = describe(built.pairs.height, built.summary, method.remedies)
        return Outcome(message=f"dry run, nothing written: {text}", summary=built.summary)
    with open_writer() as out:
        for row in built.invalid:
            out.reject(*row)
        for rows in built.pairs.iter_slices(_SLICE_ROWS):
            out.add(rows)
        out.summary.update(built.summary)
    return _outcome(method, out.manifest, out.n_rejects, "")


def make_pairs(method: Method, options: BuildOptions, inputs: Inputs) -> Built:
    """Everything but the reading and the writing.

    Args:
        method: The method.
        options: Resolved options.
        inputs: The tables.
    """
    made = method.pair(inputs, own_options(options, method))
    picks, counts = limited(made, options)
    summary = dict(made.summary)
    if options.control is not None:
        pool = candidates_of(picks) if made.pool is None else made.pool
        controls = control_picks(picks, pool, options.control, options.seed)
        summary["control_missing"] = picks.height - controls.height
        picks = controls
    pairs, invalid = assemble(
        picks, made.candidates, made.prompt_from, method=method.name, control=options.control
    )
    summary |= {
        "prompts": pairs["sample_id"].n_unique(),
        "lengths": length_statistics(pairs),
        "not_paired": {reason: n for reason, n in sorted(counts.items()) if n},
        "policy": policy_of(pairs, made.candidates),
        "from": [one.ref for one in inputs.runs.values()],
    }
    return Built(pairs=pairs, invalid=[*made.invalid, *invalid], summary=summary)


def _outcome(method: Method, manifest: Manifest, n_rejects: int, prefix: str) -> Outcome:
    text = describe(manifest.rows, manifest.summary, method.remedies)
    return Outcome(
        message=f"{prefix}{manifest.ref}: {text}",
        table=manifest.ref,
        rows=manifest.rows,
        rejects=n_rejects,
        summary=manifest.summary,
    )
