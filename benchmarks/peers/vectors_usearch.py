"""usearch: neighbours by HNSW, those that reach the threshold.

Called by dedup_images.py in an environment of its own:
vectors_usearch.py IN.npy OUT.npy THRESHOLD DTYPE NEIGHBOURS
"""

import os
import sys

import numpy as np
from usearch.index import Index


def main() -> None:
    source, target, threshold, dtype, neighbours = sys.argv[1:]
    rows = np.load(source)
    n, width = rows.shape
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    index = Index(ndim=width, metric="ip", dtype=dtype)
    index.add(np.arange(n), rows, threads=threads)
    found = index.search(rows, int(neighbours) + 1, threads=threads)
    a, place = np.nonzero(found.distances <= 1 - float(threshold))
    b = found.keys[a, place].astype(np.int64)
    keys = np.minimum(a, b)[a != b] * n + np.maximum(a, b)[a != b]
    np.save(target, np.unique(keys))


main()
