"""Rows in the forms that the loaders of other projects read.

A row that a format cannot represent without a change is refused with a reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from curate.export.hub_rows import hub_row, images_in_front
from curate.export.parquet_file import STRINGS, Column
from curate.export.parquet_table import HubTable
from pairwright.text.conversation import IMAGE, Message, plain_text

Row = dict[str, Any]
_SPEAKERS: Final = {"user": "human", "assistant": "gpt", "system": "system"}
_SAMPLE_FIELDS: Final[tuple[str, ...]] = (
    "source",
    "license",
    "split",
    "task",
    "criteria",
    "reference",
    "meta",
)
_PAIR_FIELDS: Final[tuple[str, ...]] = (
    "sample_id", "source", "license", "split", "task", "method", "control", "policy",
)  # fmt: skip
_SAMPLE_SCORES: Final[tuple[str, ...]] = ("score",)
_PAIR_SCORES: Final[tuple[str, ...]] = ("chosen_score", "rejected_score", "margin")


class UnfitError(Exception):
    """A row that the format cannot represent.

    Attributes:
        reason: Short, stable name of the cause.
        detail: What to look at.
    """

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the reason separate from the message."""
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def llava(row: Row, paths: Sequence[str], table: HubTable) -> Row:
    """LLaVA: `image` and `conversations`.

    Raises:
        UnfitError: If there is a system turn, no answer, or `<image>` as plain text.
    """
    if row["messages"][0]["role"] == "system":
        raise UnfitError(
            "system_turn", "LLaVA's loader has human and gpt only; sharegpt has system turns"
        )
    out: Row = {"id": row["sample_id"]}
    if paths:
        out["image"] = paths[0] if len(paths) == 1 else list(paths)
    return {**out, "conversations": _turns(row["messages"], whole=True), **_rest(row, table)}


def sharegpt(row: Row, paths: Sequence[str], table: HubTable) -> Row:
    """ShareGPT as LLaMA-Factory reads it: `conversations`, `system`, `images`, and both responses.

    Raises:
        UnfitError: If there is no answer, `<image>` as plain text, or other rejected images.
    """
    messages = row["messages"] if table.what == "samples" else row["prompt"]
    out: Row = {"id": row[table.key]}
    if messages[0]["role"] == "system":
        out["system"], messages = _inline(messages[0]["content"]), messages[1:]
        if IMAGE in out["system"]:
            raise UnfitError("image_in_system", "an image is in the system turn")
    out["conversations"] = _turns(messages, whole=table.what == "samples")
    if table.what == "pairs":
        for side in _sides(row):
            out[side] = {"from": "gpt", "value": _plain(row[side])}
    if table.has_images:
        out["images"] = list(paths)
    return {**out, **_rest(row, table)}


def messages(row: Row, paths: Sequence[str], table: HubTable) -> Row:
    """`messages` with `<image>` in the text and `images` next to them (ms-swift, LLaMA-Factory).

    Raises:
        UnfitError: If `<image>` is there as plain text.
    """
    turns = [{"role": m["role"], "content": _inline(m["content"])} for m in row["messages"]]
    out: Row = {"id": row["sample_id"], "messages": turns}
    if table.has_images:
        out["images"] = list(paths)
    return {**out, **_rest(row, table)}


def trl(row: Row, paths: Sequence[str], table: HubTable) -> Row:
    """TRL through `datasets`' image folder: the Hub's columns with `file_names` for `images`.

    Raises:
        UnfitError: If it has no image where others have, or the rejected response has its own.
    """
    if table.has_images and not paths:
        detail = "an image folder of `datasets` takes no row without an image; --format hub does"
        raise UnfitError("no_image", detail)
    if table.what == "pairs":
        _sides(row)
    images = dict(zip(row["image_ids"], paths, strict=True))
    out = hub_row(row, table.columns, images, parts=table.parts)
    return {"file_names": out.pop("images"), **out} if table.has_images else out


