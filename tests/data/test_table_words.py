"""Numbers, dates, and the order of texts, as people write them."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.data.tables import dates
from yisheng.data.tables.literals import MISSING, is_code, is_missing, is_number, number_form, number_reader, yes_no
from yisheng.data.tables.natural_sort import sorted_for_people
from yisheng.data.tables.raw_column import written

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE | st.integers(-(10**30), 10**30))
def test_numbers_are_read_as_they_were_written(value):
    assert number_form([str(value)]) == ""
    assert number_reader("")(str(value)) == float(value)
    assert float(written(value)) == float(value)


@given(st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1), st.sampled_from(["", "$", "€", "%"]))
def test_grouped_numbers_are_read_in_both_alphabets(values, sign):
    english = [f"{value:,}" + sign * (sign == "%") for value in values]
    english = [f"{sign}{text}" if sign in ("$", "€") else text for text in english]
    swapped = str.maketrans(",.", ".,")
    german = [text.translate(swapped) for text in english]
    for texts, mark in ((english, "."), (german, ",")):
        form = number_form(texts)
        assert form is not None
        assert form.startswith(mark) or form == ""  # 5.00 alone is a plain number
        read = number_reader(form)
        assert [read(text) for text in texts] == pytest.approx([float(value) for value in values])


@pytest.mark.parametrize(
    ("texts", "form"),
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
        (["1,23,456"], None),
        (["12 kg"], None),
        (["1_000"], None),
        (["0x1f"], None),
        (["٣"], None),
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
def test_forms_of_numbers(texts, form):
    assert number_form(texts) == form


@given(st.lists(st.text(max_size=12) | st.text("0123456789.,'% $()-+e", max_size=8), min_size=1, max_size=4))
def test_any_texts_are_numbers_or_not(texts):
    form = number_form(texts)
    if form is not None:
        assert all(isinstance(number_reader(form)(text), float) for text in texts)


def test_prediction_refuses_what_the_form_has_not():
    with pytest.raises(ValueError, match="12%"):
        number_reader(".")("12%")
    with pytest.raises(ValueError, match="1,5"):
        number_reader("")("1,5")
    assert number_reader(",")("1.234,5") == 1234.5
    assert number_reader(".$")("7") == 7


def test_missing_words_are_pandas_own_and_more():
    from pandas._libs.parsers import STR_NA_VALUES

    rare = {"-1.#IND", "1.#QNAN", "-1.#QNAN", "1.#IND", "#N/A N/A", "#NA", "-NaN"}
    assert set(MISSING) >= set(STR_NA_VALUES) - rare
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
def test_yes_and_no(texts, words):
    assert yes_no(texts) == words


DAYS = st.dates(datetime.date(1000, 1, 1))


@given(st.lists(DAYS, min_size=1, max_size=8), st.sampled_from([form for form in dates.FORMS if "%y" not in form]))
def test_dates_are_read_as_they_were_written(days, form):
    texts = [day.strftime(form) for day in days]
    found = dates.date_form(texts)
    assert found is not None
    if found != form:  # the month and the day could be changed over
        assert dates.TWINS.get(found) == form
        assert dates.ambiguous(found, texts)
    read = dates.date_reader(form)
    epoch = datetime.date(1970, 1, 1)
    wanted = [((day if "%d" in form else day.replace(day=1)) - epoch).days for day in days]
    assert [read(text) for text in texts] == wanted


@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)))
def test_times_of_day(moment):
    wanted = (moment - datetime.datetime(1970, 1, 1)).total_seconds() / 86400
    read = dates.date_reader("%Y-%m-%d")
    assert read(moment.isoformat()) == pytest.approx(wanted, abs=1e-9)
    assert read(moment.isoformat(sep=" ") + "+02:00") == pytest.approx(wanted - 2 / 24, abs=1e-9)
    half = moment.replace(second=0, microsecond=0)
    american = dates.date_reader("%m/%d/%Y")(half.strftime("%m/%d/%Y %I:%M %p"))
    assert american == pytest.approx(read(half.isoformat()), abs=1e-9)


@given(st.lists(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2260, 1, 1)), min_size=1, max_size=8))
def test_parts_are_pandas(moments):
    moments = [moment.replace(microsecond=0) for moment in moments]
    days = np.array([(moment - datetime.datetime(1970, 1, 1)).total_seconds() / 86400 for moment in moments])
    theirs = pd.Series(moments).dt
    wanted = {
        "year": theirs.year,
        "month": theirs.month,
        "day": theirs.day,
        "weekday": theirs.day_of_week,
        "day-of-year": theirs.day_of_year,
        "hour": theirs.hour + theirs.minute / 60 + theirs.second / 3600,
    }
    for part in dates.PARTS:
        found = dates.part(np.append(days, np.nan), part)
        assert np.isnan(found[-1])
        np.testing.assert_allclose(found[:-1], days if part == "days" else wanted[part], atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["2004-08-19"], "%Y-%m-%d"),
        (["2004-8-9T13:30:05.25Z"], "%Y-%m-%d"),
        (["01/31/2020", "01/02/2020"], "%m/%d/%Y"),
        (["31/01/2020", "01/02/2020"], "%d/%m/%Y"),
        (["1 March 2020", "12 sept 1999"], "%d %b %Y"),
        (["Mar 1, 2020"], "%b %d, %Y"),
        (["15-Jan-20"], "%d-%b-%y"),
        (["2020-01"], "%Y-%m"),
        (["2020-13-01"], None),
        (["2020-02-30"], None),
        (["2020-01-01 25:00"], None),
        (["13:30"], None),
        (["12-345"], None),
        (["20200131"], None),
        (["may"], None),
        ([], None),
    ],
)
def test_forms_of_dates(texts, form):
    assert dates.date_form(texts) == form


@given(st.lists(st.text(max_size=12) | st.text("0123456789-/:. TJanZ", max_size=12), min_size=1, max_size=3))
def test_any_texts_are_dates_or_not(texts):
    form = dates.date_form(texts)
    if form is not None:
        assert all(isinstance(dates.date_reader(form)(text), float) for text in texts)


@given(st.text(max_size=10))
def test_any_form_is_one_or_not(form):
    try:
        read = dates.date_reader(form)
    except ValueError:
        return
    with pytest.raises(ValueError, match="."):
        read("no date at all")


@given(st.lists(st.text(max_size=8) | st.integers().map(str), unique=True))
def test_people_sort_whatever_the_order_was(texts):
    found = sorted_for_people(texts)
    assert sorted(found) == sorted(texts)
    assert sorted_for_people(reversed(texts)) == found
    numbers = [float(text) for text in found if text.lstrip("-").isdecimal() and text.isascii()]
    assert numbers == sorted(numbers)
    assert sorted_for_people(["9" * 5000, "a" + "9" * 5000, "a8"]) == ["9" * 5000, "a8", "a" + "9" * 5000]
