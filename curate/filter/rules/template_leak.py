"""What is left of a chat template, or of a prompt that was to be filled in."""

from __future__ import annotations

from collections.abc import Iterator

from curate.filter.found import Found, above, note_passages
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from pairwright.commands.choices import NoOptions

_LEAKS = (
    r"<\|[A-Za-z][A-Za-z0-9_]{1,40}\|>",  # <|im_end|>, <|assistant|>, <|endoftext|>
    r"\[/?INST\]|<</?SYS>>",
    r"</s>|<s>\s|<unk>|<pad>|<0x[0-9A-F]{2}>|<eos>|<bos>|<(?:start|end)_of_turn>",
    # USER: alone is as often text of a screenshot.
    r"(?m)^\s*(?:ASSISTANT|GPT):",
    r"(?m)^\s*#{2,4} ?(?:Instruction|Response|Human|Assistant|User|Input)s?:",
    r"(?m)^(?:Human|Assistant): ",
    r"<(?:image|video|audio)[_ ]?(?:token|placeholder|pad|\d+)>|<im_(?:start|end|patch)>",
)
# A whole word in braces where a word would be: `Hello {name}, ...`. Not LaTeX, JSON,
# code, sets.
_PLACEHOLDER = (
    r"(?:^|[\s\"'(])(?:\{\{ ?[a-z][a-z0-9]*(?:[_ ][a-z0-9]+)* ?\}\}"
    r"|\{[a-z][a-z0-9]*(?:_[a-z0-9]+)*\}"
    r"|\[(?i:insert|your|enter) [A-Za-z ,/]{2,40}\]|<(?i:insert|your|enter) [A-Za-z ]{2,40}>)"
    r"(?:$|[\s.,;:!?\"')])"
)
_CODE = r"```|\\begin\{|\\frac|\$\$|\{\s*\"|</[a-z]+>|\bdef |\bf\""


def find(rows: Rows, _: NoOptions, __: Inputs) -> Iterator[Found]:
    """Rows with a question or answer with tokens of a chat template, role names, unfilled placeholders."""
    import polars as pl

    text = pl.col("text")
    turns = rows.turns.filter(pl.col("role") != "system")
    token = text.str.count_matches("|".join(f"(?:{p})" for p in _LEAKS))
    unfilled = (
        pl.when(~text.str.contains(_CODE)).then(text.str.count_matches(_PLACEHOLDER)).otherwise(0)
    )
    count = (token + unfilled).cast(pl.Float64).alias("count")
    hits = turns.select("row", "text", count)
    values = rows.spread(hits, "count", "sum")
    found = Found("template_leak", "a token, role name or unfilled placeholder of a template", values,
                  above(values, 0), threshold=0.5, unit="tokens of a template")  # fmt: skip
    pattern = "|".join((*(f"(?:{p})" for p in _LEAKS), f"(?:{_PLACEHOLDER})"))
    note_passages(found, hits.filter(pl.col("count") > 0), pattern)
    yield found


RULE = Rule(
    name="template_leak",
    reasons=(
        Reason(
            name="template_leak",
            words="answer with tokens of a chat template",
            elsewhere="NeMo `SubstringFilter`",
        ),
    ),
    find=find,
    presets={"basic": {}, "llava": {}},
)
