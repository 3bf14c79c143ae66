"""Rubrics: what a judge is asked, read from YAML and validated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from judge.rubric import scales
from judge.rubric.scales import Fail
from judge.rubric.template import PLACEHOLDERS, check_template, shows
from pairwright.commands.userconfig import read_yaml
from pairwright.dataset.ids import config_hash
from pairwright.errors import UsageError

FOLDER = Path(__file__).parent / "files"
_KNOWN_KEYS = {
    *("name", "version", "about", "labels", "scale", "levels"),
    *("system", "preamble", "prompt", "criteria"),
}
_CRITERION_KEYS = {"name", "description", "labels", "scale", "levels"}
INLINE = "inline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One criterion of a rubric; it gets one score.

    Attributes:
        name: Goes into the scores.
        description: How the prompt describes it.
        labels: Its own labels, on the rubric's range; those of the rubric if not given.
        levels: What labels mean, as (label, text); those of the rubric if not given.
    """

    name: str
    description: str
    labels: dict[str, float] | None = None
    levels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """What is asked about a response.

    Attributes:
        name: Goes into the scores.
        version: For readers; rubrics are distinguished by the hash.
        labels: Value of each label; `yes|Yes` is one label with two spellings.
        system: System message.
        preamble: Text before the images.
        prompt: Text after the images; `{question}` and the other placeholders are filled in.
        criteria: One request and one score each.
        levels: What labels mean, as (label, text).
        about: One line for readers.
    """

    name: str
    version: int
    labels: dict[str, float]
    system: str
    preamble: str
    prompt: str
    criteria: tuple[Criterion, ...]
    levels: tuple[tuple[str, str], ...] = ()
    about: str = field(default="", compare=False)

    @property
    def hash(self) -> str:
        """Hash of everything that affects scores."""
        criteria: list[list[Any]] = []
        for c in self.criteria:
            own = [sorted(self.labels_of(c).items()), c.levels] if c.labels or c.levels else []
            criteria.append([c.name, c.description, *own])
        labels = sorted(self.labels.items())
        content: list[Any] = [labels, self.system, self.preamble, self.prompt, criteria]
        # Only where there are some: rubrics from before levels existed keep their hash.
        return config_hash([*content, self.levels] if self.levels else content)

    @property
    def label_range(self) -> list[float]:
        """Lowest and highest score, of every criterion."""
        return [min(self.labels.values()), max(self.labels.values())]

    def labels_of(self, criterion: Criterion) -> dict[str, float]:
        """Value of each label of a criterion."""
        return criterion.labels or self.labels

    def levels_of(self, criterion: Criterion) -> tuple[tuple[str, str], ...]:
        """What the labels of a criterion mean."""
        if criterion.levels or criterion.labels:
            return criterion.levels
        return self.levels

    def named(self, criterion: str) -> Criterion:
        """The criterion of that name."""
        return next(c for c in self.criteria if c.name == criterion)


