"""Pieces of the page: every text of a row goes through `visible`, and through nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from pairwright.text.htmltext import data_uri, plain, visible
from pairwright.text.worddiff import Span, diff_spans

IMAGES_A_SAMPLE: Final = 3
_LONG: Final = 320  # characters of a text that is shown whole beside another
_AROUND: Final = 70  # characters shown around a difference
_SHORT: Final = 60
_ROLES: Final = {"user": ("Q", "question"), "assistant": ("A", "answer"), "system": ("S", "system")}


class Pictures:
    """Thumbnails by image id, and why one is missing."""

    def __init__(self, thumbs: dict[str, bytes], failed: dict[str, str]) -> None:
        """Both as `thumbnails` returns them."""
        self._thumbs, self._failed = thumbs, failed
        self.enabled = bool(thumbs or failed)

    def of(self, sample: dict[str, Any], *, skip: Sequence[str] = ()) -> str:
        """Pictures of a sample, those in `skip` left out."""
        ids = sample["image_ids"]
        if not self.enabled or not ids:
            return ""
        if list(ids) == list(skip):
            return '<div class=pics><span class="nopic twin">same image file</span></div>'
        shown = "".join(
            self._one(image_id, plain(f"image {number + 1} of row {sample['source_id']}"))
            for number, image_id in enumerate(ids[:IMAGES_A_SAMPLE])
        )
        more = len(ids) - IMAGES_A_SAMPLE
        tail = f"<span class=more>and {more} more</span>" if more > 0 else ""
        return f"<div class=pics>{shown}{tail}</div>"

    def _one(self, image_id: str, alt: str) -> str:
        content = self._thumbs.get(image_id)
        if content is None:
            why = self._failed.get(image_id, "no picture")
            return f'<span class=nopic role=img aria-label="{escape(alt)}">{visible(why)}</span>'
        return (
            f'<button type=button class=pic><img decoding=async alt="{escape(alt)}" '
            f'src="{data_uri(content)}"></button>'
        )


def turns(sample: dict[str, Any], marks: dict[int, list[Span]] | None = None) -> str:
    """The conversation of a sample, the words in `marks` (by turn) highlighted."""
    out = []
    for number, turn in enumerate(sample["turns"]):
        letter, name = _ROLES.get(turn["role"], ("?", turn["role"]))
        spans = (marks or {}).get(number, [])
        text = marked(turn["text"], spans) or "<i class=soft>empty</i>"
        out.append(
            f'<div class="turn {letter}{" short" if len(turn["text"]) <= _SHORT else ""}"><abbr title="{escape(name)}">{letter}</abbr>'
            f"<bdi dir=auto>{text}</bdi></div>"
        )
    more = sample["turns_in_all"] - len(sample["turns"])
    if more > 0:
        out.append(f"<p class=soft>and {more} more turns</p>")
    return "".join(out)


def marked(text: str, spans: Sequence[Span]) -> str:
    """Text with some of it marked; in a long text what both sides share is shortened."""
    shorten = len(text) > _LONG and bool(spans)
    out, at = [], 0
    for span in spans:
        same = text[at : span["start"]]
        out.append(_shortened(same, start=at == 0) if shorten else visible(same))
        out.append(f"<mark>{visible(span['text'])}</mark>")
        at = span["end"]
    rest = text[at:]
    return "".join([*out, _shortened(rest, end=True) if shorten else visible(rest)])


def _shortened(text: str, *, start: bool = False, end: bool = False) -> str:
    """The ends of a stretch that is the same on both sides."""
    if len(text) <= 3 * _AROUND:
        return visible(text)
    head = "" if start else text[:_AROUND].rsplit(" ", 1)[0]
    tail = "" if end else text[-_AROUND:].split(" ", 1)[-1]
    n = len(text) - len(head) - len(tail)
    return (
        f"{visible(head)} <span class=gap title='{n:,} characters that are the same in both'>"
        f"\u22ef</span> {visible(tail)}"
    )


def differences(
    kept: dict[str, Any], removed: dict[str, Any]
) -> tuple[dict[int, list[Span]], dict[int, list[Span]]]:
    """Words that differ between two samples, turn by turn, on either side."""
    left, right = {}, {}
    for number, (a, b) in enumerate(zip(kept["turns"], removed["turns"], strict=False)):
        if a["text"] != b["text"]:
            left[number], right[number] = word_marks(a["text"], b["text"])
    return left, right


def word_marks(left: str, right: str) -> tuple[list[Span], list[Span]]:
    """Words that differ on either side; none where most do, for then marks say nothing."""
    a, b = diff_spans(left, right)
    changed = sum(len(span["text"]) for span in (*a, *b))
    if changed > 0.6 * (len(left) + len(right)) and len(left) + len(right) > 2 * _SHORT:
        return [], []
    return a, b


def coded(text: str) -> str:
    """Text whose commands stand between backticks."""
    pieces = visible(text).split("`")
    return "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(pieces))


def row_name(sample: dict[str, Any]) -> str:
    """How a reader finds a row again: source, id there, our id."""
    return (
        f'<p class=id title="sample_id {escape(plain(sample["sample_id"]))}">{visible(sample["source"])} '
        f"\u00b7 {visible(sample['source_id'])}</p>"
    )


def tag(text: str, kind: str = "") -> str:
    """A small label."""
    return f'<span class="tag {kind}">{visible(text)}</span>'


def number(value: float | None) -> str:
    """A number for readers."""
    if value is None:
        return "\u2013"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 1 else f"{value:,.2f}"


def share(part: float, whole: float) -> str:
    """A share in per cent; never 0 or 100 where it is not."""
    if not whole:
        return "0 %"
    value = 100 * part / whole
    if 0 < value < 0.1:
        return "under 0.1 %"
    if 99.9 < value < 100:
        return "over 99.9 %"
    return f"{value:.1f} %" if value % 1 else f"{value:.0f} %"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already."""

    def cell(kind: str, column: int, text: str) -> str:
        scope = " scope=col" if kind == "th" else ""
        return f"<{kind}{scope}{' class=n' if column in right else ''}>{text}</{kind}>"

    top = "".join(cell("th", i, text) for i, text in enumerate(head))
    body = "".join(
        f"<tr>{''.join(cell('td', i, text) for i, text in enumerate(row))}</tr>" for row in rows
    )
    return f"<div class=scroll tabindex=0 role=region aria-label=Table><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def bars(values: Sequence[dict[str, Any]], *, total: int, fates: bool) -> str:
    """Counts of names as bars, kept and dropped in one."""
    most = max((v["kept"] + v["dropped"] for v in values), default=1) or 1
    out = []
    for one in values:
        rows = one["kept"] + one["dropped"]
        name = (
            "<i class=soft>not stated</i>" if one["value"] is None else visible(str(one["value"]))
        )
        name = name or "<i class=soft>empty</i>"
        lost = f", {one['dropped']:,} of them dropped" if fates and one["dropped"] else ""
        out.append(
            f'<li title="{rows:,} of {total:,} ({share(rows, total)}){lost}"><bdi dir=auto class=name>'
            f"{name}</bdi><span class=n>{rows:,}</span><span class=track aria-hidden=true>"
            f'<i class=k style="width:{100 * one["kept"] / most:.2f}%"></i>'
            f'<i class=d style="width:{100 * one["dropped"] / most:.2f}%"></i></span></li>'
        )
    return f"<ol class=bars>{''.join(out)}</ol>"
