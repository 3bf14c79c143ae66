"""Target sizes of groups: a plan from YAML, and how rows are shared out where groups fall short."""

from __future__ import annotations

import difflib
import fnmatch
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from curate.select.options import Method, check_values
from pairwright.commands.userconfig import read_yaml
from pairwright.errors import UsageError

GROUPINGS = ("task", "source", "split", "license")
REST = "(rest)"
_KEYS = ("n", "fraction", "by", "groups", "rest", "redistribute", "per_image", "quality", "method",
         "seed")  # fmt: skip
_SIZE_KEYS = ("n", "share", "min", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one group shall get: rows, or a share of all; both within bounds."""

    pattern: str
    n: int | None = None
    share: float | None = None
    least: int = 0
    most: int | None = None

    def wanted(self, total: int) -> float:
        """Rows, before it is known how many there are."""
        rows = float(self.n) if self.n is not None else (self.share or 0.0) * total
        return min(max(rows, self.least), math.inf if self.most is None else self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan, checked.

    Attributes:
        by: Columns that make the groups' names, joined by a slash.
        targets: In order; the first pattern that fits a group's name takes its rows.
        rest: Whether rows of no target get what the others leave.
        redistribute: Whether what a group lacks goes to the others.
    """

    by: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    rest: bool = True
    redistribute: bool = True
    n: int | None = None
    fraction: float | None = None
    per_image: int | None = None
    quality: float | None = None
    method: Method | None = None
    seed: int | None = None

    def target_of(self, name: str) -> str | None:
        """Pattern that takes a group of this name; the rest, or nothing."""
        for target in self.targets:
            if fnmatch.fnmatchcase(name, target.pattern):
                return target.pattern
        return REST if self.rest else None


def read_plan(path: Path) -> Plan:
    """Read and check a plan.

    Raises:
        UsageError: With the path of the key that is wrong.
    """
    raw = read_yaml(path)
    _only(raw, _KEYS, path, "")
    by = raw.get("by", [])
    by = [by] if isinstance(by, str) else by
    if not isinstance(by, list) or any(one not in GROUPINGS for one in by):
        _fail(path, "by", f"must be one or a list of {', '.join(GROUPINGS)}, got {raw['by']!r}")
    groups = raw.get("groups", {})
    if not isinstance(groups, dict):
        _fail(
            path, "groups", "must be a mapping of group names to sizes, such as `captioning: 30%`"
        )
    if groups and not by:
        _fail(path, "by", "groups need it: which column has their names?")
    targets = tuple(_target(path, str(k), v) for k, v in groups.items())
    shares = sum(t.share or 0 for t in targets)
    if shares > 1 + 1e-9:
        _fail(path, "groups", f"the shares add up to {100 * shares:g} %, more than all")
    rest = raw.get("rest", "take")
    if rest not in ("take", "drop"):
        _fail(path, "rest", f"must be take (what the groups leave) or drop, got {rest!r}")
    plan = Plan(
        by=tuple(by), targets=targets, rest=rest == "take",
        redistribute=_value(path, raw, "redistribute", bool, default=True),
        n=_value(path, raw, "n", int), fraction=_value(path, raw, "fraction", float),
        per_image=_value(path, raw, "per_image", int), quality=_value(path, raw, "quality", float),
        method=_value(path, raw, "method", str), seed=_value(path, raw, "seed", int),
    )  # fmt: skip
    if plan.method is not None and plan.method not in get_args(Method):
        _fail(path, "method", f"must be one of {', '.join(get_args(Method))}, got {plan.method!r}")
    check_values(plan, flag=False, where=f"{path}: ")
    return plan


def _fail(path: Path, where: str, words: str) -> None:
    msg = f"{path}: {where}: {words}"
    raise UsageError(msg)


def _only(mapping: dict[Any, Any], known: tuple[str, ...], path: Path, where: str) -> None:
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            _fail(path, f"{where}{key}", f"unknown key; {hint}")


def _value(path: Path, raw: dict[str, Any], key: str, kind: type, *, default: Any = None) -> Any:
    if key not in raw:
        return default
    value = raw[key]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
        _fail(path, key, f"must be {words[kind]}, got {value!r}")
    return value


def _target(path: Path, name: str, value: Any) -> Target:
    where = f"groups.{name}"
    if not isinstance(value, dict):
        return Target(pattern=name, **_size(path, where, value))
    _only(value, _SIZE_KEYS, path, f"{where}.")
    if ("n" in value) == ("share" in value):
        _fail(path, where, "must have either n or share")
    found: dict[str, Any] = {}
    if "n" in value:
        found["n"] = _whole(path, f"{where}.n", value["n"])
    else:
        found |= _size(path, f"{where}.share", value["share"], share=True)
    for key, field in (("min", "least"), ("max", "most")):
        if key in value:
            found[field] = _whole(path, f"{where}.{key}", value[key])
    if found.get("most") is not None and found["most"] < found.get("least", 0):
        _fail(path, f"{where}.max", "is less than min")
    return Target(pattern=name, **found)


def _size(path: Path, where: str, value: Any, *, share: bool = False) -> dict[str, Any]:
    """A number of rows (whole), or a share (`30%`, or a number with a point)."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            value = float(value.strip()[:-1]) / 100
        except ValueError:
            _fail(path, where, f"must be a percentage such as 30%, got {value!r}")
    elif not share and isinstance(value, int) and not isinstance(value, bool):
        return {"n": _whole(path, where, value)}
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        _fail(path, where, f"must be a share (30% or 0.3) or a whole number of rows, got {value!r}")
    return {"share": float(value)}


def _whole(path: Path, where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _fail(path, where, f"must be a whole number of rows, got {value!r}")
    return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one group gets.

    Attributes:
        name: The target's pattern.
        available: Rows there are.
        asked: Rows wanted.
        given: Rows it gets.
    """

    name: str
    available: int
    asked: int
    given: int


def allocate(plan: Plan, available: dict[str, int], total: int) -> list[Share]:
    """Share rows out over the targets.

    A group gets no more than it has. What it lacks goes to the groups with a share that have rows
    left, in proportion to their shares, if the plan allows; groups with a number of rows get that
    number and no more.

    Args:
        plan: The plan.
        available: Rows of each target (and of the rest).
        total: Rows wanted.
    """
    targets = {t.pattern: t for t in plan.targets}
    asked = {name: target.wanted(total) for name, target in targets.items()}
    left = total - sum(asked.values())
    if plan.rest and REST in available:
        asked[REST] = max(0.0, left)
    flexible = {n for n in asked if n == REST or targets[n].share is not None}
    limit = {
        n: float(min(available.get(n, 0), _most(targets.get(n)) if n in targets else math.inf))
        for n in asked
    }
    given = {n: min(asked[n], limit[n]) for n in asked}
    excess = sum(given.values()) - total
    if excess > 0:  # numbers and bounds ask for more than all
        given = {n: rows * total / (total + excess) for n, rows in given.items()}
    if plan.redistribute:
        _fill(given, limit, {n: asked[n] for n in flexible if asked[n] > 1e-6}, total)
    whole = _round(given, limit, min(total, math.floor(sum(given.values()) + 0.5 + 1e-9)))
    return [
        Share(name=n, available=available.get(n, 0), asked=round(asked[n]), given=whole[n])
        for n in asked
    ]


def _most(target: Target | None) -> float:
    return math.inf if target is None or target.most is None else target.most


def _fill(
    given: dict[str, float], limit: dict[str, float], weights: dict[str, float], total: int
) -> None:
    """Give what is left to groups with room, by weight, until nothing is left or no room."""
    while True:
        left = total - sum(given.values())
        room = {n: w for n, w in weights.items() if limit[n] - given[n] > 1e-9}
        if left < 1e-9 or not room:
            return
        step = min(left / sum(room.values()), *((limit[n] - given[n]) / w for n, w in room.items()))
        for name, weight in room.items():
            given[name] += step * weight


def _round(given: dict[str, float], limit: dict[str, float], total: int) -> dict[str, int]:
    """Whole rows of the same sum: largest remainders first, then by name."""
    whole = {name: math.floor(rows + 1e-9) for name, rows in given.items()}
    order = sorted(given, key=lambda n: (whole[n] - given[n], n))
    for name in order:
        if sum(whole.values()) >= total:
            break
        if given[name] - whole[name] > 1e-9 and whole[name] < limit[name]:
            whole[name] += 1
    return whole


def balanced(by: str, names: list[str], base: Plan) -> Plan:
    """A plan with the same share for every group."""
    targets = tuple(Target(pattern=_literal(name), share=1 / len(names)) for name in names)
    return Plan(by=(by,), targets=targets, rest=False, n=base.n, fraction=base.fraction)


def _literal(name: str) -> str:
    """A pattern that fits this name only."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
