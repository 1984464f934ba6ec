"""Dates as people, countries and programs write them: read by the form of their column, or refused."""

import datetime

import numpy as np
import pandas as pd
import pytest

from tests.foreign.tables import REFUSED, assert_value, kind_of, learn, read_later, warnings_of
from yisheng.inference.inputs.read_inputs import read_inputs
from yisheng.serving.json_rows import parse_json_rows

DAYS = [datetime.date(2023, 1, 1) + datetime.timedelta(9 * n) for n in range(60)]


def days_of(text):
    return (datetime.datetime.fromisoformat(text) - datetime.datetime(1970, 1, 1)) / datetime.timedelta(1)


def learn_days(folder, form, **options):
    data = learn(folder, {"d": [day.strftime(form) for day in DAYS], "w": ["1", "2", "3"]}, **options)
    position = [column.date_part for column in data.spec.columns].index("days")
    np.testing.assert_array_equal(data.x[:, position], [(day - datetime.date(1970, 1, 1)).days for day in DAYS])
    return data, position


def read_days(folder, data, text, **options):
    """Return the days since 1970 of a date in every way."""
    data_of_days = data.spec.columns[[column.date_part for column in data.spec.columns].index("days")]
    columns = (data_of_days, *(column for column in data.spec.columns if column is not data_of_days))
    from dataclasses import replace

    return read_later(folder, replace(data, spec=replace(data.spec, columns=columns)), "d", text, **options)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%d.%m.%Y", "06.05.2024", "2024-05-06"),
        ("%d.%m.%Y", "6.5.2024", "2024-05-06"),
        ("%d.%m.%Y", "06.05.2024 12:00", "2024-05-06T12:00"),
        ("%d.%m.%Y", "06.05.2024 12:00+02:00", "2024-05-06T10:00"),
        ("%d.%m.%Y", "2024-05-06", "2024-05-06"),
        ("%d.%m.%Y", "2024-05-06T06:00:00Z", "2024-05-06T06:00"),
        ("%d.%m.%Y", "０６．０５．２０２４", "2024-05-06"),
        ("%d.%m.%Y", "٠٦.٠٥.٢٠٢٤", "2024-05-06"),
        ("%d.%m.%Y", "06.05.24", REFUSED),
        ("%d.%m.%Y", "05/06/2024", REFUSED),
        ("%d.%m.%Y", "30.02.2024", REFUSED),
        ("%d.%m.%Y", "2024-02-30", REFUSED),
        ("%d.%m.%Y", "45418", REFUSED),
        ("%d.%m.%Y", "20240506", REFUSED),
        ("%d.%m.%Y", "06.05", REFUSED),
        ("%d.%m.%Y", "soon", REFUSED),
        ("%d.%m.%Y", "06.05.2024 25:00", REFUSED),
        ("%m/%d/%Y", "06/05/2024", "2024-06-05"),
        ("%m/%d/%Y", "25/12/2024", REFUSED),
        ("%d/%m/%Y", "06/05/2024", "2024-05-06"),
        ("%d/%m/%Y", "05/13/2024", REFUSED),
        ("%Y-%m-%d", "2024-5-6", "2024-05-06"),
        ("%Y-%m-%d", "2024\u201005\u201106", "2024-05-06"),
        ("%Y-%m-%d", "2024-05-06 01:30 PM", "2024-05-06T13:30"),
        ("%Y-%m-%d", "2024-05-06 12:00 UTC+2", "2024-05-06T10:00"),
        ("%Y-%m-%d", "06.05.2024", REFUSED),
        ("%Y-%m-%d", "2024/05/06", REFUSED),
        ("%d.%m.%y", "06.05.68", "2068-05-06"),
        ("%d.%m.%y", "06.05.69", "1969-05-06"),
        ("%d.%m.%y", "06.05.2024", REFUSED),
        ("%d %b %Y", "6 May 2024", "2024-05-06"),
        ("%d %b %Y", "6 SEPT. 2024", "2024-09-06"),
        ("%d %b %Y", "6 Mai 2024", "2024-05-06"),
        ("%d %b %Y", "6 Mey 2024", REFUSED),
        ("%Y年%m月%d日", "2024年5月6日", "2024-05-06"),
        ("%Y年%m月%d日", "２０２４年５月６日", "2024-05-06"),
        ("%Y/%m/%d", "2024/05/06", "2024-05-06"),
        ("%Y/%m/%d", "05/06/2024", REFUSED),
        ("%b %d, %Y", "May 6, 2024", "2024-05-06"),
    ],
)
def test_a_later_date_is_read_by_the_form_of_its_column(tmp_path, form, text, expected):
    data, _ = learn_days(tmp_path, form)
    value = read_days(tmp_path, data, text)
    assert_value(value, expected if expected is REFUSED else days_of(expected))


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d", "%d-%b-%Y", "%Y年%m月%d日"])
@pytest.mark.parametrize(
    "value",
    [
        datetime.date(2024, 5, 6),
        datetime.datetime(2024, 5, 6),
        pd.Timestamp("2024-05-06"),
        np.datetime64("2024-05-06"),
        pd.Timestamp("2024-05-06 02:00", tz="Europe/Berlin"),
        datetime.datetime(2024, 5, 5, 20, tzinfo=datetime.timezone(datetime.timedelta(hours=-4))),
    ],
    ids=str,
)
def test_dates_of_python_need_no_form(tmp_path, form, value):
    data, position = learn_days(tmp_path, form)
    rows = {"dict": {"d": value, "w": 1}, "frame": pd.DataFrame({"d": [value], "w": [1]})}
    rows["rows"] = [[value, 1]] if data.spec.columns[0].source == "d" else [[1, value]]
    for row in rows.values():
        assert read_inputs(row, data.spec, None).x[0, position] == days_of("2024-05-06")
    text = pd.Timestamp(value).isoformat()
    assert parse_json_rows([{"d": text, "w": 1}], data.spec)[0][0, position] == days_of("2024-05-06")


