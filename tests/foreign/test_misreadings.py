"""Tables as people export them: every value is read as it is meant, or a warning names the column."""

import datetime
import math

import numpy as np
import pytest

from tests.foreign.tables import REFUSED, assert_value, kind_of, learn, read_later, values_of, warnings_of
from yisheng.data import tables
from yisheng.data.tables import clock_times, dates
from yisheng.data.tables.clock_times import infer_clock_format, make_clock_parser
from yisheng.data.tables.literals import infer_number_format, make_number_parser
from yisheng.data.tables.number_findings import MISSING_CODES, find_missing_code, find_packed_dates

COUNT = 60
DAYS = [datetime.date(2019, 1, 3) + datetime.timedelta(days=23 * n) for n in range(COUNT)]
NUMBERS = [round(1 + n * 7.31 % 80, 2) for n in range(COUNT)]


def findings_of(data, check):
    return [finding for finding in data.findings if finding.check == check]


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("hh:mm:ss", lambda s: f"{s // 3600}:{s // 60 % 60:02}:{s % 60:02}"),
        ("h:m p", lambda s: f"{s // 3600 % 12 or 12}:{s // 60 % 60:02}:{s % 60:02} {'am' if s < 43_200 else 'pm'}"),
        ("d h:m:s", lambda s: str(datetime.timedelta(days=2, seconds=s))),
        ("h m s", lambda s: f"{s // 3600}h {s // 60 % 60} min {s % 60}s"),
        ("PTHMS", lambda s: f"PT{s // 3600}H{s // 60 % 60}M{s % 60}S"),
    ],
)
def test_times_are_numbers_of_seconds(tmp_path, form, write):
    seconds = [n * 1237 % 86_400 for n in range(COUNT)]
    texts = [write(second) for second in seconds]
    assert infer_clock_format(texts) == form
    data = learn(tmp_path, {"t": texts, "w": ["1", "2", "4"]})
    assert kind_of(data, "t") == "number"
    offset = 2 * 86_400 if form == "d h:m:s" else 0
    np.testing.assert_array_equal(values_of(data, "t"), np.array(seconds) + offset)
    assert_value(read_later(tmp_path, data, "t", texts[7]), seconds[7] + offset)
    assert_value(read_later(tmp_path, data, "t", "soon"), REFUSED)


def test_the_fields_of_times_are_told_by_all_of_them():
    assert infer_clock_format(["59:30", "1:02:30", "4:05"]) == "m:s"
    assert infer_clock_format(["09:30", "13:30:15", "10:00"]) is None
    assert infer_clock_format(["5 m", "12 m", "7 m"]) is None  # may be metres
    assert [make_clock_parser("m:s")(text) for text in ("59:30", "1:02:30")] == [3570, 3750]
    assert infer_clock_format(["10:75", "11:00", "12:00"]) is None
    for form in clock_times.CLOCK_FORMATS:
        for text in ("", "P", "-", ":", "am"):
            assert not _reads(make_clock_parser(form), text)


def _reads(parse, text):
    try:
        parse(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("%m/%Y", lambda day: f"{day:%m/%Y}"),
        ("%m-%Y", lambda day: f"{day:%m-%Y}"),
        ("%b-%y", lambda day: f"{day:%b-%y}"),
        ("%Y-%b", lambda day: f"{day:%Y-%b}"),
        ("%YQ%q", lambda day: f"{day.year}Q{(day.month + 2) // 3}"),
        ("Q%q %Y", lambda day: f"Q{(day.month + 2) // 3} {day.year}"),
        ("%Y-W%V", lambda day: "{}-W{:02}".format(*day.isocalendar())),
        ("%b %d, %Y", lambda day: f"{day:%A, %B %d, %Y}"),
        ("%d. %b %Y", lambda day: f"{day.day}. {_MONTHS['de'][day.month - 1]} {day.year}"),
        ("%d %b %Y", lambda day: f"{day.day} {_MONTHS['fr'][day.month - 1]} {day.year}"),
        ("%d de %b de %Y", lambda day: f"{day.day} de {_MONTHS['es'][day.month - 1]} de {day.year}"),
        ("%d %b %Y", lambda day: f"{day.day} {_MONTHS['ru'][day.month - 1]} {day.year}"),
        ("%Y年%m月%d日", lambda day: f"{day.year}年{day.month}月{day.day}日 星期{'一二三四五六日'[day.weekday()]}"),
    ],
)
def test_dates_of_other_forms(tmp_path, form, write):
    data = learn(tmp_path, {"d": list(map(write, DAYS)), "w": ["1", "2", "4"]})
    assert kind_of(data, "d") == "date"
    first = {
        "%q": lambda day: day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "%V": lambda day: day - datetime.timedelta(days=day.weekday()),
        "%d": lambda day: day,
    }
    start = next((first[code] for code in first if code in form), lambda day: day.replace(day=1))
    days = [(start(day) - datetime.date(1970, 1, 1)).days for day in DAYS]
    position = next(n for n, column in enumerate(data.spec.columns) if column.date_part == "days")
    np.testing.assert_array_equal(data.x[:, position], days)
    assert data.spec.columns[position].format == form
    assert any(column.date_part == "weekday" for column in data.spec.columns) == ("%d" in form)


