"""`judge sheet`: a page on which human annotators score responses by the judge's own rubric."""

from __future__ import annotations

import base64
import hashlib
import heapq
import importlib.resources
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import xxhash

from judge.ask.targets import Source, choose_source, target_batches
from judge.rubric.rubric import Rubric, load_rubric
from judge.sheet.options import SheetOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, UsageError
from pairwright.text.conversation import plain_text, split_answer

if TYPE_CHECKING:
    from pathlib import Path

    from pairwright.webpage.parts import Thumbnails

_BUDGET = 200 << 20  # bytes of images on one page
_RUN = RunKey("sheet", "scores/sheet")


def sheet(dataset: Dataset, options: SheetOptions, run: RunOptions) -> Outcome:
    """Write a page that shows responses, takes scores and saves them as rows to ingest.

    The scores of a judge are not on it: an annotator must not know them.

    Raises:
        UsageError: If there is nothing to label, or the page exists.
    """
    rubric = load_rubric(options.rubric)
    source = choose_source(dataset, options)
    rows, without_answer = _sampled(dataset, source, options, run.limit)
    if not rows:
        msg = f"{dataset.path}: there is nothing to label"
        raise UsageError(msg)
    path = dataset.path / "reports" / "sheet" / (run.run or "sheet") / "sheet.html"
    summary = {"responses": len(rows), "without_answer": without_answer, "page": str(path)}
    what = (
        f"{len(rows):,} {source.kind}{'' if len(rows) == 1 else 's'} with the rubric {rubric.name}"
    )
    if run.dry_run:
        return Outcome(
            message=f"dry run, nothing written: {path} would show {what}", summary=summary
        )
    if path.exists() and not run.replace:
        msg = f"{path} exists: give another --run NAME, or --replace"
        raise UsageError(msg)
    _write(path, _render(dataset, rubric, source, rows, options))
    message = (
        f"{path}: {what}. Open it in a browser, score the responses, save labels.jsonl, then run "
        f"`curate ingest labels.jsonl -o {dataset.path} --as scores --source-name people`"
    )
    return Outcome(message=message, rows=len(rows), summary=summary)


def _sampled(
    dataset: Dataset, source: Source, options: SheetOptions, limit: int | None
) -> tuple[list[dict[str, Any]], int]:
    """A seeded sample of targets that depends on their ids only, and how many have no answer."""
    without = 0

    def numbered() -> Iterator[tuple[int, str, dict[str, Any]]]:
        nonlocal without
        for frame in target_batches(dataset, source, for_run=_RUN, limit=limit):
            for row in frame.iter_rows(named=True):
                try:
                    shown = _shown(row)
                except DataError:
                    without += 1
                    continue
                number = xxhash.xxh3_64_intdigest(row["target_id"].encode(), seed=options.seed)
                yield number, row["target_id"], shown

    sampled = heapq.nsmallest(options.n, numbered(), key=lambda one: one[:2])
    return [row for _, _, row in sampled], without


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    prompt, answer = row["messages"], row["text"]
    if answer is None:
        prompt, answer = split_answer(prompt)
    return {
        "id": row["target_id"],
        "image_ids": row["image_ids"],
        "turns": [(m["role"], plain_text(m["content"])) for m in prompt],
        "answer": answer,
        "criteria": row["criteria"],
        "reference": row["reference"],
    }


