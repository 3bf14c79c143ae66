"""What `prefs sample` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairwright.text.counts import counted

if TYPE_CHECKING:
    import polars as pl

    from prefs.sample.options import SampleOptions


def summarize(frame: pl.DataFrame | None, options: SampleOptions) -> dict[str, Any]:
    """Numbers of a run: prompts, distinct responses, truncated responses."""
    import polars as pl

    if frame is None or frame.is_empty():
        return {
            "prompts": 0, "responses": 0, "duplicates": 0, "one_response_only": 0, "truncated": 0,
        }  # fmt: skip
    per_prompt = frame.group_by("sample_id").len()["len"]
    return {
        "prompts": per_prompt.len(),
        "responses": frame.height,
        "duplicates": per_prompt.len() * options.n - frame.height,
        "one_response_only": int((per_prompt == 1).sum()),
        "empty": frame.filter(pl.col("text").str.strip_chars() == "").height,
        "truncated": frame.filter(pl.col("finish_reason") == "length").height,
        "tokens": int(frame["n_tokens"].sum()),
        "n": options.n,
        "temperature": options.temperature,
    }


def describe(summary: dict[str, Any], options: SampleOptions) -> str:
    """The numbers, and the next command."""
    sampled = summary["prompts"] * options.n
    lines = [
        f"{counted(summary['responses'], 'distinct response')} to {counted(summary['prompts'], 'prompt')} "
        f"({summary['duplicates']:,} of {sampled:,} sampled ones were duplicates)"
    ]
    if summary["one_response_only"] and options.n > 1:
        lines.append(
            f"  {counted(summary['one_response_only'], 'prompt has', 'prompts have')} one distinct response only: no pair can be made of it"
        )
    if summary["truncated"]:
        lines.append(
            f"  {counted(summary['truncated'], 'response was', 'responses were')} truncated at --max-tokens {options.max_tokens}"
        )
    if summary["responses"]:
        lines.append("  next: score them with `judge score --target responses`")
    return "\n".join(lines)
