"""The settings of a selection: flags, then the plan, then defaults; and the runs that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curate.select.options import SelectOptions
from curate.select.plan import Plan, canonical_text, read_plan
from pairwright.commands.options import RunOptions, as_config
from pairwright.dataset.ids import config_hash
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

_QUALITY = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The resolved settings.

    Attributes:
        plan: The plan; an empty one without `--plan`.
        n: Rows to select, or None.
        fraction: Fraction of the rows to select, if `n` is None.
        method: Never `auto`.
        quality: Weight of the scores, if it was set.
        per_image: Max rows with the same images, or None.
        seed: Decides ties and random choices.
        balance: Column to balance, or None.
        block: Max size of a block of facility location.
    """

    plan: Plan
    n: int | None
    fraction: float | None
    method: str
    quality: float | None
    per_image: int | None
    seed: int
    balance: str | None
    block: int

    @property
    def is_diverse(self) -> bool:
        """Whether the method compares embeddings."""
        return self.method in ("facility-location", "k-center")


@dataclass(frozen=True, slots=True)
class Sources:
    """Runs that a selection reads, in addition to the samples; None for a term that is off."""

    scores: Manifest | None
    embeddings: Manifest | None
    tags: Manifest | None

    def all(self) -> list[Manifest]:
        """The runs that exist."""
        return [m for m in (self.scores, self.embeddings, self.tags) if m is not None]


def resolve(dataset: Dataset, options: SelectOptions) -> tuple[Settings, Sources]:
    """The settings of a selection and the runs that it reads.

    Raises:
        UsageError: If the size is missing, the plan is wrong, or a run that it needs is missing.
    """
    plan = read_plan(options.plan) if options.plan else Plan()
    if options.balance:
        plan = Plan(by=(options.balance,))

    def first(name: str, default: Any = None) -> Any:
        values = (getattr(options, name), getattr(plan, name))
        return next((v for v in values if v is not None), default)

    given = (options.n, options.fraction)
    n, fraction = given if given != (None, None) else (plan.n, plan.fraction)
    if n is None and fraction is None:
        msg = "the number of rows is missing: give --n ROWS or --fraction F, or n in the plan"
        raise UsageError(msg)
    method = first("method", "auto")
    sources = find_sources(dataset, options, plan, method)
    if method == "auto":
        method = (
            "facility-location" if sources.embeddings else "quality" if sources.scores else "random"
        )
    settings = Settings(
        plan=plan, n=n, fraction=fraction, method=method, quality=first("quality"),
        per_image=first("per_image"), seed=first("seed", 0), balance=options.balance,
        block=options.block,
    )  # fmt: skip
    return settings, sources


def find_sources(dataset: Dataset, options: SelectOptions, plan: Plan, method: str) -> Sources:
    """The runs to read.

    Raises:
        UsageError: If the method or the plan needs a run that is missing.
    """
    scores = dataset.pick("scores", options.scores, steps={"score"})
    embeddings = dataset.pick("embeddings", options.embeddings, steps={"embed"})
    tags = dataset.pick("tags", options.tags, steps={"tag"})
    if method in ("facility-location", "k-center") and embeddings is None:
        msg = f"--method {method} needs embeddings: run `curate embed` first"
        raise UsageError(msg)
    if method == "quality" and scores is None:
        msg = "--method quality needs scores: run `judge score` first"
        raise UsageError(msg)
    if "task" in plan.by and tags is None:
        msg = "groups by task need tags: run `curate tag` first"
        raise UsageError(msg)
    return Sources(scores, embeddings, tags)


def config_of(options: SelectOptions, settings: Settings, run: RunOptions) -> dict[str, Any]:
    """The configuration that decides on the result."""
    plan = config_hash(canonical_text(settings.plan)) if options.plan else None
    return {**as_config(options), "method": settings.method, "plan": plan, "limit": run.limit}


def weight_of_scores(settings: Settings, sources: Sources) -> float:
    """Weight of the scores against diversity; 0 without scores."""
    if sources.scores is None:
        return 0.0
    return _QUALITY if settings.quality is None else settings.quality
