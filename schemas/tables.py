"""Every table by name: `TABLES` maps a table's folder to its declaration.

The declarations are in one module per family. Column descriptions are the documentation:
`docs/tables.md` is generated from them.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

from schemas.base import Table as Table
from schemas.pairs import Pairs as Pairs
from schemas.pairs import ReferenceLogps as ReferenceLogps
from schemas.responses import Comparisons as Comparisons
from schemas.responses import Feedback as Feedback
from schemas.responses import Responses as Responses
from schemas.runs import Metrics as Metrics
from schemas.runs import Predictions as Predictions
from schemas.runs import Rejects as Rejects
from schemas.samples import Conflicts as Conflicts
from schemas.samples import Decisions as Decisions
from schemas.samples import Embeddings as Embeddings
from schemas.samples import Images as Images
from schemas.samples import Overlaps as Overlaps
from schemas.samples import Samples as Samples
from schemas.samples import Tags as Tags
from schemas.scores import Claims as Claims
from schemas.scores import Probes as Probes
from schemas.scores import Scores as Scores

TABLES: dict[str, type[Table]] = {
    "images": Images,
    "samples": Samples,
    "embeddings": Embeddings,
    "decisions": Decisions,
    "conflicts": Conflicts,
    "overlaps": Overlaps,
    "tags": Tags,
    "responses": Responses,
    "scores": Scores,
    "probes": Probes,
    "claims": Claims,
    "comparisons": Comparisons,
    "feedback": Feedback,
    "pairs": Pairs,
    "predictions": Predictions,
    "reference_logps": ReferenceLogps,
    "rejects": Rejects,
    "runs": Metrics,
}


def conform(frame: pl.DataFrame, schema: type[Table]) -> pl.DataFrame:
    """Order and cast a frame to a declaration, adding nullable columns that are missing.

    Args:
        frame: Rows to write; extra columns are refused.
        schema: The declaration.

    Raises:
        ValueError: If a required column is missing, a column is not declared, or a value does not
            fit its type.
    """
    columns = schema.columns()
    extra = [name for name in frame.columns if name not in columns]
    if extra:
        msg = f"{schema.__name__} has no column {extra}"
        raise ValueError(msg)
    missing = [n for n, c in columns.items() if n not in frame.columns and not c.nullable]
    if missing:
        msg = f"{schema.__name__} needs the columns {missing}"
        raise ValueError(msg)
    frame = frame.with_columns(
        pl.lit(None).alias(n) for n in columns if n not in frame.columns
    ).select(list(columns))
    try:
        return frame.with_columns(
            pl.col(n).cast(c.dtype) for n, c in columns.items() if not isinstance(c, dy.Any)
        )
    except pl.exceptions.PolarsError as error:
        msg = f"{schema.__name__}: {error}"
        raise ValueError(msg) from error
