"""Labels as token ids: a verdict is read at one position, so each spelling must be one token."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pairwright.errors import UsageError
from pairwright.vlm.types import label_names

_MOST = 128  # max ids whose probabilities vLLM returns


def label_token_ids(
    labels: Sequence[str], tokenize: Callable[[str], Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    r"""Token ids by label name.

    Args:
        labels: Labels; spellings of one label are joined by `|`.
        tokenize: Token ids of a text, without special tokens.

    Raises:
        UsageError: If a spelling is not one token of the model, or two labels share one.
    """
    out: dict[str, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    for name, label in zip(label_names(tuple(labels)), labels, strict=True):
        ids = tuple(dict.fromkeys(_one_token(spelling, tokenize) for spelling in label.split("|")))
        for i in ids:
            if owner.setdefault(i, name) != name:
                msg = f"the labels {owner[i]!r} and {name!r} are the same token for this model: choose labels that start differently"
                raise UsageError(msg)
        out[name] = ids
    if len(owner) > _MOST:
        msg = f"{len(owner)} label tokens; the maximum is {_MOST}"
        raise UsageError(msg)
    return out


def _one_token(spelling: str, tokenize: Callable[[str], Sequence[int]]) -> int:
    ids = list(tokenize(spelling))
    if len(ids) == 1:
        return int(ids[0])
    # SentencePiece puts a word-start character before a lone digit; after a line break it does not.
    before = list(tokenize("\n"))
    inside = list(tokenize("\n" + spelling))
    if inside[: len(before)] == before and len(inside) == len(before) + 1:
        return int(inside[-1])
    msg = f"the label {spelling!r} is {len(ids)} tokens for this model, and must be one: write digits 0-9, single letters or short words as the rubric's labels"
    raise UsageError(msg)
