"""What `prefs build` reads: which runs, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pairwright.errors import UsageError
from prefs.methods import candidates as cand

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset
    from prefs.build.options import BuildOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The runs that a method reads.

    Attributes:
        answers: Run of responses; `None` where conflicts of the samples are taken.
        verdicts: Scores, feedback or comparisons.
        conflicts: Run of conflicts, if one is taken.
    """

    answers: Manifest | None
    verdicts: Manifest
    conflicts: Manifest | None = None

    def manifests(self) -> list[Manifest]:
        """All of them."""
        return [m for m in (self.answers, self.verdicts, self.conflicts) if m is not None]


def find_sources(dataset: Dataset, options: BuildOptions) -> Sources:
    """The runs that the method reads.

    Raises:
        UsageError: If one is missing.
    """
    answers = dataset.pick("responses", options.responses)
    if options.method == "best-of-n":
        if answers is not None:
            return Sources(answers=answers, verdicts=_scores(dataset, options, answers))
        conflicts = dataset.pick("conflicts", options.conflicts)
        return Sources(
            answers=None, verdicts=_conflict_scores(dataset, options), conflicts=conflicts
        )
    if options.method == "claims":
        return _claims(dataset, options, answers)
    kind = "feedback" if options.method == "spans" else "comparisons"
    verdicts = dataset.pick(kind, getattr(options, kind))
    if verdicts is None:
        maker = "`prefs label`" if kind == "feedback" else "`judge compare` or `prefs label`"
        msg = f"--method {options.method} needs {kind}, and there are none: make some with {maker}, or import them with `curate ingest FILE --as {kind}`"
        raise UsageError(msg)
    if answers is None:
        msg = f"{verdicts.ref} is about responses, and there are none: import them with `curate ingest FILE --as responses`"
        raise UsageError(msg)
    return Sources(answers=answers, verdicts=verdicts)


def _claims(dataset: Dataset, options: BuildOptions, answers: Manifest | None) -> Sources:
    found = dataset.pick("scores", options.scores, steps=("claims",))
    if answers is None or found is None:
        what = "responses" if answers is None else "marks of their claims"
        how = "`prefs sample`" if answers is None else "`judge claims --target responses`"
        msg = f"--method claims needs {what}, and there are none: make some with {how}"
        raise UsageError(msg)
    return Sources(answers=answers, verdicts=found)


def _scores(dataset: Dataset, options: BuildOptions, answers: Manifest) -> Manifest:
    found = dataset.pick("scores", options.scores, steps=("score-responses",))
    found = found or dataset.pick("scores", steps=("ingest",))
    if found is None:
        msg = f"{answers.ref} has no scores: mark the answers with `judge score --target responses`"
        raise UsageError(msg)
    return found


def _conflict_scores(dataset: Dataset, options: BuildOptions) -> Manifest:
    found = dataset.pick("scores", options.scores, steps=("score",))
    found = found or dataset.pick("scores", steps=("ingest",))
    if found is not None:
        return found
    if (
        any(m.rows for m in dataset.runs("conflicts"))
        or cand.conflict_groups(dataset.current_samples()).height
    ):
        msg = "the samples hold conflicting answers, but no scores to tell which is better: mark them with `judge score`, or draw new answers with `prefs sample`"
        raise UsageError(msg)
    raise UsageError(NO_CANDIDATES)


NO_CANDIDATES = "there are no responses, and no question of the samples has different answers: draw answers with `prefs sample --model MODEL`"
