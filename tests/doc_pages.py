"""The pages of the documentation, their links and their code."""

import re
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page for readers: the site's and those at the root."""
    root = [REPO / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "llms.txt")]
    return [*root, *sorted(REPO.glob("examples/**/*.md")), *sorted(REPO.glob("docs/**/*.md"))]


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(REPO))


def fences(text: str) -> Iterator[tuple[str, str]]:
    """Language and text of each code block."""
    yield from _FENCE.findall(text)


def prose(text: str) -> str:
    """The text without code blocks and comments."""
    return re.sub(r"<!--.*?-->", "", _FENCE.sub("", text), flags=re.DOTALL)


def code_spans(text: str) -> list[str]:
    """Every inline code of the prose."""
    return [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose(text))]


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub and mkdocs both make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def links(text: str) -> list[str]:
    """Targets of the links that are no addresses."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(text)))
    return [target for target in found if "://" not in target]
