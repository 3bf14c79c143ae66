"""What is trained on: conversations out of the samples or the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pairwright.commands.progress import say
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.text.conversation import Message, escape

_BUILT, _IMPORTED = ("build",), ("ingest",)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the training.

    Attributes:
        row_id: sample_id or pair_id.
        image_ids: Images in the order of their placeholders.
        conversations: One for SFT; for DPO the one that ends with chosen, then with rejected.
    """

    row_id: str
    image_ids: tuple[str, ...]
    conversations: tuple[list[Message], ...]


class Samples(NamedTuple):
    """Rows of the current samples.

    Attributes:
        rows: Those with an answer, in the samples' order.
        unanswered: Number of those without.
        inputs: What they were read from.
    """

    rows: list[Row]
    unanswered: int
    inputs: list[Manifest]


def sample_rows(dataset: Dataset, limit: int | None) -> Samples:
    """Current samples as rows."""
    frame = dataset.current_samples().select("sample_id", "image_ids", "messages").collect()
    answered = [row for row in frame.iter_rows(named=True) if _has_answer(row["messages"])]
    rows = [
        Row(row["sample_id"], tuple(row["image_ids"]), (row["messages"],))
        for row in answered[:limit]
    ]
    return Samples(rows, frame.height - len(answered), dataset.sample_inputs())


def _has_answer(messages: Sequence[Message]) -> bool:
    return any(message["role"] == "assistant" for message in messages)


def pick_pairs(dataset: Dataset, run: str | None) -> Manifest:
    """The pairs run to train on: the named one, else the active built one, else the imported.

    Raises:
        UsageError: If there is none, or the choice is not clear.
    """
    found = dataset.pick("pairs", run, steps=_BUILT)
    if found is None:
        found = dataset.pick("pairs", run, steps=_IMPORTED)
    if found is None:
        msg = f"{dataset.path}: no pairs to train on; make some with `prefs build`, or import them with `curate ingest SRC --as pairs`"
        raise UsageError(msg)
    return found


def pair_rows(
    dataset: Dataset, pairs: Manifest, sides: Sequence[str], limit: int | None
) -> list[Row]:
    """Pairs as rows.

    Args:
        dataset: The dataset.
        pairs: The run.
        sides: Columns whose texts end the conversations, such as `("chosen", "rejected")`.
        limit: Take the first of them only.
    """
    columns = ["pair_id", "image_ids", "prompt", *sides]
    lazy = dataset.scan(pairs).select(columns)
    frame = (lazy if limit is None else lazy.head(limit)).collect()
    return [
        Row(
            row["pair_id"],
            tuple(row["image_ids"]),
            tuple(_with_response(row["prompt"], row[side]) for side in sides),
        )
        for row in frame.iter_rows(named=True)
    ]


def _with_response(prompt: list[Message], text: str) -> list[Message]:
    return [*prompt, {"role": "assistant", "content": escape(text)}]


def policy_of_pairs(dataset: Dataset, pairs: Manifest) -> tuple[str, Path | None]:
    """The model that the pairs' lineage names, and the adapter on it.

    That is the policy whose responses they are. Pairs of the data's own conflicting answers have
    none; then it is the model that judged them, the only one in their lineage, and a line on stderr
    reports it.

    Raises:
        UsageError: If the lineage names none, or several.
    """
    policy = pairs.summary.get("policy")
    if isinstance(policy, dict) and policy.get("model"):
        return str(policy["model"]), Path(policy["adapter"]) if policy.get("adapter") else None
    frame = dataset.scan(pairs).select("policy").drop_nulls().unique().collect()
    names: list[Any] = sorted(frame["policy"].to_list())
    if len(names) > 1:
        msg = f"{pairs.ref}: responses of several models ({', '.join(names)}); name the one to train with --model"
        raise UsageError(msg)
    if names:
        return str(names[0]), None
    judges = _judges(dataset, pairs)
    if len(judges) == 1:
        say(
            f"{pairs.ref}: the answers are the data's own; training the model that judged them "
            f"({judges[0]}), --model names another"
        )
        return judges[0], None
    msg = f"{pairs.ref}: the lineage does not name the model whose responses these are; name the model to train with --model"
    raise UsageError(msg)


def _judges(dataset: Dataset, pairs: Manifest) -> list[str]:
    """Models that made the scores which the pairs were built on."""
    found = set()
    for entry in pairs.inputs:
        kind, _, run = entry["table"].rpartition("/")
        scores = dataset.manifest(kind, run) if kind == "scores" else None
        if scores is not None and scores.config.get("model"):
            found.add(str(scores.config["model"]))
    return sorted(found)