_MONTHS = {
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),  # noqa: SIM905
    "fr": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.".split(),  # noqa: SIM905
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split(),  # noqa: SIM905
    "ru": "января Февраля марта апреля МАЯ июня июля августа сентября октября ноября декабря".split(),  # noqa: SIM905
}


@pytest.mark.parametrize(
    ("form", "text"),
    [("%Y%m", "202405"), ("%Y%m%d%H%M%S", "20240506013000"), ("%d%m%Y", "06052024"), ("%y%m%d", "240506")],
)
def test_dates_of_digits_alone_are_dates_by_name_or_a_warning(tmp_path, form, text):
    texts = [day.strftime(form) for day in DAYS]
    data = learn(tmp_path, {"v": texts, "w": ["1", "2", "4"]})
    (finding,) = findings_of(data, "packed dates")
    assert finding.evidence["format"] == form
    assert f"kinds=v:date:{form}" in finding.remedy
    named = learn(tmp_path, {"v": texts, "w": ["1", "2", "4"]}, kinds=[f"v:date:{form}"])
    assert kind_of(named, "v") == "date"
    assert read_later(tmp_path, named, "v", text) == values_of(named, "v")[0] - DAYS[0].year + 2024
    if form in dates.COMPACT_FORMATS:
        assert kind_of(learn(tmp_path, {"date": texts, "w": ["1", "2", "4"]}), "date") == "date"


def test_numbers_that_are_no_dates_are_not_reported():
    draw = np.random.default_rng(0)
    for low, high in ((190_001, 210_013), (101, 991_232), (1900_01_01, 2100_12_32), (1, 13), (1900, 2100)):
        assert find_packed_dates(draw.integers(low, high, 200).astype(float)) == ""
    assert find_packed_dates(np.round(draw.uniform(1900, 2100, 200), 2)) == ""
    months = [year + month / 100 for year in (2019, 2020) for month in range(1, 13)]
    assert find_packed_dates(np.array(months)) == "%Y.%m"
    assert find_packed_dates(np.array([month + 0.2021 for month in range(1, 13)])) == "%m.%Y"


def test_years_of_two_digits_in_the_future_are_a_warning(tmp_path):
    births = learn(tmp_path, {"d": [f"{n % 28 + 1:02}.0{n % 9 + 1}.{30 + n}" for n in range(COUNT)], "w": ["1", "2"]})
    assert "centuries" in warnings_of(births)
    past = learn(tmp_path, {"d": [f"{n % 28 + 1:02}.0{n % 9 + 1}.{n % 20:02}" for n in range(COUNT)], "w": ["1", "2"]})
    assert "centuries" not in warnings_of(past)


@pytest.mark.parametrize("code", [-999.0, -1.0, -9.0, 9999.0, 999.9, 1e20, -32768.0])
def test_a_number_that_means_missing_is_a_warning(tmp_path, code):
    texts = [str(code) if n % 9 == 0 else str(number) for n, number in enumerate(NUMBERS)]
    data = learn(tmp_path, {"v": texts, "w": ["1", "2", "4"]})
    (finding,) = findings_of(data, "missing codes")
    assert (finding.evidence["column"], finding.evidence["code"], finding.evidence["rows"]) == ("v", code, 7)
    marked = learn(tmp_path, {"v": texts, "w": ["1", "2", "4"]}, missing=[f"{code:.15g}"])
    assert np.isnan(values_of(marked, "v")).sum() == 7
    assert not findings_of(marked, "missing codes")


