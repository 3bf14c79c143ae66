"""Score the shipped models on easy-vqa's official test split: `evaluate.py [--models FOLDER]`.

Everything is read from disk. Intervals resample images, not questions, because about ten
questions share an image.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _packing import Renderer, forward
from _tasks import Ask, Example, Facts, open_image, rubric_prompt, verification
from _training import collate

from pairwright.demo import data

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODELS = Path(data.__file__).with_name("models")


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--only", choices=("policy", "judge", "clip"))
    parser.add_argument("--images", type=int, help="only this many test images")
    arguments = parser.parse_args()
    rows: dict[int, list[data.Question]] = defaultdict(list)
    for question in data.official_test_questions():
        rows[question.image].append(question)
    numbers = sorted(rows)[: arguments.images]
    rows = {number: rows[number] for number in numbers}
    parts: dict[str, Callable[[Path, dict[int, list[data.Question]]], dict[str, Any]]]
    parts = {"policy": policy, "judge": judge, "clip": clip}
    report = {
        name: part(arguments.models / name, rows)
        for name, part in parts.items()
        if arguments.only in (None, name)
    }
    print(json.dumps(report, indent=2))


def _load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


def _answered(
    folder: Path, asked: dict[int, list[Ask]]
) -> Iterator[tuple[list[str], torch.Tensor, list[bool]]]:
    """Expected answers, first-token log-probabilities and exact matches, some images at a time."""
    model, processor = _load(folder)
    renderer = Renderer(processor)
    paths = data.image_paths("test")
    every = list(asked)
    for numbers in (every[at : at + 32] for at in range(0, len(every), 32)):
        examples = [
            Example(open_image(paths[n]).pixels, Facts(None, None), asked[n]) for n in numbers
        ]
        packed = collate(examples, renderer)
        with torch.no_grad():
            logits, _ = forward(model, packed)
        turns = packed.target_turns.tolist()
        first = [0, *(k for k, (a, b) in enumerate(pairwise(turns), 1) if a != b)]
        # Greedy decoding gives an answer exactly if every token of it, and its end token, is the
        # most likely one after the tokens before it.
        hits = (logits.argmax(-1) == packed.targets).split(np.diff([*first, len(turns)]).tolist())
        answers = [ask.answer for example in examples for ask in example.asks]
        yield answers, logits[first].log_softmax(-1), [bool(h.all()) for h in hits]


def policy(folder: Path, rows: dict[int, list[data.Question]]) -> dict[str, Any]:
    """Exact match, and how often it says yes to a yes/no question."""
    yes = _token(folder, "yes")
    asked = {n: [Ask(q.text, q.answer) for q in questions] for n, questions in rows.items()}
    images = [n for n, asks in asked.items() for _ in asks]
    answers: list[str] = []
    right: list[bool] = []
    says_yes: list[bool] = []
    p_yes: list[float] = []
    for expected, logps, hits in _answered(folder, asked):
        answers += expected
        right += hits
        says_yes += (logps.argmax(-1) == yes).tolist()
        p_yes += logps[:, yes].exp().tolist()
    kinds = [_kind(answer) for answer in answers]
    binary = np.array([kind == "yes/no" for kind in kinds])
    says, truth = np.array(says_yes), np.array(answers) == "yes"
    by_kind = {
        kind: round(float(np.mean([r for r, k in zip(right, kinds, strict=True) if k == kind])), 4)
        for kind in sorted(set(kinds))
    }
    return {
        "n": len(right),
        "exact_match": _with_interval(np.array(right), np.array(images)),
        "by_kind": by_kind,
        "says_yes": round(float(says[binary].mean()), 4),
        "should_say_yes": round(float(truth[binary].mean()), 4),
        "yes_no_auc": _auc(np.array(p_yes)[binary], truth[binary]),
        "mean_p_yes_where_no": round(float(np.array(p_yes)[binary & ~truth].mean()), 4),
    }


def judge(folder: Path, rows: dict[int, list[data.Question]]) -> dict[str, Any]:
    """Balanced accuracy and AUC over one right and one wrong candidate a question."""
    yes, no = _token(folder, "yes"), _token(folder, "no")
    rng = random.Random(0)
    prompt = rubric_prompt()
    asked: dict[int, list[Ask]] = {}
    images, kinds = [], []
    for number, questions in rows.items():
        asked[number] = []
        for row in questions:
            wrong = rng.choice(data.other_answers(row.answer))
            asked[number].append(verification(prompt, row.text, row.answer, right=True))
            asked[number].append(verification(prompt, row.text, wrong, right=False))
            images += [number, number]
            kinds += [_kind(row.answer)] * 2
    truth: list[bool] = []
    scores: list[float] = []
    mass: list[float] = []
    for expected, logps, _ in _answered(folder, asked):
        truth += [answer == "yes" for answer in expected]
        both = logps[:, [no, yes]]
        scores += both.softmax(-1)[:, 1].tolist()
        mass += both.exp().sum(-1).tolist()
    is_right, values = np.array(truth), np.array(scores)
    # Half of the candidates are right, so that accuracy is balanced accuracy.
    hits = (values > 0.5) == is_right
    return {
        "n": len(hits),
        "balanced_accuracy": _with_interval(hits, np.array(images)),
        "right_accepted": round(float(hits[is_right].mean()), 4),
        "wrong_refused": round(float(hits[~is_right].mean()), 4),
        "by_kind": {k: round(float(hits[np.array(kinds) == k].mean()), 4) for k in set(kinds)},
        "auc": _auc(values, is_right),
        "mean_label_mass": round(float(np.mean(mass)), 6),
    }


@torch.no_grad()
def clip(folder: Path, rows: dict[int, list[data.Question]]) -> dict[str, Any]:
    """Zero-shot shape and color, and how near re-saved copies and other images lie."""
    import open_clip
    from _clip import near_copy
    from _tasks import read_facts
    from PIL import Image

    name = f"local-dir:{folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    model.eval()
    paths = data.image_paths("test")
    facts = {n: read_facts((q.text, q.answer) for q in questions) for n, questions in rows.items()}
    images = {n: Image.open(paths[n]).convert("RGB") for n in rows}
    pixels = torch.stack([preprocess(images[n]) for n in rows])
    seen = torch.cat([model.encode_image(p, normalize=True) for p in pixels.split(100)])
    report: dict[str, Any] = {}
    for kind, labels, template in (
        ("shape", data.SHAPES, "a {}"),
        ("color", data.COLORS, "a {} shape"),
    ):
        texts = model.encode_text(tokenizer([template.format(x) for x in labels]), normalize=True)
        best = (seen @ texts.T).argmax(-1).tolist()
        known = [
            (getattr(facts[n], kind), labels[b])
            for n, b in zip(rows, best, strict=True)
            if getattr(facts[n], kind)
        ]
        report[f"{kind}_zero_shot"] = round(float(np.mean([a == b for a, b in known])), 4)
        report[f"{kind}_n"] = len(known)
    copies = torch.stack([preprocess(near_copy(p, k)) for k, p in enumerate(images.values())])
    copied = torch.cat([model.encode_image(p, normalize=True) for p in copies.split(100)])
    to_copy = (seen * copied).sum(-1)
    to_other = (seen @ seen.T).fill_diagonal_(-1).amax(-1)
    quantiles = torch.tensor([0.01, 0.05, 0.5])
    report["cosine_to_own_copy_p1_p5_p50"] = to_copy.quantile(quantiles).tolist()
    report["cosine_to_nearest_other_p50_p95_p99"] = to_other.quantile(
        1 - quantiles.flip(0)
    ).tolist()
    return report


def _token(folder: Path, word: str) -> int:
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder).encode(word, add_special_tokens=False)
    if len(ids) != 1:
        raise ValueError(f"{word!r} is {len(ids)} tokens")
    return int(ids[0])


def _kind(answer: str) -> str:
    if answer in data.SHAPES:
        return "shape"
    return "color" if answer in data.COLORS else "yes/no"


def _with_interval(hits: NDArray[np.bool_], images: NDArray[Any]) -> list[float]:
    """Mean and 95 % interval over resampled images."""
    _, owner = np.unique(images, return_inverse=True)
    total, count = np.bincount(owner, hits), np.bincount(owner)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(count), size=(1000, len(count)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(float(v), 4) for v in (hits.mean(), low, high)]


def _auc(scores: NDArray[Any], truth: NDArray[np.bool_]) -> float:
    values, rank = np.unique(scores, return_inverse=True)
    # Average ranks, so that ties count a half.
    ends = np.cumsum(np.bincount(rank, minlength=len(values)))
    ranks = (ends - np.bincount(rank) / 2 + 0.5)[rank]
    num_true, num_false = int(truth.sum()), int((~truth).sum())
    area = (ranks[truth].sum() - num_true * (num_true + 1) / 2) / (num_true * num_false)
    return round(float(area), 4)


if __name__ == "__main__":
    main()
