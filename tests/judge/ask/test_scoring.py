"""The column `repeat` and what it means."""

from hypothesis import given
from hypothesis import strategies as st

from judge.ask.scoring import repeat_column, turn_and_repeat


@given(st.integers(0, 50), st.integers(1, 64), st.data())
def test_the_column_is_turn_and_repeat_and_back(turn, repeats, data):
    repeat = data.draw(st.integers(0, repeats - 1))
    assert turn_and_repeat(repeat_column(turn, repeat, repeats), repeats) == (turn, repeat)


def test_scores_of_one_target_are_numbered_without_gaps():
    columns = [repeat_column(turn, repeat, 3) for turn in range(2) for repeat in range(3)]
    assert columns == [0, 1, 2, 3, 4, 5]
    assert repeat_column(None, 2, 3) == 2  # only the last turn is judged
