"""`prefs sample`: several answers of a policy to each question, the raw material of pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, GateError, UsageError
from pairwright.text.conversation import prompt_of
from pairwright.vlm.asking import ask_into
from pairwright.vlm.backend import (
    ModelChoice,
    choose_model,
    image_source,
    open_backend,
    recorded,
)
from pairwright.vlm.prompt import turns_of
from pairwright.vlm.types import ChatRequest, Reply
from prefs.build.options import SampleOptions

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter

_PART_SECONDS = 5.0
# So many prompts without two different answers, from a policy that is less sure than this: the
# server cannot be sampling.
_TRAP_PROMPTS = 32
_SURE = 0.9


def sample(dataset: Dataset, options: SampleOptions, run: RunOptions) -> Outcome:
    """Draw answers, rows of `responses`.

    Raises:
        GateError: If the server answers the same whatever it is told to sample.
        ServerError: If the policy cannot be started or is gone; what was answered is kept.
    """
    choice = choose_model(options, dataset)
    name = run.run or "sample"
    ref = f"responses/{name}"
    conflicts = _conflicts(dataset, options)
    prompts = read_prompts(dataset, conflicts, for_run=RunKey("sample", ref), limit=run.limit)
    if run.dry_run:
        message = f"dry run, nothing written: {ref} would hold up to {options.n} answers of {choice.label} to each of {prompts.height:,} prompts"
        return Outcome(message=message, summary={"prompts": prompts.height})
    config = recorded(options, choice) | {"limit": run.limit}
    inputs = dataset.sample_inputs(for_run=RunKey("sample", ref))
    with dataset.write(
        "responses",
        name,
        step="sample",
        config=config,
        inputs=[*inputs, conflicts] if conflicts else inputs,
        fingerprints=choice.fingerprints(),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            # Readers of an unfinished run too may want to know whose answers these are.
            adapter = str(choice.adapter) if choice.adapter else None
            writer.summary["policy"] = {"model": choice.source, "adapter": adapter}
            _draw(dataset, prompts, writer, options, choice)
            writer.flush()
            writer.summary.update(summarise(writer.written(), options))
    summary = writer.summary
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {describe(summary, options)}",
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=summary,
        gate_failed=_gate(summary),
    )


def _conflicts(dataset: Dataset, options: SampleOptions) -> Manifest | None:
    if not options.only_conflicts:
        return None
    manifest = dataset.pick("conflicts", steps={"dedup"})
    if manifest is None:
        msg = (
            "--only-conflicts needs a run of conflicts, and there is none: run `curate dedup` first"
        )
        raise UsageError(msg)
    return manifest


def read_prompts(
    dataset: Dataset, conflicts: Manifest | None, *, for_run: RunKey, limit: int | None
) -> pl.DataFrame:
    """Distinct prompts of the current samples; the first sample with a prompt stands for it.

    Args:
        dataset: The dataset.
        conflicts: Take only samples that are in this run of conflicts.
        for_run: The run of responses; decisions that were made on it do not count.
        limit: Take the first so many prompts only.
    """
    import polars as pl

    frame = dataset.current_samples(for_run=for_run).select("sample_id", "image_ids", "messages")
    if conflicts is not None:
        pairs = dataset.scan(conflicts)
        ids = pl.concat(
            [pairs.select("sample_id"), pairs.select(pl.col("other_id").alias("sample_id"))]
        )
        frame = frame.join(ids.unique(), on="sample_id", how="semi", maintain_order="left")
    collected = frame.collect()
    prompts = [prompt_of(messages) for messages in collected["messages"].to_list()]
    keys = [
        stable_id(json.dumps([ids, prompt], ensure_ascii=False))
        for ids, prompt in zip(collected["image_ids"].to_list(), prompts, strict=True)
    ]
    distinct = collected.with_columns(pl.Series("_key", keys, dtype=pl.String)).unique(
        "_key", keep="first", maintain_order=True
    )
    return (distinct if limit is None else distinct.head(limit)).drop("_key")


@dataclass(slots=True)
class _Watch:
    """Sees while it happens whether the server samples at all."""

    n: int
    prompts: int = 0
    with_several: int = 0
    probs: list[float] = field(default_factory=list)

    def see(self, reply: Reply) -> None:
        """Count a reply's distinct answers.

        Raises:
            GateError: If many prompts have brought only one answer each.
        """
        if self.n < 2:
            return
        import math

        self.prompts += 1
        self.with_several += len(set(reply.texts)) > 1
        known = [p for p in reply.logprobs if p is not None]
        self.probs += [math.exp(max(p, -50.0)) for p in known]
        if self.prompts < _TRAP_PROMPTS or self.with_several:
            return
        if not self.probs or sum(self.probs) / len(self.probs) < _SURE:
            raise GateError(_trap(self.prompts, self.n))


def _trap(prompts: int, n: int) -> str:
    return (
        f"{prompts} prompts brought one distinct answer each although {n} were sampled: the "
        "server does not sample. The usual cause is the model's own generation_config (Qwen2-VL: "
        "top_k=1): start the server with `--generation-config vllm` (`judge serve` does), and "
        "check that it honours temperature, top_p and top_k"
    )


def _draw(
    dataset: Dataset,
    prompts: pl.DataFrame,
    writer: RunWriter,
    options: SampleOptions,
    choice: ModelChoice,
) -> None:
    """Ask for the answers to every prompt that has none yet."""
    import polars as pl

    from pairwright.images import ImageReader

    done = writer.keys("sample_id") | writer.rejected_ids()
    pending = prompts.filter(~pl.col("sample_id").is_in(list(done)))
    if pending.is_empty():
        return
    reader = ImageReader(dataset)
    images = image_source(reader, options, choice)
    order = sorted(
        range(pending.height),
        key=lambda row: [
            reader.sort_key(i) if i in reader else ("", 0) for i in pending["image_ids"][row]
        ],
    )
    pending = pending[order]
    shown: dict[str, list[Any]] = {}

    def requests() -> Iterator[ChatRequest]:
        for row in pending.iter_rows(named=True):
            request = _request(row, writer, options)
            if request is not None:
                shown[row["sample_id"]] = prompt_of(row["messages"])
                yield request

    most = int(pending["image_ids"].list.len().max() or 0)  # type: ignore[arg-type]
    watch = _Watch(options.n)

    def rows_of(reply: Reply) -> list[dict[str, Any]]:
        watch.see(reply)
        return _rows(reply, shown.pop(reply.key[0]), options, choice)

    with (
        open_backend(
            options, choice, images, logs=dataset.path / "logs", max_images=most
        ) as backend,
        Progress("sample", pending.height, unit="prompts") as progress,
    ):
        ask_into(
            writer,
            backend,
            requests(),
            rows_of,
            ids_of=lambda key: (key[0], key[0]),
            progress=progress,
            on_failure=lambda reply: shown.pop(reply.key[0], None),
        )


def _request(row: dict[str, Any], writer: RunWriter, options: SampleOptions) -> ChatRequest | None:
    prompt = prompt_of(row["messages"])
    if not prompt or prompt[-1]["role"] != "user":
        writer.reject(row["sample_id"], "prompt", "no_question", "no user turn to answer")
        return None
    try:
        turns = turns_of(prompt, row["image_ids"])
    except DataError as error:
        writer.reject(row["sample_id"], "prompt", "image_marks", str(error))
        return None
    # A seed of its own for each prompt: with one for all, draws would hang together across rows.
    seed = int(stable_id(options.seed, row["sample_id"])[:8], 16) & 0x7FFFFFFF
    return ChatRequest(
        key=(row["sample_id"], seed),
        messages=turns,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        n=options.n,
        seed=seed,
        logprobs=True,
    )


def _rows(
    reply: Reply, prompt: list[Any], options: SampleOptions, choice: ModelChoice
) -> list[dict[str, Any]]:
    """Distinct answers; a repeated one is known by the gap in `index`."""
    sample_id, seed = reply.key
    rows, seen = [], set()
    for index, text in enumerate(reply.texts):
        if text in seen:
            continue
        seen.add(text)
        rows.append(
            {
                "response_id": stable_id(sample_id, choice.label, index, text),
                "sample_id": sample_id,
                "prompt": prompt,
                "text": text,
                "model": choice.source,
                "adapter": str(choice.adapter) if choice.adapter else None,
                "temperature": options.temperature,
                "top_p": options.top_p,
                "top_k": options.top_k,
                "seed": seed,
                "index": index,
                "finish_reason": reply.finish_reasons[index],
                "n_tokens": reply.n_tokens[index],
                "logprob": reply.logprobs[index],
            }
        )
    return rows


def summarise(frame: pl.DataFrame | None, options: SampleOptions) -> dict[str, Any]:
    """Figures of a run: prompts, distinct answers, answers that were cut."""
    import polars as pl

    if frame is None or frame.is_empty():
        return {"prompts": 0, "answers": 0, "doubles": 0, "one_answer_only": 0, "cut": 0}
    per_prompt = frame.group_by("sample_id").len()["len"]
    return {
        "prompts": per_prompt.len(),
        "answers": frame.height,
        "doubles": per_prompt.len() * options.n - frame.height,
        "one_answer_only": int((per_prompt == 1).sum()),
        "empty": frame.filter(pl.col("text").str.strip_chars() == "").height,
        "cut": frame.filter(pl.col("finish_reason") == "length").height,
        "tokens": int(frame["n_tokens"].sum()),
        "n": options.n,
        "temperature": options.temperature,
    }


def _gate(summary: dict[str, Any]) -> str | None:
    """Why the answers are of no use for pairs, if they are not."""
    if summary.get("n", 1) < 2 or summary["prompts"] < _TRAP_PROMPTS:
        return None
    if summary["one_answer_only"] < summary["prompts"]:
        return None
    return (
        f"all {summary['prompts']:,} prompts brought one distinct answer each: the policy is too "
        f"sure at temperature {summary['temperature']:g}; raise --temperature or -n"
    )


def describe(summary: dict[str, Any], options: SampleOptions) -> str:
    """The figures for people."""
    lines = [
        f"{summary['answers']:,} distinct answers to {summary['prompts']:,} prompts "
        f"({summary['doubles']:,} of {summary['prompts'] * options.n:,} draws were repeats)"
    ]
    if summary["one_answer_only"] and options.n > 1:
        lines.append(
            f"  {summary['one_answer_only']:,} prompts brought one answer only: no pair can come of them"
        )
    if summary["cut"]:
        lines.append(f"  {summary['cut']:,} answers were cut at --max-tokens {options.max_tokens}")
    return "\n".join(lines)
