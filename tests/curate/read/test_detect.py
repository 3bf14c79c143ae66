"""The format of rows, detected from their fields."""

import pytest

from curate.read.detect import detect
from curate.read.formats import load_formats
from pairwright.errors import DataError

FORMATS = load_formats()


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        ([{"conversations": [], "image": "a.png"}], "llava"),
        ([{"conversations": []}], "sharegpt"),
        ([{"messages": []}], "messages"),
        ([{"chosen": "a", "rejected": "b"}], "trl-preference"),
        ([{"text": '{"question": "q", "chosen": "a", "rejected": "b"}'}], "rlhf-v"),
        ([{}, {"question": "q"}, {"question": "q"}, {"messages": []}], "qa"),
    ],
)
def test_the_format_is_detected_from_the_fields(rows, form):
    assert detect(rows, "x.json", FORMATS).format.name == form


def test_an_unknown_format_names_the_fields_and_the_way_out():
    with pytest.raises(DataError, match=r"the fields \(foo, bar\) fit no format; give --format"):
        detect([{"foo": 1, "bar": 2}], "x.json", FORMATS)
