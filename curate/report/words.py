"""Names of our tables in plain words."""

from __future__ import annotations

from typing import Final

# What a decisions run does, by its step: a noun for headings and what it says of the rows.
STEPS: Final[dict[str, tuple[str, str]]] = {
    "dedup": ("Duplicates", "went as duplicates: another row says the same about the same image"),
    "filter": ("Judge's marks", "went because the judge marked them too low"),
    "filter-rules": (
        "Quality rules",
        "went because they broke a rule on images, questions or answers",
    ),
    "decontaminate": ("Benchmark leaks", "went because they stand in a benchmark as well"),
    "select": ("Selection", "went because the selection did not choose them"),
}

REASONS: Final[dict[str, str]] = {
    "exact": "same image, same words",
    "near_text": "same image, nearly the same words",
    "near_image": "same words, a copy of the image",
    "near_text_and_image": "nearly the same words, a copy of the image",
    "repeated_answer": "a long answer that many images share",
    "score": "the judge's mark is too low",
    "resolution": "image too small or too large",
    "aspect_ratio": "image too long and narrow",
    "blank_image": "image of nearly one colour",
    "low_information": "image with too little in it",
    "blur": "blurred image",
    "unreadable_image": "image that does not open",
    "empty_answer": "empty answer",
    "cut_answer": "answer that breaks off",
    "repetition": "answer that repeats itself",
    "refusal": "answer that refuses",
    "template_leak": "answer with marks of a chat template",
    "templated": "wording that too many rows share",
    "answer_words": "answer too short or too long",
    "question_words": "question too short or too long",
    "characters": "text too short or too long",
    "turns": "too few or too many turns",
    "repeated_turn": "a turn that stands twice in the conversation",
    "language": "not in a wanted language",
    "pii": "personal data in the text",
    "benchmark_image": "its image stands in a benchmark",
    "benchmark_text": "its text stands in a benchmark",
    "benchmark_image_and_text": "its image and its text stand in a benchmark",
    "benchmark_group": "another row on its image stands in a benchmark",
    "quota": "its group has enough rows",
    "not_selected": "not among the chosen rows",
    "no_target": "in no group that the plan asks for",
    "image_cap": "enough rows on its image were chosen",
    "image_text": "text that does not fit the image",
    "no_score": "no mark",
}

# The same where dedup compared texts alone, or images alone (`--on`).
_ON_TEXT: Final = {"exact": "same words", "near_text": "nearly the same words"}
_ON_IMAGE: Final = {"exact": "the same image file", "near_image": "a copy of the image"}

STAGES: Final[dict[str, str]] = {
    "parse": "reading the row",
    "image": "opening an image",
    "images": "opening an image",
    "request": "asking the model",
}

MISSING: Final[dict[str, tuple[str, str]]] = {
    "duplicates": ("No search for duplicates yet.", "curate dedup {data}"),
    "victims": (
        "No filter has run yet.",
        "curate filter {data} --preset basic",
    ),
    "conflicts": (
        "Contradictions are found while searching for duplicates.",
        "curate dedup {data}",
    ),
    "scores": ("No judge has marked the samples yet.", "judge score {data} --model MODEL"),
}


def step_title(step: str) -> str:
    """A heading for what a step decides."""
    return STEPS[step][0] if step in STEPS else step.replace("-", " ").capitalize()


def reason_words(reason: str) -> str:
    """A reason of a decision in plain words."""
    return REASONS.get(reason) or reason.replace("_", " ").replace(":", ": ")


def double_words(reason: str, on: str, *, images: bool) -> str:
    """A reason of `curate dedup` in plain words.

    Args:
        reason: The reason.
        on: What the run compared: `sample`, `image` or `text`.
        images: Whether the dataset has images at all.
    """
    if on == "image":
        return _ON_IMAGE.get(reason) or reason_words(reason)
    if on == "text" or not images:
        return _ON_TEXT.get(reason) or reason_words(reason)
    return reason_words(reason)


def stage_words(stage: str) -> str:
    """A stage at which a row was rejected, in plain words."""
    return STAGES.get(stage) or stage.replace("_", " ")
