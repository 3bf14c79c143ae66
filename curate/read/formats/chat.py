"""LLaVA, ShareGPT and `messages` rows: a list of turns, with images beside or inside it.

LLaVA's own files hold `id`, `image` (one path; LLaVA-NeXT: several) and `conversations` of
`{from: human | gpt, value}` with `<image>` where the picture stands. ShareGPT as LLaMA-Factory's
data README describes it has the same turns, `images` as a list, `system` and `tools` beside them,
and the roles `observation` and `function_call`, which stand at a user's and an assistant's place;
their names are kept in `meta`. `messages` are `{role, content}`, as OpenAI, TRL and LLaMA-Factory's
openai style have them; content is text or a list of typed parts.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read.fields import Naming, describe, image_field
from curate.read.refs import image_refs
from curate.read.rows import Draft, ImageRef, RowError
from curate.read.turns import settle, tool_roles, turns_of, with_system

_MEDIA: Final = frozenset(("videos", "video", "audios", "audio"))
TURNS: Final = ("conversations", "messages", "conversation")


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a row with `conversations` or `messages`.

    Raises:
        RowError: If the row is not of that form.
    """
    name = next((n for n in TURNS if row.get(n) is not None), None)
    if name is None:
        raise RowError("missing_field", f"none of the fields {', '.join(TURNS)}")
    refuse_media(row)
    messages, inside = turns_of(row[name], name, naming)
    messages = with_system(messages, row.get("system"), naming)
    images = all_images(row, inside, naming)
    draft = Draft(messages=settle(messages, len(images)), images=images)
    used = (name, "system", image_field(row, naming) or "")
    roles = tool_roles(row[name])
    row = row if roles is None else {**row, "roles": roles}
    return describe(draft, row, used, naming)


def all_images(row: dict[str, Any], inside: list[ImageRef], naming: Naming) -> list[ImageRef]:
    """Images of a row: those inside its turns, or those beside them.

    Raises:
        RowError: If there are both.
    """
    beside = image_refs(row, naming)
    if inside and beside:
        detail = f"{len(inside)} images inside the turns and {len(beside)} beside them"
        raise RowError("ambiguous_images", detail)
    return inside or beside


def refuse_media(row: dict[str, Any]) -> None:
    """Refuse rows about films and sounds, which would otherwise pass for text.

    Raises:
        RowError: If there are any.
    """
    if _MEDIA.isdisjoint(row):
        return
    for name in sorted(_MEDIA):
        if row.get(name):
            raise RowError("unsupported_media", f"the row has {name}; only images are supported")


def is_turns(value: Any) -> bool:
    """Whether a field holds turns rather than text."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
