"""The house language: one word for each thing, the field's own.

The words below are unambiguous, so no text for readers uses them: pages, help, messages, docstrings.
An area is held to them once its name is in `HELD`. To see what is left in another:

    python tests/test_language.py curate judge
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).resolve().parents[1]
AREAS = (
    "docs", "schemas", "pairwright", "curate", "judge", "prefs", "train", "examples", "benchmarks",
    "tools",
)  # fmt: skip
HELD = AREAS

# What is not said, and what is said instead.
WORDS = {
    r"marks?|marked|marking": "score, to score; `<image>` placeholder",
    r"pictures?": "image",
    r"doubles?|doubled": "duplicate",
    r"told|tells? (?:\w+ ){0,3}apart|tells? by": "detected by, distinguished",
    r"stands? for|stood": "kept representative; means",
    r"in force": "active (run)",
    r"likeness(?:es)?|alike": "similarity, similar",
    r"pull of (?:the|a) (?:first )?(?:place|position)": "position bias",
    r"injected orders?|orders that": "prompt injection",
    r"sway(?:s|ed|ing)?|(?:scores?|marks?) moves?": "bias, robustness",
    r"learnt|mend(?:s|ed|ing)?|anew": "learned, fix, again",
    r"sounds?|soundly": "valid; audio",
    r"number type": "dtype",
    r"processor (?:time|seconds?)": "CPU time",
    r"thousand million": "billion",
    r"films?": "video",
    r"signs": "characters",
    r"who said what": "confusion matrix",
    r"what (?:a|the) (?:mark|score)s? means?": "calibration",
    r"middling": "median",
    r"the same everywhere": "constant columns",
    r"licences?|colours?|coloured": "license, color",
}
# Where a word is right: data that is quoted, names of others, other meanings.
ALLOWED = [
    r"pytest\.mark\.\w+", r"</?mark\b", r"(?:question|quotation|exclamation|punctuation) marks?",
    r"double(?:-| )(?:click|quot\w+|precision|escap\w+|check\w*|spac\w+)", r"double quanti[sz]ation",
    r"(?:traffic|vital|plus|minus|dollar|equals) signs", r"charts, signs",
    # Patterns and word lists for texts of others, and such texts.
    r"\|(?:pictures?\??|mark)\|", r"images picture pictures photo", r"Every mark is", r"`licence`",
    # Prompts: their text stays, finished and resumed runs depend on it.
    r"Now the mark\.", r"reasons for this mark in one or two", r"Do not give the mark yet",
    r"hundred thousand million first", r"fifth half double single",
]  # fmt: skip
_WORD = re.compile(r"\b(?:" + "|".join(f"(?:{word})" for word in WORDS) + r")\b", re.IGNORECASE)
_ALLOWED = re.compile("|".join(ALLOWED), re.IGNORECASE)


class Finding(NamedTuple):
    """A word that has a better one.

    Attributes:
        file: Path in the repository.
        line: Where the text begins.
        word: As it is written.
        instead: What to write.
        around: Some of the text around it.
    """

    file: str
    line: int
    word: str
    instead: str
    around: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.file}:{self.line}: {self.word!r} (write: {self.instead}) in …{self.around}…"


def findings(text: str, file: str, line: int = 1) -> Iterator[Finding]:
    """The words of a text that have a better one."""
    plain = _ALLOWED.sub(lambda match: "_" * len(match[0]), text)
    for match in _WORD.finditer(plain):
        instead = next(i for w, i in WORDS.items() if re.fullmatch(w, match[0], re.IGNORECASE))
        around = text[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ")
        yield Finding(file, line + text.count("\n", 0, match.start()), match[0], instead, around)


def texts(area: str) -> Iterator[tuple[Path, int, str]]:
    """File, line and text of everything in an area that a reader may see."""
    if area == "docs":
        root = [REPO / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
        # Pages that are made of help texts and docstrings are the packages' own.
        made = {REPO / "docs" / "tables.md", *(REPO / "docs" / "reference").glob("**/cli/*.md")}
        made |= {REPO / "docs" / "reference" / "python.md"}
        pages = [*root, *REPO.glob("docs/**/*.md"), *REPO.glob("examples/**/*.md")]
        for page in sorted(set(pages) - made):
            yield page, 1, _without_tree(page.read_text(encoding="utf-8"))
        return
    for file in sorted((REPO / area).rglob("*")):
        if file.suffix == ".py":
            for line, text in _strings(file.read_text(encoding="utf-8")):
                yield file, line, text
        elif file.suffix in (".yaml", ".html", ".jinja"):
            yield file, 1, file.read_text(encoding="utf-8")


def _without_tree(text: str) -> str:
    return re.sub(r"<!-- tree.*?end of tree -->", "", text, flags=re.DOTALL)


def _strings(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings, messages and help: every string that has a space, so that no name counts."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def found(area: str) -> list[Finding]:
    """Everything in an area that has a better word."""
    return [
        finding
        for file, line, text in texts(area)
        for finding in findings(text, str(file.relative_to(REPO)), line)
    ]


@pytest.mark.parametrize("area", HELD)
def test_the_words_are_the_fields(area):
    assert [str(finding) for finding in found(area)] == []


def test_the_words_are_found_and_quoted_ones_are_not():
    text = (
        "A picture is marked.\nNo question marks: `pytest.mark.slow`, double quotes, tell A apart."
    )
    assert [(f.line, f.word) for f in findings(text, "x")] == [
        (1, "picture"),
        (1, "marked"),
        (2, "tell A apart"),
    ]


def test_texts_of_every_area_are_read():
    assert [area for area in AREAS if not list(texts(area))] == []


if __name__ == "__main__":
    for name in sys.argv[1:] or AREAS:
        left = found(name)
        print(*left, f"{name}: {len(left)}", sep="\n")
