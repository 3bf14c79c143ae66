"""The program `pairwright`: the roof over the four step programs."""

from __future__ import annotations

from pairwright.commands.command import Command

SUMMARY = (
    "From raw vision-language rows to a better model.\n"
    "pairwright curate, judge, prefs and train run the programs of these names."
)

COMMANDS = (
    Command(
        name="demo",
        target="pairwright.demo.run:demo",
        options="pairwright.demo.options:DemoOptions",
        summary="the whole loop on a small real dataset, offline, in a few minutes",
        examples=("pairwright demo", "pairwright demo --controls --full"),
        dataset="none",
    ),
    Command(
        name="run",
        target="pairwright.pipeline:run_pipeline",
        options="pairwright.pipeline:PipelineOptions",
        summary="run the steps of a pipeline file, resuming where it stopped",
        examples=("pairwright run pipeline.yaml", "pairwright run pipeline.yaml --dry-run"),
        dataset="none",
    ),
    Command(
        name="status",
        target="pairwright.status:status",
        options="pairwright.status:StatusOptions",
        summary="the funnel from raw rows to pairs, and every table",
        examples=("pairwright status data/", "pairwright status data/ --lineage --json"),
        has_run=False,
    ),
    Command(
        name="show",
        target="pairwright.status:show",
        options="pairwright.status:ShowOptions",
        summary="rows of a table",
        examples=(
            "pairwright show data/ pairs/best-of-n",
            "pairwright show data/ rejects/ingest/raw",
        ),
        has_run=False,
    ),
    Command(
        name="use",
        target="pairwright.status:use",
        options="pairwright.status:UseOptions",
        summary="make another run active",
        examples=("pairwright use data/ decisions/strict",),
        has_run=False,
    ),
    Command(
        name="doctor",
        target="pairwright.doctor:doctor",
        options="pairwright.doctor:DoctorOptions",
        summary="what this machine has, and what to install for what is missing",
        examples=("pairwright doctor",),
        dataset="none",
        has_run=False,
    ),
)
