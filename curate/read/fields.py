"""Single fields of a row: their usual names, and the checks that every text must pass."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curate.read.rows import Draft, RowError

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
# M3IT and its kin: base64 without the data: in front.
BASE64_FIELD: Final = "image_base64_str"
LICENSE: Final = ("license", "licence")
# Who labelled, where nobody says so.
HUMAN: Final = "human"
_COMMON: Final = frozenset(("criteria", "reference", "split", "task", *LICENSE))
_IMAGE_FIELDS: Final = (*IMAGE, BASE64_FIELD)
_MAX_ID: Final = 1000
_MAX_NAME: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What the user said about the fields of the rows; `None`: the usual names.

    Attributes:
        question: Field of the question.
        answer: Field of the answer.
        image: Field of the image or images.
        id: Field of the id.
        reference: Field of the reference answer.
        prompt: Question of rows that have a caption only.
        license: License of rows that name none.
        split: Split of rows that name none.
        no_images: Take rows as text, whatever images they name.
        fetch_urls: Take images that are http(s) addresses.
        image_pattern: What a row's image value becomes, such as `COCO_train2014_{:012d}.jpg`.
        max_text: Characters a text may have.
        by: Annotator of labels that name none.
        inverted: Whether 1 says of a claim that it is not supported.
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


def first_field(row: Mapping[str, Any], names: Sequence[str], chosen: str | None) -> str | None:
    """The field to take: the one that was chosen, else the first usual one that has a value."""
    if chosen is not None:
        return chosen if row.get(chosen) is not None else None
    for name in names:
        if row.get(name) is not None:
            return name
    return None


def image_field(row: Mapping[str, Any], naming: Naming) -> str | None:
    """The field that holds the images of a row."""
    if naming.image is not None:
        return naming.image
    for name in _IMAGE_FIELDS:
        value = row.get(name)
        if value is not None and value != [] and value != "":
            return name
    return None


def image_names(row: Mapping[str, Any], naming: Naming) -> list[str]:
    """What a row calls its images, where they are left behind: rows are told apart by it."""
    field = image_field(row, naming)
    value = None if field is None else row.get(field)
    names = []
    for item in value[:100] if isinstance(value, list) else [value]:
        name = item.get("path") if isinstance(item, dict) else item
        if isinstance(name, str) and name and len(name) <= _MAX_NAME and name[:5] != "data:":
            names.append(name)
    return names if field != BASE64_FIELD else []


def check_text(value: Any, what: str, limit: int) -> str:
    """A text that every later step can take as it is.

    Raises:
        RowError: If it is no text, too long, or holds NUL or halves of characters.
    """
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{what} is {type_name(value)}, not text")
    if len(value) > limit:
        raise RowError(
            "text_too_long", f"{what} has {len(value):,} characters, more than {limit:,}"
        )
    if value.isascii():
        if "\0" in value:
            raise RowError("nul_in_text", f"{what} holds a NUL at {value.index(chr(0))}")
        return value
    if "\0" in value:
        raise RowError("nul_in_text", f"{what} holds a NUL at {value.index(chr(0))}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        detail = f"{what} holds half a character or a broken byte at {error.start}"
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
    """A finite number; `None` for everything else, such as the `N/A` of rating files."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def type_name(value: Any) -> str:
    """A type in JSON's words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", bytes: "bytes"}
    if value is None:
        return "missing"
    return names.get(
        type(value), "a number" if isinstance(value, int | float) else str(type(value))
    )


def source_id(row: Mapping[str, Any], naming: Naming) -> str | None:
    """Id of a row in its source, if it has one.

    Raises:
        RowError: If it is no text or number.
    """
    name = first_field(row, ID, naming.id)
    return None if name is None else scalar_text(row[name], f"the id ({name})", _MAX_ID)


def describe(draft: Draft, row: Mapping[str, Any], used: Collection[str], naming: Naming) -> Draft:
    """Fill what all formats have in common: criteria, reference, license, split, task, meta.

    Args:
        draft: The draft with its conversation.
        row: The row it comes from.
        used: Fields that went into the conversation.
        naming: What the user said about the fields.

    Raises:
        RowError: If one of them is of the wrong type.
    """
    spent = set(used)

    def text(names: Sequence[str], chosen: str | None = None) -> str | None:
        name = first_field(row, names, chosen)
        if name is None:
            return None
        spent.add(name)
        value = row[name]
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            value = "\n".join(value)
        found = scalar_text(value, name, naming.max_text)
        return found if found.strip() else None

    spent.add(first_field(row, ID, naming.id) or "")
    draft.license, draft.split = naming.license, naming.split
    if naming.reference is not None or not _COMMON.isdisjoint(row):
        draft.criteria = text(("criteria",))
        draft.reference = text(("reference",), naming.reference)
        draft.license = text(LICENSE) or naming.license
        draft.split = text(("split",)) or naming.split
        draft.task = text(("task",)) or draft.task
    rest = {k: v for k, v in row.items() if k not in spent}
    if naming.no_images and (names := image_names(row, naming)):
        rest["image_names"] = names
    draft.meta = as_meta(rest, naming.max_text)
    return draft


def as_meta(rest: Mapping[str, Any], limit: int) -> str | None:
    """The fields that no column takes, as JSON.

    Raises:
        RowError: If they are too long or too deep.
    """
    kept = {k: v for k, v in rest.items() if v is not None and isinstance(k, str)}
    if not kept:
        return None
    if isinstance(kept.get("meta"), str):
        kept = _with_own_meta(kept)
    try:
        text = _to_json(_finite(kept))
    except (RecursionError, ValueError) as error:
        raise RowError("bad_meta", f"the other fields cannot be kept: {error}") from error
    if not text.isascii():
        # Halves of characters would make the JSON unreadable for stricter readers than Python's.
        text = text.encode("utf-8", "replace").decode()
    if len(text) > limit:
        raise RowError("text_too_long", f"other fields have {len(text):,} characters of JSON")
    return text


def _with_own_meta(kept: dict[str, Any]) -> dict[str, Any]:
    """Lay open the `meta` that `curate export` wrote, so that it does not nest deeper each time."""
    if not kept["meta"]:
        return {k: v for k, v in kept.items() if k != "meta"}
    try:
        inner = json.loads(kept["meta"])
    except (ValueError, RecursionError):
        return kept
    if not isinstance(inner, dict):
        return kept
    return {**inner, **{k: v for k, v in kept.items() if k != "meta"}}


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value


def _describe_value(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


# Made once: `json.dumps` with options would make one a call.
_to_json: Final = json.JSONEncoder(ensure_ascii=False, default=_describe_value).encode
