"""`prefs build`: preference pairs of scored answers, corrections or comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.text.conversation import count_images
from prefs.build.inputs import Sources, find_sources
from prefs.build.options import BuildOptions
from prefs.build.recipes import RECIPES
from prefs.methods.base import Reject, length_statistics
from prefs.methods.controls import control_picks
from schemas.tables import Pairs

_SLICE_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Pairs, and what there is to tell about them."""

    pairs: pl.DataFrame
    rejects: list[Reject]
    summary: dict[str, Any]


def build(dataset: Dataset, options: BuildOptions, run: RunOptions) -> Outcome:
    """Make a run of pairs.

    Raises:
        UsageError: If what the method needs is not there; the message names the command that
            makes it.
    """
    options = options.resolved()
    sources = find_sources(dataset, options)
    control = options.control
    name = run.run or (f"{options.method}-{control}" if control else options.method)

    def writer() -> Any:
        return dataset.write(
            "pairs",
            name,
            step="build-control" if control else "build",
            config={**as_config(options), "limit": run.limit},
            inputs=[*sources.manifests(), *dataset.sample_inputs()],
            replace=run.replace,
            resumable=False,
        )

    old = dataset.manifest("pairs", name)
    if old is not None and old.is_complete and not run.replace and not run.dry_run:
        with writer() as finished:
            return _outcome(finished.manifest, finished.n_rejects, "nothing to do; ")
    built = make_pairs(dataset, options, sources, limit=run.limit)
    if run.dry_run:
        text = describe(built.pairs.height, built.summary)
        return Outcome(message=f"dry run, nothing written: {text}", summary=built.summary)
    with writer() as out:
        for reject in built.rejects:
            out.reject(*reject)
        for rows in built.pairs.iter_slices(_SLICE_ROWS):
            out.add(rows)
        out.summary.update(built.summary)
    return _outcome(out.manifest, out.n_rejects, "")


def make_pairs(
    dataset: Dataset, options: BuildOptions, sources: Sources, *, limit: int | None = None
) -> Built:
    """Everything but the writing.

    Args:
        dataset: The dataset.
        options: Resolved options.
        sources: What to read.
        limit: Take the first so many prompts.
    """
    made = RECIPES[options.method](dataset, options, sources, limit)
    picks, summary = made.picked.picks, dict(made.summary)
    if options.control is not None:
        picks = control_picks(picks, made.pool, options.control, options.seed)
        summary["control_missing"] = made.picked.picks.height - picks.height
    pairs, broken = assemble(
        picks, made.answers, made.anchor, method=options.method, control=options.control
    )
    policies = _policies(pairs, made.answers)
    summary |= {
        "prompts": pairs["sample_id"].n_unique(),
        "lengths": length_statistics(pairs),
        "not_paired": {k: v for k, v in sorted(made.picked.counts.items()) if v},
        "policy": policies[0] if len(policies) == 1 and policies[0]["model"] else None,
        "from": [m.ref for m in sources.manifests()],
    }
    return Built(pairs=pairs, rejects=made.picked.rejects + broken, summary=summary)


