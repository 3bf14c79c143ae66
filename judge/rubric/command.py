"""`judge rubrics`: list the rubrics, print one, or validate one of the user's."""

from __future__ import annotations

from judge.rubric import scales
from judge.rubric.options import RubricOptions
from judge.rubric.render import Target, render
from judge.rubric.rubric import Rubric, load_rubric, rubric_path, shipped
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions

_EXAMPLE = Target(
    target_id="example",
    image_ids=("(the image)",),
    prompt=[{"role": "user", "content": "<image>\nWhat is on the table?"}],
    answer="A red cup and two books.",
    criteria="The answer must name every object on the table.",
    reference="There are a red cup, two books and a pen on the table.",
)


def rubrics(options: RubricOptions, run: RunOptions) -> Outcome:
    """List rubrics, show one, or check one.

    Raises:
        UsageError: If there is none of that name, or it is not valid.
    """
    del run
    if options.action == "list":
        return _list()
    name = options.name or ""
    if options.action == "show":
        text = rubric_path(name).read_text(encoding="utf-8")
        return Outcome(message=text.rstrip("\n"), summary={"name": name, "yaml": text})
    return _check(load_rubric(name), options.model)


def _list() -> Outcome:
    found = [load_rubric(name) for name in shipped()]
    width = max(len(rubric.name) for rubric in found)
    lines = [f"{rubric.name:<{width}}  {rubric.about}" for rubric in found]
    lines.append("`judge rubrics show NAME` prints one; copy it to a file to change it")
    return Outcome(message="\n".join(lines), summary={"rubrics": {r.name: r.about for r in found}})


def _check(rubric: Rubric, model: str | None) -> Outcome:
    tokens = {}
    if model is not None:
        tokens = _tokens(rubric, model)
    low, high = rubric.label_range
    lines = [f"{rubric.name} is valid (hash {rubric.hash}, scores from {low:g} to {high:g})"]
    for criterion in rubric.criteria:
        lines.append(f"  {criterion.name}: {scales.in_words(rubric.labels_of(criterion))}")
    if model is None:
        lines.append("the labels were not checked: name the judge with --model")
    else:
        lines.append(f"each label is one token of {model}")
    example = _shown(rubric)
    lines += ["the prompt for an example row:", "", example]
    summary = {"name": rubric.name, "hash": rubric.hash, "label_range": rubric.label_range}
    return Outcome(
        message="\n".join(lines), summary={**summary, "tokens": tokens, "example": example}
    )


def _tokens(rubric: Rubric, model: str) -> dict[str, list[int]]:
    """Token ids of each label.

    Raises:
        UsageError: If a label is not one token.
    """
    from transformers import AutoTokenizer

    from pairwright.models import resolve_policy
    from pairwright.vlm.labels import label_token_ids

    source = resolve_policy(None, model, None).model
    tokenizer = AutoTokenizer.from_pretrained(source)

    def tokenize(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    out: dict[str, list[int]] = {}
    for criterion in rubric.criteria:
        ids = label_token_ids(tuple(rubric.labels_of(criterion)), tokenize)
        out |= {name: list(group) for name, group in ids.items()}
    return out


def _shown(rubric: Rubric) -> str:
    lines = []
    for turn in render(rubric, rubric.criteria[0], _EXAMPLE):
        lines.append(f"[{turn.role}]")
        lines += [str(part.get("text", part.get("image_id"))).rstrip("\n") for part in turn.parts]
    return "\n".join(lines)
