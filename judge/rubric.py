"""Rubrics: what the judge is asked, read from YAML and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairwright.errors import UsageError
from pairwright.ids import config_hash
from pairwright.userconfig import read_yaml

FOLDER = Path(__file__).parent / "rubrics"
PLACEHOLDERS = (
    "question",
    "answer",
    "conversation",
    "reference",
    "criteria",
    "criterion",
    "description",
)
_KNOWN_KEYS = {"name", "version", "labels", "system", "preamble", "prompt", "criteria"}
_DEFAULT_LABELS = {str(n): float(n) for n in range(1, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One thing that is marked."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """What is asked about an answer.

    Attributes:
        name: Goes into the scores.
        version: For people; the hash tells rubrics apart.
        labels: Value of each label; `yes|Yes` is one label with two spellings.
        system: System message.
        preamble: Text before the images.
        prompt: Text after the images; `{question}` and the other placeholders are filled in.
        criteria: What is marked, one request each.
    """

    name: str
    version: int
    labels: dict[str, float]
    system: str
    preamble: str
    prompt: str
    criteria: tuple[Criterion, ...]

    @property
    def hash(self) -> str:
        """Hash of everything that shapes marks."""
        criteria = [[c.name, c.description] for c in self.criteria]
        labels = sorted(self.labels.items())
        return config_hash([labels, self.system, self.preamble, self.prompt, criteria])

    @property
    def label_range(self) -> list[float]:
        """Least and greatest mark."""
        return [min(self.labels.values()), max(self.labels.values())]


def shipped() -> list[str]:
    """Names of the rubrics that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_rubric(name: str) -> Rubric:
    """A rubric by name, or from a file.

    Raises:
        UsageError: If there is none, or it is not what it should be.
    """
    path = FOLDER / f"{name}.yaml"
    if name not in shipped():
        path = Path(name)
        if not path.is_file():
            msg = f"--rubric {name}: no such file, and no rubric of that name ({', '.join(shipped())})"
            raise UsageError(msg)
    return parse_rubric(read_yaml(path), str(path))


def parse_rubric(raw: dict[str, Any], where: str) -> Rubric:
    """A rubric from its YAML mapping.

    Raises:
        UsageError: With the place and the remedy.
    """

    def fail(what: str) -> UsageError:
        return UsageError(f"{where}: {what}")

    unknown = sorted(str(key) for key in raw if key not in _KNOWN_KEYS)
    if unknown:
        raise fail(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_KNOWN_KEYS))}")
    name, version = raw.get("name"), raw.get("version", 1)
    if not isinstance(name, str) or not name:
        raise fail("a rubric needs a name")
    if not isinstance(version, int):
        raise fail("version must be a whole number")
    texts = {key: raw.get(key) or "" for key in ("system", "preamble", "prompt")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise fail(f"{key} must be text")
    if not re.search(r"\{(answer|conversation)\}", texts["prompt"]):
        raise fail("the prompt never shows the answer: put {answer} into it")
    for key in ("system", "preamble"):
        if re.search(r"\{(" + "|".join(PLACEHOLDERS) + r")\}", texts[key]):
            raise fail(f"{key} is the same for all rows: placeholders belong into the prompt")
    criteria = _criteria(raw.get("criteria"), fail)
    if len(criteria) > 1 and not re.search(r"\{(criterion|description)\}", texts["prompt"]):
        raise fail("several criteria, but the prompt shows none: put {criterion} into it")
    return Rubric(
        name=name,
        version=version,
        labels=_labels(raw.get("labels"), fail),
        system=texts["system"].rstrip("\n"),
        preamble=texts["preamble"],
        prompt=texts["prompt"].rstrip("\n"),
        criteria=criteria,
    )


def _labels(raw: Any, fail: Any) -> dict[str, float]:
    if raw is None:
        return dict(_DEFAULT_LABELS)
    if not isinstance(raw, dict) or len(raw) < 2:
        raise fail('labels must map at least two labels to values, such as {"no": 0, "yes": 1}')
    out: dict[str, float] = {}
    spellings: set[str] = set()
    for label, value in raw.items():
        if isinstance(label, bool):
            raise fail(
                'YAML reads a bare yes, no, on or off as true or false: write "yes" in quotes'
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise fail(f"label {label!r} needs a number as value, not {value!r}")
        for spelling in str(label).split("|"):
            if not spelling or spelling in spellings:
                raise fail(f"label {label!r}: empty, or given twice")
            spellings.add(spelling)
        out[str(label)] = float(value)
    return out


def _criteria(raw: Any, fail: Any) -> tuple[Criterion, ...]:
    if not isinstance(raw, list) or not raw:
        raise fail("criteria must be a list of {name, description}")
    out: list[Criterion] = []
    for entry in raw:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise fail("criteria must be a list of {name, description}")
        if entry["name"] in {criterion.name for criterion in out}:
            raise fail(f"criterion {entry['name']!r} is there twice")
        description = str(entry.get("description", "")).strip()
        out.append(Criterion(name=entry["name"], description=description))
    return tuple(out)
