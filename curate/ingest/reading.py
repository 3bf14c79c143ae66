"""How the rows of a source are read: their format, and the table that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from curate.ingest.match import are_about_responses
from curate.ingest.options import IngestOptions
from curate.read.detect import Guess, detect, usual_table
from curate.read.formats.base import Converter, Format
from curate.read.sources.source import Source
from pairwright.commands.progress import say
from pairwright.errors import DataError, UsageError

# Tables that are written by the table that the rows are for, in the order of their dependence.
_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "samples": ("images", "samples"),
    "pairs": ("images", "samples", "pairs"),
    "feedback": ("images", "samples", "responses", "feedback"),
    "responses": ("images", "samples", "responses", "scores"),
    "comparisons": ("images", "samples", "responses", "comparisons"),
    "claims": ("images", "samples", "responses", "claims"),
}
# Tables whose rows may be about samples and responses that the dataset has.
_ABOUT: Final = ("responses", "comparisons", "scores", "claims")
# The format of corrections that fit no other one, and of rows whose fields the user names.
_CORRECTIONS: Final = "rlhf-v"
_FIELDS: Final = "qa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How rows are read.

    Attributes:
        format: Their format; `None`: they are about samples that the dataset has.
        table: The table that they are for.
        also: A second table, if rows have something for it.
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


def choose_reading(
    source: Source, options: IngestOptions, formats: Mapping[str, Format]
) -> Reading:
    """Choose how to read a source: by the options, else by its first rows.

    Args:
        source: The source.
        options: Its `format` and `as_` count.
        formats: By name, in the order in which they are tried.

    Raises:
        DataError: If the rows fit no format.
        UsageError: If the options do not fit the source or each other.
    """
    found = _format(source, options, formats)
    if found is None:
        assert options.as_ is not None
        return Reading(format=None, table=options.as_)
    form, table = found
    if table not in form.makes:
        if table in _ABOUT and options.format == "auto":
            return Reading(format=None, table=table)
        needs = (
            "a better and a worse answer"
            if table in ("pairs", "feedback")
            else "the answers themselves"
        )
        msg = (
            f"--as {table} needs rows with {needs}, and {options.source} is read as "
            f"{form.summary}, which makes {' or '.join(form.makes)}; give --format if it is "
            "something else"
        )
        raise UsageError(msg)
    also, has_it = form.also.get(table, ("", None))
    if has_it is None or not any(has_it(row) for row in source.head()):
        return Reading(format=form, table=table)
    return Reading(format=form, table=table, also=(also,))


def _format(
    source: Source, options: IngestOptions, formats: Mapping[str, Format]
) -> tuple[Format, str] | None:
    """The format and the table; `None`: the rows are about samples that the dataset has."""
    kind = source.files[0].kind
    if options.format == "webdataset" and kind not in ("tar", "files"):
        msg = f"{options.source}: --format webdataset needs tar archives, or a folder of such files"
        raise UsageError(msg)
    if options.format not in ("auto", "webdataset"):
        form = formats.get(options.format)
        if form is None:
            msg = f"--format {options.format}: unknown; there are auto, webdataset, {', '.join(formats)}"
            raise UsageError(msg)
        if options.as_ is None and len(form.makes) > 1:
            return form, usual_table(form, source.head())
        return form, options.as_ or next(iter(form.makes))
    form_of_source = next((form for form in formats.values() if form.source == kind), None)
    if form_of_source is not None:
        return form_of_source, options.as_ or next(iter(form_of_source.makes))
    if options.as_ == "feedback":
        return _detected_feedback(source, options, formats)
    if options.as_ in _ABOUT:
        return _detected_labels(source, options, formats)
    try:
        guess = _guess(source, options, formats)
    except DataError:
        if options.question is None and options.answer is None:
            raise
        return formats[_FIELDS], options.as_ or "samples"
    return guess.format, options.as_ or guess.table


def _detected_feedback(
    source: Source, options: IngestOptions, formats: Mapping[str, Format]
) -> tuple[Format, str] | None:
    """Corrections need not look like any format."""
    head = source.head()
    if are_about_responses(head):
        return None
    fallback = formats[_CORRECTIONS], "feedback"
    try:
        guess = detect(head, options.source, formats)
    except DataError:
        return fallback
    if "feedback" not in guess.format.makes:
        return fallback
    say(f"{options.source}: {guess.in_words()}")
    return guess.format, "feedback"


def _detected_labels(
    source: Source, options: IngestOptions, formats: Mapping[str, Format]
) -> tuple[Format, str] | None:
    """A format whose rows contain the labelled answers, if most rows have it."""
    assert options.as_ is not None
    head = source.head()
    for form in formats.values():
        if options.as_ not in form.makes:
            continue
        if head and sum(form.detect(row) is not None for row in head) * 2 > len(head):
            say(f"{options.source}: read as {form.summary}; --format NAME overrules")
            return form, options.as_
    return None


def _guess(source: Source, options: IngestOptions, formats: Mapping[str, Format]) -> Guess:
    guess = detect(source.head(), options.source, formats)
    say(f"{options.source}: {guess.in_words()}")
    return guess
