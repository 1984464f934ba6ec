"""Numbers as people, countries and programs write them: read as in training, by column and by file, or refused."""

import re

import numpy as np
import pytest

from tests.foreign.tables import (
    MISSING,
    REFUSED,
    assert_value,
    kind_of,
    learn,
    read_later,
    values_of,
    write_rows,
)
from yisheng.core.errors import DataError
from yisheng.data import tables

GERMAN = ["1.234,50", "4.800,25", "0,75", "12"]
AMERICAN = ["1,234.50", "4,800.25", "0.75", "12"]
PLAIN = ["1234.5", "4800.25", "0.75", "12"]
PERCENT = ["12,5%", "7,1%", "100%"]
LATER = [
    (GERMAN, "4.900", 4900),
    (GERMAN, "4,9", 4.9),
    (GERMAN, "4900", 4900),
    (GERMAN, "4 900", 4900),
    (GERMAN, "4'900", 4900),
    (GERMAN, "4’900", 4900),
    (GERMAN, "4\u00a0900", 4900),
    (GERMAN, "4\u202f900,5", 4900.5),
    (GERMAN, "４．９００", 4900),
    (GERMAN, "٤٩٠٠", 4900),
    (GERMAN, "\u22124.900", -4900),
    (GERMAN, "\u20134.900,5", -4900.5),
    (GERMAN, "4.900-", -4900),
    (GERMAN, "(4.900)", -4900),
    (GERMAN, "4.900.000", 4_900_000),
    (GERMAN, "1,5e3", 1500),
    (GERMAN, "4.9", REFUSED),
    (GERMAN, "4.90", REFUSED),
    (GERMAN, "1.10", REFUSED),
    (GERMAN, "0.500", REFUSED),
    (GERMAN, "4.9000", REFUSED),
    (GERMAN, "4,900.5", REFUSED),
    (GERMAN, "4.900 000", REFUSED),
    (GERMAN, "4900.0", REFUSED),
    (GERMAN, "12%", REFUSED),
    (GERMAN, "4.900 €", REFUSED),
    (GERMAN, "True", REFUSED),
    (GERMAN, "0x10", REFUSED),
    (GERMAN, "1_000", REFUSED),
    (GERMAN, "1.2.2024", REFUSED),
    (GERMAN, "", MISSING),
    (GERMAN, "#DIV/0!", MISSING),
    (AMERICAN, "4,900", 4900),
    (AMERICAN, "4.900", 4.9),
    (AMERICAN, "12,34,567", 1_234_567),
    (AMERICAN, "4,900.5-", -4900.5),
    (AMERICAN, "4,9", REFUSED),
    (AMERICAN, "4.900,5", REFUSED),
    (AMERICAN, "4,90", REFUSED),
    (AMERICAN, "0,500", REFUSED),
    (PLAIN, "4.900", 4.9),
    (PLAIN, "+5", 5),
    (PLAIN, "\u22125", -5),
    (PLAIN, "１２．５", 12.5),
    (PLAIN, "5e-1", 0.5),
    (PLAIN, "4,900", REFUSED),
    (PLAIN, "4.900,5", REFUSED),
    (PLAIN, "4 900", REFUSED),
    (PLAIN, "5%", REFUSED),
    (PLAIN, "yes", REFUSED),
    (PERCENT, "12,25 %", 12.25),
    (PERCENT, "0,125", REFUSED),
    (PERCENT, "12.25%", REFUSED),
]


