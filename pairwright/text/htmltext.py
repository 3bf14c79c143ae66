"""Untrusted text on a page: it remains text, and hidden characters become visible."""

from __future__ import annotations

import base64
import html
import json
import unicodedata
from typing import Any, Final

# Characters that reorder or hide what stands around them, by the name we show.
_DECEIVING: Final = {
    0x061C: "ALM",
    0x200B: "ZWSP",
    0x200E: "LRM",
    0x200F: "RLM",
    0x2028: "LS",
    0x2029: "PS",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2060: "WJ",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
    0xFEFF: "BOM",
}
_JSON: Final[dict[str, str | int | None]] = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def visible(text: str) -> str:
    """Text as HTML: markup escaped, control and direction characters shown by name.

    Line ends and tabs are kept; the style of the page decides whether they show.
    """
    if text.isascii() and text.isprintable():
        return html.escape(text)
    return "".join(_character(char) for char in text)


def plain(text: str, most: int = 200) -> str:
    """Text for elements that take no markup (a title, a chart's label): one line, nothing hidden."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "\u2026"


def _character(char: str) -> str:
    code = ord(char)
    if code in _DECEIVING:
        return f'<span class=ctl title="U+{code:04X}">{_DECEIVING[code]}</span>'
    if char in "\n\t":
        return char
    if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn"):
        return f'<span class=ctl title="U+{code:04X}">{code:02X}</span>'
    return html.escape(char)


def json_island(value: Any) -> str:
    """JSON that is safe inside a `script` element, whatever it contains."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(str.maketrans(_JSON))


def data_uri(content: bytes) -> str:
    """Bytes of an image as an address that needs no other file."""
    kind = (
        "jpeg" if content.startswith(b"\xff\xd8") else "webp" if content[8:12] == b"WEBP" else "png"
    )
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
