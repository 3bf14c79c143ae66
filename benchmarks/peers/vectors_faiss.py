"""faiss: neighbours by HNSW, those that reach the threshold; or a flat range search of some queries.

Called by dedup_images.py in an environment of its own:
vectors_faiss.py IN.npy OUT.npy THRESHOLD hnsw CONNECTIVITY EF_CONSTRUCTION EF_SEARCH NEIGHBOURS
vectors_faiss.py IN.npy OUT.npy THRESHOLD flat QUERIES
"""

import sys

import faiss
import numpy as np


def main() -> None:
    source, target, threshold, how, *settings = sys.argv[1:]
    rows, least = np.load(source), float(threshold)
    n, width = rows.shape
    numbers = [int(word) for word in settings]
    if how == "flat":
        index = faiss.IndexFlatIP(width)
        index.add(rows)
        limits, _, found = index.range_search(rows[: numbers[0]], least)
        a, b = np.repeat(np.arange(numbers[0]), np.diff(limits).astype(int)), found
    else:
        index = faiss.IndexHNSWFlat(width, numbers[0], faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = numbers[1], numbers[2]
        index.add(rows)
        near, found = index.search(rows, numbers[3] + 1)
        a, place = np.nonzero(near >= least)
        b = found[a, place]
    apart = (a != b) & (b >= 0)
    keys = np.minimum(a, b)[apart] * n + np.maximum(a, b)[apart]
    np.save(target, np.unique(keys))


main()
