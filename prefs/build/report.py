"""What `prefs build` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe(n_pairs: int, summary: dict[str, Any], remedies: Mapping[str, str]) -> str:
    """What a build made.

    Args:
        n_pairs: Number of pairs.
        summary: Of the run.
        remedies: What helps where there are no pairs, by the reason.
    """
    prompts = summary["prompts"]
    lines = [
        f"{n_pairs:,} {'pair' if n_pairs == 1 else 'pairs'} for {prompts:,} "
        f"{'prompt' if prompts == 1 else 'prompts'}, from {' and '.join(summary['from'])}"
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
        lines.append(f"min margin {summary['margin']:g} on scores from {low:g} to {high:g}")
    not_paired = summary["not_paired"]
    if not_paired:
        left = [f"{n:,} {why.replace('_', ' ')}" for why, n in not_paired.items()]
        lines.append("not paired: " + ", ".join(left))
    if summary.get("control_missing"):
        lines.append(f"{summary['control_missing']:,} pairs fewer than the method made")
    if not n_pairs:
        why = max(not_paired, key=lambda name: not_paired[name], default="")
        hint = f": {remedies[why]}" if why in remedies else ", by reason, above"
        lines.append(f"no pairs{hint}")
    else:
        lines.append("next: train on them with `train dpo`")
    return "\n  ".join(lines)