def test_ordinary_numbers_are_not_missing_codes():
    draw = np.random.default_rng(0)
    for values in (
        draw.integers(-5, 6, 500),
        draw.integers(0, 100, 500),
        draw.normal(0, 1, 500).round(1) * 10,
        draw.integers(900, 1000, 500),
        draw.choice([1, 5, 10, 99, 999], 500),
        np.minimum(draw.integers(0, 200, 500), 99),
    ):
        assert find_missing_code(values.astype(float)) is None
    assert all(isinstance(code, int | float) for code in MISSING_CODES)


@pytest.mark.parametrize("placeholder", ["1900-01-01", "9999-12-31"])
def test_a_date_that_means_missing_is_a_warning(tmp_path, placeholder):
    texts = [placeholder if n % 9 == 0 else str(day) for n, day in enumerate(DAYS)]
    (finding,) = findings_of(learn(tmp_path, {"d": texts, "w": ["1", "2"]}), "missing codes")
    assert (finding.evidence["code"], finding.evidence["rows"]) == (placeholder, 7)


def test_a_date_of_zeros_is_missing(tmp_path):
    texts = ["0000-00-00" if n % 5 == 0 else str(day) for n, day in enumerate(DAYS)]
    data = learn(tmp_path, {"d": texts, "w": ["1", "2"]})
    assert kind_of(data, "d") == "date"
    assert np.isnan(values_of(data, "d")).sum() == 12
    assert math.isnan(read_later(tmp_path, data, "d", "0000-00-00"))


@pytest.mark.parametrize("word", ["缺失", "n.d.", "..", "unknown", "\\N", "not available"])
def test_words_for_missing_may_be_many_among_numbers(tmp_path, word):
    texts = [word if n % 4 == 0 else str(number) for n, number in enumerate(NUMBERS)]
    data = learn(tmp_path, {"v": texts, "w": ["1", "2"]})
    assert kind_of(data, "v") == "number"
    assert np.isnan(values_of(data, "v")).sum() == 15
    assert "odd words" in warnings_of(data)
    assert math.isnan(read_later(tmp_path, data, "v", word))
    limits = ["<0.5" if n % 4 == 0 else str(number) for n, number in enumerate(NUMBERS)]
    assert kind_of(learn(tmp_path, {"v": limits, "w": ["1", "2"]}), "v") != "number"


@pytest.mark.parametrize(
    "write",
    [
        lambda n, v: f"{v} kg" if n % 2 else f"{v * 1000:.0f} g",
        lambda n, v: f"{v}K" if n % 2 else f"{v}M",
        lambda n, v: f"{v}K" if n % 2 else f"{v * 1000:.0f}",
        lambda n, v: f"{v}万" if n % 2 else f"{v}亿",
        lambda n, v: f"{v}‰",
        lambda n, v: f"约{v}",
        lambda n, v: f"<{v}" if n % 3 else f"{v}",
        lambda n, v: f"{v}N" if n % 2 else f"{v}S",
        lambda n, v: f"{v} ± 0.1",
        lambda n, v: f"{v} (0.{n % 9})",
        lambda n, v: f"{100 + n}/{60 + n % 30}",
        lambda n, v: f"{v}, {-v}",
        lambda n, v: f"{n}°{n % 60}'12\"N",
        lambda n, v: f"{v}x10^3",
        lambda n, v: f"[{n}, {n + 1}]",
        lambda n, v: f"{{'k': {n}}}",
        lambda n, v: str(45_000 + n) if n % 2 else str(DAYS[n]),
    ],
)
def test_quantities_that_are_not_read_are_a_warning(tmp_path, write):
    texts = [write(n, number) for n, number in enumerate(NUMBERS)]
    data = learn(tmp_path, {"v": texts, "w": ["1", "2", "4"]})
    assert any("v" in str(finding.evidence.get("column")) for finding in data.findings if finding.severity == "warning")


@pytest.mark.parametrize(
    "write",
    [
        lambda n: f"A{1000 + n}",
        lambda n: f"{n % 30 + 1}{'ABCDEF'[n % 6]}",
        lambda n: f"{n % 30 + 1}{'ABC'[n % 3] if n % 4 else ''}",
        lambda n: f"555-{1000 + n}",
        lambda n: f"10.{n}.3.{n % 7}",
        lambda n: f"1.{n}.2",
        lambda n: f"{n:05}",
        lambda n: f"{n} Main Street",
        lambda n: f"4/{n % 5 + 1}",
    ],
)
def test_codes_are_no_quantities(tmp_path, write):
    data = learn(tmp_path, {"v": list(map(write, range(COUNT))), "w": ["1", "2", "4"]})
    assert not warnings_of(data) & {"quantities", "units", "packed dates"}


