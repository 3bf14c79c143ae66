"""Numbers with their nouns, for messages: `1 row`, `2,000 rows`."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun in the right form.

    Args:
        n: The number.
        noun: Singular.
        plural: Plural, if it is not the singular and an s.
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
