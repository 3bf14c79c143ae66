"""Row text in prompts: data, never markup.

A server reads `<|im_end|>` or `<image>` in a message as the special tokens of the model, wherever it comes
from; a row could end its turn, answer instead of the judge, or insert an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pairwright.errors import DataError
from pairwright.text.conversation import Message, content_parts
from pairwright.vlm.types import Part, Turn

# Special tokens of the common families: <|...|> and its full-width form, <s>, </s>, <pad>, <unk>,
# <image>, <start_of_turn>, [INST], ...
_MARKS = re.compile(
    r"<(?=[|\uff5c])"
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|image|images|img|video|audio|image_soft_token"
    r"|start_of_turn|end_of_turn|start_of_image|end_of_image|fake_token_around_image|global-img"
    r"|row_\d+_col_\d+|end_of_utterance|tool_call|think|box|ref|quad)>)"
    r"|\[(?=/?(?:INST|IMG|IMG_BREAK|IMG_END|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)


def disarm(text: str) -> str:
    """Text whose look-alikes of special tokens are plain characters: a space follows the bracket."""
    return _MARKS.sub(lambda match: match.group() + " ", text.replace("\0", ""))


def turns_of(messages: Sequence[Message], image_ids: Sequence[str]) -> tuple[Turn, ...]:
    """A conversation of the samples table as a prompt.

    Raises:
        DataError: If there are not as many image placeholders as images.
    """
    ids = iter(image_ids)
    turns = tuple(Turn(role=m["role"], parts=tuple(_parts(m["content"], ids))) for m in messages)
    if next(ids, None) is not None:
        msg = "more images than image placeholders"
        raise DataError(msg)
    return turns


def _parts(content: str, ids: Iterator[str]) -> Iterator[Part]:
    for part in content_parts(content):
        if part["type"] == "text":
            yield {"type": "text", "text": disarm(part["text"])}
            continue
        image_id = next(ids, None)
        if image_id is None:
            msg = "more image placeholders than images"
            raise DataError(msg)
        yield {"type": "image", "image_id": image_id}
