"""`judge probe`: how robust a judge is, by scores of responses that were changed on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.ask.session import Session, open_run, outcome_of
from judge.ask.summaries import with_current_keys
from judge.ask.targets import Source, choose_source, count_targets
from judge.probe.asking import Probing
from judge.probe.changes import injections, probe_names
from judge.probe.options import ProbeOptions
from judge.probe.report import compared, describe, summarise
from judge.rubric.rubric import Rubric, load_rubric
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.ids import config_hash
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.vlm.backend import ModelChoice, choose_model, recorded

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter

_NOT_RECORDED = ("max_flip_rate",)


def probe(dataset: Dataset, options: ProbeOptions, run: RunOptions) -> Outcome:
    """Score responses unchanged and changed: `probes/RUN` contains both, the report compares them.

    Raises:
        UsageError: If there is nothing to judge.
        ServerError: If the judge cannot be started or stops; the scores so far are kept.
    """
    rubric = load_rubric(options.rubric)
    choice = choose_model(options, dataset)
    source = choose_source(dataset, options)
    key = RunKey("probe", f"probes/{run.run or _default_run(source)}")
    names = probe_names(options.probes, injections())
    if run.dry_run:
        targets = count_targets(dataset, source, for_run=key, limit=run.limit)
        requests = targets * len(names) * len(rubric.criteria)
        message = (
            f"dry run, nothing written: {key.ref} would contain {requests:,} scores of {targets:,} "
            f"{source.kind}s, each in {len(names)} versions"
        )
        return Outcome(message=message, summary={"targets": targets, "requests": requests})
    with open_run(
        dataset, key, options=type(options), config=_config(options, choice, rubric, source), inputs=[source.responses],
        choice=choice, run=run,
    ) as writer:  # fmt: skip
        done = writer.is_complete
        if not done:
            session = Session(dataset, writer, options, choice, run.limit)
            Probing(session, rubric, options, source).ask(len(names))
            writer.flush()
            writer.summary.update(_metrics(dataset, writer, rubric, source, names))
    summary = with_current_keys(writer.summary)
    text = f"{writer.n_rows:,} scores\n  {describe(summary)}"
    gate_failed = _gate(summary, options.max_flip_rate)
    return outcome_of(writer, text, done=done, summary=summary, gate_failed=gate_failed)


def _default_run(source: Source) -> str:
    return "probe" if source.kind == "sample" else "probe-responses"


def _gate(summary: dict[str, Any], max_flip_rate: float | None) -> str | None:
    if max_flip_rate is None:
        return None
    found = summary["probes"]["inject"]
    if not found["scores"]:
        return "no injection has a score: the fraction of changed verdicts is not known"
    rate = found["flip_rate"][0]
    if rate <= max_flip_rate:
        return None
    return (
        f"injections change {100 * rate:.1f} % of the verdicts, --max-flip-rate allows "
        f"{100 * max_flip_rate:g} %"
    )


def _config(
    options: ProbeOptions, choice: ModelChoice, rubric: Rubric, source: Source
) -> dict[str, Any]:
    config = {k: v for k, v in recorded(options, choice).items() if k not in _NOT_RECORDED}
    return config | {
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        "rubric": rubric.name,
        "rubric_hash": rubric.hash,
        "injections": config_hash([[one.name, one.where, one.text] for one in injections()]),
    }


def _metrics(
    dataset: Dataset, writer: RunWriter, rubric: Rubric, source: Source, names: list[str]
) -> dict[str, Any]:
    found = writer.scan()
    if found is None:
        return {"probes": {n: {"scores": 0} for n in [*names[1:], "inject"]}, "worst": []}
    values = {
        c.name: {label.split("|")[0]: v for label, v in rubric.labels_of(c).items()}
        for c in rubric.criteria
    }
    columns = ["target_id", "criterion", "probe", "score", "label_probs"]
    rows = found.select(columns).sort("target_id", "criterion", "probe").collect()
    images = _first_images(dataset, writer, source).collect()
    return summarise(compared(rows, images, values), names)


def _first_images(dataset: Dataset, writer: RunWriter, source: Source) -> pl.LazyFrame:
    """First image of each target: `target_id`, `image`."""
    import polars as pl

    image = pl.col("image_ids").list.first().alias("image")
    samples = dataset.current_samples(for_run=writer.manifest.key).select("sample_id", image)
    if source.responses is None:
        return samples.rename({"sample_id": "target_id"})
    responses = dataset.scan(source.responses).select("response_id", "sample_id")
    return responses.join(samples, on="sample_id").select("image", target_id="response_id")
