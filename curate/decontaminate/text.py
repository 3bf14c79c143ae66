r"""Benchmark texts in training rows: long ones by parts, short ones whole, templates never.

A benchmark text counts by itself only if it is specific. Either it has at least `min_words` words
and a row repeats a share of its word sequences; or it is short, names at least five things, and
a turn of a row equals it but for a word or two. Where neither row has an image, three things and
eight words will do if the whole text is the same. Wording that stands on several pictures, of the
benchmark or of the training set, is a template and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.near.text.fold import fold
from curate.near.text.minhash import choose_bands, shingle, signatures

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.options import DecontaminateOptions

_THINGS, _THINGS_ALONE, _WORDS_ALONE = 5, 3, 8
# Where so many word sequences are found, that much less than the least share of them will do.
_MANY, _LESS = 10, 0.2
# Words that name nothing a text could be told by.
_EMPTY = (
    "a an the this that these those there here it its they them their he she his her him you your "
    "i me my we our us who whom whose which what when where why how is are was were be been being "
    "am do does did done has have had having can could will would shall should may might must of "
    "in on at by for from to with without into onto over under between through during about as "
    "and or but if then than so not no yes any some all each every both either neither only just "
    "also very please image images picture pictures photo photos photograph figure shown show "
    "shows see seen visible present depicted given provided describe description answer question "
    "following using one single word phrase sentence short briefly detail detailed details s t"
)


@dataclass(slots=True)
class TextMatches:
    """Training rows that repeat benchmark texts.

    Attributes:
        found: `row`, `unit`, `how`, `similarity`: one line a row, its best match.
        n_templates: Benchmark texts that matched on too many pictures to count.
    """

    found: pl.DataFrame
    n_templates: int = 0


def plain_words(texts: pl.Series) -> pl.Series:
    """Texts as their words alone: folded, punctuation dropped, single spaces."""
    import polars as pl

    words = pl.col("text").str.replace_all(r"[\p{P}\p{S}]+", " ").str.replace_all(r"\s+", " ")
    frame = fold(texts).rename("text").to_frame()
    return frame.select(words.str.strip_chars(" ")).to_series()


def turns_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Turns of conversations, and reference answers where there is that column.

    Args:
        rows: `row`, `image_ids`, `messages`, and maybe `reference`.

    Returns:
        `row`, `group`, `role`, `text`, `words`, `things`; turns without a word are left out.
    """
    import polars as pl

    content = (
        pl.col("messages").struct.field("content").str.replace_all("<image>", " ", literal=True)
    )
    frame = rows.with_columns(group_key(rows))
    kept = ["row", "group", "bare"]
    frame = frame.with_columns(bare=pl.col("image_ids").list.len() == 0)
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
    empty = rf"\b(?:{'|'.join(_EMPTY.split())})\b"
    words = pl.col("text").str.count_matches(" ", literal=True) + 1
    return turns.with_columns(
        words=words, things=words.cast(pl.Int64) - pl.col("text").str.count_matches(empty)
    )


def group_key(rows: pl.DataFrame) -> pl.Series:
    """A number for the images of each row; rows without any are told apart by their texts."""
    import polars as pl

    images = pl.col("image_ids").list.join("|")
    texts = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\0")
    key = pl.when(pl.col("image_ids").list.len() > 0).then(images).otherwise("\1" + texts)
    return rows.select(key.hash(seed=7).alias("group")).to_series()


