"""What tests of the filter rules share: rows made of texts, and one rule asked about them."""

from typing import Any

import numpy as np
import polars as pl

from curate.filter.found import Found
from curate.filter.rows import Rows
from curate.filter.rules import load_rules
from curate.filter.rules.base import Inputs


def text_rows(*conversations: list[str] | str) -> Rows:
    """Samples of these turns, user and assistant in turn; a lone text is an answer."""
    messages = []
    for turns in conversations:
        said = ["What is it?", turns] if isinstance(turns, str) else turns
        messages.append(
            [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(said)]
        )
    return Rows(
        pl.DataFrame(
            {
                "sample_id": [str(n) for n in range(len(messages))],
                "image_ids": [[] for _ in messages],
                "messages": messages,
            },
            schema_overrides={"image_ids": pl.List(pl.String)},
        )
    )


def ask(name: str, rows: Rows, *, removed: Any = None, **options: Any) -> list[Found]:
    """What a rule finds in rows; `removed` are those that rules before it remove."""
    rule = next(one for one in load_rules() if one.name == name)
    if removed is None:
        removed = np.zeros(len(rows), dtype=bool)
    inputs: Any = Inputs(dataset=None, runs={}, removed=removed, unreadable={})  # type: ignore[arg-type]
    return list(rule.find(rows, rule.options(**options), inputs))


def removed_texts(found: Found, texts: list[str]) -> list[str]:
    return [text for text, goes in zip(texts, found.removes, strict=True) if goes]