@pytest.mark.parametrize(("training", "text", "expected"), LATER)
def test_a_later_number_is_read_by_the_form_of_its_column(tmp_path, training, text, expected):
    data = learn(tmp_path, {"v": training, "w": ["1", "2", "3", "5"]})
    assert_value(read_later(tmp_path, data, "v", text), expected)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("4.9", {"decimal": "point"}, 4.9),
        ("4,900", {"decimal": "point"}, 4900),
        ("4.900", {"decimal": "point", "thousands": "none"}, 4.9),
        ("4.900", {"decimal": "comma"}, 4900),
        ("4’900.5", {"decimal": "point", "thousands": "apostrophe"}, 4900.5),
        ("4\u00a0900.5", {"decimal": "point", "thousands": "space"}, 4900.5),
        ("4'900", {"decimal": "point", "thousands": "space"}, REFUSED),
        ("4.900,5", {"decimal": "point"}, REFUSED),
    ],
)
def test_the_form_of_a_later_file_can_be_given(tmp_path, text, options, expected):
    data = learn(tmp_path, {"v": GERMAN})
    assert_value(read_later(tmp_path, data, "v", text, **options), expected)


@pytest.mark.parametrize(
    ("training", "others", "expected"),
    [
        (["0,375", "2", "1,250", "12"], ["red"], [0.375, 2, 1.25, 12]),
        (["750", "875", "1.000", "1.125"], ["0,5", "7,25"], [750, 875, 1000, 1125]),
        (["750", "875", "1,000", "1,125"], ["0.5", "7.25"], [750, 875, 1000, 1125]),
        (["0.123", "0.456"], ["1,5", "2,5"], [0.123, 0.456]),
        (["1\u00a0234,5", "12,5"], ["x"], [1234.5, 12.5]),
        (["1\u202f234", "1 235", "1\u2009236"], ["x"], [1234, 1235, 1236]),
        (["1’234.5", "1'235.5"], ["x"], [1234.5, 1235.5]),
        (["1,00,000", "12,34,567"], ["x"], [100_000, 1_234_567]),
        (["1,5e-3", "2,5E+4"], ["x"], [0.0015, 25_000]),
        (["１，２３４．５", "１２．５"], ["x"], [1234.5, 12.5]),
        (["١٬٢٣٤٫٥", "٧٫٢٥"], ["x"], [1234.5, 7.25]),
        (["1.234,50-", "12,00"], ["x"], [-1234.5, 12]),
        (["(1.234,50 €)", "12,00 €"], ["x"], [-1234.5, 12]),
        (["-$1,234.50", "$ 7.00"], ["x"], [-1234.5, 7]),
        ([",5", "1,25"], ["x"], [0.5, 1.25]),
        (["5,", "1,25"], ["x"], [5, 1.25]),
        (["1.234.567", "2.345.678"], ["x"], [1_234_567, 2_345_678]),
        (["12.5 %", "7%"], ["x"], [12.5, 7]),
        (["\u22125,5", "\u20137,5", "3,5"], ["x"], [-5.5, -7.5, 3.5]),
        (["1e5", "2e5", "3e5"], ["x"], [1e5, 2e5, 3e5]),
        (["+1,5", "-1,5"], ["x"], [1.5, -1.5]),
    ],
)
def test_commas_and_points_are_decided_by_column_and_file(tmp_path, training, others, expected):
    data = learn(tmp_path, {"v": training, "w": others, "z": ["a", "b", "c"]})
    np.testing.assert_allclose(values_of(data, "v")[: len(expected)], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("training", "separator"),
    [
        (["1.000", "2.500", "7.250"], ";"),
        (["1,000", "2,500", "7,250"], ","),
        (["1,000", "2,500", "7,250"], ";"),
        (["1.000", "2.500", "7.250"], "\t"),
        (["999", "1.000"], ";"),
        (["1,234", "1.234", "1,235", "1.235", "2,345"], ";"),  # no form reads both
        ([*map(str, range(100, 150)), "unknown"], ";"),
        ([*map(str, range(1, 9)), "five"], ";"),
        ([*map(str, range(100, 150)), "007"], ";"),
        ([f"{n} kg" for n in range(20)], ";"),
        ([f"CHF {n}'234.50" for n in range(1, 20)], ";"),
        ([*(f"{n}%" for n in range(30)), "7"], ";"),
        ([*(f"${n}" for n in range(30)), "€7"], ";"),
    ],
)
def test_a_column_that_can_be_read_in_two_ways_or_in_none_is_a_warning(tmp_path, training, separator):
    data = learn(tmp_path, {"v": training, "z": ["a", "b", "c"]}, separator=separator)
    causes = [finding.cause for finding in data.findings if finding.severity == "warning"]
    assert any("column v " in cause or "v: " in cause for cause in causes)


