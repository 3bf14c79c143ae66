"""Single fields of a row: their usual names, and the checks that every text must pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curate.read.rows import RowError

ID: Final = ("id", "question_id", "sample_id", "idx", "uid", "qid", "_id")
QUESTION: Final = ("question", "prompt", "instruction", "query", "problem")
ANSWER: Final = ("answer", "response", "output", "outputs", "completion", "label")
CAPTION: Final = ("caption", "recaption", "detailed_caption", "text", "description")
IMAGE: Final = (
    "images",
    "image",
    "file_name",
    "file_names",
    "filename",
    "file",
    "image_path",
    "img_path",
    "image_url",
)
# M3IT and similar sets: base64 without a leading `data:`.
BASE64_FIELD: Final = "image_base64_str"
LICENSE: Final = ("license", "licence")
# The annotator of labels that name none.
HUMAN: Final = "human"
_IMAGE_FIELDS: Final = (*IMAGE, BASE64_FIELD)
_MAX_ID: Final = 1000
_MAX_NAME: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How the user wants rows to be read; `None`: by the usual names.

    Attributes:
        question: Field of the question.
        answer: Field of the answer.
        image: Field of the image or images.
        id: Field of the id.
        reference: Field of the reference answer.
        prompt: Question of rows with a caption only.
        license: License of rows that name none.
        split: Split of rows that name none.
        no_images: Read rows as text, whatever images they name.
        fetch_urls: Fetch images that are http(s) addresses.
        image_pattern: File name of an image id, such as `COCO_train2014_{:012d}.jpg`.
        max_text: Characters a text may have.
        by: Annotator of labels that name none.
        inverted: Whether a 1 means that a claim is NOT supported.
        options: The own options of the format, an instance of its dataclass.
    """

    question: str | None = None
    answer: str | None = None
    image: str | None = None
    id: str | None = None
    reference: str | None = None
    prompt: str = "Describe the image."
    license: str | None = None
    split: str | None = None
    no_images: bool = False
    fetch_urls: bool = False
    image_pattern: str | None = None
    max_text: int = 1_000_000
    by: str | None = None
    inverted: bool = False
    options: Any = None


def first_field(row: Mapping[str, Any], names: Sequence[str], chosen: str | None) -> str | None:
    """The chosen field, else the first usual one; `None` if it has no value."""
    if chosen is not None:
        return chosen if row.get(chosen) is not None else None
    for name in names:
        if row.get(name) is not None:
            return name
    return None


def has(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of some fields that is not empty."""
    return next((name for name in names if row.get(name) not in (None, [], "")), None)


def has_both(row: Mapping[str, Any]) -> bool:
    """Whether a row has a chosen and a rejected answer."""
    return row.get("chosen") is not None and row.get("rejected") is not None


def image_field(row: Mapping[str, Any], naming: Naming) -> str | None:
    """The field with the images of a row."""
    if naming.image is not None:
        return naming.image
    for name in _IMAGE_FIELDS:
        value = row.get(name)
        if value is not None and value != [] and value != "":
            return name
    return None


def image_names(row: Mapping[str, Any], naming: Naming) -> list[str]:
    """Names of images that are not read: they distinguish rows with the same text."""
    field = image_field(row, naming)
    value = None if field is None else row.get(field)
    names = []
    for item in value[:100] if isinstance(value, list) else [value]:
        name = item.get("path") if isinstance(item, dict) else item
        if isinstance(name, str) and name and len(name) <= _MAX_NAME and name[:5] != "data:":
            names.append(name)
    return names if field != BASE64_FIELD else []


def check_text(value: Any, what: str, limit: int) -> str:
    """A text that every later step can use as it is.

    Raises:
        RowError: If it is not text, is too long, or contains NUL or half a character.
    """
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{what} is {type_name(value)}, not text")
    if len(value) > limit:
        raise RowError(
            "text_too_long", f"{what} has {len(value):,} characters, more than {limit:,}"
        )
    if value.isascii():
        if "\0" in value:
            raise RowError("nul_in_text", f"{what} contains a NUL at {value.index(chr(0))}")
        return value
    if "\0" in value:
        raise RowError("nul_in_text", f"{what} contains a NUL at {value.index(chr(0))}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        detail = f"{what} contains half a character or an invalid byte at {error.start}"
        raise RowError("invalid_unicode", detail) from error
    return value


def scalar_text(value: Any, what: str, limit: int) -> str:
    """Text, a number, or a list of one of them, as text.

    Raises:
        RowError: If it is something else, or `check_text` refuses it.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = str(value)
        except ValueError as error:
            raise RowError("wrong_type", f"{what} is a number of too many digits") from error
    return check_text(value, what, limit)


def number(value: Any) -> float | None:
    """A finite number; `None` for anything else, such as the `N/A` of rating files."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def type_name(value: Any) -> str:
    """The name of a JSON type."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", bytes: "bytes"}
    if value is None:
        return "missing"
    return names.get(
        type(value), "a number" if isinstance(value, int | float) else str(type(value))
    )


def source_id(row: Mapping[str, Any], naming: Naming) -> str | None:
    """Id of a row in its source, if it has one.

    Raises:
        RowError: If it is neither text nor a number.
    """
    name = first_field(row, ID, naming.id)
    return None if name is None else scalar_text(row[name], f"the id ({name})", _MAX_ID)
