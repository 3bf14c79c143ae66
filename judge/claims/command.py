"""`judge claims`: answers split into claims, each checked against the image by one token."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.ask.scoring import expected_value
from judge.ask.targets import (
    Source,
    by_image,
    choose_source,
    count_targets,
    most_images,
    target_batches,
    targets_of,
)
from judge.claims.options import ClaimsOptions
from judge.claims.scores import answer_marks, score_rows, summarise
from judge.claims.split import split_answers
from judge.claims.text import as_question
from judge.rubric.render import Target, prompt_hash, render
from judge.rubric.rubric import FOLDER, Rubric, load_rubric
from judge.rubric.template import shows
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.vlm.asking import ask_into, unwritten
from pairwright.vlm.backend import ModelChoice, choose_model, image_source, open_backend, recorded
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader

_STEP = "claims"
_PART_SECONDS = 5.0
# Answers whose claims are held at a time.
_ROWS = 2_000
_NO_PART = ("splitter_model", "splitter_base_url", "split_tokens", "low_mass")


class _Key(NamedTuple):
    claim_id: str
    prompt: str


def claims(dataset: Dataset, options: ClaimsOptions, run: RunOptions) -> Outcome:
    """Split answers into claims (`claims/RUN-split`), check each (`claims/RUN`), mark the answers.

    The marks are `scores/RUN`, rubric `claims`: `rejected`, `rate` and `soft` an answer.

    Raises:
        UsageError: If there is nothing to check, or the rubric does not ask for yes or no.
        ServerError: If a model cannot be started or is gone; what was answered is kept.
    """
    rubric = verify_rubric(options.rubric)
    choice = choose_model(options, dataset)
    given = dataset.pick("claims", options.claims) if options.claims else None
    source = _source(dataset, options, given)
    name = run.run or (_STEP if source.kind == "sample" else f"{_STEP}-responses")
    if run.dry_run:
        return _dry_run(dataset, options, source, given, name, run)
    made = given or split_answers(dataset, options, source, run, f"{name}-split")
    inputs = dataset.sample_inputs(for_run=RunKey(_STEP, f"claims/{name}"))
    with dataset.write(
        "claims",
        name,
        step=_STEP,
        config=_config(options, choice, rubric, source, made, run),
        inputs=[*inputs, made, *([source.responses] if source.responses else [])],
        fingerprints=choice.fingerprints(),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            _Checking(dataset, writer, rubric, choice, options, source, made, run.limit).ask()
    summary = _mark(dataset, name, made, rubric, choice, options, source, done=done)
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}claims/{name}: {_describe(summary, name)}",
        table=f"claims/{name}",
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=summary,
    )


def verify_rubric(name: str) -> Rubric:
    """The rubric that asks about one claim.

    Raises:
        UsageError: If its labels are not yes and no, or it asks for more than one thing.
    """
    shipped = str(FOLDER / "claims" / "verify.yaml")
    rubric = load_rubric(shipped if name == "verify" else name)
    names = {label.split("|")[0].lower() for label in rubric.labels}
    if names != {"no", "yes"} or len(rubric.criteria) != 1 or rubric.criteria[0].labels:
        msg = f'--rubric {name}: claims are checked by one criterion with labels {{"no|No": 0, "yes|Yes": 1}}'
        raise UsageError(msg)
    return rubric


def _source(dataset: Dataset, options: ClaimsOptions, given: Manifest | None) -> Source:
    """Whose answers are checked; claims that are there already say it themselves."""
    if given is None or options.target or options.responses:
        return choose_source(dataset, options)
    kinds = dataset.scan(given).select("target_kind").unique().collect()["target_kind"].to_list()
    if len(kinds) != 1 or kinds[0] is None:
        msg = f"{given.ref} does not say whose answers it is about: add --target samples or --target responses"
        raise UsageError(msg)
    aims = replace(options, target="samples" if kinds[0] == "sample" else "responses")
    return choose_source(dataset, aims)


def _config(
    options: ClaimsOptions,
    choice: ModelChoice,
    rubric: Rubric,
    source: Source,
    made: Manifest,
    run: RunOptions,
) -> dict[str, Any]:
    config = {k: v for k, v in recorded(options, choice).items() if k not in _NO_PART}
    return config | {
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        "claims": made.run,
        "rubric": rubric.name,
        "rubric_hash": rubric.hash,
        "limit": run.limit,
    }


@dataclass(frozen=True, slots=True)
class _Checking:
    """The claims of one run that have no verdict yet."""

    dataset: Dataset
    writer: RunWriter
    rubric: Rubric
    choice: ModelChoice
    options: ClaimsOptions
    source: Source
    made: Manifest
    limit: int | None

    def ask(self) -> None:
        """Ask about each claim."""
        from pairwright.images import ImageReader

        reader = ImageReader(self.dataset)
        facts: dict[str, dict[str, Any]] = {}
        requests = self._requests(reader, facts)
        first = next(requests, None)
        if first is None:
            return
        images = image_source(reader, self.options, self.choice)
        with (
            open_backend(
                self.options, self.choice, images, logs=self.dataset.path / "logs",
                max_images=most_images(self.dataset, for_run=self.writer.manifest.key),
            ) as backend,
            Progress("check", max(0, self.made.rows - self.writer.n_rows), unit="claims") as bar,
        ):  # fmt: skip
            ask_into(
                self.writer, backend, itertools.chain([first], requests),
                lambda reply: [self._row(reply, facts.pop(reply.key.claim_id))],
                ids_of=lambda key: (key.claim_id, key.claim_id), progress=bar, note_of=_note,
                on_failure=lambda reply: facts.pop(reply.key.claim_id),
            )  # fmt: skip

    def _requests(
        self, reader: ImageReader, facts: dict[str, dict[str, Any]]
    ) -> Iterator[ChatRequest]:
        """Requests for open claims; the claims of one image follow each other.

        Args:
            reader: Of images.
            facts: Filled with the claim of each request that is on its way.
        """
        for frame in target_batches(
            self.dataset,
            self.source,
            for_run=self.writer.manifest.key,
            limit=self.limit,
            rows=_ROWS,
        ):
            found = self._claims_of(frame)
            for open_ones, _ in unwritten([found], self.writer, "claim_id", 1):
                claims_of: dict[str, list[dict[str, Any]]] = {}
                for row in open_ones.iter_rows(named=True):
                    claims_of.setdefault(row["response_id"], []).append(row)
                asked = frame.filter(frame["target_id"].is_in(list(claims_of)))
                for target in targets_of(by_image(asked, reader), self.writer):
                    for claim in claims_of[target.target_id]:
                        turns = self._turns(target, claim)
                        facts[claim["claim_id"]] = claim
                        key = _Key(claim["claim_id"], prompt_hash(turns))
                        labels = tuple(self.rubric.labels)
                        yield ChatRequest(key=key, messages=turns, labels=labels)

    def _claims_of(self, targets: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        ids = targets.lazy().select(response_id="target_id")
        return (
            self.dataset.scan(self.made)
            .filter(pl.col("index") >= 0)
            .select("claim_id", "response_id", "index", "text", "question")
            .join(ids, on="response_id", how="semi")
            .sort("response_id", "index", "claim_id")
            .collect(engine="streaming")
        )

    def _turns(self, target: Target, claim: dict[str, Any]) -> Any:
        """A prompt that shows the question that was asked gets the claim itself beside it."""
        asked = claim["question"] or as_question(claim["text"])
        answer = claim["text"] if shows(self.rubric.prompt, "question") else asked
        return render(self.rubric, self.rubric.criteria[0], replace(target, answer=answer))

    def _row(self, reply: Reply, claim: dict[str, Any]) -> dict[str, Any]:
        probs = {name.lower(): p for name, p in (reply.label_probs or {}).items()}
        mark, _ = expected_value(reply.label_probs or {}, self.rubric.labels)
        heard = mark is not None
        return {
            "claim_id": claim["claim_id"],
            "response_id": claim["response_id"],
            "target_kind": self.source.kind,
            "index": claim["index"],
            "text": claim["text"],
            "question": claim["question"] or as_question(claim["text"]),
            "p_yes": probs.get("yes", 0.0) if heard else None,
            "p_no": probs.get("no", 0.0) if heard else None,
            "judge": self.choice.label,
            "read_from": reply.read_from,
            "rubric_hash": self.rubric.hash,
            "prompt_hash": reply.key.prompt,
            "n_prompt_tokens": reply.usage.prompt_tokens,
            "n_tokens": reply.usage.completion_tokens,
            "latency_s": reply.latency_s,
            "error": None if heard else "no_verdict",
        }


def _mark(
    dataset: Dataset,
    name: str,
    made: Manifest,
    rubric: Rubric,
    choice: ModelChoice,
    options: ClaimsOptions,
    source: Source,
    *,
    done: bool,
) -> dict[str, Any]:
    """Write `scores/NAME` from the verdicts, unless it is there."""
    import polars as pl

    checked = dataset.manifest("claims", name)
    assert checked is not None
    old = dataset.manifest("scores", name)
    # Verdicts may have been added to a finished run: its marks are made anew.
    ours = old is not None and old.step == _STEP
    with dataset.write(
        "scores",
        name,
        step=_STEP,
        config={"claims": name, "low_mass": options.low_mass},
        inputs=[checked],
        replace=ours and not (done and old is not None and old.is_complete),
        resumable=False,
        rejects=False,
    ) as writer:
        if not writer.is_complete:
            verdicts = dataset.scan(checked)
            asked = dataset.scan(made)
            about = dataset.current_samples(for_run=checked.key).select(response_id="sample_id")
            if source.responses is not None:
                answers = dataset.scan(source.responses).select("response_id", "sample_id")
                about = answers.join(
                    about, left_on="sample_id", right_on="response_id", how="semi"
                ).select("response_id")
            asked = asked.join(about, on="response_id", how="semi")
            marks = answer_marks(asked, verdicts)
            if checked.config["limit"] is not None and made.step != "claims-split":
                # The claims may be about more answers than were to be checked.
                seen = verdicts.select("response_id").unique().collect()["response_id"]
                marks = marks.filter(
                    pl.col("target_id").is_in(seen.implode()) | (pl.col("claims") == 0)
                )
            told = verdicts.select("p_yes", "p_no").collect()
            writer.add(
                score_rows(
                    marks, judge=choice.label, kind=source.kind, rubric_hash=rubric.hash,
                    prompt_hash=made.config.get("rubric_hash") or options.split,
                )
            )  # fmt: skip
            writer.summary.update(summarise(marks, told, options.low_mass))
    return writer.summary


def _dry_run(
    dataset: Dataset, options: ClaimsOptions, source: Source, given: Manifest | None, name: str,
    run: RunOptions,
) -> Outcome:  # fmt: skip
    targets = count_targets(
        dataset, source, for_run=RunKey(_STEP, f"claims/{name}"), limit=run.limit
    )
    how = f"would be split by {options.split} into claims/{name}-split"
    if given is not None:
        how = f"have their {given.rows:,} claims in {given.ref}"
    message = (
        f"dry run, nothing written: {targets:,} {source.kind} answers {how}; each claim would be "
        f"checked with one request into claims/{name}, the answers marked in scores/{name}"
    )
    return Outcome(message=message, summary={"targets": targets})


def _describe(summary: dict[str, Any], name: str) -> str:
    """What a run found, for people."""
    if not summary["answers"]:
        return "no answers to check; `pairwright status` shows what became of the samples"
    claims, no = summary["claims"], summary["rejected_claims"]
    lines = [f"{claims:,} claims of {summary['answers']:,} answers, {no:,} of them rejected"]
    mean = summary["mean"]
    if mean["rejected"] is not None:
        rate = "none" if mean["rate"] is None else f"{100 * mean['rate']:.1f} %"
        # Marks are minus what is counted; a mean of 0 is not shown as -0.00.
        rejected, soft = (abs(mean[key]) for key in ("rejected", "soft"))
        lines.append(
            f"an answer on average: rejected {rejected:.2f}, soft {soft:.2f}, "
            f"supported {rate}; marks of {summary['marked']:,} answers in scores/{name}"
        )
    words = {
        "without_claims": "of the answers claim nothing",
        "unreadable": "of the answers have no marks: the list of claims could not be read",
        "unverified": "of the answers have no marks: a claim has no verdict",
        "low_label_mass": "of the verdicts are faint: yes and no together were unlikely",
    }
    lines += [f"{summary[key]:,} {text}" for key, text in words.items() if summary[key]]
    return "\n  ".join(lines)


def _note(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows or rows[-1]["p_yes"] is None:
        return None
    row = rows[-1]
    return f"{'yes' if row['p_yes'] >= row['p_no'] else 'no'}: {row['text']}"
