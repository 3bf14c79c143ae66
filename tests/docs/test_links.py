"""Links between pages, and the generated pages."""

import re
import tomllib

import pytest
from doc_pages import REPO, anchors, links, name_of, pages, prose

from tools import docs_tree, make_docs


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page):
    text = page.read_text()
    assert prose(f"\n{text}").count("\n# ") == 1, "one title"
    for target in links(text):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{target}: no such file"
        assert file.is_relative_to(REPO)
        if anchor:
            assert anchor in anchors(file.read_text()), f"{target}: no such heading"


def test_every_page_is_in_the_navigation():
    listed = set(links((REPO / "llms.txt").read_text()))
    assert {f"docs/{p.relative_to(REPO / 'docs')}" for p in REPO.glob("docs/**/*.md")} <= listed


def test_generated_pages_are_fresh():
    assert make_docs.stale() == [], "run: python tools/make_docs.py"


def test_the_tree_names_every_folder_with_what_it_is_for():
    page = (REPO / docs_tree.PAGE).read_text()
    shown = page.split(docs_tree.START)[1].split(docs_tree.END)[0].split("```")[1]
    rows = [line.split(None, 1) for line in shown.splitlines() if line.strip() not in ("", "text")]
    names = [row[0].rstrip("/") for row in rows]
    folders = docs_tree.package_folders(REPO)
    assert sorted(names) == sorted(folder.name for folder in folders)
    assert [row[0] for row in rows if len(row) < 2] == [], "a folder without a docstring"


def test_the_dependencies_page_names_every_dependency():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *(one for some in extras.values() for one in some)]
    names = {re.match(r"[\w-]+", one).group(0) for one in declared} - {"pairwright"}
    page = (REPO / "docs" / "dependencies.md").read_text()
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", page)) == []
    assert sorted(extra for extra in extras if f"`{extra}`" not in page + "`all`") == []
