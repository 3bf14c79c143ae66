"""A new method is one new file and one line; or one entry point of another package."""

from pathlib import Path

import pytest
from copied_house import CopiedHouse
from tiny_dataset import make_dataset

from pairwright.dataset.store import Dataset

TOY = '''
"""The longer of two responses is chosen."""

from dataclasses import dataclass
from typing import Final

from pairwright.commands.options import option
from prefs.methods.base import Inputs, Method, MethodOptions, Need, Pairing


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyOptions(MethodOptions):
    """Options of the toy."""

    min_letters: int = option(2, help="min letters of the chosen response")


def pair(inputs: Inputs, options: ToyOptions) -> Pairing:
    """Pair every response with a shorter one."""
    import polars as pl

    from prefs.methods.pairing.candidates import response_candidates
    from prefs.methods.pairing.picks import as_picks

    found, counts = response_candidates(inputs.tables["responses"], inputs.current)
    size = pl.col("text").str.len_chars()
    chosen = found.filter(size >= options.min_letters).select(
        "prompt_id", chosen_id="candidate_id", chosen="text"
    )
    rejected = found.select("prompt_id", rejected_id="candidate_id", rejected="text")
    longer = pl.col("chosen").str.len_chars() > pl.col("rejected").str.len_chars()
    picks = as_picks(chosen.join(rejected, on="prompt_id").filter(longer).sort("chosen_id"))
    return Pairing(picks=picks, candidates=found, counts=counts)


METHOD: Final = Method(
    name="longer-wins",
    summary="longer responses against shorter ones",
    needs=((Need("responses", "sample some with `prefs sample`"), Need("tags", optional=True)),),
    pair=pair,
    options=ToyOptions,
    defaults={"max_pairs_per_prompt": 1},
)
'''


def responses(folder: Path) -> Dataset:
    dataset = make_dataset(folder, images=2, questions=1)
    samples = dataset.union("samples").collect()
    rows = [
        {
            "response_id": f"{sample_id}{n}", "sample_id": sample_id, "prompt": messages[:-1],
            "text": text, "model": "policy", "index": n,
        }
        for sample_id, messages in samples.select("sample_id", "messages").iter_rows()
        for n, text in enumerate(("a", "three words here", "two words"))
    ]  # fmt: skip
    with dataset.write("responses", "sample", step="sample", config={}) as writer:
        writer.add(rows)
    return dataset


@pytest.mark.slow
@pytest.mark.parametrize("by", ["file and line", "entry point"])
def test_a_method_is_one_file_and_one_line(tmp_path: Path, by: str) -> None:
    house = CopiedHouse(tmp_path / "house")
    if by == "entry point":
        house.add_file("toy_package.py", TOY)
        (house.folder / "toy_package-1.dist-info").mkdir()
        house.add_file("toy_package-1.dist-info/METADATA", "Name: toy-package\nVersion: 1\n")
        house.add_file(
            "toy_package-1.dist-info/entry_points.txt",
            "[pairwright.methods]\nlonger-wins = toy_package:METHOD\n",
        )
    else:
        house.add_file("prefs/methods/longer_wins.py", TOY)
        house.add_line("prefs/methods/__init__.py", '    "spans",', '    "longer-wins",')
    text = " ".join(house.run("prefs", "build", "--help").split())
    assert "longer-wins: longer responses against shorter ones" in text
    assert "options of --method longer-wins: --min-letters N" in text
    assert "2 for best-of-n and claims, 1 for longer-wins, else 0" in text
    assert "--tags TAGS run of tags" in text

    dataset = responses(tmp_path / "data")
    house.run("prefs", "build", dataset.path, "--method", "longer-wins", "--min-letters", "10")
    pairs = dataset.read("pairs", "longer-wins")
    assert pairs.height == 2
    assert set(pairs["chosen"]) == {"three words here"}
    assert set(pairs["method"]) == {"longer-wins"}
    manifest = dataset.manifest("pairs", "longer-wins")
    assert manifest is not None
    assert manifest.config["min_letters"] == 10
    house.run(
        "prefs", "build", dataset.path, "--method", "longer-wins", "--control", "longest",
        "--max-pairs-per-prompt", "0",
    )  # fmt: skip
    assert dataset.read("pairs", "longer-wins-longest").height == 4
