"""Compiled loops that decide which items stay: direct matches to kept items, never chains."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit

# How images of two items are compared.
IMAGES_ANY, IMAGES_PAIRS, IMAGES_VECTORS = 0, 1, 2
# How texts of a turn are compared beyond their Jaccard coefficient.
WORDS_ANY, WORDS_QUESTION, WORDS_ANSWER = 0, 1, 2
# Answers up to this many words must say the same word for word (articles apart).
SHORT_WORDS = 20
_NO = -1.0
_HELD = -2.0


@jit
def jaccard(values: Any, a0: int, a1: int, b0: int, b1: int, threshold: float) -> float:
    """Exact Jaccard coefficient of two sorted slices, or -1 as soon as it must be less."""
    n, m = a1 - a0, b1 - b0
    small, large = (n, m) if n < m else (m, n)
    if large == 0:
        return 1.0
    if small < threshold * large - 1e-9:
        return _NO
    both, i, k = 0, a0, b0
    while i < a1 and k < b1:
        x, y = values[i], values[k]
        both += x == y
        i += x <= y
        k += y <= x
    value = both / (n + m - both)
    return value if value >= threshold - 1e-12 else _NO


@jit
def text_match(a: int, b: int, kind: int, text: Any, threshold: float) -> float:
    """Similarity of two texts; -1 if below the threshold, -2 if they say different things."""
    at, values, words, said, facts = text
    if a == b:
        return 1.0
    value = jaccard(values, at[a], at[a + 1], at[b], at[b + 1], threshold)
    if value < 0 or kind == WORDS_ANY or said[a] == said[b]:
        return value
    if kind == WORDS_QUESTION or min(words[a], words[b]) <= SHORT_WORDS:
        return _HELD
    return value if facts[a] == facts[b] else _HELD


@jit
def _cosine(vectors: Any, a: int, b: int) -> Any:
    total = np.float32(0.0)
    for k in range(vectors.shape[1]):
        total += np.float32(vectors[a, k]) * np.float32(vectors[b, k])
    return total


@jit
def image_match(a: int, b: int, image: Any) -> float:
    """Similarity of two images that count as the same, or -1."""
    mode, keys, values, vectors, threshold = image
    if a == b:
        return 1.0
    if mode == IMAGES_VECTORS:
        value = _cosine(vectors, a, b)
        return value if value >= threshold else _NO
    low, high = (a, b) if a < b else (b, a)
    key = (np.uint64(low) << np.uint64(32)) | np.uint64(high)
    place = np.searchsorted(keys, key)
    return values[place] if place < keys.size and keys[place] == key else _NO


@jit
def images_match(i: int, j: int, item: Any, image: Any) -> float:
    """Least similarity of the images of two items, place by place, or -1."""
    images_at, images = item[3], item[4]
    if image[0] == IMAGES_ANY:
        return 1.0
    n = images_at[i + 1] - images_at[i]
    if n != images_at[j + 1] - images_at[j]:
        return _NO
    least = 1.0
    for k in range(n):
        value = image_match(images[images_at[i] + k], images[images_at[j] + k], image)
        if value < 0:
            return _NO
        least = min(least, value)
    return least


@jit
def texts_match(i: int, j: int, item: Any, text: Any, threshold: float) -> float:
    """Least similarity of the texts of two items, turn by turn; -1 or -2 if one does not match."""
    texts_at, texts, kinds = item[0], item[1], item[2]
    n = texts_at[i + 1] - texts_at[i]
    if n != texts_at[j + 1] - texts_at[j]:
        return _NO
    least, held = 1.0, False
    for k in range(n):
        x, y = texts_at[i] + k, texts_at[j] + k
        if kinds[x] != kinds[y]:
            return _NO
        value = text_match(texts[x], texts[y], kinds[x], text, threshold)
        if value == _NO:
            return _NO
        held |= value == _HELD
        least = min(least, value)
    return _HELD if held else least


@jit
def _better(
    text: float, image: float, j: int, best_text: float, best_image: float, best: int
) -> bool:
    """Whether j is a better match than the best so far; of equals the preferred one."""
    if text != best_text:
        return text > best_text
    return image > best_image or (image == best_image and j < best)


@jit
def star(
    at: Any, buckets: Any, n_buckets: int, n_anchors: int, item: Any, text: Any, image: Any,
    threshold: float, kept: Any, similarity: Any, alike: Any, held: Any,
) -> int:  # fmt: skip
    """Decide items in order: one goes if it matches one that stays, the most similar such.

    Args:
        at: Where each item's buckets start in `buckets`.
        buckets: Numbers of the buckets in which items that match meet.
        n_buckets: Number of buckets.
        n_anchors: So many items in front stay without being compared.
        item: texts_at, texts, kinds, images_at, images, groups.
        text: Shingle sets (at, values), words, said, facts.
        image: Mode, keys and values of pairs, vectors, threshold.
        threshold: Least similarity of texts.
        kept: Gets the item that stands for each, itself if it stays.
        similarity: Gets the similarity of texts to that item.
        alike: Gets the similarity of images to that item.
        held: Gets pairs that reach the threshold but say different things, while there is room.

    Returns:
        Number of such pairs.
    """
    n = at.size - 1
    groups = item[5]
    # Kept items of a bucket form a list: its newest entry, and from entry to entry.
    newest = np.full(n_buckets, -1, dtype=np.int32)
    older = np.empty(buckets.size, dtype=np.int32)
    entry_item = np.empty(buckets.size, dtype=np.int32)
    seen = np.full(n, -1, dtype=np.int32)
    n_held = 0
    for i in range(n):
        best, best_text, best_image, before = i, _NO, _NO, n_held
        for place in range(at[i], at[i + 1] if i >= n_anchors else at[i]):
            entry = newest[buckets[place]]
            while entry >= 0 and (best_text < 1.0 or best_image < 1.0):
                j = entry_item[entry]
                entry = older[entry]
                if seen[j] == i or groups[i] != groups[j]:
                    continue
                seen[j] = i
                same = images_match(i, j, item, image)
                near = texts_match(i, j, item, text, threshold) if same >= 0 else _NO
                if near == _HELD:
                    if n_held < held.shape[0]:
                        held[n_held, 0], held[n_held, 1] = j, i
                    n_held += 1
                elif near >= 0 and _better(near, same, j, best_text, best_image, best):
                    best, best_text, best_image = j, near, same
        kept[i] = best
        similarity[i], alike[i] = max(best_text, 0.0), max(best_image, 0.0)
        if best != i:
            n_held = before  # it goes for another reason: nothing is held back
            continue
        similarity[i] = alike[i] = 1.0
        for place in range(at[i], at[i + 1]):
            entry_item[place] = i
            older[place] = newest[buckets[place]]
            newest[buckets[place]] = place
    return n_held


@jit
def count_conflicts(
    starts: Any, members: Any, answers: Any, item: Any, text: Any, image: Any,
    threshold: float, most: int, out_a: Any, out_b: Any, out_value: Any,
) -> Any:  # fmt: skip
    """Pairs of one question that are answered differently.

    Args:
        starts: Where each group of like questions starts in `members`.
        members: Items (questions in their context), in order, group after group.
        answers: The answer's text number of every item.
        item: As for `star`.
        text: As for `star`.
        image: As for `star`.
        threshold: Least similarity of questions, and of answers that count as the same.
        most: Pairs that one item enters as the later one.
        out_a: Gets the earlier item of each pair; with size 0 pairs are only counted.
        out_b: Gets the later item.
        out_value: Gets the similarity of the questions.

    Returns:
        Number of pairs, and of items that have more than `most`.
    """
    n, capped = 0, 0
    for group in range(starts.size - 1):
        for place in range(starts[group] + 1, starts[group + 1]):
            i, found = members[place], 0
            for other in range(starts[group], place):
                j = members[other]
                if answers[i] == answers[j]:
                    continue
                if text_match(answers[i], answers[j], WORDS_ANSWER, text, threshold) >= 0:
                    continue
                if images_match(i, j, item, image) < 0:
                    continue
                value = texts_match(i, j, item, text, threshold)
                if value < 0:
                    continue
                if found == most:
                    capped += 1
                    break
                if out_a.size:
                    out_a[n], out_b[n], out_value[n] = j, i, value
                n += 1
                found += 1
    return n, capped
