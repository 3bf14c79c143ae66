"""Compiled loops that compare items: exact matches, kept representatives, conflicting answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit

# How images of two items are compared: not at all, by listed pairs, by the cosine of embeddings.
IMAGES_IGNORED, IMAGES_PAIRS, IMAGES_VECTORS = 0, 1, 2
# What is compared in a turn besides the Jaccard similarity: nothing; the wording of a question; the
# wording of a short answer and the facts of a long one.
CHECK_NONE, CHECK_QUESTION, CHECK_ANSWER = 0, 1, 2
# Answers up to this many words must have the same wording (except for articles).
SHORT_WORDS = 20
# Results of a comparison besides a similarity: below the threshold; above it, but other wording.
_NO = -1.0
_DISTINCT = -2.0


@jit
def jaccard(values: Any, a0: int, a1: int, b0: int, b1: int, threshold: float) -> float:
    """Exact Jaccard similarity of two sorted slices, or -1 if it is below the threshold."""
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
def text_match(a: int, b: int, check: int, text: Any, threshold: float) -> float:
    """Similarity of two texts; -1 if below the threshold, -2 if the wording differs."""
    at, values, words, wording, facts = text
    if a == b:
        return 1.0
    value = jaccard(values, at[a], at[a + 1], at[b], at[b + 1], threshold)
    if value < 0 or check == CHECK_NONE or wording[a] == wording[b]:
        return value
    if check == CHECK_QUESTION or min(words[a], words[b]) <= SHORT_WORDS:
        return _DISTINCT
    return value if facts[a] == facts[b] else _DISTINCT


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
    found = np.searchsorted(keys, key)
    return values[found] if found < keys.size and keys[found] == key else _NO


@jit
def images_match(i: int, j: int, item: Any, image: Any) -> float:
    """Min similarity of the images of two items, position by position, or -1."""
    images_at, images = item[3], item[4]
    if image[0] == IMAGES_IGNORED:
        return 1.0
    n = images_at[i + 1] - images_at[i]
    if n != images_at[j + 1] - images_at[j]:
        return _NO
    lowest = 1.0
    for k in range(n):
        value = image_match(images[images_at[i] + k], images[images_at[j] + k], image)
        if value < 0:
            return _NO
        lowest = min(lowest, value)
    return lowest


@jit
def texts_match(i: int, j: int, item: Any, text: Any, threshold: float) -> float:
    """Min similarity of the texts of two items, turn by turn; -1 or -2 if one does not match."""
    texts_at, texts, checks = item[0], item[1], item[2]
    n = texts_at[i + 1] - texts_at[i]
    if n != texts_at[j + 1] - texts_at[j]:
        return _NO
    lowest, distinct = 1.0, False
    for k in range(n):
        x, y = texts_at[i] + k, texts_at[j] + k
        if checks[x] != checks[y]:
            return _NO
        value = text_match(texts[x], texts[y], checks[x], text, threshold)
        if value == _NO:
            return _NO
        distinct |= value == _DISTINCT
        lowest = min(lowest, value)
    return _DISTINCT if distinct else lowest


@jit
def _better(
    text: float, image: float, j: int, best_text: float, best_image: float, best: int
) -> bool:
    """Whether j is a better match than the best so far; of equal matches the preferred item."""
    if text != best_text:
        return text > best_text
    return image > best_image or (image == best_image and j < best)


@jit
def choose_representatives(
    at: Any, buckets: Any, n_buckets: int, n_existing: int, item: Any, text: Any, image: Any,
    threshold: float, kept: Any, text_similarity: Any, image_similarity: Any, distinct: Any,
) -> int:  # fmt: skip
    """Visit n items in order: an item is dropped if it matches a kept item.

    Args:
        at: [n + 1] offsets of the items' buckets.
        buckets: Bucket numbers; items that match share a bucket.
        n_buckets: Number of buckets.
        n_existing: The first items, which are kept without a comparison.
        item: `Items.arrays()`: texts_at, texts, checks, images_at, images, groups.
        text: `TextFeatures.arrays()`: at and values of shingles, n_words, wording, facts.
        image: `SameImages.arrays()`: mode, keys and values of pairs, vectors, threshold.
        threshold: Min similarity of texts.
        kept: [n] receives the most similar kept item, or the item itself if it is kept.
        text_similarity: [n] receives the similarity of the texts to that item.
        image_similarity: [n] receives the similarity of the images to that item.
        distinct: [m, 2] receives pairs that reach the threshold but differ in wording, up to m.

    Returns:
        Number of such pairs, which may be larger than m.
    """
    n = at.size - 1
    groups = item[5]
    # The kept items of a bucket form a linked list: its newest entry, and from each the older one.
    newest = np.full(n_buckets, -1, dtype=np.int32)
    older = np.empty(buckets.size, dtype=np.int32)
    entry_item = np.empty(buckets.size, dtype=np.int32)
    compared = np.full(n, -1, dtype=np.int32)  # the last item that each was compared with
    n_distinct = 0
    for i in range(n):
        best, best_text, best_image, before = i, _NO, _NO, n_distinct
        for k in range(at[i], at[i + 1] if i >= n_existing else at[i]):
            entry = newest[buckets[k]]
            while entry >= 0 and (best_text < 1.0 or best_image < 1.0):
                j = entry_item[entry]
                entry = older[entry]
                if compared[j] == i or groups[i] != groups[j]:
                    continue
                compared[j] = i
                same = images_match(i, j, item, image)
                near = texts_match(i, j, item, text, threshold) if same >= 0 else _NO
                if near == _DISTINCT:
                    if n_distinct < distinct.shape[0]:
                        distinct[n_distinct, 0], distinct[n_distinct, 1] = j, i
                    n_distinct += 1
                elif near >= 0 and _better(near, same, j, best_text, best_image, best):
                    best, best_text, best_image = j, near, same
        kept[i] = best
        text_similarity[i], image_similarity[i] = max(best_text, 0.0), max(best_image, 0.0)
        if best != i:
            n_distinct = before  # the item is dropped anyway: its pairs do not count
            continue
        text_similarity[i] = image_similarity[i] = 1.0
        for k in range(at[i], at[i + 1]):
            entry_item[k] = i
            older[k] = newest[buckets[k]]
            newest[buckets[k]] = k
    return n_distinct


@jit
def count_conflicts(
    at: Any, members: Any, answers: Any, item: Any, text: Any, image: Any,
    threshold: float, max_pairs: int, out_a: Any, out_b: Any, out_value: Any,
) -> Any:  # fmt: skip
    """Pairs of items that ask one question and have different answers.

    Args:
        at: Offsets of the groups of similar questions in `members`.
        members: Items (questions with their context), in order within each group.
        answers: Text number of each item's answer.
        item: As for `choose_representatives`.
        text: As for `choose_representatives`.
        image: As for `choose_representatives`.
        threshold: Min similarity of questions, and of answers that count as the same.
        max_pairs: Max pairs in which one item is the later one.
        out_a: Receives the earlier item of each pair; with size 0 pairs are only counted.
        out_b: Receives the later item.
        out_value: Receives the similarity of the questions.

    Returns:
        Number of pairs, and number of items that have more than `max_pairs`.
    """
    n, truncated = 0, 0
    for group in range(at.size - 1):
        for later in range(at[group] + 1, at[group + 1]):
            i, found = members[later], 0
            for earlier in range(at[group], later):
                j = members[earlier]
                if answers[i] == answers[j]:
                    continue
                if text_match(answers[i], answers[j], CHECK_ANSWER, text, threshold) >= 0:
                    continue
                if images_match(i, j, item, image) < 0:
                    continue
                value = texts_match(i, j, item, text, threshold)
                if value < 0:
                    continue
                if found == max_pairs:
                    truncated += 1
                    break
                if out_a.size:
                    out_a[n], out_b[n], out_value[n] = j, i, value
                n += 1
                found += 1
    return n, truncated
