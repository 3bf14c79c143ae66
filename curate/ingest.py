"""`curate ingest`: rows of strangers as samples, pairs, responses, comparisons or feedback."""

from __future__ import annotations

import os
import re
from pathlib import Path

from curate.ingest_options import IngestOptions
from curate.ingest_tables import Plan
from curate.sources.detect import CONVERTERS, MEANINGS, detect
from curate.sources.fields import Naming
from curate.sources.files import Source, find_source, slug
from curate.sources.preference import convert_correction
from pairwright.command import Outcome
from pairwright.errors import NotFoundError, UsageError
from pairwright.options import RunOptions, as_config
from pairwright.progress import say
from pairwright.store import Dataset

_PREFERENCES = ("trl-preference", "rlhf-v")


def ingest(options: IngestOptions, run: RunOptions) -> Outcome:
    """Read a source into a dataset.

    Every row becomes a row of the table, or a reject with a reason. The same command again resumes
    where it was stopped.

    Raises:
        PairwrightError: If the source as a whole cannot be read, or the options make no sense.
    """
    source = find_source(options.source, options.split)
    table, form = _table_and_format(source, options)
    plan = _plan(source, options, run, table, form)
    if table in ("responses", "comparisons"):
        from curate import ingest_answers

        dataset = Dataset.find(_place(options))
        importer = {
            "responses": ingest_answers.import_responses,
            "comparisons": ingest_answers.import_comparisons,
        }[table]
        return importer(dataset, plan)
    from curate import ingest_samples

    convert = convert_correction if table == "feedback" else CONVERTERS[form]
    if run.dry_run:
        return ingest_samples.preview(plan, convert)
    return ingest_samples.ingest_samples(Dataset.create(_place(options)), plan, convert)


def _table_and_format(source: Source, options: IngestOptions) -> tuple[str, str]:
    table: str | None = options.as_
    form: str = options.format
    if table in ("responses", "comparisons"):
        return table, "auto"
    if form == "auto":
        form = "easy-vqa" if source.files[0].kind == "easy-vqa" else ""
    if not form and table == "feedback":
        form = "rlhf-v"
    if not form:
        form = detect(source.head(), options.source)
        say(f"{options.source}: read as {MEANINGS[form]}; --format {form} (or another) says it")
    if table is None:
        table = "pairs" if form in _PREFERENCES else "samples"
    if table in ("pairs", "feedback") and form not in _PREFERENCES:
        msg = (
            f"--as {table} needs rows with a better and a worse answer, and {options.source} is "
            f"read as {MEANINGS[form]}; give --format trl-preference if it is not"
        )
        raise UsageError(msg)
    return table, form


def _plan(source: Source, options: IngestOptions, run: RunOptions, table: str, form: str) -> Plan:
    folder = source.folder if options.image_folder is None else options.image_folder
    if not folder.is_dir():
        msg = f"--image-folder {folder}: no such folder"
        raise NotFoundError(msg)
    name = options.source_name or run.run or source.name
    config = as_config(options)
    # Where things lie is no part of what they are: the fingerprints tell the source.
    for key in ("source", "output", "as_", "image_folder"):
        del config[key]
    config |= {"as": table, "format": form, "source_name": name, "limit": run.limit}
    if options.image_folder is not None:
        config["image_folder"] = str(folder.resolve())
    return Plan(
        source=source,
        name=name,
        run=run.run or slug(name),
        table=table,
        folder=folder,
        naming=Naming(
            question=options.question,
            answer=options.answer,
            image=options.image,
            id=options.id,
            reference=options.reference,
            prompt=options.prompt,
            licence=options.licence,
            split=options.split,
            no_images=not options.images,
            max_text=options.max_text,
        ),
        options=options,
        limit=run.limit,
        replace=run.replace,
        dry_run=run.dry_run,
        config=config,
        fingerprints={f"source {file.name}": file.fingerprint() for file in source.files},
    )


def _place(options: IngestOptions) -> Path:
    """Folder of the dataset, there or to be made."""
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
