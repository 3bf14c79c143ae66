"""Names of our tables in plain words."""

from __future__ import annotations

from typing import Final

# What a decisions run does, by its step: a noun for headings and what happened to the rows.
STEPS: Final[dict[str, tuple[str, str]]] = {
    "dedup": (
        "Duplicates",
        "were removed as duplicates: another row has the same text about the same image",
    ),
    "filter": ("Judge's scores", "were removed because the judge's score is too low"),
    "filter-rules": (
        "Quality rules",
        "were removed because they broke a rule on images, questions or answers",
    ),
    "decontaminate": ("Benchmark leaks", "were removed because a benchmark contains them as well"),
    "select": ("Selection", "were removed because the selection did not choose them"),
}

# Rules of `curate filter` bring their own words, in the summary of their run.
REASONS: Final[dict[str, str]] = {
    "exact": "same image, same words",
    "near_text": "same image, nearly the same words",
    "near_image": "same words, a copy of the image",
    "near_text_and_image": "nearly the same words, a copy of the image",
    "repeated_answer": "a long answer that many images have in common",
    "score": "the judge's score is too low",
    "no_score": "no score",
    "benchmark_image": "a benchmark contains its image",
    "benchmark_text": "a benchmark contains its text",
    "benchmark_image_and_text": "a benchmark contains its image and its text",
    "benchmark_group": "a benchmark contains another row on its image",
    "quota": "its group has enough rows",
    "not_selected": "not among the chosen rows",
    "no_target": "in no group of the plan",
    "image_cap": "enough rows on its image were chosen",
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
    "filters": (
        "No filter has run yet.",
        "curate filter {data} --preset basic",
    ),
    "conflicts": (
        "The search for duplicates finds conflicting answers.",
        "curate dedup {data}",
    ),
    "scores": ("No judge has scored the samples yet.", "judge score {data} --model MODEL"),
}


def step_title(step: str) -> str:
    """A heading for what a step decides."""
    return STEPS[step][0] if step in STEPS else step.replace("-", " ").capitalize()


def reason_words(reason: str) -> str:
    """A reason of a decision in plain words."""
    return REASONS.get(reason) or reason.replace("_", " ").replace(":", ": ")


def duplicate_words(reason: str, on: str, *, images: bool) -> str:
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
    """A stage at which a row was found invalid, in plain words."""
    return STAGES.get(stage) or stage.replace("_", " ")
