"""Files as they are or compressed: gzip, bzip2, xz and Zstandard, detected from their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO, Final, cast

_MAGIC: Final = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
# Errors of decompressors on malformed or truncated content.
BROKEN: Final = (EOFError, zlib.error, lzma.LZMAError)


def compression(path: Path) -> str | None:
    """How a file is compressed, if it is.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(6)
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading; compressed content is decompressed while it is read.

    Raises:
        OSError: If it cannot be read.
    """
    kind = compression(path)
    if kind == "gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if kind == "bz2":
        return cast("BinaryIO", bz2.open(path, "rb"))
    if kind == "xz":
        return cast("BinaryIO", lzma.open(path, "rb"))
    if kind == "zst":
        return cast("BinaryIO", io.BufferedReader(_Zstandard(path), 1 << 20))
    return path.open("rb")


class _Zstandard(io.RawIOBase):
    """Arrow's decompressor as a file of Python's."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._inner = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            content = self._inner.read(len(buffer))
        except OSError as error:
            msg = f"the compressed content is malformed: {error}"
            raise EOFError(msg) from error
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()
