"""The report of a dedup on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.dedup.options import DedupOptions
from pairwright.text.counts import counted

if TYPE_CHECKING:
    from curate.dedup.decide import Found

_MEANING = {
    "sample": {
        "exact": "same images, same words (except for case, spacing and punctuation at the end)",
        "near_text": "same images, nearly the same questions and answers",
        "near_image": "same words on a copy of the image",
        "near_text_and_image": "nearly the same words on a copy of the image",
        "repeated_answer": "a long answer that other images have too (--answer-cap)",
    },
    "image": {
        "exact": "same image files",
        "near_image": "copies of the image",
    },
    "text": {
        "exact": "same words (except for case, spacing and punctuation at the end)",
        "near_text": "nearly the same words",
    },
}
# Keys of summaries that earlier versions wrote.
_OLD_KEYS = {
    "held_back_pairs": "distinct_pairs",
    "held_back_examples": "distinct_pair_examples",
    "conflict_rows_cut_short": "conflict_rows_truncated",
    "same_picture_pairs": "copy_pairs",
    "clip_like_images": "clip_near_images",
    "clip_like_pairs": "clip_near_pairs",
    "clip_pairs_looked_at": "clip_pairs_checked",
}


def text(
    summary: dict[str, Any], options: DedupOptions, run: str | None, found: Found | None = None
) -> str:
    """The whole report.

    Args:
        summary: Numbers of the run.
        options: Its options.
        run: Its name; None if nothing was written.
        found: The result, for examples; without it none are shown.
    """
    summary = {_OLD_KEYS.get(key, key): value for key, value in summary.items()}
    rows, removed = summary["rows"], summary["removed"]
    rate = f" ({100 * removed / rows:.1f} %)" if rows else ""
    lines = [
        f"{rows:,} rows in, {summary['kept']:,} kept, {removed:,} removed{rate}, "
        f"in {summary['seconds']:.1f} s"
    ]
    if summary["compared_with"]:
        existing = counted(summary["compared_with"], "sample")
        lines.append(f"  compared with {existing} that are kept already")
    for reason, count in summary["removed_by_reason"].items():
        meaning = _MEANING[options.on].get(reason, reason)
        if options.image_match == "clip":
            meaning = meaning.replace("a copy of the image", "an image with a near embedding")
            meaning = meaning.replace("copies of the image", "images with near embeddings")
        lines.append(f"  {count:>9,} {reason}: {meaning}")
    lines += _conflict_lines(summary, run)
    if summary["distinct_pairs"]:
        lines.append(
            f"  {summary['distinct_pairs']:>9,} similar pairs kept as distinct: few words differ, "
            "but these change the meaning"
        )
    if summary["repeated_answers"] and options.answer_cap is None and options.on == "sample":
        lines.append(
            f"  {counted(summary['repeated_answers'], 'long answer')} on several images "
            f"({counted(summary['repeated_answer_rows'], 'row')}, all kept; --answer-cap N keeps N "
            "of each)"
        )
    lines += _image_lines(summary, options)
    if found is not None:
        from curate.dedup.examples import examples

        for title, shown in examples(found, options.show):
            if shown:
                lines += ["", f"{title}:", *shown]
    return "\n".join(lines)


def _conflict_lines(summary: dict[str, Any], run: str | None) -> list[str]:
    lines = []
    if n := summary["conflicts"]:
        truncated = summary["conflict_rows_truncated"]
        more = f": `pairwright show conflicts/{run}`" if run else ""
        if truncated:
            more += f"; {counted(truncated, 'row')} with more (--conflicts-per-row)"
        lines.append(
            f"  {n:>9,} {'conflict' if n == 1 else 'conflicts'}: different answers to "
            f"{counted(summary['conflicting_questions'], 'question')} on the same image, all kept"
            f"{more}"
        )
    if summary["open_questions"]:
        lines.append(
            f"  {counted(summary['open_questions'], 'open question')} without an image: too many "
            f"different answers to be conflicts ({counted(summary['open_question_rows'], 'row')}, "
            "all kept)"
        )
    return lines


def _image_lines(summary: dict[str, Any], options: DedupOptions) -> list[str]:
    lines = []
    if "compared_pairs" in summary:
        lines.append(
            f"  images: {summary['images']:,}, {summary['near_hash_images']:,} with a near hash, "
            f"{counted(summary['copy_pairs'], 'pair')} of copies confirmed by their pixels"
        )
        if n := summary["unreadable_images"]:
            lines.append(f"  {counted(n, 'image')} could not be read and matched nothing")
        if n := summary.get("crowded_images"):
            lines.append(
                f"  {counted(n, 'image')} with too many near hashes: compared with the most "
                "similar images only"
            )
    if "clip_near_pairs" in summary:
        on_image = options.on == "image"
        alone = "" if on_image else "; near embeddings alone remove nothing (--on image does)"
        lines.append(
            f"  images: {summary['images']:,}, {summary['clip_near_images']:,} with another at "
            f"cosine {options.clip_threshold:g} or more "
            f"({counted(summary['clip_near_pairs'], 'pair')}){alone}"
        )
        lines += _embedding_lines(summary, options)
        if n := summary["images_without_embedding"]:
            lines.append(
                f"  {counted(n, 'image')} without an embedding matched nothing but identical "
                "images: run `curate embed` again"
            )
    return lines


def _embedding_lines(summary: dict[str, Any], options: DedupOptions) -> list[str]:
    """Whether near embeddings mean copies, and how near two random images are."""
    lines = []
    if "clip_recall" in summary:
        lines.append(
            f"  searched by a graph, which finds {100 * summary['clip_recall']:.1f} % of "
            f"{counted(summary['clip_recall_of'], 'near pair')} that an exact search finds "
            "(--image-index exact)"
        )
    checked, copies = summary.get("clip_pairs_checked", 0), summary.get("clip_pairs_copies", 0)
    if checked:
        left = ", ".join(f"{n:,} at {level}" for level, n in summary["clip_pairs_at"].items())
        lines.append(
            f"  of {counted(checked, 'such pair')} checked, {copies:,} "
            f"{'is a copy' if copies == 1 else 'are copies'} by the pixels"
            + (f"; pairs at higher thresholds: {left}" if left else "")
        )
    if checked and copies * 2 < checked:
        lines.append(
            "  these are similar images, not copies: use --image-match phash to find copies, or a "
            "higher --clip-threshold to match fewer"
        )
    if summary.get("clip_random_p99", 0) >= options.clip_threshold:
        lines.append(
            "  1 % of random pairs are as near: this model does not distinguish these images"
        )
    return lines
