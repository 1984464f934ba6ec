"""Missing values, numbers, yes and no as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.data.tables.literals import (
    MISSING_WORDS,
    infer_number_format,
    is_code,
    is_missing,
    is_number,
    make_number_parser,
    match_yes_no,
)
from yisheng.data.tables.raw_column import format_number

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE | st.integers(-(10**30), 10**30))
def test_plain_numbers_are_parsed_as_written(value):
    assert infer_number_format([str(value)]) == ""
    assert make_number_parser("")(str(value)) == float(value)
    assert float(format_number(value)) == float(value)


@given(st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1), st.sampled_from(["", "$", "€", "%"]))
def test_thousands_are_parsed_with_either_decimal_mark(values, sign):
    english = [f"{value:,}" + sign * (sign == "%") for value in values]
    english = [f"{sign}{text}" if sign in ("$", "€") else text for text in english]
    swapped = str.maketrans(",.", ".,")
    german = [text.translate(swapped) for text in english]
    for texts, mark in ((english, "."), (german, ",")):
        number_format = infer_number_format(texts)
        assert number_format is not None
        assert number_format.startswith(mark) or number_format == ""  # 5.00 alone is a plain number
        parse = make_number_parser(number_format)
        assert [parse(text) for text in texts] == pytest.approx([float(value) for value in values])


@pytest.mark.parametrize(
    ("texts", "number_format"),
    [
        (["1", "2.5", "-3e5"], ""),
        (["1,234", "999"], "."),  # a comma before three digits groups them
        (["1,5", "2,25"], ","),
        (["1,234", "2,5"], ","),
        (["1.234.567", "5"], ","),
        (["1'234.50"], "."),
        (["1 234,5"], ","),
        (["(5)", "7"], "."),
        (["-$5.00", "$7"], ".$"),
        (["12%", "7.5%"], ".%"),
        (["12%", "7"], None),
        (["$5", "€7"], None),
        (["1,2,3"], None),
        (["1,23,456"], "."),  # India groups by two
        (["0,375", "2"], ","),  # a group of thousands does not begin with 0
        (["12 kg"], None),
        (["1_000"], None),
        (["0x1f"], None),
        (["٣", "１２", "\u22124"], ""),  # digits of other scripts, and other signs
        (["١٢٫٥", "۱۲"], ""),
        (["1.234,50-", "5"], ","),  # as SAP writes negative numbers
        (["+49 170 123", "+49 170 456"], None),  # telephone numbers
        (["1’234.5", "1'234"], "."),
        (["\\ 108,77", "¥7,5", "￥5"], ",¥"),  # the yen of Shift-JIS is the backslash of ASCII
        (["¤ 5", "¤7"], ".¤"),  # the euro of ISO 8859-15 in Windows-1252
        (["$"], None),
        (["-"], None),
        ([","], None),
        ([""], None),
        ([], None),
        (["--5"], None),
        (["5%%"], None),
        (["1,234", "1234,5"], ","),
    ],
)
def test_number_formats_are_inferred(texts, number_format):
    assert infer_number_format(texts) == number_format


@given(st.lists(st.text(max_size=12) | st.text("0123456789.,'% $()-+e", max_size=8), min_size=1, max_size=4))
def test_any_texts_have_a_number_format_or_none(texts):
    number_format = infer_number_format(texts)
    if number_format is not None:
        assert all(isinstance(make_number_parser(number_format)(text), float) for text in texts)


def test_number_parser_rejects_texts_of_another_format():
    with pytest.raises(ValueError, match="12%"):
        make_number_parser(".")("12%")
    with pytest.raises(ValueError, match="1,5"):
        make_number_parser("")("1,5")
    assert make_number_parser(",")("1.234,5") == 1234.5
    assert make_number_parser(".$")("7") == 7


def test_missing_words_include_those_of_pandas():
    from pandas._libs.parsers import STR_NA_VALUES

    rare = {"-1.#IND", "1.#QNAN", "-1.#QNAN", "1.#IND", "#N/A N/A", "#NA", "-NaN"}
    assert set(MISSING_WORDS) >= set(STR_NA_VALUES) - rare
    assert all(map(is_missing, [" ", "?", " NA ", "-"]))
    assert not any(map(is_missing, ["0", "no", "N", "--x"]))
    assert is_number("-.5e-3")
    assert is_number("Infinity")
    assert not any(map(is_number, ["", "1_0", "1e", ".", "0x1", "nan", "1 2"]))
    assert [is_code(text) for text in ("007", "00", "0", "0.7", "70", "-07", "07a")] == [True] + [False] * 6


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["no", "yes"], ("no", "yes")),
        (["True", "False"], ("False", "True")),
        (["Y", "N"], ("N", "Y")),
        (["1", "0"], ("0", "1")),
        (["是", "否"], ("否", "是")),
        (["yes", "true"], None),
        (["yes", "no", "maybe"], None),
        (["1", "2"], None),
        ([], None),
    ],
)
def test_yes_no_pairs_are_matched(texts, words):
    assert match_yes_no(texts) == words
