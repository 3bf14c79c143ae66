"""Pairs stay the same from version to version, and runs of older versions are recognised.

`pairs_version_1.json` holds the ids of the pairs that the first version made of the datasets of
`seeded_data.py`. An id is a hash of the sample, both texts, the method and the control.
"""

import json
from pathlib import Path

import pytest
import seeded_data

from pairwright.commands import command
from pairwright.dataset.store import Dataset
from prefs.cli import COMMANDS

FOLDER = Path(__file__).parent
CASES = json.loads((FOLDER / "pairs_version_1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    return seeded_data.Maker(tmp_path_factory.mktemp("seeded")).all()


def build(dataset: Dataset, *words: str) -> int:
    return command.main("prefs", "", COMMANDS, ["build", str(dataset.path), *words])


@pytest.mark.parametrize("case", range(len(CASES)))
def test_the_same_pairs(datasets: dict[str, Dataset], case: int) -> None:
    dataset, words = datasets[CASES[case]["data"]], CASES[case]["options"].split()
    if CASES[case]["data"] == "rich" and "--method" not in words:
        words += ["--scores", "score-responses"]
    assert build(dataset, *words, "--run", f"case-{case}", "--max-rejects", "1") == 0
    pairs = dataset.read("pairs", f"case-{case}")
    assert pairs["pair_id"].to_list() == CASES[case]["pair_ids"]


@pytest.mark.parametrize("method", ["best-of-n", "spans", "comparisons", "claims"])
def test_a_run_of_version_1_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    """Version 1 stored the options of all methods with every run."""
    dataset = seeded_data.Maker(tmp_path).rich()
    words = ["--method", method, "--max-rejects", "1"]
    if method == "best-of-n":
        words += ["--scores", "score-responses"]
    assert build(dataset, *words) == 0
    file = dataset.path / "pairs" / method / "_table.json"
    stored = json.loads(file.read_text(encoding="utf-8"))
    scored = method in ("best-of-n", "claims")
    stored["config"] = {
        "method": method, "preset": None, "responses": None, "feedback": None, "comparisons": None,
        "scores": "score-responses" if method == "best-of-n" else None, "conflicts": None,
        "margin": None, "min_chosen": None, "min_label_mass": 0.0, "control": None, "seed": 0,
        "max_pairs_per_prompt": 2 if scored else 0, "length_balance": scored, "limit": None,
    }  # fmt: skip
    file.write_text(json.dumps(stored), encoding="utf-8")
    capsys.readouterr()
    assert build(dataset, *words) == 0
    assert "nothing to do" in capsys.readouterr().out
