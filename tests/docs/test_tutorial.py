"""The tutorial's first part, run as a reader would."""

import os
import subprocess
import sys

import pytest
from doc_pages import REPO, fences


@pytest.mark.slow
def test_the_first_part_runs(tmp_path):
    text = (REPO / "docs" / "tutorial.md").read_text()
    part = text.split("## Part 2")[0]
    blocks = list(fences(part))
    python = [block for language, block in blocks if language == "python"]
    shell = [block for language, block in blocks if language == "bash"]
    assert len(python) == 1
    assert len(shell) >= 6
    programs = "\n".join(
        f'{p}() {{ "{sys.executable}" -P -c "from pairwright.programs import {p}; {p}()" "$@"; }}'
        for p in ("curate", "pairwright")
    )
    script = "set -ex\n" + programs + "\n" + "".join(shell)
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    subprocess.run([sys.executable, "-c", python[0]], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout
    assert "missing_image" in output
    assert (tmp_path / "data" / "reports" / "report.html").is_file()
    import datasets

    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert sorted(row["source_id"] for row in rows) == ["a", "b", "c", "d", "f"]