@pytest.mark.parametrize(
    "texts",
    [
        [f"{n:05d}" for n in range(1000, 1040)],
        [f"0{n}" for n in range(170_000, 170_040)],
        [f"+49 170 {n}" for n in range(100, 140)],
        [f"1.{minor}.{patch}" for minor in range(8, 12) for patch in range(9, 19)],
        [f"DE{n} 3704 0044 0532 0130 00" for n in range(10, 50)],
        [f"{n:03d}-{n:02d}-{n:04d}" for n in range(10, 50)],
        [f"{n}a" for n in range(40)],
        ["12-345", "12-346"],
        ["192.168.0.1", "10.0.0.7"],
        ["0:30", "1:45"],
        ["00", "01", "10", "11"],
        ["ＡＢ１", "ＡＢ２"],
    ],
)
def test_codes_are_no_numbers(tmp_path, texts):
    data = learn(tmp_path, {"v": texts, "z": ["1", "2", "4"]})
    assert kind_of(data, "v") in ("category", "yes/no", "identifier", "text")
    later = learn(tmp_path, {"v": texts, "z": ["1", "2", "4"]}, kinds=["v:category"])
    assert read_later(tmp_path, later, "v", texts[-1]) == texts[-1]


def test_versions_are_not_decimals(tmp_path):
    versions = ["1.1", "1.10", "1.2", "1.20"]
    data = learn(tmp_path, {"v": versions}, kinds=["v:category"])
    assert [read_later(tmp_path, data, "v", text) for text in versions] == versions
    assert read_later(tmp_path, data, "v", "1.100") is None
    classes = learn(tmp_path, {"v": ["1", "2", "3"]}, y=versions, task="classification")
    assert set(classes.spec.classes) == set(versions)
    numbers = learn(tmp_path, {"v": ["1", "2", "3"]}, kinds=["v:category"])
    assert read_later(tmp_path, numbers, "v", "2.0") == "2"


@pytest.mark.parametrize(
    ("training", "test", "expected"),
    [
        (["1.234,5", "2.500,5"], ["2.500"], 2500),
        (["1234.5", "2500.5"], ["2.500"], 2.5),
        (["1,234.5", "2,500.5"], ["2,500"], 2500),
        (["12,5", "2,5"], ["2.5"], REFUSED),
        (["12.5", "2.5"], ["2,5"], REFUSED),
        (["12.5", "2.5"], ["2,500"], REFUSED),
        (["12,5%", "2,5%"], ["2,5"], REFUSED),
        (["12,5", "2,5"], ["2,5 €"], REFUSED),
        (["12,5", "2,5"], ["\u22122,5"], -2.5),
        (["12", "25"], ["1e2"], 100),
    ],
)
def test_a_test_table_is_read_by_the_training_table(tmp_path, training, test, expected):
    rows = [["v", "z", "y"], *([training[n % len(training)], str(n % 7), str(n)] for n in range(60))]
    write_rows(tmp_path / "train.csv", rows)
    write_rows(tmp_path / "test.csv", [["v", "z", "y"], *([text, "1", "3"] for text in test)])
    options = {"target": "y", "test": tmp_path / "test.csv", "task": "regression"}
    if expected is REFUSED:
        with pytest.raises(DataError, match=re.escape(test[0])):
            tables.from_file(tmp_path / "train.csv", **options)
        return
    assert_value(float(tables.from_file(tmp_path / "train.csv", **options).x[-1, 0]), expected)


def test_a_number_that_means_missing_is_missing_in_any_form(tmp_path):
    data = learn(tmp_path, {"v": [*GERMAN, "-999,00"]}, missing=["-999"])
    assert np.isnan(values_of(data, "v")[4])
    for text in ("-999", "-999,0", "\u2212999"):
        assert_value(read_later(tmp_path, data, "v", text), MISSING)
