"""What a selection costs, what it covers, and which of its terms were off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.select.greedy import unit
from curate.select.plan import REST, Share

if TYPE_CHECKING:
    import polars as pl

    from curate.select.command import Settings
    from curate.select.rows import Sources, Vectors

_CLIENTS = 2048
_BLOCK = 4096


def cost(method: str, free: pl.DataFrame, shares: list[Share], vectors: Vectors, block: int) -> str:
    """Time and memory of a selection, estimated before it starts."""
    import polars as pl

    flops, most = 0.0, 0
    n_points = 0
    for share in shares:
        numbers = free.filter(pl.col("target") == share.name)["row"].to_numpy()
        found = np.unique(vectors.of_row[numbers])
        points = int((found >= 0).sum())
        n_points += points
        per_point = share.given if method == "k-center" else min(points, block)
        flops += 2.0 * points * per_point * vectors.matrix.shape[1]
        most = max(most, min(points, block) if method != "k-center" else 0)
    memory = 2 * vectors.n_bytes + 4.0 * most * most + 400e6
    seconds = flops / _speed(vectors.matrix.shape[1])
    exact = (
        "exact greedy" if method == "k-center" or most < block or n_points <= block
        else f"in blocks of {block:,} near vectors"
    )  # fmt: skip
    return (
        f"{method}: {sum(s.given for s in shares):,} of {free.height:,} rows, {n_points:,} "
        f"different vectors of {vectors.matrix.shape[1]}; {exact}; {flops / 1e12:,.2f} TFLOP, about "
        f"{_span(seconds)}, {memory / 1e9:.1f} GB"
    )


def _speed(width: int) -> float:
    """Floating point operations a second of a product as selection does them."""
    one = np.ones((2048, width), dtype=np.float32)
    one @ one.T
    started = time.perf_counter()
    one @ one.T
    return 2.0 * 2048 * 2048 * width / max(time.perf_counter() - started, 1e-6) * 0.6


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def summary(
    rows: pl.DataFrame, decisions: pl.DataFrame, shares: list[Share], vectors: Vectors | None,
    settings: Settings, sources: Sources, *, total: int, weight: float,
) -> dict[str, Any]:  # fmt: skip
    """Figures of the run, as kept in its manifest."""
    import polars as pl

    kept = decisions["kept"]
    counts = decisions.filter(~kept)["reason"].value_counts().sort("reason")
    marks = rows["mark"]
    found: dict[str, Any] = {
        "rows": rows.height,
        "wanted": total,
        "kept": int(kept.sum()),
        "removed": int((~kept).sum()),
        "removed_by_reason": dict(counts.iter_rows()),
        "method": settings.method,
        "quality_weight": weight,
        "by": list(settings.plan.by),
        "groups": [
            {"name": s.name, "available": s.available, "asked": s.asked, "given": s.given}
            for s in shares
        ],
        "off": _off(settings, sources),
        "unscored": int(marks.is_null().sum()) if sources.scores else 0,
        "no_vector": int((vectors.of_row < 0).sum()) if vectors is not None else 0,
        "images": rows.filter(pl.col("image_key") != "")["image_key"].n_unique(),
        "images_kept": rows.filter(kept & (rows["image_key"] != ""))["image_key"].n_unique(),
    }
    if sources.scores is not None:
        found["mean_mark"] = {"all": _mean(marks), "kept": _mean(marks.filter(kept))}
    if sources.tags is not None:
        task = pl.DataFrame({"task": rows["task"].fill_null("untagged"), "kept": kept})
        each = task.group_by("task").agg(pl.len(), pl.col("kept").sum()).sort("task")
        found["tasks"] = {t: {"rows": n, "kept": k} for t, n, k in each.iter_rows()}
    if vectors is not None and kept.any():
        found["coverage"] = coverage(vectors, kept.to_numpy(), settings.seed, settings.method)
    return found


def _mean(marks: pl.Series) -> float | None:
    value = marks.mean()
    return round(float(value), 4) if isinstance(value, int | float) else None


def _off(settings: Settings, sources: Sources) -> list[str]:
    off = []
    diverse = settings.method in ("facility-location", "k-center")
    if sources.scores is None:
        off.append("quality (no scores of samples: `judge score`)")
    elif settings.quality == 0 and diverse:
        off.append("quality (--quality 0)")
    elif settings.method == "random":
        off.append("quality (--method random)")
    if not diverse:
        why = (
            "no embeddings: `curate embed`"
            if sources.embeddings is None
            else f"--method {settings.method}"
        )
        off.append(f"diversity ({why})")
    if sources.tags is None:
        off.append("task coverage (no tags: `curate tag`)")
    elif "task" not in settings.plan.by:
        off.append("task coverage (neither --balance task nor a plan by task)")
    return off


def coverage(vectors: Vectors, kept: np.ndarray, seed: int, method: str) -> dict[str, float]:
    """How near the rows are to a chosen one, and to one of as many rows drawn at random.

    Measured on a sample of rows; `mean` is the mean cosine, `low` the cosine that 1 % of the rows
    fall below.
    """
    have = np.flatnonzero(vectors.of_row >= 0)
    generator = np.random.default_rng(seed)
    clients = np.sort(generator.choice(have, min(_CLIENTS, len(have)), replace=False))
    mine = have[kept[have]]
    if not len(mine):
        return {}
    drawn = generator.choice(have, len(mine), replace=False)
    dense = unit(vectors.matrix[vectors.of_row[clients]])
    out = {}
    for name, chosen in (("", mine), ("random_", drawn)):
        near = _nearest(dense, vectors, np.unique(vectors.of_row[chosen]))
        out[f"{name}mean"] = round(float(near.mean()), 4)
        out[f"{name}low"] = round(float(np.quantile(near, 0.01)), 4)
    if method == "facility-location":
        out["of_best"] = _share_of_best(dense, vectors, np.unique(vectors.of_row[mine]), len(mine))
    return out | {"floor": round(vectors.floor, 4), "sample": len(clients)}


def _share_of_best(dense: np.ndarray, vectors: Vectors, chosen: np.ndarray, budget: int) -> float:
    """Share of the most coverage that as many rows could have, at least.

    Coverage is submodular: no set of `budget` rows covers more than the chosen ones do with the
    `budget` largest single gains on top.
    """

    def like(cosine: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(cosine - vectors.floor, 0) / (1 - vectors.floor))

    covered = like(_nearest(dense, vectors, chosen))
    gains = [
        np.maximum(like(dense @ unit(vectors.matrix[s : s + _BLOCK]).T) - covered[:, None], 0).mean(
            axis=0
        )
        for s in range(0, len(vectors.matrix), _BLOCK)
    ]
    most = float(np.sort(np.concatenate(gains))[::-1][:budget].sum())
    reached = float(covered.mean())
    return round(reached / max(min(1.0, reached + most), 1e-9), 4)


def _nearest(dense: np.ndarray, vectors: Vectors, which: np.ndarray) -> np.ndarray:
    best = np.full(len(dense), -1.0, dtype=np.float32)
    for start in range(0, len(which), _BLOCK):
        block = unit(vectors.matrix[which[start : start + _BLOCK]])
        np.maximum(best, (dense @ block.T).max(axis=1), out=best)
    return best


def text(found: dict[str, Any]) -> str:
    """The report."""
    lines = [
        f"{found['rows']:,} rows in, {found['kept']:,} chosen of {found['wanted']:,} wanted, by "
        f"{found['method']}"
        + (f" with weight {found['quality_weight']:g} on marks" if found["quality_weight"] else "")
        + f", in {found['seconds']:.1f} s"
    ]
    lines += [f"  off: {term}" for term in found["off"]]
    lines += _group_lines(found)
    if found["kept"] < found["wanted"]:
        lines.append(f"  {found['wanted'] - found['kept']:,} fewer than wanted: there are no more")
    if found["unscored"]:
        lines.append(f"  {found['unscored']:,} rows have no mark: taken for middling")
    if found["no_vector"]:
        lines.append(
            f"  {found['no_vector']:,} rows have no embedding: they get their share, by marks"
        )
    capped = found["removed_by_reason"].get("image_cap")
    if capped:
        lines.append(f"  {capped:,} rows are more than --per-image allows on their images")
    lines.append(f"  images: {found['images_kept']:,} of {found['images']:,} are on a chosen row")
    if found.get("mean_mark"):
        marks = found["mean_mark"]
        lines.append(f"  mean mark: {_figure(marks['kept'])} chosen, {_figure(marks['all'])} all")
    cover = found.get("coverage")
    if cover:
        lines.append(
            f"  cosine of a row to the nearest chosen one: mean {cover['mean']:.3f}, 1 % below "
            f"{cover['low']:.3f}; had as many been drawn at random: {cover['random_mean']:.3f} and "
            f"{cover['random_low']:.3f} (any two rows: {cover['floor']:.3f})"
        )
        if "of_best" in cover:
            lines.append(
                f"  coverage is at least {100 * cover['of_best']:.1f} % of the most that any as many "
                f"rows could have (bound, on {cover['sample']:,} rows)"
            )
    return "\n".join(lines + _task_lines(found))


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _group_lines(found: dict[str, Any]) -> list[str]:
    if not found["by"]:
        return []
    lines = [f"  by {'/'.join(found['by'])}:     asked  available     chosen"]
    for group in found["groups"]:
        note = ""
        if group["given"] < group["asked"]:
            short = "too few rows" if group["given"] == group["available"] else "at its bound"
            note = f"   {group['asked'] - group['given']:,} short: {short}"
        elif group["given"] > group["asked"]:
            note = f"   {group['given'] - group['asked']:,} more, for groups that fell short"
        lines.append(
            f"    {group['asked']:>10,} {group['available']:>10,} {group['given']:>10,}  "
            f"{'all other rows' if group['name'] == REST else group['name']}{note}"
        )
    dropped = found["removed_by_reason"].get("no_target")
    if dropped:
        lines.append(f"    {dropped:,} rows are in no group of the plan (rest: drop)")
    return lines


def _task_lines(found: dict[str, Any]) -> list[str]:
    tasks = found.get("tasks")
    if not tasks or "task" in found["by"]:
        return []
    kept, rows = max(1, found["kept"]), max(1, found["rows"])
    lines = ["  share of tasks, chosen (all):"]
    for name, count in tasks.items():
        share = f"{100 * count['kept'] / kept:.1f} % ({100 * count['rows'] / rows:.1f} %)"
        lines.append(f"    {share:>18}  {name}")
    return lines
