"""Dates as people write them, and the numbers that are made of them."""

import datetime
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tables.text_tables import read, write
from yisheng.core.errors import DataError
from yisheng.data.tables import dates
from yisheng.data.tables.dates import parse_dates
from yisheng.inference.rows import read_rows

# Of strftime, with years of four digits; without days, only years of our time are dates.
FOUR_DIGIT_YEARS = [
    form for form in dates.FORMATS if not re.search("%[yqV]", form) and form not in ("%m/%Y", "%m-%Y", "%YM%m")
]
DAYS = st.dates(datetime.date(1000, 1, 1))


@given(
    st.lists(DAYS, min_size=1, max_size=8),
    st.sampled_from(FOUR_DIGIT_YEARS),
)
def test_dates_are_parsed_as_written(days, date_format):
    texts = [day.strftime(date_format) for day in days]
    inferred = dates.infer_date_format(texts)
    assert inferred is not None
    if inferred != date_format:  # the month and the day could be swapped
        assert dates.SWAPPED_FORMATS.get(inferred) == date_format
        assert dates.find_ambiguity(inferred, texts) == date_format
    parse = dates.make_date_parser(date_format)
    epoch = datetime.date(1970, 1, 1)
    expected = [((day if "%d" in date_format else day.replace(day=1)) - epoch).days for day in days]
    assert [parse(text) for text in texts] == expected


@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)))
def test_times_of_day_and_zones_are_parsed(moment):
    expected = (moment - datetime.datetime(1970, 1, 1)).total_seconds() / 86400
    parse = dates.make_date_parser("%Y-%m-%d")
    assert parse(moment.isoformat()) == pytest.approx(expected, abs=1e-9)
    assert parse(moment.isoformat(sep=" ") + "+02:00") == pytest.approx(expected - 2 / 24, abs=1e-9)
    minute = moment.replace(second=0, microsecond=0)
    american = dates.make_date_parser("%m/%d/%Y")(minute.strftime("%m/%d/%Y %I:%M %p"))
    assert american == pytest.approx(parse(minute.isoformat()), abs=1e-9)


@given(st.lists(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2260, 1, 1)), min_size=1, max_size=8))
def test_date_parts_equal_those_of_datetime(moments):
    moments = [moment.replace(microsecond=0) for moment in moments]
    days = np.array([(moment - datetime.datetime(1970, 1, 1)).total_seconds() / 86400 for moment in moments])
    expected = {
        "year": [moment.year for moment in moments],
        "month": [moment.month for moment in moments],
        "day": [moment.day for moment in moments],
        "weekday": [moment.weekday() for moment in moments],
        "day-of-year": [moment.timetuple().tm_yday for moment in moments],
        "hour": [moment.hour + moment.minute / 60 + moment.second / 3600 for moment in moments],
        "days": days,
    }
    for name in dates.DATE_PARTS:
        values = dates.extract_date_part(np.append(days, np.nan), name)
        assert np.isnan(values[-1])
        np.testing.assert_allclose(values[:-1], expected[name], atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "date_format"),
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
def test_date_formats_are_inferred(texts, date_format):
    assert dates.infer_date_format(texts) == date_format


@given(st.lists(st.text(max_size=12) | st.text("0123456789-/:. TJanZ", max_size=12), min_size=1, max_size=3))
def test_any_texts_have_a_date_format_or_none(texts):
    date_format = dates.infer_date_format(texts)
    if date_format is not None:
        assert all(isinstance(dates.make_date_parser(date_format)(text), float) for text in texts)


@given(st.text(max_size=10))
def test_any_text_is_a_date_format_or_raises(date_format):
    try:
        parse = dates.make_date_parser(date_format)
    except ValueError:
        return
    with pytest.raises(ValueError, match="."):
        parse("no date at all")


def _date_table(texts):
    return "d,y\n" + "".join(f'"{text}",{n % 11}.5\n' for n, text in enumerate(texts))


DAYS = [f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(300)]


@pytest.mark.parametrize("odd", ["2024-02-30", "soon", "0000-00-00", "2024-13-01", "n.v."])
def test_one_odd_value_does_not_throw_a_column_of_dates_away(tmp_path, odd):
    data = read(tmp_path, _date_table([*DAYS, odd]))
    assert "d.month" in [column.name for column in data.spec.columns]
    warning = next(finding for finding in data.findings if finding.check == "odd dates")
    assert f"{odd!r} (row 301)" in warning.cause
    assert np.isnan(data.x[300]).all()
    later = read_rows(write(tmp_path, f"d\n{odd}\n2024-05-06\n", "p.csv"), data.spec)
    assert np.isnan(later.x[0]).all()
    assert later.x[1, 0] == 5
    with pytest.raises(DataError, match="is not a date like"):
        read_rows(write(tmp_path, "d\nnever\n", "p.csv"), data.spec)


@pytest.mark.parametrize(
    ("other", "month"),
    [
        ("06.05.2024", 5),
        ("2024/05/06", 5),
        ("6 May 2024", 5),
        ("2024年5月6日", 5),
        ("May 6, 2024", 5),
        ("05/06/2024", 5),
    ],
)
def test_dates_of_several_forms_are_read_with_a_warning(tmp_path, other, month):
    data = read(tmp_path, _date_table([*DAYS, *[other] * 40]))
    assert data.x[300, [column.name for column in data.spec.columns].index("d.month")] == month
    warning = next(finding for finding in data.findings if finding.check == "date forms")
    assert "(40)" in warning.cause or "(1)" in warning.cause
    later = read_rows(write(tmp_path, f'd\n"{other}"\n2024-05-06\n', "p.csv"), data.spec).x
    assert later[0].tolist() == later[1].tolist()


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2024-05-06 12:00+08:00", 4),
        ("2024-05-06T12:00:00Z", 12),
        ("2024-05-06 12:00 UTC+2", 10),
        ("2024-05-06 12:00-0330", 15.5),
        ("2024-05-06 12:00+08", 4),
    ],
)
def test_time_zones_are_moved_to_utc(text, hour):
    (days,) = parse_dates([text], "%Y-%m-%d")
    assert days % 1 * 24 == pytest.approx(hour)


def test_times_with_and_without_a_zone_are_a_warning(tmp_path):
    texts = [f"{day} {n % 24:02d}:00{'+02:00' * (n % 2)}" for n, day in enumerate(DAYS)]
    data = read(tmp_path, _date_table(texts))
    assert "time zones" in {finding.check for finding in data.findings}
    assert "time zones" not in {
        finding.check for finding in read(tmp_path, _date_table([f"{t}Z" for t in texts if "+" not in t])).findings
    }
