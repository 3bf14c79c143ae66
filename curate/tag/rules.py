"""Rules that find the tasks of samples by their texts: read from YAML, checked, applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.commands.userconfig import read_yaml
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

BUILT_IN = Path(__file__).parent / "tasks.yaml"
_COUNTS = ("images", "turns", "question_words", "answer_words")
_TEXTS = ("question", "answer", "source", "split", "source_task")
_RULE_KEYS = ("name", "task", "when", "not", "otherwise")
_MAX_COUNT = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition.

    Attributes:
        on: Column that it checks.
        patterns: For texts: one of these must be found.
        min_count: For counts.
        max_count: For counts.
    """

    on: str
    patterns: tuple[str, ...] = ()
    min_count: int = 0
    max_count: int = _MAX_COUNT

    def expression(self) -> pl.Expr:
        """True for samples that meet the condition."""
        import polars as pl

        if self.patterns:
            joined = "|".join(f"(?:{pattern})" for pattern in self.patterns)
            return pl.col(self.on).str.contains(f"(?im){joined}").fill_null(value=False)
        return pl.col(self.on).is_between(self.min_count, self.max_count)

    def __str__(self) -> str:
        """One line for the report; runs record a hash of it, so it must not change."""
        if self.patterns:
            return f"{self.on} has {' or '.join(self.patterns)}"
        if self.min_count == self.max_count:
            return f"{self.on} = {self.min_count}"
        parts = [f"{self.on} >= {self.min_count}"] if self.min_count else []
        parts += [f"{self.on} <= {self.max_count}"] if self.max_count < _MAX_COUNT else []
        return " and ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: a sample has the task if it meets all of `when` and none of `unless`.

    Attributes:
        name: Name of the rule.
        task: Its task.
        when: Conditions that must hold.
        unless: Conditions that must not hold.
        otherwise: Whether the rule applies only if no rule before it does.
    """

    name: str
    task: str
    when: tuple[Condition, ...]
    unless: tuple[Condition, ...] = field(default=())
    otherwise: bool = False

    def expression(self) -> pl.Expr:
        """True for samples that the rule fits."""
        import polars as pl

        holds = [c.expression() for c in self.when] + [~c.expression() for c in self.unless]
        return pl.all_horizontal(holds)

    def __str__(self) -> str:
        """Its conditions, one per line; runs record a hash of it, so it must not change."""
        lines = [f"      if {c}" for c in self.when] + [f"      not if {c}" for c in self.unless]
        lines += ["      only where no rule above fits"] if self.otherwise else []
        return "\n".join(lines)


def read_rules(path: Path | None) -> tuple[Rule, ...]:
    """Read and check a rules file.

    Raises:
        UsageError: Names the key that is wrong.
    """
    file = path or BUILT_IN
    raw = read_yaml(file)
    _only(raw, ("rules",), str(file), "")
    rules = raw.get("rules")
    if not isinstance(rules, list) or not rules:
        msg = f"{file}: rules must be a list of rules, each with name, task and when"
        raise UsageError(msg)
    found: list[Rule] = []
    for number, entry in enumerate(rules):
        rule = _rule(entry, str(file), f"rules[{number}]")
        if any(other.name == rule.name for other in found):
            msg = f"{file}: rules[{number}].name: two rules have the name {rule.name!r}"
            raise UsageError(msg)
        found.append(rule)
    return tuple(found)


def _rule(entry: Any, file: str, where: str) -> Rule:
    if not isinstance(entry, dict):
        msg = f"{file}: {where}: must be a mapping with name, task and when"
        raise UsageError(msg)
    _only(entry, _RULE_KEYS, file, where)
    for key in ("name", "task"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            msg = f"{file}: {where}.{key}: must be a word, got {entry.get(key)!r}"
            raise UsageError(msg)
    when = _conditions(entry.get("when"), file, f"{where}.when")
    unless = _conditions(entry["not"], file, f"{where}.not") if "not" in entry else ()
    otherwise = entry.get("otherwise", False)
    if not isinstance(otherwise, bool):
        msg = f"{file}: {where}.otherwise: must be true or false, got {otherwise!r}"
        raise UsageError(msg)
    return Rule(
        name=entry["name"], task=entry["task"], when=when, unless=unless, otherwise=otherwise
    )


def _conditions(value: Any, file: str, where: str) -> tuple[Condition, ...]:
    if not isinstance(value, dict) or not value:
        msg = f"{file}: {where}: must be a mapping of conditions ({', '.join(_COUNTS + _TEXTS)})"
        raise UsageError(msg)
    _only(value, _COUNTS + _TEXTS, file, where)
    return tuple(
        _count(v, k, file, f"{where}.{k}") if k in _COUNTS else _text(v, k, file, f"{where}.{k}")
        for k, v in value.items()
    )


def _count(value: Any, on: str, file: str, where: str) -> Condition:
    if isinstance(value, dict):
        _only(value, ("min", "max"), file, where)
        for key, bound in value.items():
            if not _whole(bound):
                msg = f"{file}: {where}.{key}: must be a whole number, got {bound!r}"
                raise UsageError(msg)
        if value:
            low, high = value.get("min", 0), value.get("max", _MAX_COUNT)
            return Condition(on=on, min_count=low, max_count=high)
    if not _whole(value):
        msg = (
            f"{file}: {where}: must be a whole number, or a mapping with min or max, got {value!r}"
        )
        raise UsageError(msg)
    return Condition(on=on, min_count=value, max_count=value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def _text(value: Any, on: str, file: str, where: str) -> Condition:
    import polars as pl

    many = isinstance(value, list)
    patterns = value if many else [value]
    if not patterns:
        msg = f"{file}: {where}: needs at least one pattern"
        raise UsageError(msg)
    for number, pattern in enumerate(patterns):
        key = f"{where}[{number}]" if many else where
        if not isinstance(pattern, str) or not pattern:
            msg = f"{file}: {key}: must be a regular expression in quotes, got {pattern!r}"
            raise UsageError(msg)
        try:
            pl.Series([""]).str.contains(f"(?im)(?:{pattern})")
        except pl.exceptions.ComputeError as error:
            words = " ".join(str(error).split())
            reason = words.rpartition("error: ")[2].partition(" This error occurred")[0] or words
            msg = f"{file}: {key}: not a regular expression (Rust syntax): {reason}"
            raise UsageError(msg) from error
    return Condition(on=on, patterns=tuple(patterns))


def _only(mapping: dict[str, Any], known: tuple[str, ...], file: str, where: str) -> None:
    import difflib

    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            msg = f"{file}: {where + '.' if where else ''}{key}: unknown key{hint}"
            raise UsageError(msg)


def facts_of(samples: pl.DataFrame) -> pl.DataFrame:
    """The columns that conditions check, one row per sample.

    Args:
        samples: `sample_id`, `image_ids`, `messages`, `reference`, `source`, `split`, `task`.
    """
    import polars as pl

    # One line per turn, so that ^ and $ are the ends of a turn.
    content = pl.col("content").str.replace_all("<image>", " ", literal=True)
    line = content.str.replace_all(r"\s+", " ").str.strip_chars(" ")
    turns = (
        samples.with_row_index("row").select("row", "messages").explode("messages")
        .drop_nulls("messages").unnest("messages")
        .select("row", "role", line=line.fill_null(""))
        .with_columns(words=pl.col("line").str.count_matches(r"\S+"))
    )  # fmt: skip

    def of(role: str, name: str) -> pl.DataFrame:
        return (
            turns.filter(pl.col("role") == role)
            .group_by("row", maintain_order=True)
            .agg(
                pl.col("line").str.join("\n").alias(name),
                pl.col("words").max().alias(f"{name}_words"),
                pl.len().alias(f"{name}_turns"),
            )
        )

    reference = pl.col("reference").str.replace_all(r"\s+", " ")
    return (
        samples.with_row_index("row")
        .join(of("user", "question"), on="row", how="left", maintain_order="left")
        .join(of("assistant", "answer"), on="row", how="left", maintain_order="left")
        .select(
            "sample_id",
            pl.col("question").fill_null(""),
            pl.coalesce("answer", reference).fill_null("").alias("answer"),
            pl.col("question_words").fill_null(0).cast(pl.Int64),
            pl.coalesce("answer_words", reference.str.count_matches(r"\S+")).fill_null(0)
            .cast(pl.Int64).alias("answer_words"),
            pl.col("image_ids").list.len().cast(pl.Int64).alias("images"),
            pl.col("question_turns").fill_null(0).cast(pl.Int64).alias("turns"),
            pl.col("source", "split").fill_null(""),
            pl.col("task").fill_null("").alias("source_task"),
        )
    )  # fmt: skip


def apply_rules(facts: pl.DataFrame, rules: tuple[Rule, ...]) -> pl.DataFrame:
    """The tasks of samples.

    Returns:
        `sample_id`, `task`, `rule` (the first rule of the task that fits), `main` (whether it is
        the first of all rules that fit); samples that no rule fits are omitted.
    """
    import polars as pl

    fits = facts.select("sample_id", *(r.expression().alias(r.name) for r in rules))
    order = pl.DataFrame(
        {
            "rule": [r.name for r in rules],
            "task": [r.task for r in rules],
            "number": range(len(rules)),
            "otherwise": [r.otherwise for r in rules],
        }
    )
    return (
        fits.with_row_index("row")
        .unpivot(index=["row", "sample_id"], variable_name="rule", value_name="fits")
        .filter("fits")
        .join(order, on="rule")
        .with_columns(main=pl.col("number") == pl.col("number").min().over("row"))
        .filter(pl.col("main") | ~pl.col("otherwise"))
        .sort("row", "number")
        .unique(["row", "task"], keep="first", maintain_order=True)
        .select("sample_id", "task", "rule", "main")
    )
