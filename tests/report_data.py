"""A small dataset for tests of the report: duplicates, conflicts, hostile text, invalid rows."""

import json
from pathlib import Path
from typing import Any

from tiny_dataset import picture, sample, write_dataset

from curate.dedup.command import dedup
from curate.dedup.options import DedupOptions
from curate.report.command import report
from curate.report.options import ReportOptions
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset

EVIL = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "left \u202eright\u202c \u200b end",
    "<!-- <script>",
    "&lt;b&gt; \x1b[31m",
)
LONG = (
    "a small dog runs over the wet grass of a park while two children watch it from a wooden bench "
    "and their mother reads a newspaper under an old tree that has lost most of its leaves"
)


def build(path: Path) -> Dataset:
    """24 samples on 6 images: plain ones, duplicates, near ones, conflicting answers, hostile text."""
    images = [picture(n) for n in range(6)]
    rows = [
        sample(f"{n}-{q}", [image], f"<image>\nquestion {q} about it?", f"answer {n} {q}")
        for n, image in enumerate(images)
        for q in range(2)
    ]
    rows += [
        sample("duplicate", [images[0]], "<image>\nquestion 0 about it?", "answer 0 0"),
        sample("other", [images[1]], "<image>\nquestion 0 about it?", "nothing of the kind"),
        sample("long", [images[2]], "<image>\ndescribe it", LONG),
        sample(
            "longer", [images[2]], "<image>\ndescribe it", LONG.replace("reads", "quietly reads")
        ),
        sample("none", [], "what is two and two?", "four"),
    ]
    rows += [sample(f"<b>{n}", [images[3]], f"{e} <image>", e) for n, e in enumerate(EVIL)]
    rows.append(sample("evil-duplicate", [images[3]], f"{EVIL[0]} <image>", EVIL[0] + "."))
    for number, row in enumerate(rows):
        row |= {"source": "<i>a" if number % 2 else "b", "license": "mit" if number % 3 else None}
    dataset = write_dataset(path, images, rows)
    with dataset.write("samples", "late", step="ingest", config={}) as writer:
        writer.reject("late:1", "image", "broken_image", "<script>alert(2)</script>")
        writer.reject("late:2", "image", "broken_image", "no pixels")
    return dataset


def curated(dataset: Dataset) -> Dataset:
    """With a dedup, scores and a filter that drops every third current row."""
    dedup(dataset, DedupOptions(), RunOptions())
    ids = dataset.current_samples().collect()["sample_id"].to_list()
    with dataset.write("scores", "score", step="score", config={}) as writer:
        writer.add(
            {"target_id": i, "rubric": "r", "criterion": "accuracy", "judge": "j", "repeat": 0,
             "target_kind": "sample", "score": 1.0 + n % 3, "label_mass": 1.0, "rubric_hash": "x",
             "prompt_hash": "y"}
            for n, i in enumerate(ids)
        )  # fmt: skip
    inputs = dataset.sample_inputs(for_run=RunKey("filter", "decisions/filter"))
    settings: dict[str, Any] = {"step": "filter", "config": {"min_score": 1.5}, "inputs": inputs}
    with dataset.write("decisions", "filter", rejects=False, **settings) as writer:
        writer.add(
            {"sample_id": i, "run": "filter", "kept": n % 3 != 0, "method": "score:mean",
             "reason": "kept" if n % 3 else "score", "similarity": 1.0 + n % 3}
            for n, i in enumerate(ids)
        )  # fmt: skip
    return dataset


def made(dataset: Dataset, run: RunOptions | None = None, **options: Any) -> tuple[dict, str]:
    report(dataset, ReportOptions(**options), run or RunOptions())
    folder = options.get("output") or dataset.path / "reports"
    metrics = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return metrics, (folder / "report.html").read_text(encoding="utf-8")
