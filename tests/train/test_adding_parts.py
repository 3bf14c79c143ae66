"""A new loss, tuner or metric is one new file and one line; it is in `--help` and it works."""

import math
from pathlib import Path

import color_data
import polars as pl
import pytest
from copied_house import CopiedHouse

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("torch")]

LOSSES = '''
"""Two losses: one by TRL's configuration, one with a term of its own."""

from dataclasses import dataclass
from typing import Any, Final

from pairwright.commands.options import option
from train.losses.base import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtOptions:
    """Options of the first."""

    doubt: float = option(0.2, help="fraction of pairs to doubt")


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOptions:
    """Options of the second."""

    floor: float = option(3.0, help="a constant that is added")


def floored(own: FloorOptions, weight: float) -> type[Any]:
    """Add a constant to the loss."""

    class Floored:
        def _compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            return super()._compute_loss(*args, **kwargs) + weight * own.floor

    return Floored


LOSSES: Final = (
    Loss(
        name="doubting",
        summary="DPO that doubts",
        config=lambda own: {"loss_type": "robust", "label_smoothing": own.doubt},
        options=DoubtOptions,
    ),
    Loss(
        name="floored", summary="a constant", config=lambda _: {}, options=FloorOptions,
        hooks=floored,
    ),
)
'''
TUNER = '''
"""Only biases and norms of the language model are trained."""

from dataclasses import dataclass
from typing import Final

from pairwright.commands.options import option
from train.tuners.base import Start, Trainable, Tuner


@dataclass(frozen=True, slots=True, kw_only=True)
class NormOptions:
    """Options of the toy."""

    trained_words: tuple[str, ...] = option(("norm",), help="words in the names of what is trained")


def load(start: Start, options: NormOptions) -> Trainable:
    """Load the model and freeze all but the norms."""
    from train.model.loading import load_base
    from train.model.parts import part_of

    model = load_base(start.policy.model, "fp32")
    for name, weight in model.named_parameters():
        wanted = any(word in name for word in options.trained_words)
        weight.requires_grad = wanted and part_of(name) == "language"
    return Trainable(model=model, mixed=False, reference=model)


TUNER: Final = Tuner(
    name="norms", summary="norms only", load=load, options=NormOptions, all_weights=True
)
'''
METRIC = '''
"""How often the response is long enough."""

from dataclasses import dataclass
from typing import Final

from pairwright.commands.options import option
from train.evaluate.metrics.base import Item, Items, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class LongOptions:
    """Options of the toy."""

    min_letters: int = option(1, help="min letters of a response")


def read(dataset, options, limit):
    """The samples' questions."""
    from train.batch.rows import Row, sample_rows

    samples = sample_rows(dataset, limit)
    rows = [Row(r.row_id, r.image_ids, (r.conversations[0][:-1],)) for r in samples.rows]
    return Items([Item(row) for row in rows], samples.inputs)


def segments(encoder, item):
    """The question."""
    return [encoder.question(item.row.conversations[0])]


def predict(model, batch, options):
    """Whether the response is long enough."""
    texts = model.respond([one.tokens[0] for one in batch], 4)
    return [{"text": text, "correct": len(text) >= options.min_letters} for text in texts]


METRIC: Final = Metric(
    name="long-enough", summary="responses with enough letters", right="long enough", read=read,
    segments=segments, predict=predict, options=LongOptions,
    summarize=lambda frame: {"letters": int(frame["text"].str.len_chars().sum())},
)
'''


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> CopiedHouse:
    made = CopiedHouse(tmp_path_factory.mktemp("copied") / "house")
    made.add_file("train/losses/toys.py", LOSSES)
    made.add_line("train/losses/__init__.py", '    "sft",', '    "toys",')
    made.add_file("train/tuners/norms.py", TUNER)
    made.add_line("train/tuners/__init__.py", '    "none",', '    "norms",')
    made.add_file("train/evaluate/metrics/long_enough.py", METRIC)
    made.add_line("train/evaluate/metrics/__init__.py", '    "preference",', '    "long-enough",')
    return made


def first_losses(dataset: color_data.Dataset, run: str) -> list[float]:
    frame = dataset.read("runs", run).filter(pl.col("name") == "loss").sort("step")
    return frame["value"].to_list()


def test_they_are_in_the_help(house: CopiedHouse) -> None:
    text = " ".join(house.run("train", "dpo", "--help").split())
    assert "doubting: DPO that doubts; floored: a constant" in text
    assert "options of --loss doubting: --doubt N" in text
    assert "norms: norms only" in text
    assert "options of --peft norms: --trained-words" in text
    text = " ".join(house.run("train", "eval", "--help").split())
    assert "long-enough: responses with enough letters" in text
    assert "options of --task long-enough: --min-letters N" in text


def test_runs_that_did_not_choose_them_stay_finished(
    house: CopiedHouse, make: color_data.Maker, tiny_qwen: Path
) -> None:
    dataset = make.colors()
    options = {"model": str(tiny_qwen), "pairs": "best-of-n"}
    once = {"max_steps": 1, "batch_size": 8}
    call("train dpo", dataset, run=RunOptions(run="before"), **options, **once)
    call("train eval", dataset, run=RunOptions(), **options, task="preference")
    words = (dataset.path, "--model", tiny_qwen, "--pairs", "best-of-n")
    steps = ("--max-steps", "1", "--batch-size", "8", "--run", "before")
    text = house.run("train", "dpo", *words, *steps)
    assert "runs/before is finished: nothing to do" in text
    text = house.run("train", "eval", *words, "--task", "preference")
    assert "predictions/eval is finished: nothing to do" in text


def test_they_work(house: CopiedHouse, make: color_data.Maker, tiny_qwen: Path) -> None:
    dataset = make.colors()
    model = ("--model", tiny_qwen)
    house.run(
        "train", "dpo", dataset.path, *model, "--run", "toy", "--max-steps", "2", "--lr", "1e-2",
        "--loss", "doubting", "floored", "--loss-weights", "1", "2", "--doubt", "0.1",
        "--peft", "norms", "--batch-size", "8",
    )  # fmt: skip
    # Without a difference to the reference yet, robust DPO is ln 2; the term adds 2 times 3.
    assert first_losses(dataset, "toy")[0] == pytest.approx(math.log(2) + 6, abs=1e-5)
    manifest = dataset.manifest("runs", "toy")
    assert manifest is not None
    assert manifest.config["trained_words"] == ["norm"]
    assert 0 < manifest.summary["trainable_parameters"] < 2_000
    house.run(
        "train", "dpo", dataset.path, *model, "--run", "alone", "--max-steps", "1",
        "--loss", "floored", "--floor", "4", "--batch-size", "8",
    )  # fmt: skip
    assert first_losses(dataset, "alone") == [pytest.approx(4)]
    words = ("--task", "long-enough", "--min-letters", "99", "--json")
    text = house.run("train", "eval", dataset.path, "--model", "runs/toy", *words)
    assert '"accuracy": 0.0' in text
    assert set(dataset.read("predictions", "eval")["task"]) == {"long-enough"}
