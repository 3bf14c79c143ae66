"""The formats of rows: how each is told, and what makes samples, pairs or feedback of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from curate.read.fields import ANSWER, BASE64_FIELD, CAPTION, IMAGE, QUESTION, Naming
from curate.read.formats import (
    chat,
    claims,
    labelstudio,
    minigpt,
    preference,
    qa,
    sidebyside,
    swift,
    vlfeedback,
)
from curate.read.rows import Draft

Row = dict[str, Any]
Converter = Callable[[Row, Naming], Draft]


def _nothing(_: Row) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        meaning: What it is, in words.
        tell: Why a row is of it ("have ..."), or `None`.
        makes: What makes drafts of its rows, by the table they are for.
        usual: Table that a row is for, where it is not the first of `makes`.
        note: What is worth knowing about where it comes from.
    """

    name: str
    meaning: str
    tell: Callable[[Row], str | None]
    makes: Mapping[str, Converter]
    usual: Callable[[Row], str | None] = field(default=_nothing)
    note: str | None = None


def _has(row: Row, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if row.get(name) not in (None, [], "")), None)


def _both(row: Row) -> bool:
    return row.get("chosen") is not None and row.get("rejected") is not None


def _pairs_if_both(row: Row) -> str:
    return "pairs" if _both(row) else "samples"


def _tell_rlhf_v(row: Row) -> str | None:
    opened = preference.unpack(row) is not row
    return "have text that is JSON with question, chosen and rejected" if opened else None


def _tell_rlaif_v(row: Row) -> str | None:
    origin = _has(row, ("ds_name", "origin_dataset"))
    if _both(row) and row.get("question") is not None and origin:
        return f"have question, chosen, rejected and {origin}"
    return None


def _tell_m3it(row: Row) -> str | None:
    if BASE64_FIELD in row and row.get("instruction") is not None:
        return f"have instruction and {BASE64_FIELD}"
    return None


def _from_value(row: Row) -> str | None:
    return next((n for n in ("conversations", "conversation") if row.get(n) is not None), None)


def _tell_sharegpt(row: Row) -> str | None:
    name = _from_value(row)
    if name is None:
        return None
    beside = _has(row, ("images", "tools", "system"))
    if _both(row):
        return f"have {name}, chosen and rejected"
    return f"have {name}" + (f" and {beside}" if beside else ", and name no image")


def _tell_llava(row: Row) -> str | None:
    name = _from_value(row)
    return f"have {name} and image" if name and _has(row, ("image",)) else None


def _tell_trl(row: Row) -> str | None:
    if not _both(row):
        return None
    asked = _has(row, QUESTION)
    return f"have {asked}, chosen and rejected" if asked else "have chosen and rejected"


def _tell_messages(row: Row) -> str | None:
    return "have messages" if row.get("messages") is not None else None


def _tell_caption(row: Row) -> str | None:
    image, text = _has(row, (*IMAGE, "url")), _has(row, (*CAPTION, "captions"))
    if image is None or text is None or _has(row, QUESTION) or _has(row, ANSWER):
        return None
    return f"have {image} and {text}, and no question"


def _tell_qa(row: Row) -> str | None:
    text = "text" if row.get("text") is not None else None
    question, answer = _has(row, QUESTION), _has(row, ANSWER)
    caption = _has(row, CAPTION)
    if question is None and caption is None:
        return None  # an answer alone: to what?
    names = dict.fromkeys(
        n for n in (question or (text if answer else None), answer or caption) if n
    )
    return f"have {' and '.join(names)}"


def _caption(row: Row, naming: Naming) -> Draft:
    """Captions; the address of an image may be in `url`. Of several `captions` the first counts."""
    several = row.get("captions")
    if not _has(row, CAPTION) and isinstance(several, list) and several:
        row = {**row, "caption": several[0]}
    if naming.image is None and not _has(row, IMAGE) and row.get("url"):
        row = {**{k: v for k, v in row.items() if k != "url"}, "image": row["url"]}
    return qa.convert(row, naming)


_CHAT: Final = {"samples": chat.convert, "pairs": preference.convert}
_PREFERENCE: Final = {"pairs": preference.convert, "feedback": preference.convert_correction}
_NC: Final = "released as CC BY-NC 4.0"

# In the order in which they are tried: the most telling first.
FORMATS: Final = {
    one.name: one
    for one in (
        Format(
            name="label-studio",
            meaning="a Label Studio export",
            tell=labelstudio.tell,
            makes={
                "samples": labelstudio.convert,
                "comparisons": labelstudio.convert_comparison,
                "feedback": labelstudio.convert_feedback,
            },
            usual=labelstudio.usual,
        ),
        Format(
            name="claims",
            meaning="answers with judged claims or labelled parts",
            tell=claims.tell,
            makes={"claims": claims.convert, "feedback": claims.convert},
        ),
        Format(
            name="side-by-side",
            meaning="two answers side by side with people's verdicts",
            tell=sidebyside.tell,
            makes={"comparisons": sidebyside.convert},
        ),
        Format(
            name="vlfeedback",
            meaning="VLFeedback (several answers with ratings)",
            tell=vlfeedback.tell,
            makes={"responses": vlfeedback.convert},
        ),
        Format(
            name="m3it",
            meaning="M3IT instructions",
            tell=_tell_m3it,
            makes={"samples": qa.convert},
            note="each of its 40 sets has a license of its own",
        ),
        Format(
            name="rlhf-v",
            meaning="RLHF-V corrections",
            tell=_tell_rlhf_v,
            makes=_PREFERENCE,
            note=_NC,
        ),
        Format(
            name="rlaif-v",
            meaning="RLAIF-V preferences",
            tell=_tell_rlaif_v,
            makes=_PREFERENCE,
            note=_NC,
        ),
        Format(
            name="swift",
            meaning="ms-swift rows",
            tell=swift.tell,
            makes={"samples": swift.convert, "pairs": swift.convert_pair},
            usual=lambda row: "pairs" if _has(row, swift.WORSE) else "samples",
        ),
        Format(
            name="minigpt",
            meaning="MiniGPT-4 or SkyEyeGPT rows",
            tell=minigpt.tell,
            makes={"samples": minigpt.convert},
        ),
        Format(
            name="llava",
            meaning="LLaVA conversations",
            tell=_tell_llava,
            makes=_CHAT,
            usual=_pairs_if_both,
        ),
        Format(
            name="sharegpt",
            meaning="ShareGPT conversations",
            tell=_tell_sharegpt,
            makes=_CHAT,
            usual=_pairs_if_both,
        ),
        Format(
            name="trl-preference",
            meaning="TRL preferences (prompt, chosen, rejected)",
            tell=_tell_trl,
            makes=_PREFERENCE,
        ),
        Format(
            name="messages",
            meaning="messages",
            tell=_tell_messages,
            makes=_CHAT,
            usual=_pairs_if_both,
        ),
        Format(
            name="caption",
            meaning="images with captions",
            tell=_tell_caption,
            makes={"samples": _caption},
        ),
        Format(
            name="qa",
            meaning="question and answer, or captions",
            tell=_tell_qa,
            makes={"samples": qa.convert},
        ),
        Format(
            name="folder",
            meaning="an image folder with questions or captions",
            tell=_nothing,
            makes={"samples": qa.convert},
        ),
        Format(
            name="easy-vqa",
            meaning="easy-vqa",
            tell=_nothing,
            makes={"samples": qa.convert},
        ),
    )
}
