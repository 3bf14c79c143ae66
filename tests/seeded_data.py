"""Datasets made from a seed: everything that the methods read, with ties, errors and duplicates."""

import random
from pathlib import Path
from typing import Any

from pairwright.dataset.ids import stable_id
from pairwright.dataset.store import Dataset

IMAGE = "a" * 64
WORDS = [
    "red", "blue", "green", "big", "small", "circle", "square", "cat", "dog", "on", "the", "table",
    "under", "a", "tree", "with", "two", "hats",
]  # fmt: skip


class Maker:
    """Makes the datasets; the order of the calls decides what they hold."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rng = folder, random.Random(5)

    def all(self) -> dict[str, Dataset]:
        """The datasets by name."""
        return {
            "rich": self.rich(),
            "conflicts-run": self.conflicts("conflicts-run", with_run=True),
            "conflicts-found": self.conflicts("conflicts-found", with_run=False),
        }

    def text(self) -> str:
        return " ".join(self.rng.choice(WORDS) for _ in range(self.rng.randint(1, 14)))

    def sample(self, n: int, question: str | None = None) -> dict[str, Any]:
        question = question or f"what is in picture {n}?"
        return {
            "sample_id": f"s{n}", "image_ids": [IMAGE], "source": "toy", "source_id": str(n),
            "messages": [
                {"role": "user", "content": f"<image>\n{question}"},
                {"role": "assistant", "content": self.text()},
            ],
        }  # fmt: skip

    def rich(self) -> Dataset:
        """Responses with scores, claims, comparisons and feedback."""
        dataset, rng = Dataset.create(self.folder / "rich"), self.rng
        samples = [self.sample(n) for n in range(40)]
        responses: list[dict[str, Any]] = []
        scores: list[dict[str, Any]] = []
        claims: list[dict[str, Any]] = []
        feedback: list[dict[str, Any]] = []
        for n in range(38):
            for i in range(rng.randint(1, 7)):
                fixed = (self.text(), self.text(), self.text(), "a red circle", "A red circle.", "")
                text, name = rng.choice(fixed), f"s{n}r{i}"
                reason = rng.choice(["stop"] * 8 + ["length"])
                responses.append(
                    {
                        "response_id": name, "sample_id": f"s{n}", "text": text, "index": i,
                        "prompt": samples[n]["messages"][:1], "model": "policy",
                        "finish_reason": reason,
                    }
                )  # fmt: skip
                value = rng.choice([1.0, 2.0, 3.0, 3.5, 4.0, 5.0, None])
                scores.append(score(name, value, mass=rng.choice([1.0, 1.0, 0.4])))
                if rng.random() < 0.9:
                    scores.append(score(name, rng.choice([1.0, 2.0, 3.0, 4.0, 5.0]), "relevance"))
                for criterion in ("rejected", "rate", "soft"):
                    value = -float(rng.randint(0, 4))
                    claims.append(score(name, value, criterion, rubric="claims"))
                if text and rng.random() < 0.6:
                    feedback.append(self.feedback(name, text))
        write(dataset, "samples", "ingest", samples)
        comparisons = self.comparisons([row["response_id"] for row in responses])
        write(dataset, "responses", "sample", responses)
        write(dataset, "scores", "score-responses", scores)
        write(dataset, "scores", "claims", claims, "claims-responses")
        write(dataset, "feedback", "ingest", feedback)
        write(dataset, "comparisons", "compare", comparisons)
        rows = [
            {"sample_id": f"s{n}", "run": "filter", "kept": n % 9 != 4, "reason": "x"}
            for n in range(40)
        ]
        write(dataset, "decisions", "filter", [row | {"method": "filter"} for row in rows])
        return dataset

    def feedback(self, name: str, text: str) -> dict[str, Any]:
        corrected = text + " indeed" if self.rng.random() < 0.5 else None
        word = text.split()[0]
        span = {"start": 0, "end": len(word), "text": word, "kind": None, "correct": False}
        span |= {"reward": None, "replacement": self.rng.choice(["no", None, "zebra"])}
        if self.rng.random() < 0.1:
            span["text"] = "bogus"
        return {
            "feedback_id": f"f{name}", "response_id": name, "spans": [span],
            "corrected": corrected, "by": "x",
        }  # fmt: skip

    def comparisons(self, names: list[str]) -> list[dict[str, Any]]:
        rng, rows = self.rng, []
        for n in range(38):
            mine = [i for i in names if i.startswith(f"s{n}r")] + [f"s{n}"]
            for a in mine:
                for b in mine:
                    if a < b and rng.random() < 0.5:
                        rows.append(self.comparison(n, a, b))
        broken = {"comparison_id": "zz", "sample_id": "s1", "a": "s1r0", "b": "nobody"}
        return [*rows, broken | {"verdict": "a", "by": "j"}]

    def comparison(self, n: int, a: str, b: str) -> dict[str, Any]:
        rng = self.rng
        first, second = rng.random(), rng.random()
        verdict = rng.choice(["a", "b", "a", "b", "tie", "both_bad", "undecided"])
        by = rng.choice(["j", "person"])
        row: dict[str, Any] = {
            "comparison_id": stable_id(a, b, by), "sample_id": f"s{n}", "a": a, "b": b,
            "verdict": verdict, "by": by,
        }  # fmt: skip
        if by == "j":
            good = verdict if verdict in "ab" else "tie"
            row |= {
                "verdict_first_order": good,
                "verdict_second_order": rng.choice([good, good, "a"]),
                "p_a_first_order": first,
                "p_a_second_order": second,
            }
        return row

    def conflicts(self, name: str, *, with_run: bool) -> Dataset:
        """Samples with conflicting answers and scores."""
        dataset = Dataset.create(self.folder / name)
        rows = [self.sample(n) for n in range(20)]
        rows += [self.sample(20 + n, f"What is in  picture {n % 12}?") for n in range(20)]
        write(dataset, "samples", "ingest", rows)
        answers = {row["sample_id"]: row["messages"][1]["content"] for row in rows}
        if with_run:
            conflicts = [
                {
                    "conflict_id": f"c{n}", "run": "dedup", "group_id": f"g{n % 12}",
                    "sample_id": f"s{n % 12}", "other_id": f"s{20 + n}", "question": "q",
                    "answer": answers[f"s{n % 12}"], "similarity": 1.0,
                    "other_answer": answers[f"s{20 + n}"] if n % 5 else "x",
                }
                for n in range(20)
            ]  # fmt: skip
            write(dataset, "conflicts", "dedup", conflicts)
        values = [self.rng.choice([1.0, 2.0, 3.0, 4.0, 5.0]) for _ in range(40)]
        write(
            dataset, "scores", "score",
            [score(f"s{n}", value, kind="sample") for n, value in enumerate(values)],
        )  # fmt: skip
        decisions = [
            {
                "sample_id": f"s{n}", "run": "filter", "kept": n % 7 != 3, "method": "score",
                "reason": "low_score" if n % 2 else "x",
            }
            for n in range(40)
        ]  # fmt: skip
        write(dataset, "decisions", "filter", decisions)
        return dataset


def score(
    target: str,
    value: float | None,
    criterion: str = "accuracy",
    *,
    kind: str = "response",
    rubric: str = "default",
    mass: float = 1.0,
) -> dict[str, Any]:
    return {
        "target_id": target, "rubric": rubric, "criterion": criterion, "judge": "j", "repeat": 0,
        "target_kind": kind, "score": value, "label_mass": mass,
        "label_probs": [{"label": str(n), "p": 0.2} for n in range(1, 6)],
        "rubric_hash": "r", "prompt_hash": "p", "error": None if value is not None else "no verdict",
    }  # fmt: skip


def write(
    dataset: Dataset, kind: str, step: str, rows: list[dict[str, Any]], run: str | None = None
) -> None:
    with dataset.write(kind, run or step, step=step, config={}) as writer:
        writer.add(rows)