def _render(
    dataset: Dataset,
    rubric: Rubric,
    source: Source,
    rows: list[dict[str, Any]],
    options: SheetOptions,
) -> str:
    from pairwright.text.htmltext import json_island, plain
    from pairwright.webpage import style_sheet
    from pairwright.webpage.parts import Thumbnails
    from pairwright.webpage.thumbs import thumbnails

    ids = [image_id for row in rows for image_id in row["image_ids"]]
    shown = Thumbnails(*thumbnails(dataset, ids, side=options.side, budget=_BUDGET))
    script = _file("sheet.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = plain(f"{dataset.name}: {rubric.name}")
    cards = "".join(_card(number, row, rubric, shown) for number, row in enumerate(rows))
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv=Content-Security-Policy content="{policy}">'
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        '<meta name=color-scheme content="light dark"><meta name=referrer content=no-referrer>'
        f'<link rel=icon href="data:,"><title>{escape(title)}</title>'
        f"<style>{style_sheet()}{_file('sheet.css')}</style></head><body class=sheet>"
        f"<header class=bar><strong class=brand>{escape(title)}</strong>"
        "<label class=who>Your name <input id=who autocomplete=off spellcheck=false></label>"
        "<span id=done role=status></span><button type=button id=save>Save labels.jsonl</button>"
        f"</header><main id=main>{_how(rubric)}{cards}"
        "<nav class=steps aria-label=Responses><button type=button id=back>Back</button>"
        "<span id=place></span><button type=button id=next>Next</button></nav></main>"
        f"<script type=application/json id=sheet>{json_island(_content(rubric, source, rows))}</script>"
        f"<script>{script}</script></body></html>"
    )


def _content(rubric: Rubric, source: Source, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the script of the page needs."""
    criteria = [
        {
            "name": criterion.name,
            "labels": [
                [spelling.split("|")[0], value]
                for spelling, value in rubric.labels_of(criterion).items()
            ],
        }
        for criterion in rubric.criteria
    ]
    return {
        "key": stable_id("sheet", rubric.hash, *(row["id"] for row in rows)),
        "id_field": f"{source.kind}_id",
        "rubric": rubric.name,
        "ids": [row["id"] for row in rows],
        "criteria": criteria,
    }


def _how(rubric: Rubric) -> str:
    """The instructions of the rubric, for annotators."""
    from pairwright.text.htmltext import visible

    instructions = rubric.preamble.strip() or rubric.about
    return (
        f"<details class=how><summary>Instructions</summary><p class=pre>{visible(instructions)}</p>"
        "<p>Keys: a number answers the open question, left and right go to the previous and next "
        "response. Your scores stay in this browser until you save them.</p></details>"
    )


def _card(number: int, row: dict[str, Any], rubric: Rubric, thumbnails: Thumbnails) -> str:
    from pairwright.text.htmltext import visible
    from pairwright.webpage.render import images_html

    sample = {"image_ids": row["image_ids"], "source_id": str(number + 1)}
    shown = "".join(
        f"<dt>{escape(role)}</dt><dd><bdi dir=auto>{visible(text)}</bdi></dd>"
        for role, text in row["turns"]
    )
    for name in ("criteria", "reference"):
        if row[name]:
            shown += f"<dt>{name}</dt><dd><bdi dir=auto>{visible(row[name])}</bdi></dd>"
    asked = "".join(_question(number, place, rubric) for place in range(len(rubric.criteria)))
    return (
        f"<article class=item data-n={number} hidden>{images_html(thumbnails.of(sample))}<div class=said><dl>{shown}"
        f"<dt>response to score</dt><dd class=answer><bdi dir=auto>{visible(row['answer'])}</bdi></dd>"
        f"</dl>{asked}</div></article>"
    )


def _question(number: int, place: int, rubric: Rubric) -> str:
    from pairwright.text.htmltext import visible

    criterion = rubric.criteria[place]
    levels = dict(rubric.levels_of(criterion))
    choices = []
    for spelling in rubric.labels_of(criterion):
        label = spelling.split("|")[0]
        means = levels.get(spelling, levels.get(label, ""))
        choices.append((label, escape(label), f"<small>{visible(means)}</small>" if means else ""))
    choices.append(("", "cannot tell", ""))
    buttons = "".join(
        f'<label><input type=radio name="q{number}-{place}" value="{escape(label)}">'
        f"<span>{shown}{means}</span></label>"
        for label, shown, means in choices
    )
    return (
        f"<fieldset data-place={place}><legend>{visible(criterion.name)} "
        f"<small>{visible(criterion.description)}</small></legend>{buttons}</fieldset>"
    )


def _file(name: str) -> str:
    return importlib.resources.files("judge.sheet").joinpath(name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
