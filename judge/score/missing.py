"""What a run of scores still lacks, as requests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.ask.scoring import ScoreKey, Scoring, score_request, turn_and_repeat
from judge.ask.session import Session
from judge.ask.targets import by_image, count_judged, each_turn, target_batches, targets_of
from judge.rubric.render import Target, prompt_hash, render
from judge.rubric.rubric import Criterion
from judge.score.options import ScoreOptions
from pairwright.vlm.asking import unwritten
from pairwright.vlm.types import ChatRequest

if TYPE_CHECKING:
    import polars as pl

REASON_TOKENS = 256


class Missing(NamedTuple):
    """Scores of one target by one criterion that are not written yet.

    Attributes:
        request: Asks for them, or for the reasons that come before them.
        repeats: Which repeats are missing.
    """

    request: ChatRequest
    repeats: frozenset[int]


@dataclass(frozen=True, slots=True)
class MissingScores:
    """Finds what one judge has not scored yet.

    Attributes:
        session: The judge and the run.
        scoring: The judge with its rubric.
        options: Of the command, with this judge's model.
        is_only_judge: Whether no other judge writes to the run.
    """

    session: Session
    scoring: Scoring
    options: ScoreOptions
    is_only_judge: bool

    def count(self) -> int:
        """How many scores are missing."""
        import polars as pl

        judged = count_judged(
            self.session.dataset, self.scoring.source, for_run=self.session.key,
            limit=self.session.limit, turns=self.options.turns,
        )  # fmt: skip
        wanted = judged * len(self.scoring.rubric.criteria) * self.scoring.repeats
        written = self.session.writer.scan()
        if written is None:
            return wanted
        own = written.filter(pl.col("judge") == self.scoring.choice.label)
        found = own.select(pl.len()).collect(engine="streaming").item()
        return max(0, wanted - int(found))

    def requests(self) -> Iterator[Missing]:
        """Every target and criterion that lacks a score; targets of one image follow each other."""
        session = self.session
        for frame, written in self._unfinished():
            for target in targets_of(by_image(frame, session.reader), session.writer):
                done = self._written(written.get(target.target_id, set()))
                shown = self._shown(target)
                if shown is None:
                    continue
                for turn in each_turn(shown) if self.options.turns == "all" else (shown,):
                    yield from self._of_turn(turn, done)

    def _unfinished(self) -> Iterator[tuple[pl.DataFrame, dict[str, set[tuple[Any, ...]]]]]:
        """Batches of targets that may lack scores, and the keys of their written rows."""
        session = self.session
        batches = target_batches(
            session.dataset, self.scoring.source, for_run=session.key, limit=session.limit
        )
        # With rows of other judges, or several turns, the number of rows does not show whether a
        # target is finished.
        is_fixed = self.options.turns == "last" and self.is_only_judge
        rows = len(self.scoring.rubric.criteria) * self.scoring.repeats
        return unwritten(batches, session.writer, "target_id", rows if is_fixed else sys.maxsize)

    def _written(self, keys: set[tuple[Any, ...]]) -> set[tuple[str, int, int]]:
        """This judge's rows of a target, as criterion, turn and repeat.

        Args:
            keys: Rubric, criterion, judge and `repeat` of the rows, as the table's key has them.
        """
        return {
            (criterion, *turn_and_repeat(column, self.scoring.repeats))
            for _, criterion, judge, column in keys
            if judge == self.scoring.choice.label
        }

    def _shown(self, target: Target) -> Target | None:
        """The target with what the judge may see of it; invalid if something is missing."""
        options = self.options
        for name, use in (("criteria", options.use_criteria), ("reference", options.use_reference)):
            text = getattr(target, name)
            if use == "always" and not (text and text.strip()):
                detail = f"the sample has no {name}, and --use-{name} is always"
                self.session.writer.reject(target.target_id, "target", f"no_{name}", detail)
                return None
        return replace(
            target,
            criteria=None if options.use_criteria == "never" else target.criteria,
            reference=None if options.use_reference == "never" else target.reference,
        )

    def _of_turn(self, target: Target, done: set[tuple[str, int, int]]) -> Iterator[Missing]:
        turn = target.turn or 0
        for criterion in self.scoring.rubric.criteria:
            missing = frozenset(
                repeat
                for repeat in range(self.scoring.repeats)
                if (criterion.name, turn, repeat) not in done
            )
            if missing:
                yield Missing(self._request(target, criterion), missing)

    def _request(self, target: Target, criterion: Criterion) -> ChatRequest:
        options, rubric = self.options, self.scoring.rubric
        if options.rationale != "before":
            return score_request(
                rubric, criterion, target, samples=options.repeats, seed=options.seed
            )
        turns = render(rubric, criterion, target, asks="reasons")
        key = ScoreKey(target.target_id, criterion.name, target.turn, 0, prompt_hash(turns))
        sampling: dict[str, Any] = {}
        if options.repeats > 1:
            sampling = {"n": options.repeats, "temperature": 1.0, "seed": options.seed}
        return ChatRequest(key=key, messages=turns, max_tokens=REASON_TOKENS, **sampling)