def test_dates_of_python_are_not_confused_with_days_before_months(tmp_path):
    texts = [day.strftime("%Y-%d-%m") for day in DAYS]
    data = learn(tmp_path, {"d": texts, "w": ["1", "2", "3"]}, kinds=["d:date:%Y-%d-%m"])
    assert_value(read_days(tmp_path, data, "2024-06-05"), days_of("2024-05-06"))
    assert_value(read_days(tmp_path, data, "2024-05-13"), REFUSED)
    position = [column.date_part for column in data.spec.columns].index("days")
    frame = pd.DataFrame({"d": [pd.Timestamp("2024-05-06")], "w": [1]})
    assert read_inputs(frame, data.spec, None).x[0, position] == days_of("2024-05-06")


@pytest.mark.parametrize(
    ("texts", "check"),
    [
        ([f"{n % 12 + 1:02d}/{n % 11 + 1:02d}/2024" for n in range(60)], "ambiguous dates"),
        (["01/02/2024", "01/03/2024", "01/04/2024"], "ambiguous dates"),
        ([f"{n % 28 + 1:02d}-{n % 12 + 1:02d}-24" for n in range(60)], "unknown dates"),
        ([f"24-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(60)], "unknown dates"),
        ([*(str(day) for day in DAYS), "2024-02-30"], "odd dates"),
        ([*(str(day) for day in DAYS), "tomorrow"], "odd dates"),
        ([*map(str, DAYS[:30]), *(day.strftime("%d.%m.%Y") for day in DAYS[30:])], "date forms"),
        ([f"{day} 12:00{'Z' * (n % 2)}" for n, day in enumerate(DAYS)], "time zones"),
        (
            [f"{day.day}/{day.month}/{day:%y}" for day in DAYS if day.day < 13 and day.day != day.month],
            "ambiguous dates",
        ),
        ([f"2024-{n % 40:02d}-01" for n in range(13, 40)], "unknown dates"),
    ],
)
def test_doubtful_dates_are_a_warning(tmp_path, texts, check):
    data = learn(tmp_path, {"d": texts, "w": ["1", "2", "3"]})
    assert check in warnings_of(data)


@pytest.mark.parametrize(
    "texts",
    [
        [str(n) for n in range(45000, 45060)],  # days of Excel are numbers
        ["1.10.2", "1.11.13", "1.9.30"],
        ["12-345", "12-346"],
        ["555-12-3456", "555-13-3456"],
        ["10:30", "11:45"],
        ["2024W05", "2024W06"],
        ["1/2", "3/4"],
        ["192.168.1.1", "10.1.2.3"],
    ],
)
def test_other_things_are_no_dates(tmp_path, texts):
    data = learn(tmp_path, {"d": texts, "w": ["1", "2", "4"]})
    assert kind_of(data, "d") != "date"


@pytest.mark.parametrize(
    ("form", "text"), [("%y-%m-%d", "24-05-06"), ("%d-%m-%y", "06-05-24"), ("%m-%d-%Y", "05-06-2024")]
)
def test_a_form_can_be_given(tmp_path, form, text):
    data, _ = learn_days(tmp_path, form, kinds=[f"d:date:{form}"])
    assert_value(read_days(tmp_path, data, text), days_of("2024-05-06"))
