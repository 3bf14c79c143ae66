"""Vectors like CLIP's image embeddings, seeded, with near pairs of known cosine.

CLIP's image embeddings lie in a cone (two images have a cosine of about 0.5), and few directions
contain most of the variance. Each vector here is the sum, in equal parts, of one common direction
and of a sample of a normal distribution whose variance in its i-th principal direction falls as
(i + 10) ** -decay; at 1.5 the first 64 directions contain about 73 % of the variance, the first 128
84 %. 30 % belong to one of n / 100 clusters, with which they have 30 to 80 % of the variance in
common. 5 % are copies of an earlier vector, rotated away from it to a cosine between 0.88 and 0.999
in a direction of the same distribution. All are rotated at random and stored as 16-bit floats, as
`curate embed` stores them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Vectors:
    """Unit vectors (32-bit floats that 16 bits can hold), and the planted pairs."""

    rows: np.ndarray
    copies: np.ndarray
    sources: np.ndarray
    cosines: np.ndarray


def make(n: int, width: int = 512, *, seed: int = 1, decay: float = 1.5) -> Vectors:
    """Sample n vectors.

    Args:
        n: Number of vectors.
        width: Dimensions.
        seed: Of everything random.
        decay: How fast the spectrum falls; 1.5 resembles CLIP, 0 is a ball, the worst case.
    """
    generator = np.random.default_rng(seed)
    spread = (np.arange(width - 1) + 10.0) ** -decay
    spread = np.sqrt(spread / spread.sum()).astype(np.float32)

    def sample(count: int) -> np.ndarray:
        rows = generator.standard_normal((count, width - 1), dtype=np.float32) * spread
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    rotation = np.linalg.qr(generator.standard_normal((width, width)))[0].astype(np.float32)
    centers = sample(max(1, n // 100))
    rows = np.empty((n, width), dtype=np.float32)
    for first in range(0, n, CHUNK):
        part = sample(min(CHUNK, n - first))
        member = np.flatnonzero(generator.random(len(part)) < 0.3)
        common = generator.uniform(0.3, 0.8, (len(member), 1)).astype(np.float32)
        mine = centers[generator.integers(0, len(centers), len(member))]
        part[member] = np.sqrt(common) * mine + np.sqrt(1 - common) * part[member]
        rows[first : first + len(part), 0] = 1
        rows[first : first + len(part), 1:] = part / np.linalg.norm(part, axis=1, keepdims=True)
    rows /= np.sqrt(np.float32(2))
    copies = np.sort(generator.choice(np.arange(n // 2, n), n // 20, replace=False))
    sources = generator.integers(0, n // 2, len(copies))
    cosines = generator.uniform(0.88, 0.999, len(copies))
    away = np.c_[np.zeros(len(copies), dtype=np.float32), sample(len(copies))]
    origin = rows[sources]
    away -= (away * origin).sum(axis=1, keepdims=True) * origin
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    sine = np.sqrt(1 - cosines**2)
    rows[copies] = cosines[:, None] * origin + sine[:, None] * away
    for first in range(0, n, CHUNK):
        rows[first : first + CHUNK] = (rows[first : first + CHUNK] @ rotation).astype(np.float16)
    return Vectors(rows, copies, sources, cosines)
