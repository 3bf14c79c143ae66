"""A plan: the sizes of groups of rows, read from YAML and checked."""

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
_SIZE_KEYS = ("n", "fraction", "min", "max")
# Older names of keys and values, which plans may still have.
_OLD_KEYS = {"share": "fraction"}
_OLD_GROUPINGS = {"licence": "license"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The size of one group: a number of rows or a fraction of all, within bounds.

    Attributes:
        pattern: Pattern of the names of groups, as of files.
        n: Number of rows.
        fraction: Fraction of all rows.
        min_rows: Min number of rows.
        max_rows: Max number of rows.
    """

    pattern: str
    n: int | None = None
    fraction: float | None = None
    min_rows: int = 0
    max_rows: int | None = None

    def requested(self, total: int) -> float:
        """Rows requested out of a total, whether or not there are as many."""
        rows = float(self.n) if self.n is not None else (self.fraction or 0.0) * total
        return min(max(rows, self.min_rows), self.upper_bound)

    @property
    def upper_bound(self) -> float:
        """`max_rows`, or infinity."""
        return math.inf if self.max_rows is None else self.max_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan.

    Attributes:
        by: Columns whose values, joined by a slash, are the name of a row's group.
        targets: The first target whose pattern fits a group's name gets its rows.
        rest: Whether rows without a target are selected after the others.
        redistribute: Whether rows that a group lacks are taken from other groups.
        n: As the option.
        fraction: As the option.
        per_image: As the option.
        quality: As the option.
        method: As the option.
        seed: As the option.
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
        """Pattern of the target of a group with this name; the rest, or None."""
        for target in self.targets:
            if fnmatch.fnmatchcase(name, target.pattern):
                return target.pattern
        return REST if self.rest else None


def balanced(by: str, names: list[str], base: Plan) -> Plan:
    """A plan with the same fraction for each group."""
    targets = tuple(Target(pattern=_literal(name), fraction=1 / len(names)) for name in names)
    return Plan(by=(by,), targets=targets, rest=False, n=base.n, fraction=base.fraction)


def _literal(name: str) -> str:
    """A pattern that fits this name only."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def canonical_text(plan: Plan) -> str:
    """The plan as the text that runs record a hash of; must not change between versions."""
    targets = [
        f"Target(pattern={t.pattern!r}, n={t.n!r}, share={t.fraction!r}, "
        f"least={t.min_rows!r}, most={t.max_rows!r})"
        for t in plan.targets
    ]
    listed = f"({', '.join(targets)}{',' if len(targets) == 1 else ''})"
    old = {new: old for old, new in _OLD_GROUPINGS.items()}
    by = tuple(old.get(name, name) for name in plan.by)
    return (
        f"Plan(by={by!r}, targets={listed}, rest={plan.rest!r}, "
        f"redistribute={plan.redistribute!r}, n={plan.n!r}, fraction={plan.fraction!r}, "
        f"per_image={plan.per_image!r}, quality={plan.quality!r}, method={plan.method!r}, "
        f"seed={plan.seed!r})"
    )


def read_plan(path: Path) -> Plan:
    """Read and check a plan.

    Raises:
        UsageError: Names the key that is wrong.
    """
    raw = read_yaml(path)
    _check_keys(raw, _KEYS, path, "")
    by = _grouping(path, raw)
    targets = _targets(path, raw, by)
    rest = raw.get("rest", "take")
    if rest not in ("take", "drop"):
        _fail(path, "rest", f"must be take (what the groups leave) or drop, got {rest!r}")
    plan = Plan(
        by=by, targets=targets, rest=rest == "take",
        redistribute=_value(path, raw, "redistribute", bool, default=True),
        n=_value(path, raw, "n", int), fraction=_value(path, raw, "fraction", float),
        per_image=_value(path, raw, "per_image", int), quality=_value(path, raw, "quality", float),
        method=_value(path, raw, "method", str), seed=_value(path, raw, "seed", int),
    )  # fmt: skip
    if plan.method is not None and plan.method not in get_args(Method):
        _fail(path, "method", f"must be one of {', '.join(get_args(Method))}, got {plan.method!r}")
    check_values(plan, flag=False, where=f"{path}: ")
    return plan


def _grouping(path: Path, raw: dict[str, Any]) -> tuple[str, ...]:
    by = raw.get("by", [])
    by = [by] if isinstance(by, str) else by
    if isinstance(by, list):
        by = [_OLD_GROUPINGS.get(one, one) if isinstance(one, str) else one for one in by]
    if not isinstance(by, list) or any(one not in GROUPINGS for one in by):
        _fail(path, "by", f"must be one or a list of {', '.join(GROUPINGS)}, got {raw['by']!r}")
    return tuple(by)


def _targets(path: Path, raw: dict[str, Any], by: tuple[str, ...]) -> tuple[Target, ...]:
    groups = raw.get("groups", {})
    if not isinstance(groups, dict):
        _fail(
            path, "groups", "must be a mapping of group names to sizes, such as `captioning: 30%`"
        )
    if groups and not by:
        _fail(path, "by", "is missing: name the column that contains the names of the groups")
    targets = tuple(_target(path, str(k), v) for k, v in groups.items())
    total = sum(t.fraction or 0 for t in targets)
    if total > 1 + 1e-9:
        _fail(path, "groups", f"the fractions add up to {100 * total:g} %, more than 100 %")
    return targets


def _fail(path: Path, where: str, words: str) -> None:
    msg = f"{path}: {where}: {words}"
    raise UsageError(msg)


def _check_keys(mapping: dict[Any, Any], known: tuple[str, ...], path: Path, where: str) -> None:
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
    value = {_OLD_KEYS.get(key, key): size for key, size in value.items()}
    _check_keys(value, _SIZE_KEYS, path, f"{where}.")
    if ("n" in value) == ("fraction" in value):
        _fail(path, where, "must have either n or fraction")
    found: dict[str, Any] = {}
    if "n" in value:
        found["n"] = _whole(path, f"{where}.n", value["n"])
    else:
        found |= _size(path, f"{where}.fraction", value["fraction"], fraction=True)
    for key in ("min", "max"):
        if key in value:
            found[f"{key}_rows"] = _whole(path, f"{where}.{key}", value[key])
    if found.get("max_rows") is not None and found["max_rows"] < found.get("min_rows", 0):
        _fail(path, f"{where}.max", "is less than min")
    return Target(pattern=name, **found)


def _size(path: Path, where: str, value: Any, *, fraction: bool = False) -> dict[str, Any]:
    """A number of rows (whole), or a fraction (`30%`, or a number with a point)."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            value = float(value.strip()[:-1]) / 100
        except ValueError:
            _fail(path, where, f"must be a percentage such as 30%, got {value!r}")
    elif not fraction and isinstance(value, int) and not isinstance(value, bool):
        return {"n": _whole(path, where, value)}
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        words = f"must be a fraction (30% or 0.3) or a whole number of rows, got {value!r}"
        _fail(path, where, words)
    return {"fraction": float(value)}


def _whole(path: Path, where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _fail(path, where, f"must be a whole number of rows, got {value!r}")
    return int(value)
