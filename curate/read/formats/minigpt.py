"""MiniGPT-4, MiniGPT-v2 and SkyEyeGPT rows: an image id instead of a file name.

As the loaders in the MiniGPT-4 repository read them: `{"annotations": [{image_id, caption}]}` with
the images as `<image_id>.jpg` (cc_sbu_align), `grounded_caption` for the filtered Flickr30k set, and
`id` with `conversations` for its multi-task conversations. Texts may carry
`<Img><ImageHere></Img>`. The data of SkyEyeGPT follow the forms of MiniGPT-v2, according to its
authors; the archive (SkyEye-968k, CC BY 4.0) is a RAR file that could not be read, so a dialogue may
have any form of such sets: turns, pairs of question and answer, or one text with `Human:` and
`Assistant:`. `--image-pattern` is for file names that are longer than the id.
"""

from __future__ import annotations

import re
from typing import Any, Final

from curate.read import conversations, questions
from curate.read.fields import ANSWER, IMAGE, QUESTION, Naming
from curate.read.formats.base import Format
from curate.read.refs import from_pattern
from curate.read.rows import Draft, ImageRef, RowError
from pairwright.text.conversation import IMAGE as PLACEHOLDER

_DIALOGUE: Final = ("conversations", "conversation", "dialogue", "dialog", "messages")
_CAPTION: Final = ("caption", "grounded_caption", "captions")
_HERE = re.compile(r"<img>\s*<image(?:here|feature)?>\s*</img>", re.IGNORECASE)
_SPEAKER = re.compile(
    r"(?:(?:^|\n)[ \t]*|[ \t](?=(?:Human|Assistant):))"
    r"(Human|User|Question|Q|Assistant|GPT|Bot|Answer|A)[ \t]*:[ \t]*"
)
_USERS: Final = ("human", "user", "question", "q")


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is one of these sets, if it is."""
    if row.get("image_id") is None or any(row.get(name) not in (None, [], "") for name in IMAGE):
        return None
    inside = (*_DIALOGUE, *_CAPTION, *QUESTION, *ANSWER)
    found = next((name for name in inside if row.get(name) is not None), None)
    return None if found is None else f"have image_id and {found}"


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a row with an image id and a dialogue, a question or a caption.

    Raises:
        RowError: If the row is not of that form.
    """
    row = {**row, **_image(row, naming)}
    name = next((n for n in _DIALOGUE if row.get(n) is not None), None)
    if name is not None:
        turns = _turns(row[name])
        rest = {key: value for key, value in row.items() if key != name}
        return conversations.convert({**rest, "conversations": turns}, naming)
    caption = next((n for n in _CAPTION if row.get(n) is not None), None)
    if caption is not None and not any(row.get(q) is not None for q in QUESTION):
        value = row[caption]
        text = value[0] if isinstance(value, list) and value else value
        rest = {key: value for key, value in row.items() if key != caption or text is not value}
        return questions.convert({**rest, "caption": text}, naming)
    return questions.convert({key: _clean(value) for key, value in row.items()}, naming)


def _image(row: dict[str, Any], naming: Naming) -> dict[str, Any]:
    """The image of the id."""
    if naming.image is not None or any(row.get(name) not in (None, [], "") for name in IMAGE):
        return {}
    ident = row.get("image_id", row.get("id"))
    if isinstance(ident, bool) or not isinstance(ident, str | int) or ident == "":
        raise RowError("missing_image", "no image_id that is text or a number", stage="image")
    if naming.image_pattern is not None:
        return {"image": ImageRef(path=from_pattern(str(ident), naming.image_pattern))}
    return {"image": ImageRef(path=str(ident), stem=True)}


def _clean(value: Any) -> Any:
    return _HERE.sub(PLACEHOLDER, value) if isinstance(value, str) else value


def _turns(value: Any) -> Any:
    """A dialogue of any form as a list of turns."""
    if isinstance(value, str):
        return _spoken(_clean(value))
    if not isinstance(value, list):
        return value
    turns: list[Any] = []
    for item in value:
        if isinstance(item, list | tuple) and len(item) == 2:
            turns += [_turn("human", item[0]), _turn("gpt", item[1])]
        elif isinstance(item, dict) and "question" in item:
            turns.append(_turn("human", item["question"]))
            if item.get("answer") is not None:
                turns.append(_turn("gpt", item["answer"]))
        elif isinstance(item, dict):
            turns.append({key: _clean(text) for key, text in item.items()})
        else:
            turns.append(item)
    return turns


def _turn(role: str, text: Any) -> dict[str, Any]:
    return {"from": role, "value": _clean(text)}


def _spoken(text: str) -> Any:
    """A text with the speakers' names in front, as turns; any other text as it is."""
    pieces = _SPEAKER.split(text.replace("###", "\n"))
    if len(pieces) < 3:
        return text
    turns = [
        _turn("human" if who.lower() in _USERS else "gpt", words.strip())
        for who, words in zip(pieces[1::2], pieces[2::2], strict=True)
    ]
    opening = pieces[0].strip()
    return [_turn("system", opening), *turns] if opening else turns


FORMAT: Final = Format(
    name="minigpt",
    summary="MiniGPT-4 or SkyEyeGPT rows",
    rows=(
        "MiniGPT-4, MiniGPT-v2, SkyEyeGPT: `image_id` with `caption`, `question`, or a dialogue as "
        "turns, as pairs, or as one text with `Human:` and `Assistant:`; "
        "`--image-pattern 'COCO_train2014_{:012d}.jpg'` for longer file names"
    ),
    makes={"samples": convert},
    detect=detect,
)
