"""A copy of our packages in a temporary folder, to try what adding one file and one line does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pairwright

_ROOT = Path(pairwright.__file__).resolve().parents[1]
_PACKAGES = ("schemas", "pairwright", "curate", "judge", "prefs", "train")


class CopiedHouse:
    """The copy.

    Attributes:
        folder: Where the packages lie.
    """

    def __init__(self, folder: Path) -> None:
        """Copy all packages, without the demo's models."""
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__", "*.safetensors")
        for name in _PACKAGES:
            shutil.copytree(_ROOT / name, folder / name, ignore=ignore)

    def add_file(self, path: str, text: str) -> None:
        """Add one new file."""
        file = self.folder / path
        assert not file.exists()
        file.write_text(text, encoding="utf-8")

    def add_line(self, path: str, before: str, line: str) -> None:
        """Add one line in front of the only line that equals `before`."""
        file = self.folder / path
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines.count(before) == 1
        lines.insert(lines.index(before), line)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, program: str, *words: object) -> str:
        """What a program of the copy prints.

        Raises:
            AssertionError: If it fails.
        """
        code = f"import sys; sys.argv[0] = {program!r}; from pairwright.programs import {program}; {program}()"
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "COLUMNS": "1000"}
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout
