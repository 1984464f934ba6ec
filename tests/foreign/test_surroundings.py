"""Numbers with units, marks and other numbers around them: a warning names the column, and codes are left alone."""

import re

import numpy as np
import pytest

from tests.foreign.tables import kind_of, learn, values_of, warnings_of
from yisheng.data.tables.affixes import find_affixes, has_common_form
from yisheng.data.tables.dates import infer_date_format, parse_dates
from yisheng.data.tables.literals import infer_number_format, make_number_parser
from yisheng.data.tables.number_findings import check_durations, find_missing_code
from yisheng.data.tables.text_findings import check_number_pair

COUNT = 60
QUANTITIES = {
    "flags": lambda n: f"{100 + n}.{n % 10}{['', ' p', ' b', ' e'][n % 4]}",
    "footnotes": lambda n: f"{1000 + 3 * n}{['', '¹', '[2]', '*', '†'][n % 5]}",
    "reading time": lambda n: f"{n + 1} min read",
    "discount": lambda n: f"{n}% off",
    "sold": lambda n: f"{n + 1}00+ sold",
    "area": lambda n: f"{1000 + n} sq.ft.",
    "mileage": lambda n: f"{15 + n / 2} {['kmpl', 'km/kg'][n % 2]}",
    "views": lambda n: f"{n + 1}.2M views" if n % 2 else f"{n + 1}K views",
    "place": lambda n: (
        f"{n + 1}{['th', 'st', 'nd', 'rd'][(n + 1) % 10 if (n + 1) % 10 < 4 and not 10 < n + 1 < 14 else 0]}"
    ),
    "krone": lambda n: f"kr. {n},-",
    "numpy": lambda n: f"np.float64({n * 1.5})",
    "ages": lambda n: ["8mo", "3 wks"][n % 2] if n % 20 < 2 else f"{20 + n}y",
    "ages of DICOM": lambda n: "006M" if n == 3 else f"0{20 + n}Y",
    "weeks of pregnancy": lambda n: f"{20 + n // 3}+{n % 7}",
    "won and lost": lambda n: f"{n // 5}-{n % 5}",
    "prices": lambda n: f"${n + 10} - ${n + 20}",
    "points": lambda n: f"POINT ({n}.5 -{n}.25)",
    "lap": lambda n: f"{1 + n // 20}'{n % 60:02d}\"{n % 10}",
    "ago": lambda n: f"{n + 2} {['days', 'hours'][n % 2]} ago",
    "hexadecimal": lambda n: f"0x{16 * n:04X}",
    "underscores": lambda n: f"1_{100 + n}",
    "weeks of Stata": lambda n: f"{2024 + n // 52}w{n % 52 + 1}",
    "times": lambda n: f"{n % 24:02d}{n * 7 % 60:02d}",
}
CODES = {
    "shops": lambda n: f"warehouse {n}",
    "diagnoses": lambda n: f"{'EIJ'[n % 3]}{10 + n}.9",
    "seats": lambda n: f"{n + 1}{'ABC'[n % 3]}",
    "telephones": lambda n: f"{555 + n}-{1234 + n}",
    "parts": lambda n: f"A{n}-B{n % 7}",
    "fiscal years": lambda n: f"FY{1950 + n}",
    "streets": lambda n: f"{n + 1} {'abcdefghijkl'[n % 12]}-street",
    "addresses": lambda n: f"192.168.1.{n}",
    "gates": lambda n: f"gate #{n}",
}


def report_affixes(texts):
    """Return the reason of a column in which every row has another text, or None."""
    problem = find_affixes(texts, lambda matches: np.mean([bool(match) for match in matches]) >= 0.9)
    return None if problem is None else str(problem[0])


@pytest.mark.parametrize("name", QUANTITIES)
def test_quantities_in_texts_are_a_warning(tmp_path, name):
    data = learn(tmp_path, {"q": [QUANTITIES[name](n) for n in range(COUNT)], "w": ["1", "2", "4"]}, separator="|")
    (finding,) = [finding for finding in data.findings if finding.evidence.get("column") == "q"]
    assert finding.severity == "warning"


@pytest.mark.parametrize("name", CODES)
def test_codes_are_not_taken_for_quantities(tmp_path, name):
    data = learn(tmp_path, {"q": [CODES[name](n) for n in range(COUNT)], "w": ["1", "2", "4"]}, separator="|")
    assert not warnings_of(data)


@pytest.mark.parametrize("seed", range(20))
def test_one_unit_around_any_numbers_is_reported(seed):
    draw = np.random.default_rng(seed)
    before, behind = draw.choice(["", "$", "€ ", "USD "]), draw.choice([" kWh", " m above sea", "% off", " x"])
    numbers = draw.integers(1, 10**6, 30) if seed % 2 else draw.normal(size=30).round(3)
    texts = [f"{before}{number}{behind}" for number in numbers]
    assert report_affixes(texts) == "its numbers have a unit"
    names = [re.sub(r"[-.\d]+", "", text) + "name" for text in texts]
    assert report_affixes(names) is None
    assert report_affixes([*texts, *[f"{n}-{n}" for n in range(10)]]) is None  # a quarter is something else


@pytest.mark.parametrize("seed", range(20))
def test_results_are_told_from_codes(seed):
    draw = np.random.default_rng(seed)
    mark = draw.choice(["-", ":", "+", " - ", "/"])
    pairs = draw.integers(0, 100, (30, 2))
    assert has_common_form([f"{first}{mark}{last}" for first, last in pairs], all)
    assert not has_common_form([f"{first}{mark}{1000 + last}" for first, last in pairs], all)
    assert not has_common_form([f"A{first}{mark}{last}" for first, last in pairs], all)


def test_two_numbers_in_different_forms_are_a_warning(tmp_path):
    assert "numbers and texts" in warnings_of(learn(tmp_path, {"q": ["1,5", "2.5", "1,5"], "w": ["1", "2", "4"]}))
    assert check_number_pair("q", ["red", "2.5"]) == ()
    assert check_number_pair("q", ["1.5", "2.5"]) == ()


@pytest.mark.parametrize("mark", ".,")
@pytest.mark.parametrize("dashes", ["-", "--", "–"])
def test_no_cents_are_no_minus(mark, dashes):
    texts = [f"{n}{mark}{dashes}" for n in (3, 12, 250)]
    form = infer_number_format(texts)
    assert form is not None
    assert list(map(make_number_parser(form), texts)) == [3, 12, 250]
    assert make_number_parser(".")("12.50-") == -12.5


def test_a_duration_is_no_ratio(tmp_path):
    texts = [f"{n // 60}:{n % 60:02d}:30" for n in range(COUNT)]
    data = learn(tmp_path, {"duration": texts, "aspect_ratio": texts})
    np.testing.assert_array_equal(values_of(data, "duration"), [60 * n + 30 for n in range(COUNT)])
    assert kind_of(data, "aspect_ratio") != "number"


def test_minutes_and_seconds_that_may_be_hours_are_a_warning(tmp_path):
    texts = [f"{n % 40}:{n * 7 % 60:02d}" for n in range(COUNT)]
    assert warnings_of(learn(tmp_path, {"length": texts, "w": ["1", "2", "4"]})) == {"durations"}
    assert not warnings_of(
        learn(tmp_path, {"at": [f"{n % 24}:{n * 7 % 60:02d}" for n in range(COUNT)], "w": texts[:1]})
    )
    assert check_durations("t", np.array([3600.0 * 75]), "h:m:s") == []


def test_one_row_with_a_code_for_missing_is_reported():
    values = np.linspace(-2, 20, 60)
    for code in (-999.0, 9999.0, 999.9, -9999.0):
        assert find_missing_code(np.append(values, code)) == code
    assert find_missing_code(np.append(values, 99.0)) is None  # may be a number like the others
    assert find_missing_code(np.append(values, 1234.0)) is None
    assert find_missing_code(np.append(values * 20, 999.0)) is None


def test_months_of_stata_are_dates():
    months = [f"{2020 + n // 12}m{n % 12 + 1}" for n in range(30)]
    assert infer_date_format(months) == "%YM%m"
    expected = [f"{2020 + n // 12}-{n % 12 + 1:02d}-01" for n in range(30)]
    np.testing.assert_array_equal(parse_dates(months, "%YM%m"), parse_dates(expected, "%Y-%m-%d"))
    assert infer_date_format([f"2024w{n + 1}" for n in range(30)]) is None  # weeks of Stata are not those of ISO 8601
    assert infer_date_format(["1080M2", "4711M7", "2000M1"]) is None
    assert infer_date_format(["25JAN2024:14:30:00", "26JAN2024:02:00:00"]) == "%d%b%Y"
    np.testing.assert_array_equal(parse_dates(["25JAN1970:12:00:00"], "%d%b%Y"), [24.5])


def test_an_id_within_a_name_is_one(tmp_path):
    data = learn(tmp_path, {"SK_ID_CURR": [str(100_002 + n) for n in range(COUNT)], "w": ["1", "2", "4"]})
    assert kind_of(data, "SK_ID_CURR") == "identifier"
