"""Names of our tables in plain words."""

from __future__ import annotations

from typing import Final

# What a decisions run does, by its verb: a noun for headings and what it says of the rows.
STEPS: Final[dict[str, tuple[str, str]]] = {
    "dedup": ("Duplicates", "say the same about the same image as a row that stays"),
    "filter": ("Judge's marks", "were marked too low by the judge"),
    "filter-rules": ("Quality rules", "broke a rule on images, questions or answers"),
    "decontaminate": ("Benchmark leaks", "stand in a benchmark as well"),
    "select": ("Selection", "were not chosen for the budget"),
}

REASONS: Final[dict[str, str]] = {
    "exact": "same image, same words",
    "near_text": "same image, nearly the same words",
    "near_image": "same words, a copy of the image",
    "near_text_and_image": "nearly the same words, a copy of the image",
    "repeated_answer": "a long answer that many images share",
    "score": "mark below the least one",
    "no_score": "no mark",
}

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
        "curate filter {data} --min-score 3",
    ),
    "conflicts": (
        "Contradictions are found while searching for duplicates.",
        "curate dedup {data}",
    ),
    "scores": ("No judge has marked the samples yet.", "judge score {data} --model MODEL"),
}


def step_title(verb: str) -> str:
    """A heading for what a verb decides."""
    return STEPS[verb][0] if verb in STEPS else verb.replace("-", " ").capitalize()


def reason_words(reason: str) -> str:
    """A reason of a decision in plain words."""
    return REASONS.get(reason) or reason.replace("_", " ").replace(":", ": ")


def stage_words(stage: str) -> str:
    """A stage at which a row was rejected, in plain words."""
    return STAGES.get(stage) or stage.replace("_", " ")
