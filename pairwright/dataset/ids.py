"""Ids and hashes that mean the same in every version and on every machine."""

from __future__ import annotations

import hashlib
import json

import xxhash

# Made once: `json.dumps` with options would make one a call.
_to_json = json.JSONEncoder(ensure_ascii=False).encode


def stable_id(*parts: object) -> str:
    """128-bit hex id of the parts, in order; parts cannot run into each other."""
    text = _to_json([str(part) for part in parts])
    return str(xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass")))


def content_hash(content: bytes) -> str:
    """sha256 of bytes, the id of an image."""
    return hashlib.sha256(content).hexdigest()


def config_hash(value: object) -> str:
    """Short hash of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return str(xxhash.xxh3_64_hexdigest(text.encode()))


def text_id(text: str) -> str:
    """Id of a text: xxh3-128 of its UTF-8 bytes."""
    return str(xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass")))
