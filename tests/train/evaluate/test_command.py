"""`train eval`: batches, invalid rows, resume."""

from pathlib import Path
from typing import Any

import color_data
import polars as pl
import pytest

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.errors import UsageError
from train.evaluate.model import batches


def test_batches_hold_similar_lengths() -> None:
    assert list(batches([5, 1, 9, 1], 2)) == [[1, 3], [0, 2]]


def evaluate(dataset: Any, model: Any, limit: int | None = None, **options: Any) -> Any:
    run = RunOptions(run="eval", limit=limit)
    return call("train eval", dataset, run=run, model=str(model), **options)


def test_rejects_references_and_resume(
    make: color_data.Maker, tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.evaluate.model import EvaluatedModel

    dataset = make.colors()
    ask = color_data.user("<image>\ncolor?")
    image = dataset.union("images").collect()["image_id"][0]
    more = [
        {"image_ids": ["f" * 64], "messages": [ask], "reference": "red"},
        {"image_ids": [image], "messages": [ask], "reference": "red"},
        {"image_ids": [image], "messages": [ask]},
    ]
    rows = [{"sample_id": f"x{n}", "split": "test"} | row for n, row in enumerate(more)]
    color_data.write_samples(dataset, rows, "x")
    seen: list[int] = []
    real = EvaluatedModel.respond

    def stops(self: EvaluatedModel, prompts: Any, max_tokens: int) -> list[str]:
        if seen:
            raise KeyboardInterrupt
        seen.append(len(prompts))
        return real(self, prompts, max_tokens)

    monkeypatch.setattr(EvaluatedModel, "respond", stops)
    options = {"batch_size": 5, "generate_max_tokens": 2, "split": "train"}
    with pytest.raises(KeyboardInterrupt):
        evaluate(dataset, tiny_qwen, **options)
    monkeypatch.setattr(EvaluatedModel, "respond", real)
    outcome = evaluate(dataset, tiny_qwen, **options)
    assert (outcome.summary["n"], outcome.rejects) == (8, 0)
    table = dataset.read("predictions", "eval")
    assert table["item_id"].n_unique() == table.height == 8
    assert table.filter(pl.col("image_group") == image).height == 1
    assert "nothing to do" in evaluate(dataset, tiny_qwen, **options).message

    other = call(
        "train eval",
        dataset,
        run=RunOptions(run="references"),
        model=str(tiny_qwen),
        split="test",
        reference_field="reference",
        generate_max_tokens=2,
    )
    assert (other.rows, other.rejects, other.summary["n_without_answer"]) == (1, 1, 1)
    with pytest.raises(UsageError, match="no split 'dev'"):
        call("train eval", dataset, model=str(tiny_qwen), split="dev")


def test_batching_changes_no_response(make: color_data.Maker, tiny_qwen: Path) -> None:
    """Left padding, shared images and missing images leave greedy responses as they are."""
    dataset = make.colors(size=(40, 24))
    images = dataset.union("images").collect()["image_id"].to_list()
    rows = [
        {"image_ids": [], "messages": [color_data.user("hi"), color_data.assistant("yes")]},
        {
            "image_ids": images[:2],
            "messages": [
                color_data.user("<image> and <image>, which is the longer question?"),
                color_data.assistant("no"),
            ],
        },
    ]
    color_data.write_samples(dataset, [{"sample_id": f"x{n}"} | r for n, r in enumerate(rows)], "x")
    responses = []
    for size in (1, 64):
        run = RunOptions(run=f"by-{size}")
        values = {"model": str(tiny_qwen), "batch_size": size, "generate_max_tokens": 6}
        call("train eval", dataset, run=run, **values)
        frame = dataset.read("predictions", run.run or "").sort("item_id")
        responses.append(frame["text"].to_list())
    assert responses[0] == responses[1]
    assert len(responses[0]) == 10


def test_preference_margins_do_not_depend_on_the_batch(
    make: color_data.Maker, tiny_qwen: Path
) -> None:
    dataset = make.colors()
    margins = []
    for size, per_token in ((1, False), (8, False), (8, True)):
        name = f"m{size}-{per_token}"
        call(
            "train eval",
            dataset,
            run=RunOptions(run=name),
            model=str(tiny_qwen),
            task="preference",
            batch_size=size,
            per_token=per_token,
        )
        margins.append(dataset.read("predictions", name).sort("item_id")["margin"].to_list())
    assert margins[0] == pytest.approx(margins[1], abs=1e-4)
    assert margins[1] != pytest.approx(margins[2], abs=1e-2)
