"""Writes the generated pages of `docs/`: `python tools/make_docs.py`.

Generated are the command-line reference (from the parsers), the Python reference (from docstrings),
the tables page (from the schemas), the tables of row formats and filter
rules (from their files), the tree in `docs/architecture.md` (from the packages' docstrings) and
`llms.txt` (from the navigation). Tests compare each file with what this makes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Defaults that the help shows must not depend on this machine.
for name in [key for key in os.environ if key.startswith("PAIRWRIGHT_")]:
    del os.environ[name]

from schemas.docs import tables_page  # noqa: E402
from tools import docs_cli, docs_filters, docs_formats, docs_llms, docs_python, docs_tree  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def generated() -> dict[str, str]:
    """Text of every generated file, by its path in the repository."""
    pages = {"docs/tables.md": tables_page(), **docs_cli.pages(), **docs_python.pages()}
    pages["docs/architecture.md"] = docs_tree.with_tree(ROOT)
    pages[docs_formats.PAGE] = docs_formats.with_table(ROOT)
    pages[docs_filters.PAGE] = docs_filters.with_table(ROOT)
    pages["llms.txt"] = docs_llms.page(ROOT, pages)
    return pages


def stale() -> list[str]:
    """Generated files that are not what they should be, and leftovers of the generated folder."""
    pages = generated()
    wrong = [name for name, text in pages.items() if _read(ROOT / name) != text]
    folder = ROOT / docs_cli.FOLDER
    left = [f"{docs_cli.FOLDER}/{path.name}" for path in folder.glob("*.md")]
    return wrong + [name for name in left if name not in pages]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main() -> None:
    """Write what changed and name it."""
    pages = generated()
    for name in stale():
        path = ROOT / name
        if name in pages:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[name], encoding="utf-8")
        else:
            path.unlink()
        print(name)


if __name__ == "__main__":
    main()