def test_codes_that_look_like_numbers_are_a_warning(tmp_path):
    columns = {
        "phone": [str(13_046_111_420 + 9_876_543 * n) for n in range(COUNT)],
        "address": [f"192.168.{100 + n}.{200 - n}" for n in range(COUNT)],
        "sku": [f"{10 + n}E{n % 9 + 1}" for n in range(COUNT)],
        "version": [f"{n % 3 + 1}.{[1, 9, 10, 20][n % 4]}" for n in range(COUNT)],
        "price": [f"{n}.{'5' if n % 2 else '75'}" for n in range(COUNT)],
        "seconds": [str(1_700_000_000 + 86_400 * n) for n in range(COUNT)],
    }
    data = learn(tmp_path, columns)
    assert {finding.evidence["column"] for finding in findings_of(data, "codes")} == {"phone", "sku", "version"}
    assert kind_of(data, "address") != "number"


def test_an_exponent_follows_no_groups_of_digits():
    assert infer_number_format(["2,688e+01", "1,500e+00"]) == ","
    assert make_number_parser(",")("2,688e+01") == 26.88
    assert infer_number_format(["1,234,567.5"]) == "."


@pytest.mark.parametrize("word", ["Total", "合计", "Grand total:", ""])
@pytest.mark.parametrize("decimal", [".", ","])
def test_a_total_below_the_table_is_a_warning(tmp_path, word, decimal):
    amounts = [*NUMBERS, round(sum(NUMBERS), 2)]
    columns = {
        "shop": [*(f"shop {n % 7}" for n in range(COUNT)), word],
        "amount": [str(amount).replace(".", decimal) for amount in amounts],
    }
    (finding,) = findings_of(learn(tmp_path, columns), "total rows")
    assert finding.evidence["rows"] == [COUNT + 1]
    columns = {name: values[:-1] for name, values in columns.items()}
    data = learn(tmp_path, columns)
    assert not findings_of(data, "total rows")
    outline = tables.outline(tmp_path / "train.csv")
    assert "total rows" not in {finding["check"] for finding in outline.get("findings", ())}


def test_subtotals_and_means_are_a_warning(tmp_path):
    shops = [("Subtotal" if n % 10 == 9 else f"shop {n % 3}") for n in range(COUNT)]
    (finding,) = findings_of(learn(tmp_path, {"shop": [*shops, "Average"], "w": ["1", "2", "4"]}), "total rows")
    assert finding.evidence["rows"] == [10, 20, 30, 40, 50, 60, 61]
    graded = learn(tmp_path, {"quality": ["Good", "Average", "Poor"], "w": ["1", "2", "4"]})
    assert not findings_of(graded, "total rows")


def test_spellings_of_a_category_are_a_warning(tmp_path):
    columns = {
        "city": ["New York", "new  york", "Boston", "NEW-YORK"],
        "code": ["a", "A", "b"],
        "answer": ["Yes", "No", "true", "N"],
        "color": ["red", "green", "缺失", "unknown"],
    }
    data = learn(tmp_path, columns)
    assert {finding.evidence["column"] for finding in findings_of(data, "spellings")} == {"city", "answer"}
    assert [finding.evidence["words"] for finding in findings_of(data, "missing words")] == [["缺失", "unknown"]]


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("%y/%m/%d", lambda day: f"{day:%y/%m/%d}"),
        ("%d.%m.%y", lambda day: f"{day:%d.%m.%y}"),
        ("%d%b%Y", lambda day: f"{day:%d%b%Y}".upper()),
        ("%d %b %Y", lambda day: f"{day.day}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(day.day, 'th') } {day:%B %Y}"),
        ("%Y%m%dT%H%M%SZ", lambda day: f"{day:%Y%m%dT000000Z}"),
        ("%b %d %H:%M:%S %Y", lambda day: f"{day:%a %b %d 00:00:00 %Y}"),
    ],
)
def test_dates_of_logs_and_with_years_of_two_digits(tmp_path, form, write):
    data = learn(tmp_path, {"d": list(map(write, DAYS)), "w": ["1", "2", "4"]})
    days = [(day - datetime.date(1970, 1, 1)).days for day in DAYS]
    position = next(n for n, column in enumerate(data.spec.columns) if column.date_part == "days")
    np.testing.assert_array_equal(data.x[:, position], days)
    assert data.spec.columns[position].format == form
    assert ("ambiguous dates" in warnings_of(data)) == form.startswith("%y")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12h30", 45_000),
        ("9点05分", 32_700),
        ("07:45 Uhr", 27_900),
        ("下午3:20", 55_200),
        ("2 hours and 5 minutes", 7500),
    ],
)
def test_times_of_other_languages(text, seconds):
    texts = [text, *(text.replace("5", digit) for digit in "46")]
    form = infer_clock_format(texts)
    assert form is not None
    assert make_clock_parser(form)(text) == seconds


