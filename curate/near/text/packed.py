"""Texts as slices of one byte array: the form that compiled loops read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import polars as pl


class Packed(NamedTuple):
    """n texts as slices of one byte array.

    Attributes:
        data: UTF-8 bytes of all texts.
        start: [n] first byte of each text.
        stop: [n] one past its last byte.
    """

    data: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    @classmethod
    def of(cls, texts: pl.Series) -> Packed:
        """The texts of a column without nulls."""
        import pyarrow as pa

        array = texts.to_arrow().cast(pa.large_string())
        assert not array.null_count
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
        content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        return cls(content, ends[:-1], ends[1:])

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.start)

    def take(self, positions: np.ndarray) -> Packed:
        """Some of the texts; the bytes are shared."""
        return Packed(self.data, self.start[positions], self.stop[positions])

    def series(self) -> pl.Series:
        """The texts as a polars column."""
        import polars as pl
        import pyarrow as pa

        from curate.near.kernels import text as kernels

        ends = np.zeros(len(self.start) + 1, dtype=np.int64)
        np.cumsum(self.stop - self.start, out=ends[1:])
        data = np.empty(int(ends[-1]), dtype=np.uint8)
        kernels.gather_bytes(*self, ends, data)
        buffers = pa.py_buffer(ends), pa.py_buffer(data)
        return pl.Series("text", pa.LargeStringArray.from_buffers(len(ends) - 1, *buffers))


def hash64(texts: Packed) -> np.ndarray:
    """[n] XXH3 hashes of n texts."""
    return hash128(texts)[0]


def hash128(texts: Packed) -> tuple[np.ndarray, np.ndarray]:
    """Two independent [n] 64-bit hashes of n texts; the first is XXH3."""
    from curate.near.kernels import number as kernels

    low, high = (np.empty(len(texts), dtype=np.uint64) for _ in range(2))
    kernels.hash_texts(*texts, low, high)
    return low, high