def shipped() -> list[str]:
    """Names of the rubrics that are shipped with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def rubric_path(name: str) -> Path:
    """The file of a shipped rubric, or of the user's own.

    Raises:
        UsageError: If there is none.
    """
    if name in shipped():
        return FOLDER / f"{name}.yaml"
    path = Path(name)
    if not path.is_file():
        msg = f"--rubric {name}: no such file, and no rubric of that name ({', '.join(shipped())})"
        raise UsageError(msg)
    return path


def load_rubric(name: str) -> Rubric:
    """A rubric by name, or from a file.

    Raises:
        UsageError: If there is none, or it is not valid.
    """
    path = rubric_path(name)
    return parse_rubric(read_yaml(path), str(path))


def with_criteria(rubric: Rubric, texts: Sequence[str]) -> Rubric:
    """The rubric with criteria from the command line, `NAME: DESCRIPTION` each, instead of its own.

    Raises:
        UsageError: If one has no name, or two have the same.
    """
    criteria: list[Criterion] = []
    for text in texts:
        name, colon, description = (part.strip() for part in text.partition(":"))
        if not name or (colon and not description):
            msg = f'--criteria {text!r}: write "NAME: DESCRIPTION", such as "tone: it is friendly"'
            raise UsageError(msg)
        if name in {criterion.name for criterion in criteria}:
            msg = f"--criteria: {name!r} is given twice"
            raise UsageError(msg)
        criteria.append(Criterion(name=name, description=description))
    if not shows(rubric.prompt, "criterion", "description"):
        msg = f"--criteria: the prompt of the rubric {rubric.name} shows no criterion; leave --rubric out"
        raise UsageError(msg)
    name = INLINE if rubric.name == "default" else f"{rubric.name}-{INLINE}"
    return replace(rubric, name=name, criteria=tuple(criteria))


def parse_rubric(raw: dict[str, Any], where: str) -> Rubric:
    """A rubric from its YAML mapping.

    Raises:
        UsageError: Names the position and the fix.
    """

    def fail(what: str) -> UsageError:
        return UsageError(f"{where}: {what}")

    unknown = sorted(str(key) for key in raw if key not in _KNOWN_KEYS)
    if unknown:
        raise fail(
            f"unknown key {unknown[0]!r}; the known keys are {', '.join(sorted(_KNOWN_KEYS))}"
        )
    name, version = raw.get("name"), raw.get("version", 1)
    if not isinstance(name, str) or not name:
        raise fail("a rubric needs a name")
    if not isinstance(version, int):
        raise fail("version must be a whole number")
    texts = _texts(raw, fail)
    labels = scales.read_labels(raw, fail) or dict(scales.DEFAULT_LABELS)
    criteria = _criteria(raw.get("criteria"), labels, fail)
    if len(criteria) > 1 and not shows(texts["prompt"], "criterion", "description"):
        raise fail("there are several criteria, but the prompt shows none: put {criterion} into it")
    levels = scales.read_levels(raw.get("levels"), labels, fail)
    rubric = Rubric(
        name=name,
        version=version,
        labels=labels,
        system=texts["system"].rstrip("\n"),
        preamble=texts["preamble"],
        prompt=texts["prompt"].rstrip("\n"),
        criteria=criteria,
        levels=levels,
        about=texts["about"].strip(),
    )
    if (levels or any(c.levels for c in criteria)) and not shows(rubric.prompt, "levels"):
        raise fail("the rubric has levels, but the prompt never shows them: put {levels} into it")
    return rubric


def _texts(raw: dict[str, Any], fail: Fail) -> dict[str, str]:
    """The texts of a rubric, validated."""
    texts = {key: raw.get(key) or "" for key in ("system", "preamble", "prompt", "about")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise fail(f"{key} must be text")
    if not shows(texts["prompt"], "answer", "conversation"):
        raise fail("the prompt never shows the answer: put {answer} into it")
    check_template(texts["prompt"], fail)
    for key in ("system", "preamble"):
        if shows(texts[key], *PLACEHOLDERS):
            raise fail(f"{key} is the same for all rows: move the placeholders to the prompt")
    return texts


def _criteria(raw: Any, labels: dict[str, float], fail: Fail) -> tuple[Criterion, ...]:
    if not isinstance(raw, list) or not raw:
        raise fail("criteria must be a list of {name, description}")
    out: list[Criterion] = []
    for entry in raw:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise fail("criteria must be a list of {name, description}")
        name = entry["name"]
        if name in {criterion.name for criterion in out}:
            raise fail(f"criterion {name!r} is given twice")
        unknown = sorted(str(key) for key in entry if key not in _CRITERION_KEYS)
        if unknown:
            raise fail(f"criterion {name!r}: unknown key {unknown[0]!r}")
        out.append(_criterion(entry, labels, fail))
    return tuple(out)


def _criterion(entry: dict[str, Any], labels: dict[str, float], fail: Fail) -> Criterion:
    own = scales.read_labels(entry, fail)
    if own is not None and entry.get("scale") is not None:
        own = scales.spread(own, labels)
    ends = {(min(some.values()), max(some.values())) for some in (own or labels, labels)}
    if len(ends) > 1:
        raise fail(
            f"criterion {entry['name']!r}: its labels must have the lowest and the highest value of "
            "the rubric's labels, or the mean over criteria has no meaning"
        )
    return Criterion(
        name=entry["name"],
        description=str(entry.get("description", "")).strip(),
        labels=own,
        levels=scales.read_levels(entry.get("levels"), own or labels, fail),
    )
