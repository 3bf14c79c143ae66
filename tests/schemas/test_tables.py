"""Table declarations and their page."""

import polars as pl
import pytest

from schemas.docs import tables_page
from schemas.tables import TABLES, Rejects, conform


def test_page_is_generated_from_the_declarations(request):
    page = request.config.rootpath / "docs" / "tables.md"
    assert page.read_text() == tables_page(), "run: python -m schemas.docs > docs/tables.md"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_and_column_says_what_it_means(name):
    table = TABLES[name]
    assert table.__doc__
    assert table.version >= 1
    assert table.primary_key()
    for column, declared in table.columns().items():
        assert declared.description, f"{name}.{column} has no description"


def test_conform_orders_casts_and_fills():
    frame = pl.DataFrame({"reason": ["r"], "stage": ["s"], "row_id": ["1"]})
    out = conform(frame, Rejects)
    assert out.columns == ["row_id", "stage", "reason", "detail"]
    assert out["detail"].to_list() == [None]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"row_id": ["1"], "stage": ["s"]}, "needs the columns"),
        ({"row_id": ["1"], "stage": ["s"], "reason": ["r"], "extra": [1]}, "has no column"),
    ],
)
def test_conform_refuses(frame, words):
    with pytest.raises(ValueError, match=words):
        conform(pl.DataFrame(frame), Rejects)