@dataclass(slots=True)
class TextIndex:
    """The texts of a benchmark, ready to be looked for.

    Attributes:
        units: `unit`, `text`, `row` (a benchmark row that has it), `words`, `things`, `bare`,
            `pictures` (group keys of the rows that have it).
        options: Limits.
    """

    units: pl.DataFrame
    options: DecontaminateOptions
    _grams: np.ndarray = field(init=False)
    _owners: tuple[np.ndarray, np.ndarray] = field(init=False)
    _bands: tuple[np.ndarray, np.ndarray] = field(init=False)
    _whole: Any = field(init=False)
    _hits: list[pl.DataFrame] = field(default_factory=list)
    _near: list[pl.DataFrame] = field(default_factory=list)
    _groups: pl.DataFrame | None = None
    _dead: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Index the word sequences, and the signatures of what can be matched whole."""
        units = self.units
        self._grams, at, owners = _inverted(units, self.options)
        self._owners = (at, owners)
        self._dead = np.zeros(len(self._grams), dtype=bool)
        common = units["pictures"].list.len() > self.options.common
        enough = (units["things"] >= _THINGS) | (
            units["bare"] & (units["things"] >= _THINGS_ALONE) & (units["words"] >= _WORDS_ALONE)
        )
        chosen = units.filter(enough & ~common)
        self._whole = chosen.with_columns(place=np.arange(chosen.height))
        sets = shingle(chosen["text"])
        self._bands = _band_keys(sets, self.options.threshold)

    @classmethod
    def of(cls, rows: pl.DataFrame, options: DecontaminateOptions) -> TextIndex:
        """Index the texts of benchmark rows (as `turns_of` takes them)."""
        import polars as pl

        turns = turns_of(rows)
        units = turns.group_by("text", maintain_order=True).agg(
            pl.col("row").first(), pl.col("words").first(), pl.col("things").first(),
            pl.col("bare").any(), pl.col("group").unique().alias("pictures"),
        )  # fmt: skip
        return cls(units.with_columns(unit=np.arange(units.height)), options)

    def look(self, rows: pl.DataFrame) -> None:
        """Look for the benchmark in some training rows (`row`, `image_ids`, `messages`)."""
        turns = turns_of(rows)
        self._look_for_parts(turns)
        self._look_for_whole(turns)

    def _look_for_parts(self, turns: pl.DataFrame) -> None:
        import polars as pl

        long = turns.filter(pl.col("words") >= self.options.ngram)
        if not len(self._grams) or long.is_empty():
            return
        sets = shingle(long["text"], self.options.ngram)
        place = np.minimum(np.searchsorted(self._grams, sets.values), len(self._grams) - 1)
        hit = np.flatnonzero((self._grams[place] == sets.values) & ~self._dead[place])
        text = np.searchsorted(sets.at, hit, side="right") - 1
        hits = long.select("row", "group")[text].with_columns(gram=place[hit]).unique()
        if hits.is_empty():
            return
        seen = hits.select("gram", "group").unique()
        if self._groups is not None:
            seen = pl.concat([self._groups, seen]).unique()
        counts = seen.group_by("gram").len()
        dead = counts.filter(pl.col("len") > self.options.common)["gram"].to_numpy()
        self._dead[dead] = True
        alive = ~self._dead
        self._groups = seen.filter(pl.Series(alive[seen["gram"].to_numpy()]))
        self._hits.append(hits.select("row", "gram"))

    def _look_for_whole(self, turns: pl.DataFrame) -> None:
        import polars as pl

        some = turns.filter((pl.col("things") >= _THINGS_ALONE) & (pl.col("words") >= 3))
        texts = some.select(pl.col("text").unique(maintain_order=True))
        if not self._whole.height or texts.is_empty():
            return
        sets = shingle(texts["text"])
        keys, texts_of = _band_keys(sets, self.options.threshold)
        mine = pl.DataFrame({"key": self._bands[0], "place": self._bands[1]})
        other = pl.DataFrame({"key": keys, "other": texts_of})
        pairs = mine.join(other, on="key").select("place", "other").unique()
        if pairs.is_empty():
            return
        theirs = shingle(self._whole["text"])
        values = [
            _jaccard(
                theirs.values[theirs.at[a] : theirs.at[a + 1]],
                sets.values[sets.at[b] : sets.at[b + 1]],
            )
            for a, b in pairs.iter_rows()
        ]
        near = pairs.with_columns(similarity=np.array(values, dtype=float))
        near = near.filter(pl.col("similarity") >= self.options.threshold).join(
            self._whole.select("place", "unit", "bare", "things"), on="place"
        )
        named = texts.with_row_index("other").with_columns(pl.col("other").cast(pl.Int64))
        found = near.join(named, on="other").join(
            some.select("text", "row", "group", pl.col("bare").alias("bare_row")), on="text"
        )
        alone = pl.col("bare") & pl.col("bare_row") & (pl.col("similarity") == 1)
        found = found.filter((pl.col("things") >= _THINGS) | alone)
        self._near.append(found.select("row", "group", "unit", "similarity"))

    def matches(self) -> TextMatches:
        """What was found in all rows that were looked at; templates taken out."""
        import polars as pl

        parts = [self._containment()]
        n_templates = 0
        if self._near:
            near = pl.concat(self._near)
            spread = near.group_by("unit").agg(pl.col("group").n_unique().alias("n"))
            fine = spread.filter(pl.col("n") <= self.options.common)
            n_templates = spread.height - fine.height
            how = (
                pl.when(pl.col("similarity") == 1)
                .then(pl.lit("words"))
                .otherwise(pl.lit("minhash"))
            )
            parts.append(
                near.join(fine, on="unit", how="semi").select(
                    "row", "unit", how.alias("how"), "similarity"
                )
            )
        found = pl.concat(parts).sort(
            "row", "similarity", "how", "unit", descending=[False, True, True, False]
        )
        return TextMatches(found.unique("row", keep="first", maintain_order=True), n_templates)

    def _containment(self) -> pl.DataFrame:
        """Rows that repeat enough of the specific word sequences of a text."""
        import polars as pl

        none = pl.DataFrame(
            schema={"row": pl.Int64, "unit": pl.Int64, "how": pl.String, "similarity": pl.Float64}
        )
        if not self._hits:
            return none
        at, owners = self._owners
        gram = np.repeat(np.arange(len(self._grams)), np.diff(at))
        posts = pl.DataFrame({"gram": gram, "unit": owners}).filter(pl.Series(~self._dead[gram]))
        sizes = posts.group_by("unit").agg(pl.len().alias("size"))
        least = self.options.min_words - self.options.ngram + 1
        hits = pl.concat(self._hits).unique()
        return (
            hits.join(posts, on="gram")
            .group_by("row", "unit").agg(pl.len().alias("n"))
            .join(sizes.filter(pl.col("size") >= least), on="unit")
            .with_columns(similarity=pl.col("n") / pl.col("size"))
            .filter(
                (pl.col("similarity") >= self.options.containment)
                | (pl.col("n") >= _MANY)
                & (pl.col("similarity") >= self.options.containment - _LESS)
            )
            .select("row", "unit", pl.lit("ngram").alias("how"), "similarity")
        )  # fmt: skip


def _inverted(
    units: pl.DataFrame, options: DecontaminateOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Word sequences of the long texts, and which texts have each; common ones left out."""
    import polars as pl

    long = units.filter(units["words"] >= options.min_words)
    sets = shingle(long["text"], options.ngram)
    posts = long.select("unit")[np.repeat(np.arange(long.height), np.diff(sets.at))]
    posts = posts.with_columns(gram=sets.values)
    pictures = posts.join(long.select("unit", "pictures"), on="unit").explode("pictures")
    spread = pictures.unique(["gram", "pictures"]).group_by("gram").len()
    common = spread.filter(pl.col("len") > options.common)
    posts = posts.join(common, on="gram", how="anti").sort("gram", "unit")
    grams, first = np.unique(posts["gram"].to_numpy(), return_index=True)
    return grams, np.r_[first, posts.height].astype(np.int64), posts["unit"].to_numpy()


def _band_keys(sets: Any, threshold: float, num_perm: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Keys that like texts share, and the text of each."""
    marks = signatures(sets, num_perm=num_perm)
    bands, rows = choose_bands(threshold, num_perm)
    keys = np.empty((len(marks), bands), dtype=np.uint64)
    for band in range(bands):
        key = np.full(len(marks), band, dtype=np.uint64)
        for column in range(band * rows, (band + 1) * rows):
            key = (key ^ marks[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        keys[:, band] = key
    return keys.ravel(), np.repeat(np.arange(len(marks), dtype=np.int64), bands)


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def unite(batches: Iterable[pl.DataFrame], indexes: list[TextIndex]) -> int:
    """Look for several benchmarks in batches of rows; returns the number of rows."""
    n = 0
    for batch in batches:
        numbered = batch.with_columns(row=np.arange(n, n + batch.height))
        for index in indexes:
            index.look(numbered)
        n += batch.height
    return n
