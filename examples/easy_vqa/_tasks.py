"""What the two Qwen2-VL models are trained on: batches of images with questions behind each."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import yaml
from PIL import Image

from pairwright.demo import data

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE_PX = 64
RUBRIC = Path(data.__file__).with_name("rubric.yaml")
_FREE_TEXT = ("", "the", "shape", "image", "what", "is", "a", "color", "there", "?", "yes no")


class Ask(NamedTuple):
    """One prompt about an image and what should be said."""

    prompt: str
    answer: str


class Facts(NamedTuple):
    """What an image shows, as far as its training rows tell; None where they do not."""

    shape: str | None
    color: str | None


class Example(NamedTuple):
    """An augmented image, its facts, and the questions of this step."""

    image: NDArray[np.uint8]
    facts: Facts
    asks: list[Ask]


@dataclass(slots=True)
class TrainingImage:
    """A decoded training image with what augmentation needs to know about it."""

    pixels: NDArray[np.uint8]
    background: NDArray[np.bool_]
    is_flat: bool  # one background color, as in the original files but not in JPEGs


def open_image(path: Path) -> TrainingImage:
    """Decode an image; its most frequent color is the background."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.size != (IMAGE_PX, IMAGE_PX):
        image = image.resize((IMAGE_PX, IMAGE_PX), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    flat = pixels.reshape(-1, 3).astype(np.int64) @ (65536, 256, 1)
    values, counts = np.unique(flat, return_counts=True)
    background = (flat == values[counts.argmax()]).reshape(IMAGE_PX, IMAGE_PX)
    return TrainingImage(pixels, background, bool(counts.max() > 0.5 * flat.size))


def augment(image: TrainingImage, rng: random.Random) -> NDArray[np.uint8]:
    """Mirror it, move the shape anywhere, tint the background: no answer changes.

    Triangles always point up in easy-vqa, so nothing is turned.
    """
    pixels, background = image.pixels, image.background
    if rng.random() < 0.5:
        pixels, background = pixels[:, ::-1], background[:, ::-1]
    if not image.is_flat:
        return pixels
    rows, columns = np.flatnonzero(~background.all(1)), np.flatnonzero(~background.all(0))
    down = rng.randint(-int(rows[0]), IMAGE_PX - 1 - int(rows[-1]))
    right = rng.randint(-int(columns[0]), IMAGE_PX - 1 - int(columns[-1]))
    moved = np.roll(pixels, (down, right), (0, 1))
    if rng.random() < 0.7:
        moved[np.roll(background, (down, right), (0, 1))] = [rng.randint(230, 255) for _ in "rgb"]
    return moved


def read_facts(rows: Iterable[tuple[str, str]]) -> Facts:
    """Majority vote of the "what" rows of one image."""
    shapes: Counter[str] = Counter()
    colors: Counter[str] = Counter()
    for question, answer in rows:
        text = question.lower()
        if "what" not in text:
            continue
        if answer in data.SHAPES:
            shapes[answer] += 1
            colors.update(c for c in data.COLORS if f" {c} " in text)
        elif answer in data.COLORS:
            colors[answer] += 1
            shapes.update(s for s in data.SHAPES if s in text)
    return Facts(_top(shapes), _top(colors))


def _top(votes: Counter[str]) -> str | None:
    return votes.most_common(1)[0][0] if votes else None


class PolicyTask:
    """The raw curation rows as they are, faults and all."""

    def __init__(self, raw: Path, *, num_held_out: int = 64, num_asks: int = 6) -> None:
        """Read `raw/train.json` and its images; keep the last few images for the log."""
        self._rows: dict[str, list[Ask]] = defaultdict(list)
        for row in json.loads((raw / "train.json").read_text()):
            human, gpt = row["conversations"]
            question = human["value"].removeprefix("<image>\n")
            self._rows[row["image"]].append(Ask(question, gpt["value"]))
        names = sorted(self._rows)
        self._images = {name: open_image(raw / name) for name in names}
        self._facts = {name: read_facts(self._rows[name]) for name in names}
        self._train, self.held_out_names = names[:-num_held_out], names[-num_held_out:]
        self._num_asks = num_asks
        self._weights = {n: [_weight(a, self._facts[n]) for a in self._rows[n]] for n in names}

    def examples(self, rng: random.Random) -> Iterator[Example]:
        """Endless examples; rows come as often as their weights say."""
        totals = [sum(self._weights[name]) for name in self._train]
        while True:
            for name in rng.choices(self._train, totals, k=1024):
                # The largest of u^(1/w) are a weighted sample without replacement.
                keys = [rng.random() ** (1 / w) for w in self._weights[name]]
                order = sorted(range(len(keys)), key=keys.__getitem__, reverse=True)
                asks = [self._rows[name][k] for k in order[: self._num_asks]]
                yield Example(augment(self._images[name], rng), self._facts[name], asks)

    def held_out(self) -> list[Example]:
        """Rows that are not trained on, with their (faulty) answers."""
        return [
            Example(self._images[n].pixels, self._facts[n], self._rows[n])
            for n in self.held_out_names
        ]


def _weight(ask: Ask, facts: Facts) -> float:
    """How often a raw row is trained on.

    Only one in eight questions after a color names the color that the image has, and with half
    of the other rows saying "yes" as well a model needs very long to see the difference. Drawing
    the rows that name it more often shortens that, and leaves what is right given image and
    question, and so how often the answer is wrongly "yes", as it was.
    """
    if "what" in ask.prompt.lower():
        return 0.4
    named = [c for c in data.COLORS if f" {c} " in ask.prompt.lower()]
    return 6.0 if facts.color in named else 0.7


class JudgeTask:
    """Clean answers, and right and wrong candidates, about the judge's half."""

    def __init__(
        self, *, num_held_out: int = 150, num_verify: int = 7, num_answer: int = 3
    ) -> None:
        """Read the judge's half; the last images are held out to choose nothing but to be logged."""
        self._num_verify, self._num_answer = num_verify, num_answer
        self._prompt = rubric_prompt()
        numbers = data.image_split().judge
        random.Random(1).shuffle(numbers)
        paths = data.image_paths("train")
        self._images = {n: open_image(paths[n]) for n in numbers}
        self._rows: dict[int, list[data.Question]] = defaultdict(list)
        for question in data.questions(numbers):
            self._rows[question.image].append(question)
        self._facts = {
            n: read_facts((q.text, q.answer) for q in rows) for n, rows in self._rows.items()
        }
        self._train, self._held_out = numbers[:-num_held_out], numbers[-num_held_out:]

    def examples(self, rng: random.Random) -> Iterator[Example]:
        """Endless examples, images in a new order every round."""
        while True:
            for number in rng.sample(self._train, len(self._train)):
                asks = [
                    self._verify(*self._question(number, rng), rng) for _ in range(self._num_verify)
                ]
                asks += [Ask(*self._question(number, rng)) for _ in range(self._num_answer)]
                if shape := self._facts[number].shape:
                    # Shapes come last to a judge; asking for them plainly shortens the wait.
                    asks.append(Ask(rng.choice(data.SAME_MEANING[3]), shape))
                yield Example(augment(self._images[number], rng), self._facts[number], asks)

    def _question(self, number: int, rng: random.Random) -> tuple[str, str]:
        facts = self._facts[number]
        if facts.shape and facts.color and rng.random() < 0.7:
            question, answer = ask_about(facts.shape, facts.color, rng)
        else:
            row = rng.choice(self._rows[number])
            question, answer = row.text, row.answer
        if rng.random() < 0.1:
            question = data.reword(question, rng)
        return question, answer

    def _verify(self, question: str, answer: str, rng: random.Random) -> Ask:
        if rng.random() < 0.5:
            return self._ask(question, answer, right=True)
        if rng.random() < 0.85:
            return self._ask(question, rng.choice(data.other_answers(answer)), right=False)
        return self._ask(question, _malformed(answer, rng), right=False)

    def _ask(self, question: str, candidate: str, *, right: bool) -> Ask:
        return verification(self._prompt, question, candidate, right=right)

    def held_out(self) -> list[Example]:
        """Official questions about unseen images, one right and one wrong candidate each."""
        rng = random.Random(2)
        examples = []
        for n in self._held_out:
            asks = []
            for row in self._rows[n]:
                wrong = rng.choice(data.other_answers(row.answer))
                asks.append(self._ask(row.text, row.answer, right=True))
                asks.append(self._ask(row.text, wrong, right=False))
            examples.append(Example(self._images[n].pixels, self._facts[n], asks))
        return examples


def rubric_prompt() -> str:
    """The judge's prompt, with its placeholders."""
    return str(yaml.safe_load(RUBRIC.read_text(encoding="utf-8"))["prompt"])


def verification(prompt: str, question: str, candidate: str, *, right: bool) -> Ask:
    """The judge's prompt for a candidate, and the verdict."""
    parts = {"question": question, "answer": candidate}
    text = re.sub(r"\{(question|answer)\}", lambda found: parts[found[1]], prompt)
    return Ask(text, "yes" if right else "no")


def ask_about(shape: str, color: str, rng: random.Random) -> tuple[str, str]:
    """A question in one of the data set's templates about an image with these facts."""
    positive, negative, what_color, what_shape = data.SAME_MEANING
    if rng.random() < 0.28:
        kind = rng.random()
        if kind < 0.25:
            return f"what is the {color} shape?", shape
        if kind < 0.5:
            return rng.choice(what_shape), shape
        return rng.choice(what_color).format(rng.choice(("shape", shape))), color
    is_true = rng.random() < 0.5
    if rng.random() < 0.5:
        named = shape if is_true else rng.choice(data.other_answers(shape))
    else:
        named = (color if is_true else rng.choice(data.other_answers(color))) + " shape"
    if rng.random() < 0.5:
        return rng.choice(positive).format(named), "yes" if is_true else "no"
    return rng.choice(negative).format(named), "no" if is_true else "yes"


def _malformed(answer: str, rng: random.Random) -> str:
    everything = (*data.SHAPES, *data.COLORS, "yes", "no")
    other_type = [a for a in everything if a not in (answer, *data.other_answers(answer))]
    kinds = (
        rng.choice(_FREE_TEXT),
        rng.choice(other_type),
        rng.choice(other_type),
        f"{answer} {rng.choice(everything)}",
        answer[: rng.randint(1, max(1, len(answer) - 1))],
    )
    return rng.choice(kinds)


def tokenizer_texts() -> list[str]:
    """What the shared BPE is trained on: questions, answers, and the judge's prompt."""
    texts = [q.text for q in data.questions(data.image_split().judge)]
    answers = [*data.SHAPES, *data.COLORS, "yes", "no"]
    prompt = rubric_prompt()
    # The counts only make sure that these words become whole tokens, with and without a space.
    words = [*answers, "user", "assistant", "system", *prompt.replace(":", "").split()]
    return texts + [f"{w}\n {w}\n{prompt}" for w in words for _ in range(500)]
