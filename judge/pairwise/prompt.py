"""Prompts that show several responses to one question, read from YAML and filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from judge.rubric.render import assemble, fence, question_of, tags_of
from judge.rubric.rubric import FOLDER, Criterion
from judge.rubric.template import NOTHING, check_template, fill, shows
from pairwright.commands.userconfig import read_yaml
from pairwright.dataset.ids import config_hash
from pairwright.errors import UsageError
from pairwright.text.conversation import Message
from pairwright.vlm.types import Turn

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLACEHOLDERS = (
    "question", "conversation", "reference", "criteria", "criterion", "description", "answers",
    "choices",
)  # fmt: skip
_KEYS = ("name", "version", "system", "preamble", "prompt", "criteria")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePrompt:
    """What is asked about several responses.

    Attributes:
        name: Goes into the rows.
        system: System message.
        preamble: Text before the images, the same for all rows.
        prompt: Text after the images, with `{answers}` and `{choices}`.
        criteria: What the responses are compared by, one comparison each.
    """

    name: str
    system: str
    preamble: str
    prompt: str
    criteria: tuple[Criterion, ...]

    @property
    def hash(self) -> str:
        """Hash of everything that shapes verdicts."""
        criteria = [[c.name, c.description] for c in self.criteria]
        return config_hash([self.system, self.preamble, self.prompt, criteria])


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The question that the responses answer.

    Attributes:
        sample_id: The sample.
        image_ids: Its images.
        prompt: The conversation before the response.
        criteria: The source's criteria for this sample.
        reference: The source's reference answer.
    """

    sample_id: str
    image_ids: tuple[str, ...]
    prompt: Sequence[Message]
    criteria: str | None = None
    reference: str | None = None


def load_prompt(
    kind: Literal["compare", "rank"], name: str | None, criteria: Sequence[str]
) -> ComparePrompt:
    """The shipped prompt of a command, or one from a file; with criteria from the command line.

    Args:
        kind: The command.
        name: Its shipped prompt by name, or a file; the default one if not given.
        criteria: `name: description` each; they replace those of the file.

    Raises:
        UsageError: If there is none, or it is not valid.
    """
    folder = FOLDER / kind
    shipped = sorted(path.stem for path in folder.glob("*.yaml"))
    path = folder / f"{name or 'default'}.yaml"
    if name is not None and name not in shipped:
        path = Path(name)
        if not path.is_file():
            msg = (
                f"--rubric {name}: no such file, and no prompt of that name ({', '.join(shipped)})"
            )
            raise UsageError(msg)
    prompt = parse_prompt(read_yaml(path), str(path))
    if criteria:
        prompt = replace(prompt, criteria=_distinct([_parsed(c) for c in criteria], "--criteria"))
    return prompt


def parse_prompt(raw: dict[str, Any], where: str) -> ComparePrompt:
    """A prompt from its YAML mapping.

    Raises:
        UsageError: Names the position and the fix.
    """
    unknown = sorted(str(key) for key in raw if key not in _KEYS)
    if unknown:
        msg = f"{where}: unknown key {unknown[0]!r}; the known keys are {', '.join(_KEYS)}"
        raise UsageError(msg)
    texts = {key: raw.get(key) or "" for key in ("name", "system", "preamble", "prompt")}
    for key, text in texts.items():
        if not isinstance(text, str):
            msg = f"{where}: {key} must be text"
            raise UsageError(msg)
    if not texts["name"]:
        msg = f"{where}: a prompt needs a name"
        raise UsageError(msg)
    for needed in ("answers", "choices"):
        if f"{{{needed}}}" not in texts["prompt"]:
            msg = f"{where}: the prompt never shows the {needed}: put {{{needed}}} into it"
            raise UsageError(msg)
    for key in ("system", "preamble"):
        if shows(texts[key], *_PLACEHOLDERS):
            msg = f"{where}: {key} is the same for all rows: move the placeholders to the prompt"
            raise UsageError(msg)
    check_template(texts["prompt"], lambda what: UsageError(f"{where}: {what}"), _PLACEHOLDERS)
    return ComparePrompt(
        name=texts["name"],
        system=texts["system"].rstrip("\n"),
        preamble=texts["preamble"],
        prompt=texts["prompt"].rstrip("\n"),
        criteria=_criteria(raw.get("criteria"), where),
    )


def _criteria(raw: Any, where: str) -> tuple[Criterion, ...]:
    entries = raw if isinstance(raw, list) else []
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    if not names or not all(isinstance(name, str) and name for name in names):
        msg = f"{where}: criteria must be a list of {{name, description}}"
        raise UsageError(msg)
    found = [
        Criterion(name=e["name"], description=str(e.get("description", "")).strip())
        for e in entries
    ]
    return _distinct(found, where)


def _parsed(text: str) -> Criterion:
    name, _, description = text.partition(":")
    if not name.strip():
        msg = f'--criteria {text!r}: write "NAME: DESCRIPTION"'
        raise UsageError(msg)
    return Criterion(name=name.strip(), description=description.strip())


def _distinct(criteria: list[Criterion], where: str) -> tuple[Criterion, ...]:
    for number, criterion in enumerate(criteria):
        if criterion.name in {c.name for c in criteria[:number]}:
            msg = f"{where}: criterion {criterion.name!r} is given twice"
            raise UsageError(msg)
    return tuple(criteria)


def render_responses(
    prompt: ComparePrompt,
    criterion: Criterion,
    question: Question,
    texts: Sequence[str],
    choices: str,
) -> tuple[Turn, ...]:
    """The prompt: what all rows share, then the images, then the question and the responses.

    Filled in one pass: row text can neither close the tags around it nor contain a model's special
    tokens.

    Args:
        prompt: What is asked.
        criterion: What the responses are compared by.
        question: What they answer.
        texts: The responses in the order shown: A, B, ...
        choices: What the judge may reply, in words.
    """
    letters = LETTERS[: len(texts)]
    tags = tags_of(prompt.system, prompt.preamble, prompt.prompt)
    tags |= {f"answer_{letter}" for letter in LETTERS}

    def row(text: str | None) -> str:
        return fence(text, tags) if text and text.strip() else ""

    earlier, asked = question_of(question.prompt, numbered=len(question.image_ids) > 1)
    values = {
        "question": row(asked),
        "conversation": row(earlier),
        "reference": row(question.reference),
        "criteria": row(question.criteria),
        "criterion": criterion.name,
        "description": criterion.description,
        "answers": "\n".join(
            f"<answer_{letter}>\n{row(text) or NOTHING}\n</answer_{letter}>"
            for letter, text in zip(letters, texts, strict=True)
        ),
        "choices": choices,
    }
    text = fill(prompt.prompt, values)
    return assemble(prompt.system, prompt.preamble, question.image_ids, text)
