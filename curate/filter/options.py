"""Options of `curate filter`: every filter is off until it is named or a preset turns it on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from pairwright.commands.options import flag_of, option
from pairwright.errors import UsageError

BROKEN = ("empty", "cut", "repetition", "refusal", "template")
PII = ("email", "phone", "card", "iban", "ssn", "ip", "secret")
MARKS = ("min_score", "criterion", "scores", "by", "calibrated", "min_label_mass", "unscored")
# What a preset fills in; an option that is given wins over it.
PRESETS: dict[str, dict[str, Any]] = {
    "basic": {
        "min_side": 16,
        "max_aspect": 20.0,
        "min_std": 3.0,
        "broken": "empty,repetition,template",
        "max_repeated_turns": 0,
    },
    "llava": {
        "min_side": 56,
        "max_aspect": 5.0,
        "min_std": 3.0,
        "min_sharpness": 0.05,
        "broken": "empty,cut,repetition,refusal,template",
        "max_template_share": 0.01,
        "max_repeated_turns": 0,
    },
}
_COUNTS = (
    "min_side", "min_pixels", "max_pixels", "min_answer_words", "max_answer_words",
    "min_question_words", "max_question_words", "min_chars", "max_chars", "min_turns", "max_turns",
    "max_repeated_turns", "template_rows", "template_words", "max_refusal_words",
    "language_letters", "clip_words", "show",
)  # fmt: skip
_SHARES = (
    "max_repetition", "cut_certainty", "max_template_share", "min_confidence", "drop_clip_share", "min_label_mass",
)  # fmt: skip
_PAIRS = (
    ("min_pixels", "max_pixels"), ("min_answer_words", "max_answer_words"),
    ("min_question_words", "max_question_words"), ("min_chars", "max_chars"),
    ("min_turns", "max_turns"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOptions:
    """Options of `curate filter`."""

    preset: Literal["basic", "llava"] | None = option(
        None,
        help="turn on a conservative set: basic takes what no training can use, llava also what "
        "instruction tuning should not see; --print-config with it shows the values",
    )
    without: str | None = option(
        None, help="comma list of filters to leave out of the preset, such as blur,cut_answer"
    )
    show: int = option(3, help="examples to print of every filter")
    min_score: float | None = option(None, help="score: samples with a lower mark go")
    criterion: str | None = option(
        None, help="criterion of the rubric (default: the mean over all criteria)"
    )
    scores: str | None = option(None, help="run of scores (default: the one in force)")
    by: str | None = option(
        None,
        help="judge whose marks count (default: the jury's where the run has one, else the mean)",
    )
    calibrated: bool = option(
        False, help="read marks as a calibration reads them; refused where a mark has none"
    )
    min_label_mass: float | None = option(
        None, help="take marks with less probability on the labels for no mark"
    )
    unscored: Literal["keep", "drop"] = option("keep", help="what to do with samples without mark")
    min_side: int | None = option(None, help="resolution: least shorter side of an image, pixels")
    min_pixels: int | None = option(None, help="resolution: least width times height")
    max_pixels: int | None = option(None, help="resolution: most width times height")
    max_aspect: float | None = option(
        None, help="aspect_ratio: most longer side over shorter side of an image"
    )
    min_std: float | None = option(
        None, help="blank_image: least standard deviation of the colours, 0 to 128 (try 3)"
    )
    min_entropy: float | None = option(
        None,
        help="low_information: least entropy of the grey values, 0 to 8 bits; drawings and charts "
        "have little of it",
    )
    min_sharpness: float | None = option(
        None,
        help="blur: least variance of the Laplacian over the contrast, in the sharpest tenth of "
        "the image, at one size for all (try 0.05)",
    )
    broken: str | None = option(
        None,
        help=f"broken answers: comma list of {', '.join(BROKEN)}, or all; the filters are "
        "empty_answer, cut_answer, repetition, refusal, template_leak",
    )
    max_repetition: float = option(
        0.4, help="repetition: most of an answer's words that only repeat what it said"
    )
    cut_certainty: float = option(
        0.8, help="cut_answer: 1 takes only ends that nothing ends with, 0.5 any without full stop"
    )
    max_refusal_words: int = option(
        60, help="refusal: an answer that says more words than this is not a mere refusal"
    )
    max_template_share: float | None = option(
        None,
        help="templated: most of all rows that one wording may have, numbers and names left out; "
        "rows above it go (try 0.01)",
    )
    template_of: Literal["answer", "question", "both"] = option(
        "answer", help="templated: whose wording counts"
    )
    template_mask: Literal["names", "rare"] = option(
        "names",
        help="templated: what may differ in one wording: numbers, names and quotes (names), or "
        "also every word that under 5 % of the texts have (rare), as in `is there a _ in the image`",
    )
    template_words: int = option(
        6, help="templated: shorter texts never count, so that closed answers stay"
    )
    template_rows: int = option(20, help="templated: so many rows of a wording always stay")
    min_answer_words: int | None = option(
        None, help="answer_words: least words of the longest answer"
    )
    max_answer_words: int | None = option(
        None, help="answer_words: most words of the longest answer"
    )
    min_question_words: int | None = option(
        None, help="question_words: least words of the longest question"
    )
    max_question_words: int | None = option(
        None, help="question_words: most words of the longest question"
    )
    min_chars: int | None = option(None, help="characters: least of the whole conversation")
    max_chars: int | None = option(None, help="characters: most of the whole conversation")
    min_turns: int | None = option(None, help="turns: least number of answers")
    max_turns: int | None = option(None, help="turns: most number of answers")
    language: str | None = option(
        None, help="language: comma list of languages that stay (en,fr); extra filters"
    )
    min_confidence: float = option(
        0.8, help="language: a row goes only if another language is this probable"
    )
    language_letters: int = option(
        25, help="language: texts with fewer letters, names and quotes left out, are not guessed"
    )
    min_clip_score: float | None = option(
        None, help="image_text: least cosine of an image and the answer, of `curate embed --text`"
    )
    drop_clip_share: float | None = option(
        None, help="image_text: share of the rows with the lowest cosines that goes"
    )
    embeddings: str | None = option(
        None, help="run of embeddings with texts (default: the one in force)"
    )
    clip_words: int = option(3, help="image_text: shorter answers are not measured")
    max_repeated_turns: int | None = option(
        None,
        help="repeated_turn: most questions or long answers that a conversation says again (try 0)",
    )
    pii: str | None = option(
        None,
        help=f"pii: comma list of {', '.join(PII)}, or all; a row with one of them goes; extra "
        "filters",
    )
    phone_region: str = option(
        "US", help="pii: country of telephone numbers without a country code; ZZ for none"
    )

    def __post_init__(self) -> None:
        """Fill in the preset; refuse values that mean nothing."""
        for name, value in self._preset_values().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in (f.name for f in dataclasses.fields(self)):
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                msg = f"{flag_of(name)} must be a number"
                raise UsageError(msg)
        self._check_numbers()
        _words("broken", self.broken, BROKEN)
        _words("pii", self.pii, PII)
        for name in ("broken", "pii", "language"):
            if getattr(self, name) is not None and not _split(getattr(self, name)):
                msg = f"{flag_of(name)} names nothing"
                raise UsageError(msg)
        if self.without is not None:
            _words("without", self.without, FILTERS)
            if self.preset is None:
                msg = "--without takes filters out of a preset: give --preset too"
                raise UsageError(msg)

    def _check_numbers(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 0:
                msg = f"{flag_of(name)} must be at least 0, got {value}"
                raise UsageError(msg)
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                msg = f"{flag_of(name)} is a share between 0 and 1, got {value:g}"
                raise UsageError(msg)
        for least, most in _PAIRS:
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                msg = f"{flag_of(least)} {low} is above {flag_of(most)} {high}: nothing would stay"
                raise UsageError(msg)
        if self.max_aspect is not None and self.max_aspect < 1:
            msg = f"--max-aspect is longer side over shorter side, at least 1, got {self.max_aspect:g}"
            raise UsageError(msg)
        if self.min_clip_score is not None and self.drop_clip_share is not None:
            msg = "--min-clip-score and --drop-clip-share exclude each other"
            raise UsageError(msg)

    def _preset_values(self) -> dict[str, Any]:
        """The preset's values, those of filters that `--without` names left out."""
        values = dict(PRESETS[self.preset]) if self.preset else {}
        without = _split(self.without or "")
        kinds = [k for k in values.get("broken", "").split(",") if k]
        values["broken"] = ",".join(k for k in kinds if BROKEN_NAMES[k] not in without) or None
        for name, fields in SWITCHES.items():
            if name in without:
                values.update(dict.fromkeys(fields))
        return values

    @property
    def broken_kinds(self) -> tuple[str, ...]:
        """Kinds of broken answers to look for, in the order of `BROKEN`."""
        return _kinds(self.broken, BROKEN)

    @property
    def pii_kinds(self) -> tuple[str, ...]:
        """Kinds of personal data to look for, in the order of `PII`."""
        return _kinds(self.pii, PII)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that stay."""
        return tuple(word.lower() for word in _split(self.language or ""))


BROKEN_NAMES = {
    "empty": "empty_answer",
    "cut": "cut_answer",
    "repetition": "repetition",
    "refusal": "refusal",
    "template": "template_leak",
}
# What turns a filter on; the broken answers' are named by `broken`.
SWITCHES = {
    "score": ("min_score",),
    "resolution": ("min_side", "min_pixels", "max_pixels"),
    "aspect_ratio": ("max_aspect",),
    "blank_image": ("min_std",),
    "low_information": ("min_entropy",),
    "blur": ("min_sharpness",),
    "repeated_turn": ("max_repeated_turns",),
    "answer_words": ("min_answer_words", "max_answer_words"),
    "question_words": ("min_question_words", "max_question_words"),
    "characters": ("min_chars", "max_chars"),
    "turns": ("min_turns", "max_turns"),
    "language": ("language",),
    "pii": ("pii",),
    "image_text": ("min_clip_score", "drop_clip_share"),
    "templated": ("max_template_share",),
}
# Options that count only where their filter is on.
BESIDE = {
    "score": ("criterion", "scores", "by", "calibrated", "min_label_mass", "unscored"),
    "repetition": ("max_repetition",),
    "cut_answer": ("cut_certainty",),
    "refusal": ("max_refusal_words",),
    "templated": ("template_of", "template_mask", "template_words", "template_rows"),
    "language": ("min_confidence", "language_letters"),
    "image_text": ("clip_words", "embeddings"),
    "pii": ("phone_region",),
}
# All filters in the order in which they are asked: the first that a row fails is its reason.
FILTERS = (
    "score", "resolution", "aspect_ratio", "blank_image", "low_information", "blur",
    "empty_answer", "template_leak", "refusal", "repetition", "cut_answer", "repeated_turn",
    "answer_words", "question_words", "characters", "turns", "language", "pii", "image_text",
    "templated",
)  # fmt: skip


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _words(name: str, text: str | None, known: tuple[str, ...]) -> None:
    allowed = known if name == "without" else (*known, "all")
    unknown = [word for word in _split(text or "") if word not in allowed]
    if unknown:
        msg = f"{flag_of(name)} takes a comma list of {', '.join(allowed)}; got {unknown[0]!r}"
        raise UsageError(msg)


def _kinds(text: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    words = _split(text or "")
    return tuple(kind for kind in known if kind in words or "all" in words)
