"""What dedup did, in words that need no knowledge of its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curate.dedup.options import DedupOptions

if TYPE_CHECKING:
    import polars as pl

    from curate.dedup.decide import Found

_WIDTH = 150
_MEANING = {
    "sample": {
        "exact": "same images, same words (but for case, spacing and end punctuation)",
        "near_text": "same images, questions and answers almost word for word",
        "near_image": "same words on a copy of the image",
        "near_text_and_image": "almost the same words on a copy of the image",
        "repeated_answer": "a long answer that stands on other images already (--answer-cap)",
    },
    "image": {
        "exact": "the same image files",
        "near_image": "copies of the image",
    },
    "text": {
        "exact": "same words (but for case, spacing and end punctuation)",
        "near_text": "almost the same words",
    },
}


def text(
    summary: dict[str, Any], options: DedupOptions, run: str, shown: list[tuple[str, list[str]]]
) -> str:
    """The whole report.

    Args:
        summary: Figures of the run.
        options: Its options.
        run: Its name.
        shown: From `examples`.
    """
    rows, removed = summary["rows"], summary["removed"]
    share = f" ({100 * removed / rows:.1f} %)" if rows else ""
    lines = [
        f"{rows:,} rows in, {summary['kept']:,} kept, {removed:,} removed{share}, "
        f"in {summary['seconds']:.1f} s"
    ]
    if summary["compared_with"]:
        lines.append(f"  compared with {summary['compared_with']:,} samples that stand already")
    for reason, count in summary["removed_by_reason"].items():
        meaning = _MEANING[options.on].get(reason, reason)
        if options.image_match == "clip":
            meaning = meaning.replace("a copy of the image", "an image with a like embedding")
            meaning = meaning.replace("copies of the image", "images with a like embedding")
        lines.append(f"  {count:>9,} {reason}: {meaning}")
    lines += _conflict_lines(summary, run)
    if summary["held_back_pairs"]:
        lines.append(
            f"  {summary['held_back_pairs']:>9,} near pairs kept: they share most words, but the "
            "words that differ carry the meaning"
        )
    if summary["repeated_answers"] and options.answer_cap is None and options.on == "sample":
        lines.append(
            f"  {summary['repeated_answers']:,} long answers stand on several images "
            f"({summary['repeated_answer_rows']:,} rows, all kept; --answer-cap N cuts them)"
        )
    lines += _image_lines(summary, options)
    for title, examples in shown:
        if examples:
            lines += ["", f"{title}:", *examples]
    return "\n".join(lines)


def _conflict_lines(summary: dict[str, Any], run: str) -> list[str]:
    lines = []
    if summary["conflicts"]:
        cut = summary["conflict_rows_cut_short"]
        more = f"; {cut:,} rows have more (--conflicts-per-row)" if cut else ""
        lines.append(
            f"  {summary['conflicts']:>9,} conflicts: {summary['conflicting_questions']:,} "
            "questions that are answered differently for the same image, all kept, see "
            f"conflicts/{run}{more}"
        )
    if summary["open_questions"]:
        lines.append(
            f"  {summary['open_questions']:,} questions without an image have too many answers to "
            f"be contradictions ({summary['open_question_rows']:,} rows, all kept)"
        )
    return lines


def _image_lines(summary: dict[str, Any], options: DedupOptions) -> list[str]:
    lines = []
    if "compared_pairs" in summary:
        lines.append(
            f"  images: {summary['images']:,}, {summary['near_hash_images']:,} with a near hash, "
            f"{summary['same_picture_pairs']:,} pairs confirmed by their pixels as one picture"
        )
        if summary["unreadable_images"]:
            lines.append(f"  {summary['unreadable_images']:,} images could not be read: kept apart")
        if summary.get("crowded_images"):
            lines.append(
                f"  {summary['crowded_images']:,} images have so many near hashes that only the "
                "likeliest were compared"
            )
    if "clip_like_pairs" in summary:
        deleted = (
            "" if options.on == "image" else "; likeness alone removes nothing (--on image does)"
        )
        lines.append(
            f"  images: {summary['images']:,}, {summary['clip_like_images']:,} with another at "
            f"cosine {options.clip_threshold:g} or more ({summary['clip_like_pairs']:,} pairs)"
            f"{deleted}"
        )
        lines += _likeness_lines(summary, options)
        if summary["images_without_embedding"]:
            lines.append(
                f"  {summary['images_without_embedding']:,} images have no embedding and match "
                "only themselves: run `curate embed` again"
            )
    return lines


def _likeness_lines(summary: dict[str, Any], options: DedupOptions) -> list[str]:
    """What the cosines are worth: how many near pairs are copies, and how alike any two are."""
    lines = []
    if "clip_recall" in summary:
        lines.append(
            f"  searched by a graph: it finds {100 * summary['clip_recall']:.1f} % of "
            f"{summary['clip_recall_of']:,} near pairs that were looked up exactly (--image-index exact)"
        )
    looked, copies = summary.get("clip_pairs_looked_at", 0), summary.get("clip_pairs_copies", 0)
    if looked:
        left = ", ".join(f"{n:,} at {level}" for level, n in summary["clip_pairs_at"].items())
        lines.append(
            f"  of {looked} such pairs looked at, {copies} are copies by their pixels"
            + (f"; pairs at higher thresholds: {left}" if left else "")
        )
    if looked and copies * 2 < looked:
        lines.append(
            "  these are like images, not copies: --image-match phash finds copies, and a higher "
            "--clip-threshold takes fewer"
        )
    if summary.get("clip_random_p99", 0) >= options.clip_threshold:
        lines.append(
            "  one in a hundred pairs drawn at random is as near: this model does not tell these "
            "images apart"
        )
    return lines


def examples(found: Found, options: DedupOptions) -> list[tuple[str, list[str]]]:
    """Texts of some rows of every kind, by title."""
    import polars as pl

    if not options.show:
        return []
    removed = _some_removed(found, options.show)
    held = found.held[: options.show]
    wanted = [*removed["row"], *removed["kept_row"].drop_nulls(), *held.reshape(-1).tolist()]
    spoken = _spoken(found, wanted)
    shown: list[tuple[str, list[str]]] = []
    for (reason,), some in removed.group_by("reason", maintain_order=True):
        lines = []
        for row in some.iter_rows(named=True):
            mark = "" if row["similarity"] is None else f"  similarity {row['similarity']:.3f}"
            one, other = spoken[row["row"]], spoken[row["kept_row"]]
            lines += [f"  - {_cut(one)}", f"    kept: {_cut(other)}{mark}", *_differing(one, other)]
        shown.append((f"removed as {reason}", lines))
    lines = []
    contested = next(iter(found.conflicted()), pl.DataFrame())
    some = (
        contested.unique("group_id", keep="first", maintain_order=True)
        if len(contested)
        else contested
    )
    for row in some.head(options.show).iter_rows(named=True):
        lines += [
            f"  ? {_cut(row['question'])}",
            f"    {_cut(row['answer'])}   |   {_cut(row['other_answer'])}",
        ]
    shown.append(("conflicts", lines))
    lines = []
    for a, b in held.tolist():
        lines += [
            f"  - {_cut(spoken[a])}",
            f"    {_cut(spoken[b])}",
            *_differing(spoken[a], spoken[b]),
        ]
    shown.append(("near, but kept", lines))
    return shown


def _some_removed(found: Found, most: int) -> pl.DataFrame:
    """The first rows removed for each reason: `reason`, `row`, `kept_row`, `similarity`."""
    import polars as pl

    out: pl.DataFrame | None = None
    wanted = len(found.summary["removed_by_reason"])
    for frame in found.reasons():
        some = frame.filter(~pl.col("kept")).select("reason", "row", "kept_row", "similarity")
        joined = some if out is None else pl.concat([out, some])
        distinct = joined.unique(["reason", "kept_row"], keep="first", maintain_order=True)
        out = distinct.group_by("reason", maintain_order=True).head(most)
        if out["reason"].n_unique() == wanted and out.height >= most * wanted:
            break
    assert out is not None
    return out.select("reason", "row", "kept_row", "similarity")


def _spoken(found: Found, rows: list[int]) -> dict[int, str]:
    """Conversations, by row."""
    picked = found.samples.pick(np.unique(np.array(rows, dtype=np.int64)))
    return {
        row["row"]: " -> ".join(m["content"] or "" for m in row["messages"] or [] if m is not None)
        for row in picked.iter_rows(named=True)
    }


def _differing(removed: str, kept: str) -> list[str]:
    """The words in which two texts differ, unless there are none."""
    from pairwright.text.worddiff import diff_spans

    here, there = diff_spans(removed, kept)
    parts = [f"-[{' '.join(one['text'].split())}]" for one in here if one["text"].strip()]
    parts += [f"+[{' '.join(one['text'].split())}]" for one in there if one["text"].strip()]
    return [f"    differs: {_cut(' '.join(parts))}"] if parts else []


def _cut(words: str) -> str:
    line = " ".join(words.replace("<image>", " ").split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."
