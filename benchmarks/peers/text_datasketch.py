"""datasketch as its documentation shows: a MinHash a text, then MinHashLSH, the first of a kind kept.

Called by dedup_text.py in an environment of its own: text_datasketch.py IN.parquet OUT.parquet own|32x4

The hash function is XXH3, which is faster than its default SHA-1. `own` are the bands that it
chooses for the threshold, `32x4` those that find every true pair.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from datasketch import MinHash, MinHashLSH

PERMUTATIONS, THRESHOLD = 128, 0.7


def hash32(shingle: bytes) -> int:
    return xxhash.xxh3_64_intdigest(shingle) & 0xFFFFFFFF


def main() -> None:
    source, target, how = sys.argv[1:]
    table = pq.read_table(source)
    bands = None if how == "own" else (32, 4)
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, params=bands)
    empty = MinHash(PERMUTATIONS, hashfunc=hash32)
    gone = []
    for number, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
        words = text.split(" ")
        sketch = empty.copy()  # the permutations are drawn once
        sketch.update_batch({" ".join(words[i : i + 3]).encode() for i in range(len(words) - 2)})
        if index.query(sketch):
            gone.append(number)
        else:
            index.insert(number, sketch, check_duplication=False)
    pq.write_table(pa.table({"removed": pa.array(gone, pa.int64())}), target)


main()
