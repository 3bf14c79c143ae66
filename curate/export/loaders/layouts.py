"""What the card and the loaders' own settings have on each format."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from curate.export.card import CardFacts, Layout
from curate.export.loaders.rows import trl_columns
from curate.export.options import ExportOptions, export_command
from curate.export.parquet_table import HubTable

_ID: Final = ("id", "sample_id or pair_id of the dataset")
_REST: Final = ("source, license, split, task, ...", "what else is known; loaders ignore it")
_FIELDS: Final[dict[str, list[tuple[str, str]]]] = {
    "llava": [
        _ID,
        ("image", "path from this folder; a list where there are several"),
        ("conversations", "turns of `human` and `gpt`, with `<image>` for an image"),
        _REST,
    ],
    "sharegpt": [
        _ID,
        ("conversations", "turns of `human` and `gpt`, with `<image>` for an image"),
        ("system", "system prompt, where there is one"),
        ("chosen, rejected", "pairs: the better and the worse response"),
        ("images", "paths from this folder, in the order of their placeholders"),
        _REST,
    ],
    "messages": [
        _ID,
        ("messages", "turns, with `<image>` for an image"),
        ("images", "paths from this folder, in the order of their placeholders"),
        _REST,
    ],
    "rlhf-v": [
        ("image", "the image"),
        ("text", "JSON text of question, chosen and rejected"),
        ("ds_name, origin_dataset", "the source"),
        ("origin_split", "JSON text: model of the responses, task, how the pair was made"),
        ("idx, image_path", "number of the row; name of the image by its content"),
        ("pair_id, license, chosen_score, rejected_score, control", "more than RLHF-V's own files"),
    ],
}
_READING: Final = {
    "llava": "LLaVA's `train.py`: `--data_path THIS/{split}.json --image_folder THIS`.",
    "sharegpt": "LLaMA-Factory: `dataset_dir: THIS` and `dataset: {name}` (`dataset_info.json` "
    "is next to this file).",
    "messages": "ms-swift: `ROOT_IMAGE_DIR=THIS swift sft --dataset THIS/{split}.jsonl`; "
    "LLaMA-Factory: `dataset_dir: THIS` and `dataset: {name}`.",
    "trl": "TRL: `load_dataset(THIS)` gives images and conversations as its trainers take them.",
    "rlhf-v": "`load_dataset(THIS)`, or pandas on the Parquet files, as RLHF-V's own loaders do.",
}


def layout_of(
    name: str, table: HubTable, facts: CardFacts, options: ExportOptions, notes: Sequence[str]
) -> Layout:
    """What the card has on a format."""
    form = options.format
    first = next(iter(facts.rows))
    again = _file(form, table, first).removesuffix("/**").removesuffix("-*")
    again = "" if form == "rlhf-v" else again
    reading = _READING[form].format(split=first, name=_name(name, first))
    files = [{"split": split, "path": _file(form, table, split)} for split in facts.rows]
    return Layout(
        metadata={"configs": [{"config_name": "default", "data_files": files}]},
        reading=f"{reading}\n\n`curate ingest THIS/{again}` reads it back into a dataset.",
        notes=notes,
        command=export_command(options, name),
    )


def fields_of(table: HubTable, form: str) -> list[tuple[str, str]]:
    """Names and meanings of the fields of a format."""
    if form == "trl":
        return [(column.name, column.doc) for column in trl_columns(table)]
    return [one for one in _FIELDS[form] if _has(one[0], table)]


def _has(name: str, table: HubTable) -> bool:
    if name in ("image", "images", "file_names"):
        return table.has_images
    if name == "messages" or name.startswith(("chosen", "prompt")):
        return (table.what == "samples") == (name == "messages")
    return True


def _file(form: str, table: HubTable, split: str) -> str:
    if form == "rlhf-v":
        return f"data/{split}-*"
    if form == "trl" and table.has_images:
        return f"{split}/**"
    endings = {"messages": "jsonl", "trl": "parquet"}
    return f"{split}.{endings.get(form, 'json')}"


def _name(dataset: str, split: str) -> str:
    return re.sub(r"\W+", "_", f"{dataset}_{split}", flags=re.ASCII).strip("_")


def dataset_info(
    name: str, table: HubTable, facts: CardFacts, form: str, extras: Collection[str]
) -> dict[str, Any] | None:
    """LLaMA-Factory's `dataset_info.json`, for the formats that it reads."""
    if form not in ("sharegpt", "messages"):
        return None
    columns = {"messages": "conversations" if form == "sharegpt" else "messages"}
    if table.has_images:
        columns["images"] = "images"
    if "system" in extras:
        columns["system"] = "system"
    out: dict[str, Any] = {}
    for split in facts.rows:
        entry: dict[str, Any] = {"file_name": _file(form, table, split), "formatting": "sharegpt"}
        if table.what == "pairs":
            entry["ranking"] = True
            columns |= {"chosen": "chosen", "rejected": "rejected"}
        entry["columns"] = columns
        if form == "messages":
            entry["tags"] = {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            }
        out[_name(name, split)] = entry
    return out
