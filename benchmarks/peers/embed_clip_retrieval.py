"""Runs in clip-retrieval's environment: `clip_inference` over a folder of images.

SOURCE WEIGHTS MODEL TARGET WORKERS; prints wall and CPU seconds as JSON, and writes the vectors.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

source, weights, model, target, workers = sys.argv[1:6]
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def cpu():
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, both))


def main():
    from all_clip import load_clip
    from clip_retrieval.clip_inference import clip_inference

    name = f"open_clip:{model}/{weights}"
    # As its workers call it, so that its own cache keeps loading and warming up out of the figures.
    load_clip(clip_model=name, use_jit=False, warmup_batch_size=64, clip_cache_path=None)

    def infer(folder, out):
        started, used = time.perf_counter(), cpu()
        clip_inference(
            input_dataset=folder,
            output_folder=out,
            batch_size=64,
            num_prepro_workers=int(workers),
            enable_text=False,
            clip_model=name,
            use_jit=False,
        )
        return time.perf_counter() - started, cpu() - used

    files = sorted(Path(source).iterdir())
    few = Path(target + ".few")
    few.mkdir()
    for file in files[:2]:
        (few / file.name).symlink_to(file)
    # What two images cost is its start (processes, imports): that is taken off.
    start = infer(str(few), target + ".start")
    whole = infer(source, target + ".folder")
    share = len(files) / (len(files) - 2)
    wall, spent = [(w - s) * share for w, s in zip(whole, start, strict=True)]
    vectors = np.concatenate(
        [np.load(p) for p in sorted(Path(target + ".folder").glob("img_emb/*.npy"))]
    )
    import pandas

    frames = [
        pandas.read_parquet(p) for p in sorted(Path(target + ".folder").glob("metadata/*.parquet"))
    ]
    names = [Path(p).stem for p in pandas.concat(frames)["image_path"]]
    np.savez(target, names=names, vectors=vectors.astype("float32"))
    print(json.dumps({"wall": wall, "cpu": spent}))


if __name__ == "__main__":
    main()
