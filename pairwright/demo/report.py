"""The demo's closing table, and the same with pictures as one HTML file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pairwright.dataset.manifest import write_bytes
from pairwright.text.htmltext import data_uri, visible

_WORDS = {
    "exact_copy": "exact copies",
    "reencoded_copy": "re-encoded copies",
    "reworded_double": "re-worded doubles",
    "wrong_answer": "wrong answers",
    "yes_bias": "“no” turned into “yes”",
}

_STYLE = """
:root{--ink:#1d2330;--soft:#5b6476;--line:#d9dde5;--page:#fff;--card:#f6f7f9;--bar:#3867d6;--ctl:#a5b1c2}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaf0;--soft:#a3abbb;--line:#353b48;--page:#15181f;
--card:#1d212b;--bar:#6d93f0;--ctl:#566076}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:60rem;
margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin-top:2.2rem}p.lead,td small,figcaption,.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;text-align:left;
border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.8rem}
.card{background:var(--card);border-radius:.5rem;padding:.7rem}.card img{width:96px;height:96px;
image-rendering:pixelated;border-radius:.3rem;margin-right:.3rem}.good{color:#2a8f4f}.bad{color:#c8413a}
.ctl{font:.7em monospace;border:1px solid;border-radius:3px;padding:0 .2em}
svg text{fill:var(--ink);font:13px system-ui,sans-serif}
"""


def fault_rows(results: dict[str, Any]) -> list[tuple[str, int, int, str]]:
    """Rows of the table of faults: kind, planted, found, where."""
    rows = []
    for fault in results["faults"]:
        where = ", ".join(f"{step} {n:,}" for step, n in fault["by"].items() if n)
        rows.append((_WORDS[fault["kind"]], fault["planted"], fault["found"], where or "-"))
    return rows


def policy_rows(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of the table of policies: name, accuracy with interval, share of yes."""
    return [
        (
            policy["name"],
            f"{100 * policy['accuracy']:.1f} % [{100 * policy['low']:.1f}, {100 * policy['high']:.1f}]",
            f"{100 * policy['yes_share']:.1f} %",
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
        f"{'fault':<26}{'planted':>9}{'found':>8}{'share':>8}  found by",
    ]
    lines += [
        f"{kind:<26}{planted:>9,}{found:>8,}{100 * found / max(1, planted):>6.0f} %  {where}"
        for kind, planted, found, where in faults
    ]
    lines += [
        "",
        f"judge against the truth    accuracy {100 * judge['accuracy']:.1f} %, AUC {judge['auc']:.3f} "
        f"on {judge['n']:,} answers ({100 * judge['share_right']:.0f} % right)",
        f"preference pairs           {pairs['n']:,}; chosen right {100 * pairs['chosen_right']:.0f} %, "
        f"rejected right {100 * pairs['rejected_right']:.0f} %",
        "",
        f"{'policy, official test split':<44}{'accuracy [95 %]':<24}says yes",
    ]
    lines += [f"{name:<44}{accuracy:<24}{yes}" for name, accuracy, yes in policies]
    yes = results["test"]["yes_share"]
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
    settings = results["settings"]
    body = [
        "<h1>pairwright demo</h1>",
        f"<p class=lead>easy-vqa, {settings['images']:,} training images with planted faults, "
        f"evaluated on {results['test']['n']:,} questions of the official test split that nothing "
        "was trained on.</p>",
        "<h2>Did the policy get better?</h2>",
        _bars(results),
        _table(
            ("policy", "accuracy [95 % interval]", "says yes"), policy_rows(results), numbers=()
        ),
        f"<p class=soft>“Says yes” is the share on yes/no questions; the right answers say yes in "
        f"{100 * results['test']['yes_share']:.1f} %. Intervals resample images, not questions.</p>",
        "<h2>What curation found</h2>",
        _table(("fault", "planted", "found", "found by"), fault_rows(results), numbers=(1, 2)),
        f"<p>{results['rows_in']:,} rows in, {results['rows_kept']:,} kept. Of {results['good']:,} good "
        f"rows {results['good_lost']:,} were lost.</p>",
        "<h2>The judge and the pairs</h2>",
        _judge_text(results),
    ]
    if results["notes"]:
        body += ["<h2>Read this too</h2>", *(f"<p>{html.escape(n)}</p>" for n in results["notes"])]
    for title, text, cards in galleries:
        body.append(f"<h2>{html.escape(title)}</h2><p class=soft>{html.escape(text)}</p>")
        body.append(f"<div class=grid>{''.join(map(_card, cards)) or 'None.'}</div>")
    body.append("<h2>Where the time went</h2>")
    seconds = [(name, f"{value:.0f} s") for name, value in results["seconds"].items()]
    body.append(_table(("step", "time"), seconds, numbers=(1,)))
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>pairwright demo</title>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style><body>{''.join(body)}</body></html>"
    )
    write_bytes(path, page.encode())


def _judge_text(results: dict[str, Any]) -> str:
    judge, pairs = results["judge"], results["pairs"]
    return (
        f"<p>On {judge['n']:,} training answers, {100 * judge['share_right']:.0f} % of them right, the "
        f"judge's mark agrees with the truth in {100 * judge['accuracy']:.1f} % "
        f"(area under the ROC curve {judge['auc']:.3f}). From the policy's own sampled answers it made "
        f"{pairs['n']:,} preference pairs; chosen is right in {100 * pairs['chosen_right']:.0f} %, "
        f"rejected in {100 * pairs['rejected_right']:.0f} %.</p>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, numbers: Sequence[int]) -> str:
    def cell(tag: str, column: int, value: Any) -> str:
        kind = " class=n" if column in numbers else ""
        text = f"{value:,}" if isinstance(value, int) else str(value)
        return f"<{tag}{kind}>{html.escape(text)}</{tag}>"

    top = "".join(cell("th", i, name) for i, name in enumerate(head))
    lines = ["".join(cell("td", i, v) for i, v in enumerate(row)) for row in rows]
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _bars(results: dict[str, Any]) -> str:
    policies = results["policies"]
    left, width, row = 300, 560, 34
    parts = []
    for mark in range(0, 101, 25):
        x = left + width * mark / 100
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="0" y2="{row * len(policies)}" stroke="var(--line)"/>'
            f'<text x="{x}" y="{row * len(policies) + 18}" text-anchor="middle">{mark} %</text>'
        )
    for number, policy in enumerate(policies):
        y = number * row
        colour = "var(--ctl)" if policy["control"] else "var(--bar)"
        low, high = (left + width * policy[k] for k in ("low", "high"))
        parts.append(
            f'<text x="{left - 10}" y="{y + 21}" text-anchor="end">{html.escape(policy["name"])}</text>'
            f'<rect x="{left}" y="{y + 7}" width="{width * policy["accuracy"]:.1f}" height="19" rx="3" '
            f'fill="{colour}"/><path d="M{low:.1f} {y + 16.5}H{high:.1f}M{low:.1f} {y + 11}v11'
            f'M{high:.1f} {y + 11}v11" stroke="var(--ink)" stroke-width="1.5"/>'
        )
    size = f"0 0 {left + width + 30} {row * len(policies) + 26}"
    return f'<svg viewBox="{size}" role="img" aria-label="accuracy of the policies">{"".join(parts)}</svg>'


def _card(card: dict[str, Any]) -> str:
    images = "".join(f'<img alt="" src="{data_uri(image)}">' for image in card["images"])
    lines = "".join(
        f'<div class="{html.escape(kind)}">{visible(text)}</div>' for kind, text in card["lines"]
    )
    return f"<div class=card>{images}{lines}</div>"