def assemble(
    picks: pl.DataFrame,
    answers: pl.DataFrame,
    anchor: str,
    *,
    method: str,
    control: str | None = None,
) -> tuple[pl.DataFrame, list[Reject]]:
    """Add prompt, images and policy to picks.

    Args:
        picks: What a method picked.
        answers: Candidates.
        anchor: Column of the picks that names the candidate whose prompt counts.
        method: Name of the method.
        control: Name of the control, if it is one.

    Returns:
        Rows of the pairs table, and picks whose prompt is broken.
    """
    prompts = answers.select("candidate_id", "sample_id", "prompt", "image_ids")
    joined = picks.join(prompts.rename({"candidate_id": anchor}), on=anchor, maintain_order="left")
    for side in ("chosen", "rejected"):
        who = answers.select(
            pl.col("candidate_id").alias(f"{side}_id"),
            pl.struct("model", "adapter").alias(f"_{side}_by"),
        )
        joined = joined.join(who, on=f"{side}_id", how="left", maintain_order="left")
    one = pl.coalesce("_chosen_by", "_rejected_by")
    same = (pl.coalesce("_rejected_by", "_chosen_by") == one).fill_null(value=False)
    joined = joined.with_columns(policy=pl.when(same).then(one.struct.field("model")))
    keys = joined.select("sample_id", "chosen", "rejected").iter_rows()
    ids = [stable_id(*key, method, control or "") for key in keys]
    joined = joined.with_columns(
        pl.Series("pair_id", ids, dtype=pl.String()),
        method=pl.lit(method),
        control=pl.lit(control, dtype=pl.String()),
    ).unique("pair_id", keep="first", maintain_order=True)
    marks = zip(joined["prompt"].to_list(), joined["image_ids"].to_list(), strict=True)
    whole = [count_images(prompt) == len(ids) for prompt, ids in marks]
    broken = joined.filter(pl.Series(whole, dtype=pl.Boolean).not_())
    rejects = [
        Reject(i, "prompt", "image_marks", f"as many `<image>` marks as images in sample {s}?")
        for i, s in broken.select("pair_id", "sample_id").iter_rows()
    ]
    wanted = [name for name in Pairs.columns() if name in joined.columns]
    return joined.filter(pl.Series(whole, dtype=pl.Boolean)).select(wanted), rejects


def _policies(pairs: pl.DataFrame, answers: pl.DataFrame) -> list[dict[str, str | None]]:
    """Models whose answers the pairs hold, with their adapters."""
    ids = pl.concat([pairs["chosen_id"], pairs["rejected_id"]]).unique()
    used = answers.filter(pl.col("candidate_id").is_in(ids.implode()))
    return used.select("model", "adapter").unique(maintain_order=True).to_dicts()


def _outcome(manifest: Manifest, n_rejects: int, prefix: str) -> Outcome:
    return Outcome(
        message=f"{prefix}{manifest.ref}: {describe(manifest.rows, manifest.summary)}",
        table=manifest.ref,
        rows=manifest.rows,
        rejects=n_rejects,
        summary=manifest.summary,
    )


def describe(n_pairs: int, summary: dict[str, Any]) -> str:
    """What a build made, for people."""
    lines = [
        f"{n_pairs:,} pairs for {summary['prompts']:,} prompts, from {' and '.join(summary['from'])}"
    ]
    lengths = summary["lengths"]
    if lengths:
        chosen, rejected = lengths["chosen_words"]["mean"], lengths["rejected_words"]["mean"]
        longer, shorter = 100 * lengths["chosen_longer"], 100 * lengths["chosen_shorter"]
        lines.append(
            f"words on average: chosen {chosen:g}, rejected {rejected:g}; "
            f"chosen longer in {longer:.0f} %, shorter in {shorter:.0f} %"
        )
    if summary.get("margin") is not None:
        low, high = summary["scale"]
        lines.append(f"margin {summary['margin']:g} on marks from {low:g} to {high:g}")
    if summary["not_paired"]:
        left = [f"{n:,} {why.replace('_', ' ')}" for why, n in summary["not_paired"].items()]
        lines.append("not paired: " + ", ".join(left))
    if summary.get("control_missing"):
        lines.append(f"{summary['control_missing']:,} pairs fewer than the method made")
    if not n_pairs:
        lines.append(_no_pairs(summary["not_paired"]))
    return "\n  ".join(lines)


def _no_pairs(not_paired: dict[str, int]) -> str:
    """What to do where nothing could be paired: depends on the commonest reason."""
    remedies = {
        "below_margin": "lower --margin",
        "ties": "draw more answers, or mark them by a finer rubric",
        "tie": "ask another judge, or `judge compare --no-ties`",
        "undecided": "ask another judge, or mark the answers with `judge score`",
        "order_flip": "ask another judge, or mark the answers with `judge score`",
        "duplicates": "draw more answers, at a higher temperature",
    }
    why = max(not_paired, key=lambda name: not_paired[name], default="")
    hint = f"; {remedies[why]}" if why in remedies else ""
    return f"no pairs: see what was not paired and why{hint}"
