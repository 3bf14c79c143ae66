"""Memory of a judging process does not follow the table."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.mark.slow
def test_ten_times_the_rows_take_hardly_more_memory(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    bench = importlib.import_module("judge_memory")
    rubric = tmp_path / "one.yaml"
    rubric.write_text(bench.RUBRIC)
    peaks = []
    with bench.stub() as url:
        for rows in (2_000, 20_000):
            dataset = tmp_path / str(rows)
            bench.make(dataset, rows, 2)
            peaks.append(bench.judged(dataset, rubric, url).peak)
            assert bench.rows_of(dataset) == rows
    # 18,000 more rows of prompts, answers and marks are about 40 MB of Python objects; what is
    # held is one part of the samples (50,000 rows at most) as columns.
    assert peaks[1] < peaks[0] * 1.3
    sys.modules.pop("judge_memory", None)
