"""rensa: R-MinHash over word triples, its streaming deduplicator or its one-shot band flags.

Called by dedup_text.py in an environment of its own: text_rensa.py IN.parquet OUT.parquet stream|flags

`flags` flags every text that shares a band with another: the text has a duplicate, but the flag does
not say which one to keep. So all flagged texts count as removed, the first of a group too.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
from rensa import RMinHash, RMinHashDeduplicator, RMinHashLSH

PERMUTATIONS, SEED, THRESHOLD = 128, 1, 0.7
CHUNK = 50_000


def triples(text: str) -> list[str]:
    words = text.split(" ")
    return [" ".join(words[i : i + 3]) for i in range(len(words) - 2)]


def main() -> None:
    source, target, how = sys.argv[1:]
    table = pq.read_table(source)
    ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
    if how == "stream":
        index = RMinHashDeduplicator(
            threshold=THRESHOLD, num_perm=PERMUTATIONS, use_lsh=True, seed=SEED
        )
        kept = []
        for start in range(0, len(ids), CHUNK):
            part = texts[start : start + CHUNK]
            names = map(str, ids[start : start + CHUNK])
            kept += index.add_pairs(zip(names, map(triples, part), strict=True))
        gone = [number for number, stays in zip(ids, kept, strict=True) if not stays]
    else:
        sketches = RMinHash.digest_matrix_from_token_sets(
            map(triples, texts), num_perm=PERMUTATIONS, seed=SEED
        )
        index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=32)
        flags = index.query_duplicate_flags_matrix_one_shot(sketches)
        gone = [number for number, double in zip(ids, flags, strict=True) if double]
    pq.write_table(pa.table({"removed": pa.array(gone, pa.int64())}), target)


main()
