"""Natural sorting of values."""

from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.natural_sort import sort_naturally


@given(st.lists(st.text(max_size=8) | st.integers().map(str), unique=True))
def test_values_are_sorted_whatever_their_order(texts):
    result = sort_naturally(texts)
    assert sorted(result) == sorted(texts)
    assert sort_naturally(reversed(texts)) == result
    numbers = [float(text) for text in result if text.lstrip("-").isdecimal() and text.isascii()]
    assert numbers == sorted(numbers)
    assert sort_naturally(["9" * 5000, "a" + "9" * 5000, "a8"]) == ["9" * 5000, "a8", "a" + "9" * 5000]
