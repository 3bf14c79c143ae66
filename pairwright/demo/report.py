"""The demo's closing table, and the same with images as one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pairwright.dataset.manifest import write_bytes
from pairwright.webpage.render import render_template

_WORDS = {
    "exact_copy": "exact copies",
    "reencoded_copy": "re-encoded copies",
    "reworded_copy": "re-worded copies",
    "wrong_answer": "wrong answers",
    "yes_bias": "“no” turned into “yes”",
}
_BAR = 34  # height of a row of the diagram


def fault_rows(results: dict[str, Any]) -> list[tuple[str, int, int, str]]:
    """Rows of the table of faults: kind, planted, found, where."""
    rows = []
    for fault in results["faults"]:
        where = ", ".join(f"{step} {n:,}" for step, n in fault["by"].items() if n)
        rows.append((_WORDS[fault["kind"]], fault["planted"], fault["found"], where or "-"))
    return rows


def policy_rows(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of the table of policies: name, accuracy with interval, rate of yes."""
    return [
        (
            policy["name"],
            f"{100 * policy['accuracy']:.1f} % [{100 * policy['low']:.1f}, {100 * policy['high']:.1f}]",
            f"{100 * policy['yes_rate']:.1f} %",
        )
        for policy in results["policies"]
    ]


def print_table(results: dict[str, Any]) -> str:
    """The closing table as text."""
    faults, policies = fault_rows(results), policy_rows(results)
    judge, pairs = results["judge"], results["pairs"]
    lines = [
        f"rows in {results['rows_in']:,}   kept {results['rows_kept']:,}   "
        f"good rows {results['good']:,}, of which lost {results['good_lost']:,} "
        f"({100 * results['good_lost'] / max(1, results['good']):.1f} %)",
        "",
        f"{'fault':<26}{'planted':>9}{'found':>8}{'rate':>8}  found by",
    ]
    lines += [
        f"{kind:<26}{planted:>9,}{found:>8,}{100 * found / max(1, planted):>6.0f} %  {where}"
        for kind, planted, found, where in faults
    ]
    lines += [
        "",
        f"judge against the truth    accuracy {100 * judge['accuracy']:.1f} %, AUC {judge['auc']:.3f} "
        f"on {judge['n']:,} answers ({100 * judge['fraction_right']:.0f} % right)",
        f"preference pairs           {pairs['n']:,}; chosen right {100 * pairs['chosen_right']:.0f} %, "
        f"rejected right {100 * pairs['rejected_right']:.0f} %",
        "",
        f"{'policy, official test split':<44}{'accuracy [95 %]':<24}says yes",
    ]
    lines += [f"{name:<44}{accuracy:<24}{yes}" for name, accuracy, yes in policies]
    yes = results["test"]["yes_rate"]
    lines += [
        f"{'(the right answers)':<44}{'':<24}{100 * yes:.1f} %",
        f"test questions {results['test']['n']:,} on {results['test']['images']:,} images; "
        "intervals resample images",
    ]
    return "\n".join([*lines, "", *results["notes"]])


def write_report(
    path: Path, results: dict[str, Any], galleries: Sequence[tuple[str, str, list[dict[str, Any]]]]
) -> None:
    """Write the page.

    Args:
        path: Where to.
        results: As the demo's `results.json`.
        galleries: Title, explanation and cards; a card has `images` (PNG or JPEG bytes) and
            `lines`, pairs of a CSS class and text.
    """
    page = render_template(
        "pairwright.demo",
        "report.html.jinja",
        results=results,
        faults=fault_rows(results),
        policies=policy_rows(results),
        bars=_bars(results["policies"]),
        galleries=galleries,
    )
    write_bytes(path, page.encode())


def _bars(policies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The accuracies of the policies as bars with their intervals."""
    left, width = 300, 560
    return {
        "left": left,
        "bottom": _BAR * len(policies),
        "box": f"0 0 {left + width + 30} {_BAR * len(policies) + 26}",
        "ticks": [(percent, left + width * percent / 100) for percent in range(0, 101, 25)],
        "rows": [
            {
                "name": policy["name"],
                "y": _BAR * number,
                "width": width * policy["accuracy"],
                "low": left + width * policy["low"],
                "high": left + width * policy["high"],
                "color": "var(--ctl)" if policy["control"] else "var(--bar)",
            }
            for number, policy in enumerate(policies)
        ],
    }
