"""Checks of options that several rules use."""

from __future__ import annotations

from typing import Any

from pairwright.commands.options import flag_of
from pairwright.errors import UsageError


def check_counts(options: Any, *names: str) -> None:
    """Refuse negative numbers.

    Raises:
        UsageError: If there is one.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 0:
            msg = f"{flag_of(name)} must be at least 0, got {value}"
            raise UsageError(msg)


def check_fractions(options: Any, *names: str) -> None:
    """Refuse numbers that are not from 0 to 1.

    Raises:
        UsageError: If there is one.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and not 0 <= value <= 1:
            msg = f"{flag_of(name)} is a fraction from 0 to 1, got {value:g}"
            raise UsageError(msg)


def check_order(options: Any, low: str, high: str) -> None:
    """Refuse a minimum above its maximum.

    Raises:
        UsageError: If it is.
    """
    least, most = getattr(options, low), getattr(options, high)
    if least is not None and most is not None and least > most:
        msg = f"{flag_of(low)} {least} is above {flag_of(high)} {most}: no row would be kept"
        raise UsageError(msg)


def words_of(text: str | None) -> tuple[str, ...]:
    """The words of a comma list."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def check_words(
    name: str, text: str | None, known: tuple[str, ...], *, all_of_them: bool = True
) -> None:
    """Refuse a comma list that names something unknown, or nothing.

    Args:
        name: Of the option.
        text: Its value.
        known: What it may name.
        all_of_them: Whether `all` names all.

    Raises:
        UsageError: If it does.
    """
    if text is None:
        return
    allowed = (*known, "all") if all_of_them else known
    words = words_of(text)
    unknown = [word for word in words if word not in allowed]
    if unknown:
        msg = f"{flag_of(name)} takes a comma list of {', '.join(allowed)}; got {unknown[0]!r}"
        raise UsageError(msg)
    if not words:
        msg = f"{flag_of(name)} names nothing"
        raise UsageError(msg)