@pytest.mark.parametrize("text", ["令和{n}年5月{n}日", "5/Mai des Jahres {n:04}", "May the {n}rd in 20{n:02}"])
def test_dates_that_no_form_reads_are_a_warning(tmp_path, text):
    data = learn(tmp_path, {"d": [text.format(n=n + 10) for n in range(COUNT)], "w": ["1", "2"]})
    assert "unknown dates" in warnings_of(data)


def test_a_table_is_not_cut_at_commas_within_its_values(tmp_path):
    lines = ["day;w;y", *(f"{day:%A, %B %d, %Y};{n % 3};{n * 7 % 59}" for n, day in enumerate(DAYS))]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    assert list(tables.from_file(path, target="y", task="regression").spec.columns)
    assert [row["column"] for row in tables.describe(path)] == ["day", "w", "y"]


def test_statistics_and_a_total_above_the_table_are_a_warning(tmp_path):
    names = [*(f"r{n}" for n in range(COUNT)), "count", "mean", "std", "min", "max"]
    values = [*map(str, NUMBERS), "60", "41.2", "22.5", "1.0", "80.2"]
    (finding,) = findings_of(learn(tmp_path, {"name": names, "v": values}), "total rows")
    assert finding.evidence["rows"] == [61, 62, 63, 64, 65]
    (finding,) = findings_of(learn(tmp_path, {"v": [f"{sum(NUMBERS):.2f}", *map(str, NUMBERS)]}), "total rows")
    assert finding.evidence["rows"] == [1]


def test_numbers_that_may_be_times_of_day_are_a_warning(tmp_path):
    minutes = [(n * 97 % 1440) for n in range(COUNT)]
    columns = {
        "point": [f"{minute // 60}.{minute % 60:02}" for minute in minutes],
        "digits": [str(minute // 60 * 100 + minute % 60) for minute in minutes],
        "price": [f"{minute % 20}.{minute % 100:02}" for minute in minutes],
    }
    data = learn(tmp_path, columns)
    assert {finding.evidence["column"] for finding in findings_of(data, "packed times")} == {"point", "digits"}


def test_codes_fractions_and_scores_are_neither_dates_nor_times(tmp_path):
    columns = {
        "code": [f"SET-{n + 10}" for n in range(COUNT)],
        "share": [f"{n % 12 + 1}/{1000 + 7 * n}" for n in range(COUNT)],
        "part": [f"{n % 12 + 1:02}-{3456 + n}" for n in range(COUNT)],
        "score": [f"{n % 26}:{n * 7 % 26:02}" for n in range(COUNT)],
    }
    data = learn(tmp_path, columns)
    assert not {kind_of(data, name) for name in columns} & {"date", "number"}


def test_the_order_of_years_of_two_digits_is_a_warning(tmp_path):
    months = [datetime.date(2005 + n // 12, n % 12 + 1, 1) for n in range(COUNT)]
    german = learn(tmp_path, {"d": [f"{day:%d.%m.%y}" for day in months], "w": ["1", "2"]})
    assert {column.format for column in german.spec.columns if column.source == "d"} == {"%d.%m.%y"}
    assert "ambiguous dates" in warnings_of(german)
    daily = [datetime.date(2023, 1, 1) + datetime.timedelta(days=3 * n) for n in range(COUNT)]
    irregular = learn(tmp_path, {"d": [f"{day:%d.%m.%y}" for day in daily], "w": ["1", "2"]})
    assert "ambiguous dates" not in warnings_of(irregular)
