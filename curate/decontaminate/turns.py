"""The texts of rows as they are compared: turn by turn, as plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.near.text.fold import fold

if TYPE_CHECKING:
    import polars as pl

# Function words, and words of most prompts: a text is not specific by them.
_FUNCTION_WORDS = (
    "a an the this that these those there here it its they them their he she his her him you your "
    "i me my we our us who whom whose which what when where why how is are was were be been being "
    "am do does did done has have had having can could will would shall should may might must of "
    "in on at by for from to with without into onto over under between through during about as "
    "and or but if then than so not no yes any some all each every both either neither only just "
    "also very please image images picture pictures photo photos photograph figure shown show "
    "shows see seen visible present depicted given provided describe description answer question "
    "following using one single word phrase sentence short briefly detail detailed details s t"
)


def plain_words(texts: pl.Series) -> pl.Series:
    """Texts as words only: folded, without punctuation, single spaces."""
    import polars as pl

    words = pl.col("text").str.replace_all(r"[\p{P}\p{S}]+", " ").str.replace_all(r"\s+", " ")
    frame = fold(texts).rename("text").to_frame()
    return frame.select(words.str.strip_chars(" ")).to_series()


def turns_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The turns of conversations, and the reference answers if there is that column.

    Args:
        rows: `row`, `image_ids`, `messages`, and maybe `reference`.

    Returns:
        `row`, `group`, `no_image`, `role`, `text`, `words`, `content_words` (numbers of words and of
        words that are not function words); system turns and turns without a word are omitted.
    """
    import polars as pl

    content = (
        pl.col("messages").struct.field("content").str.replace_all("<image>", " ", literal=True)
    )
    frame = rows.with_columns(group_key(rows), no_image=pl.col("image_ids").list.len() == 0)
    kept = ["row", "group", "no_image"]
    parts = [
        frame.select(*kept, "messages").explode("messages").drop_nulls("messages").select(
            *kept, pl.col("messages").struct.field("role"), content.alias("text")
        )
    ]  # fmt: skip
    if "reference" in frame.columns:
        parts.append(
            frame.drop_nulls("reference").select(
                *kept, pl.lit("reference").alias("role"), pl.col("reference").alias("text")
            )
        )
    turns = pl.concat(parts).drop_nulls("text").filter(pl.col("role") != "system")
    turns = turns.with_columns(plain_words(turns["text"])).filter(pl.col("text") != "")
    function_words = rf"\b(?:{'|'.join(_FUNCTION_WORDS.split())})\b"
    words = pl.col("text").str.count_matches(" ", literal=True) + 1
    n_function_words = pl.col("text").str.count_matches(function_words)
    return turns.with_columns(words=words, content_words=words.cast(pl.Int64) - n_function_words)


def group_key(rows: pl.DataFrame) -> pl.Series:
    """A number for the images of each row; rows without images are distinguished by their texts."""
    import polars as pl

    images = pl.col("image_ids").list.join("|")
    texts = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\0")
    key = pl.when(pl.col("image_ids").list.len() > 0).then(images).otherwise("\1" + texts)
    return rows.select(key.hash(seed=7).alias("group")).to_series()
