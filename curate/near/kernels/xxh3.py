"""XXH3 (64 bits, seed 0) of slices of a byte buffer, for compiled loops.

Equal to `xxhash.xxh3_64_intdigest`; follows the reference description of XXH3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types  # noqa: TID253 - see _jit
from numba.extending import intrinsic  # noqa: TID253

from curate.near.kernels.jit import jit

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
# Eight bytes of the secret at each offset, so that kernels need no unaligned reads of it.
_KEYS = np.array(
    [int.from_bytes(_SECRET[i : i + 8], "little") for i in range(len(_SECRET) - 7)], dtype=np.uint64
)
_KEY32 = np.uint64(int.from_bytes(_SECRET[0:4], "little") ^ int.from_bytes(_SECRET[4:8], "little"))
_P32_1, _P32_2, _P32_3 = np.uint64(0x9E3779B1), np.uint64(0x85EBCA77), np.uint64(0xC2B2AE3D)
_P1, _P2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_P3, _P4 = np.uint64(0x165667B19E3779F9), np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_MX1, _MX2 = np.uint64(0x165667919E3779F9), np.uint64(0x9FB21C651E98DF25)
_LOW = np.uint64(0xFFFFFFFF)


def _load(bits: int) -> Any:
    """An unaligned little-endian load; byte by byte the hash takes three times as long."""

    @intrinsic  # type: ignore[untyped-decorator]
    def load(typing_context: Any, data: Any, at: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            pointer = builder.gep(array.data, [arguments[1]])
            word = builder.load(builder.bitcast(pointer, ir.IntType(bits).as_pointer()), align=1)
            return word if bits == 64 else builder.zext(word, ir.IntType(64))

        return types.uint64(data, types.int64), emit

    return load


_read32, read64 = _load(32), _load(64)


@jit
def _swap64(value: Any) -> Any:
    out = np.uint64(0)
    for k in range(8):
        out = (out << np.uint64(8)) | ((value >> np.uint64(8 * k)) & np.uint64(255))
    return out


@jit
def _fold(a: Any, b: Any) -> Any:
    """Low half xor high half of the 128-bit product."""
    s = np.uint64(32)
    a_low, a_high, b_low, b_high = a & _LOW, a >> s, b & _LOW, b >> s
    low = a_low * b_low
    middle = a_high * b_low + (low >> s)
    middle2 = a_low * b_high + (middle & _LOW)
    high = a_high * b_high + (middle >> s) + (middle2 >> s)
    return (a * b) ^ high


@jit
def _avalanche(h: Any) -> Any:
    h ^= h >> np.uint64(37)
    h *= _MX1
    return h ^ (h >> np.uint64(32))


@jit
def _avalanche_xxh64(h: Any) -> Any:
    h ^= h >> np.uint64(33)
    h *= _P2
    h ^= h >> np.uint64(29)
    h *= _P3
    return h ^ (h >> np.uint64(32))


@jit
def _rotate(h: Any, n: int) -> Any:
    return (h << np.uint64(n)) | (h >> np.uint64(64 - n))


@jit
def _mix16(data: Any, at: int, key: int) -> Any:
    return _fold(read64(data, at) ^ _KEYS[key], read64(data, at + 8) ^ _KEYS[key + 8])


@jit
def _short(data: Any, start: int, n: int) -> Any:
    """Up to 16 bytes."""
    size = np.uint64(n)
    if n > 8:
        low = read64(data, start) ^ (_KEYS[24] ^ _KEYS[32])
        high = read64(data, start + n - 8) ^ (_KEYS[40] ^ _KEYS[48])
        return _avalanche(size + _swap64(low) + high + _fold(low, high))
    if n >= 4:
        h = _read32(data, start + n - 4) + (_read32(data, start) << np.uint64(32))
        h ^= _KEYS[8] ^ _KEYS[16]
        h ^= _rotate(h, 49) ^ _rotate(h, 24)
        h *= _MX2
        h ^= (h >> np.uint64(35)) + size
        h *= _MX2
        return h ^ (h >> np.uint64(28))
    if n > 0:
        first, middle = np.uint64(data[start]), np.uint64(data[start + (n >> 1)])
        h = (first << np.uint64(16)) | (middle << np.uint64(24))
        h |= np.uint64(data[start + n - 1]) | (size << np.uint64(8))
        return _avalanche_xxh64(h ^ _KEY32)
    return _avalanche_xxh64(_KEYS[56] ^ _KEYS[64])


@jit
def _middle(data: Any, start: int, n: int) -> Any:
    """17 to 240 bytes."""
    acc = np.uint64(n) * _P1
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            acc += _mix16(data, start + 16 * i, 32 * i)
            acc += _mix16(data, start + n - 16 * (i + 1), 32 * i + 16)
        return _avalanche(acc)
    for i in range(8):
        acc += _mix16(data, start + 16 * i, 16 * i)
    acc = _avalanche(acc)
    for i in range(8, n // 16):
        acc += _mix16(data, start + 16 * i, 16 * (i - 8) + 3)
    return _avalanche(acc + _mix16(data, start + n - 16, 136 - 17))


@jit
def _stripe(acc: Any, data: Any, at: int, key: int) -> None:
    for i in range(8):
        value = read64(data, at + 8 * i)
        keyed = value ^ _KEYS[key + 8 * i]
        acc[i ^ 1] += value
        acc[i] += (keyed & _LOW) * (keyed >> np.uint64(32))


@jit
def _long(data: Any, start: int, n: int) -> Any:
    """More than 240 bytes."""
    acc = np.empty(8, dtype=np.uint64)
    acc[0], acc[1], acc[2], acc[3] = _P32_3, _P1, _P2, _P3
    acc[4], acc[5], acc[6], acc[7] = _P4, _P32_2, _P5, _P32_1
    blocks = (n - 1) // 1024
    for block in range(blocks):
        for i in range(16):
            _stripe(acc, data, start + 1024 * block + 64 * i, 8 * i)
        for i in range(8):
            acc[i] ^= acc[i] >> np.uint64(47)
            acc[i] ^= _KEYS[128 + 8 * i]
            acc[i] *= _P32_1
    for i in range((n - 1 - 1024 * blocks) // 64):
        _stripe(acc, data, start + 1024 * blocks + 64 * i, 8 * i)
    _stripe(acc, data, start + n - 64, 121)
    result = np.uint64(n) * _P1
    for i in range(4):
        result += _fold(acc[2 * i] ^ _KEYS[11 + 16 * i], acc[2 * i + 1] ^ _KEYS[19 + 16 * i])
    return _avalanche(result)


@jit
def xxh3(data: Any, start: int, n: int) -> Any:
    """XXH3 of `data[start : start + n]`."""
    if n <= 16:
        return _short(data, start, n)
    if n <= 240:
        return _middle(data, start, n)
    return _long(data, start, n)
