"""`curate ingest`: rows of strangers as samples, pairs, responses, or labels of people."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from curate.ingest.options import IngestOptions
from curate.ingest.tables import Plan
from curate.read import match
from curate.read.detect import detect, usual_table
from curate.read.fields import Naming
from curate.read.formats import claims, labelstudio
from curate.read.formats.registry import FORMATS, Converter, Format
from curate.read.sources.files import Source, find_source, slug
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import say
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, NotFoundError, UsageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Tables by what the rows become, in the order of their dependence.
_KINDS: dict[str, tuple[str, ...]] = {
    "samples": ("images", "samples"),
    "pairs": ("images", "samples", "pairs"),
    "feedback": ("images", "samples", "responses", "feedback"),
    "responses": ("images", "samples", "responses", "scores"),
    "comparisons": ("images", "samples", "responses", "comparisons"),
    "claims": ("images", "samples", "responses", "claims"),
}
# Tables of rows about what the dataset has already.
_ABOUT: Final = ("responses", "comparisons", "scores", "claims")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How rows are read: their format and the table they are for.

    Attributes:
        format: `None`: rows about samples that the dataset has.
        also: Tables beside the usual ones, since the rows have something for them.
    """

    format: Format | None
    table: str
    also: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Tables to write."""
        if self.format is None:
            return (self.table,)
        return _KINDS[self.table] + self.also

    @property
    def converter(self) -> Converter:
        """What makes drafts of the rows."""
        assert self.format is not None
        return self.format.makes[self.table]


def ingest(options: IngestOptions, run: RunOptions) -> Outcome:
    """Read a source into a dataset.

    Every row becomes a row of the table, or a reject with a reason. The same command again resumes
    where it was stopped.

    Raises:
        Error: If the source as a whole cannot be read, or the options make no sense.
    """
    source = _source(options)
    reading = _read_as(source, options)
    plan = _plan(source, options, run, reading)
    if reading.format is None:
        from curate.ingest import answers as ingest_answers
        from curate.ingest import labels as ingest_labels

        dataset = Dataset.find(_place(options))
        importer = {
            "responses": ingest_answers.import_responses,
            "comparisons": ingest_answers.import_comparisons,
            "scores": ingest_labels.import_scores,
            "claims": ingest_labels.import_claims,
            "feedback": ingest_labels.import_feedback,
        }[reading.table]
        return importer(dataset, plan)
    from curate.ingest import samples as ingest_samples

    if run.dry_run:
        return ingest_samples.preview(plan, reading.converter)
    dataset = Dataset.create(_place(options))
    outcome = ingest_samples.ingest_samples(dataset, plan, reading.converter)
    return _with_license_note(outcome, reading.format)


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


def _read_as(source: Source, options: IngestOptions) -> _Reading:
    asked: str | None = options.as_
    if options.format not in ("auto", "webdataset"):
        form, table = _named(source, options)
    elif options.format == "webdataset" and source.files[0].kind not in ("tar", "files"):
        msg = f"{options.source}: --format webdataset needs tar archives, or a folder of such files"
        raise UsageError(msg)
    elif source.files[0].kind == "easy-vqa":
        form, table = FORMATS["easy-vqa"], "samples"
    else:
        found = _detected(source, options)
        if found is None:
            assert asked is not None
            return _Reading(format=None, table=asked)
        form, table = found
    table = asked or table
    if table not in form.makes:
        if table in _ABOUT and options.format == "auto":
            return _Reading(format=None, table=table)
        makes = " or ".join(form.makes)
        needs = "a better and a worse answer" if table in ("pairs", "feedback") else "them whole"
        msg = (
            f"--as {table} needs rows with {needs}, and {options.source} is read as "
            f"{form.meaning}, which makes {makes}; give --format if it is something else"
        )
        raise UsageError(msg)
    return _Reading(format=form, table=table, also=_also(form, table, source))


def _also(form: Format, table: str, source: Source) -> tuple[str, ...]:
    """Tables that the first rows have something for."""
    if form.name == "label-studio" and table == "samples":
        return ("scores",) if any(labelstudio.has_marks(row) for row in source.head()) else ()
    if form.name == "claims" and table == "claims":
        return ("feedback",) if any(claims.has_spans(row) for row in source.head()) else ()
    return ()


def _named(source: Source, options: IngestOptions) -> tuple[Format, str]:
    form = FORMATS[options.format]
    if options.as_ is not None or len(form.makes) == 1:
        return form, options.as_ or next(iter(form.makes))
    return form, usual_table(form, source.head())


def _detected(source: Source, options: IngestOptions) -> tuple[Format, str] | None:
    """The format by the fields of the rows; `None`: they are about samples that are there."""
    if options.as_ == "feedback":
        # Corrections need not look like anything else.
        if match.are_about_responses(source.head()):
            return None
        try:
            guess = detect(source.head(), options.source)
        except DataError:
            return FORMATS["rlhf-v"], "feedback"
        if "feedback" not in guess.format.makes:
            return FORMATS["rlhf-v"], "feedback"
        say(f"{options.source}: {guess.in_words()}")
        return guess.format, "feedback"
    if options.as_ in _ABOUT:
        whole = [form for form in FORMATS.values() if options.as_ in form.makes]
        head = source.head()
        for form in whole:
            if head and sum(form.tell(row) is not None for row in head) * 2 > len(head):
                say(f"{options.source}: read as {form.meaning}; --format NAME overrules")
                return form, options.as_
        return None
    try:
        guess = detect(source.head(), options.source)
    except DataError:
        if options.question is None and options.answer is None:
            raise
        return FORMATS["qa"], "samples"  # fields that only the user knows
    say(f"{options.source}: {guess.in_words()}")
    return guess.format, guess.table


def _plan(source: Source, options: IngestOptions, run: RunOptions, reading: _Reading) -> Plan:
    folder = source.folder if options.image_folder is None else options.image_folder
    if not folder.is_dir():
        msg = f"--image-folder {folder}: no such folder"
        raise NotFoundError(msg)
    name = options.source_name or run.run or source.name
    config = as_config(options)
    # Where things lie is no part of what they are: the fingerprints tell the source.
    for key in ("source", "output", "as_", "image_folder"):
        del config[key]
    form = "auto" if reading.format is None else reading.format.name
    config |= {"as": reading.table, "format": form, "source_name": name, "limit": run.limit}
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
        naming=_naming(options, source),
        options=options,
        limit=run.limit,
        replace=run.replace,
        dry_run=run.dry_run,
        config=config,
        fingerprints={f"source {file.name}": file.fingerprint() for file in source.files},
    )


def _naming(options: IngestOptions, source: Source) -> Naming:
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
    )


def _with_license_note(outcome: Outcome, form: Format) -> Outcome:
    """Say that rows name no license, since a public export refuses them."""
    missing = outcome.summary.get("without_license", 0)
    if not missing:
        return outcome
    known = f" ({form.meaning}: {form.note})" if form.note else ""
    line = f"{missing:,} samples name no license{known}; --license NAME says it for all"
    return replace(outcome, message=f"{outcome.message}\n{line}")


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
