"""Images as rows name them: paths, bytes, `{bytes, path}`, data URIs, lists of these."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from curate.read.fields import BASE64_FIELD, Naming, image_field, type_name
from curate.read.rows import ImageRef, RowError, printable

MAX_IMAGES: Final = 1000
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SLOT = re.compile(r"\{(?::0(\d{1,2})d)?\}")


def image_refs(row: Mapping[str, Any], naming: Naming) -> list[ImageRef]:
    """Images of a row, in order.

    Raises:
        RowError: If one is an address without `--fetch-urls`, or of a type that cannot be an image.
    """
    name = image_field(row, naming)
    if name is None or naming.no_images:
        return []
    value = row.get(name)
    if name == BASE64_FIELD:
        # Rows without an image have a list of one null or empty text there.
        items = [item for item in (value if isinstance(value, list) else [value]) if item]
        value = [f"data:image;base64,{item}" if isinstance(item, str) else item for item in items]
    return as_refs(value, naming)


def as_refs(value: Any, naming: Naming) -> list[ImageRef]:
    """Images of a field, in order.

    Raises:
        RowError: As `image_refs`.
    """
    items = value if isinstance(value, list | tuple) else [value]
    if len(items) > MAX_IMAGES:
        detail = f"{len(items):,} images in a row, the limit is {MAX_IMAGES:,}"
        raise RowError("too_many_images", detail, stage="image")
    if not isinstance(value, list | tuple):
        return [] if value is None or value == "" else [as_ref(value, naming)]
    return [as_ref(item, naming) for item in items]


def as_ref(value: Any, naming: Naming) -> ImageRef:
    """One image.

    Raises:
        RowError: As `image_refs`.
    """
    if isinstance(value, dict):
        # `{bytes, path}` of the Hub's Image feature; `{url}` of OpenAI-like messages.
        known = [value[k] for k in ("bytes", "path", "url") if value.get(k) is not None]
        if not known:
            detail = f"an image with neither bytes nor path: {printable(str(list(value)))}"
            raise RowError("missing_image", detail, stage="image")
        return as_ref(known[0], naming)
    if isinstance(value, ImageRef):
        return value
    if isinstance(value, bytes):
        return ImageRef(content=value)
    if isinstance(value, int) and not isinstance(value, bool) and naming.image_pattern:
        value = str(value)
    if not isinstance(value, str):
        raise RowError("wrong_type", f"an image is {type_name(value)}, not a path", stage="image")
    if value[:5].lower() == "data:":
        return ImageRef(content=_data_uri(value))
    if _URL.match(value):
        if not naming.fetch_urls or value[:4].lower() != "http":
            detail = f"{printable(value)}: images are fetched only with --fetch-urls"
            raise RowError("remote_image", detail, stage="image")
        return ImageRef(url=value)
    if not value.strip():
        raise RowError("missing_image", "an image with an empty path", stage="image")
    return ImageRef(path=from_pattern(value, naming.image_pattern))


def from_pattern(value: str, pattern: str | None) -> str:
    """The path of an image id: it replaces `{}` or `{:012d}` in the pattern."""
    if pattern is None:
        return value

    def fill(match: re.Match[str]) -> str:
        width = match[1]
        return value.zfill(int(width)) if width and value.isdigit() else value

    return _SLOT.sub(fill, pattern)


def _data_uri(value: str) -> bytes:
    head, comma, body = value.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise RowError("bad_data_uri", "a data: URI without base64 content", stage="image")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowError("bad_data_uri", f"base64: {error}", stage="image") from error
