"""What all tables share: versions, and columns that several of them have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import dataframely as dy


class Table(dy.Schema):
    """Base of every table: adds a version.

    A newer version reads what older ones wrote: columns it added are nullable and read as null,
    columns it renamed are listed in `renamed`.

    Attributes:
        version: Of the declaration; written into each part and each `_table.json`.
        renamed: Old name to new name, of columns that an older version called otherwise.
    """

    version: ClassVar[int] = 1
    renamed: ClassVar[Mapping[str, str]] = {}


def message() -> dy.Struct:
    """One turn of a conversation."""
    return dy.Struct(
        {
            "role": dy.String(description="`system`, `user` or `assistant`"),
            "content": dy.String(
                description="text; an `<image>` placeholder at the position of each image"
            ),
        }
    )


def messages(description: str, *, min_length: int = 1) -> dy.List:
    """A conversation."""
    return dy.List(message(), min_length=min_length, description=description)


def spans(description: str) -> dy.List:
    """Parts of a text that differ from another text."""
    return dy.List(
        dy.Struct(
            {
                "start": dy.Int32(description="first code point"),
                "end": dy.Int32(description="one past the last code point"),
                "text": dy.String(description="the slice itself"),
                "kind": dy.String(description="`replace`, `insert`, `delete` or `equal`"),
            }
        ),
        nullable=True,
        description=description,
    )


def label_probs(description: str) -> dy.List:
    """Probabilities of the labels of a rubric's scale."""
    return dy.List(
        dy.Struct({"label": dy.String(), "p": dy.Float64()}), nullable=True, description=description
    )
