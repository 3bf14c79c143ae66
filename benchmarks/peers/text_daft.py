"""Daft: its native MinHash, bands grouped by Daft itself or sorted in NumPy; first of a band kept.

Called by dedup_text.py in an environment of its own: text_daft.py IN.parquet OUT.parquet own|numpy
"""

import sys

import daft
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from daft import col
from daft.functions import chunk, hash, minhash

BANDS, ROWS = 32, 4


def main() -> None:
    source, target, how = sys.argv[1:]
    sketch = minhash(col("text"), num_hashes=128, ngram_size=3, seed=1, hash_function="xxhash3_64")
    frame = daft.read_parquet(source).select(col("id"), sketch.alias("sketch"))
    if how == "own":
        numbers = daft.lit(list(range(BANDS)))
        bands = frame.select(
            "id", chunk(col("sketch"), ROWS).alias("band"), numbers.alias("number")
        ).explode("band", "number")
        keyed = bands.select("id", "number", hash(col("band")).alias("key"))
        firsts = keyed.groupby("number", "key").agg(col("id").min().alias("first"))
        matched = keyed.join(firsts, on=["number", "key"]).where(col("first") < col("id"))
        gone = np.unique(matched.select("id").to_arrow()["id"].to_numpy())
    else:
        table = frame.to_arrow()
        ids = table["id"].to_numpy()
        order = np.argsort(ids)
        sketches = np.asarray(table["sketch"].combine_chunks().flatten()).reshape(-1, BANDS * ROWS)
        sketches, ids = sketches[order], ids[order]
        removed = np.zeros(len(ids), dtype=bool)
        for band in range(BANDS):
            pair = np.ascontiguousarray(sketches[:, band * ROWS : (band + 1) * ROWS])
            pair = pair.view(np.uint64)
            key = (pair[:, 0] * np.uint64(0x9E3779B97F4A7C15)) ^ pair[:, 1]
            place = np.argsort(key, kind="stable")
            removed[place[1:][key[place[1:]] == key[place[:-1]]]] = True
        gone = ids[removed]
    pq.write_table(pa.table({"removed": gone}), target)


main()
