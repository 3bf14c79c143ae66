"""`curate ingest`: rows of any usual format to samples, pairs, responses, or human labels."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from curate.ingest.options import IngestOptions
from curate.ingest.plan import Plan
from curate.ingest.reading import Reading, choose_reading
from curate.read.fields import Naming
from curate.read.formats import load_formats
from curate.read.formats.base import Format
from curate.read.sources.find import find_source
from curate.read.sources.source import Source, slug
from pairwright.commands.choices import chosen_config, own_options
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import say
from pairwright.dataset.store import Dataset
from pairwright.errors import NotFoundError, UsageError
from pairwright.text.counts import counted

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def ingest(options: IngestOptions, run: RunOptions) -> Outcome:
    """Read a source into a dataset.

    Every row becomes a row of the table, or an invalid row with a reason. The same command again
    resumes where it was stopped.

    Raises:
        Error: If the source as a whole cannot be read, or the options make no sense.
    """
    source = _source(options)
    reading = choose_reading(source, options, load_formats())
    plan = _plan(source, options, run, reading)
    if reading.format is None:
        return _ingest_labels(Dataset.find(_place(options)), plan)
    from curate.ingest import samples

    if run.dry_run:
        return samples.preview(plan, reading.converter)
    dataset = Dataset.create(_place(options))
    outcome = samples.ingest_samples(dataset, plan, reading.converter)
    return _with_license_note(outcome, reading.format)


def _ingest_labels(dataset: Dataset, plan: Plan) -> Outcome:
    """Read rows about samples and responses that the dataset has."""
    from curate.ingest import answers, labels

    importer = {
        "responses": answers.import_responses,
        "comparisons": answers.import_comparisons,
        "scores": labels.import_scores,
        "claims": labels.import_claims,
        "feedback": labels.import_feedback,
    }[plan.table]
    return importer(dataset, plan)


def _source(options: IngestOptions) -> Source:
    if not _URL.match(options.source):
        return find_source(options.source, options.split, options.subset)
    if not options.fetch_urls or not options.source.lower().startswith("http"):
        msg = (
            f"{options.source}: sources are local files; --fetch-urls downloads http(s) addresses "
            "of single files"
        )
        raise UsageError(msg)
    from curate.read.sources.fetch import fetch_source

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    say(f"{options.source}: downloading")
    path = fetch_source(
        options.source, cache / "pairwright" / "sources", allow_private=options.allow_private_urls
    )
    return find_source(str(path), options.split, options.subset)


def _plan(source: Source, options: IngestOptions, run: RunOptions, reading: Reading) -> Plan:
    folder = source.folder if options.image_folder is None else options.image_folder
    if not folder.is_dir():
        msg = f"--image-folder {folder}: no such folder"
        raise NotFoundError(msg)
    name = options.source_name or run.run or source.name
    form = "auto" if reading.format is None else reading.format.name
    config = chosen_config(replace(options, format=form))
    # Paths are not part of the configuration: the fingerprints identify the source.
    for key in ("source", "output", "as_", "image_folder"):
        del config[key]
    config |= {"as": reading.table, "source_name": name, "limit": run.limit}
    if options.image_folder is not None:
        config["image_folder"] = str(folder.resolve())
    if options.license is None and source.license is not None:
        say(f"license {source.license}: from {source.name}'s README; --license NAME overrules")
        config["license"] = source.license
    return Plan(
        source=source,
        name=name,
        run=run.run or slug(name),
        table=reading.table,
        kinds=reading.kinds,
        folder=folder,
        naming=_naming(options, source, reading),
        options=options,
        limit=run.limit,
        replace=run.replace,
        dry_run=run.dry_run,
        config=config,
        fingerprints={f"source {file.name}": file.fingerprint() for file in source.files},
    )


def _naming(options: IngestOptions, source: Source, reading: Reading) -> Naming:
    return Naming(
        question=options.question,
        answer=options.answer,
        image=options.image,
        id=options.id,
        reference=options.reference,
        prompt=options.prompt,
        license=options.license or source.license,
        split=options.split,
        no_images=not options.images,
        fetch_urls=options.fetch_urls,
        image_pattern=options.image_pattern,
        max_text=options.max_text,
        by=options.by,
        inverted=options.inverted,
        options=None if reading.format is None else own_options(options, reading.format),
    )


def _with_license_note(outcome: Outcome, form: Format) -> Outcome:
    """Report rows without a license, since a public export refuses them."""
    missing = outcome.summary.get("without_license", 0)
    if not missing:
        return outcome
    known = f" ({form.summary}: {form.note})" if form.note else ""
    named = counted(missing, "sample names", "samples name")
    line = f"{named} no license{known}; --license NAME sets it for all"
    facts, _, following = outcome.message.rpartition("\n")
    return replace(outcome, message=f"{facts}\n{line}\n{following}")


def _place(options: IngestOptions) -> Path:
    """Folder of the dataset, which may not exist yet."""
    if options.output is not None:
        if re.match(r"[a-z][a-z0-9+.-]*:/", str(options.output)):
            msg = f"{options.output}: datasets are local folders; object stores are not supported"
            raise UsageError(msg)
        return options.output
    if os.environ.get("PAIRWRIGHT_DATA"):
        return Path(os.environ["PAIRWRIGHT_DATA"])
    try:
        return Dataset.find().path
    except NotFoundError:
        return Path("data")