def trl_columns(table: HubTable) -> list[Column]:
    """Columns of the file that `trl` makes rows for."""
    skip = ("images", "image_ids", "rejected_images")
    columns = [column for column in table.columns if column.name not in skip]
    doc = "paths from this file; `datasets` reads them as the column `images`"
    first = [Column(name="file_names", type=STRINGS, doc=doc)] if table.has_images else []
    return first + columns


def rlhf_v(row: Row, paths: Sequence[str], table: HubTable) -> Row:
    """RLHF-V: one image, and question and responses as JSON text; without the image itself.

    Raises:
        UnfitError: If there is more than one image or turn, or the image does not come first.
    """
    prompt = row["prompt"]
    if len(prompt) != 1:
        raise UnfitError("several_turns", f"a prompt of {len(prompt)} turns; RLHF-V has one")
    if len(paths) != 1:
        raise UnfitError("not_one_image", f"{len(paths)} images; RLHF-V has one")
    if not images_in_front(prompt):
        raise UnfitError("image_inside_text", "RLHF-V's image comes before the question")
    question = plain_text(prompt[0]["content"])
    text = {"question": _plain(question), **{side: _plain(row[side]) for side in _sides(row)}}
    origin = {"model": row["policy"], "type": row["task"], "method": row["method"]}
    return {
        "ds_name": row["source"],
        "text": json.dumps(text, ensure_ascii=False),
        "origin_dataset": row["source"],
        "origin_split": json.dumps(origin, ensure_ascii=False),
        "image_path": paths[0],
        **{n: row[n] for n in ("pair_id", "license", "chosen_score", "rejected_score", "control")},
    }


FORMS: Final[dict[str, Callable[[Row, Sequence[str], HubTable], Row]]] = {
    "llava": llava,
    "sharegpt": sharegpt,
    "messages": messages,
    "trl": trl,
    "rlhf-v": rlhf_v,
}


def count_lost(row: Row, table: HubTable, form: str, lost: Counter[str]) -> None:
    """Count what a row has and its format does not keep."""
    if table.what == "samples" or form == "trl":
        return
    if row["chosen_spans"] or row["rejected_spans"]:
        lost["the spans of both responses (chosen_spans, rejected_spans)"] += 1
    if form == "rlhf-v" and row["margin"] is not None:
        lost["the margin, which is the difference of both scores"] += 1


def _sides(row: Row) -> tuple[str, str]:
    if row.get("rejected_image_ids"):
        raise UnfitError("rejected_images", "the rejected response has images of its own")
    return "chosen", "rejected"


def _turns(messages: Sequence[Message], *, whole: bool) -> list[Row]:
    if whole and messages[-1]["role"] != "assistant":
        raise UnfitError("no_answer", "the conversation does not end with an answer")
    return [{"from": _SPEAKERS[m["role"]], "value": _inline(m["content"])} for m in messages]


def _inline(content: str) -> str:
    """Content whose image placeholders are in the text, as ours are."""
    if "\\" + IMAGE in content:
        raise UnfitError("literal_placeholder", f"the text has {IMAGE} where there is no image")
    return content


def _plain(text: str) -> str:
    """Text that must not be taken for an image."""
    if IMAGE in text:
        raise UnfitError("literal_placeholder", f"the text has {IMAGE} where there is no image")
    return text


def _rest(row: Row, table: HubTable) -> Row:
    """What else is known of a row, under names that loaders ignore."""
    if table.what == "samples":
        names, scores = _SAMPLE_FIELDS, _SAMPLE_SCORES
    else:
        names, scores = _PAIR_FIELDS, _PAIR_SCORES
    # A text is never missing: `datasets` wants the same columns in every file of a set.
    fields = {"model" if name == "policy" else name: row[name] or "" for name in names}
    return fields | {name: row[name] for name in scores if row.get(name) is not None}
