"""The most unusual values of a row."""

import numpy as np
import pytest

from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.evaluation.unusual_values import TypicalValues

TOWNS = ("Aden", "Brest", "Cork")
SPEC = Spec(
    "regression",
    (4,),
    columns=(
        Column("age"),
        Column("town", "category", TOWNS),
        Column("smoker", "yes/no", ("no", "yes")),
        Column("height"),
    ),
)


@pytest.fixture
def typical():
    rng = np.random.default_rng(0)
    n = 2000
    town = rng.choice(3, n, p=[0.9, 0.095, 0.005])
    x = np.stack([rng.normal(40, 10, n), town, rng.random(n) < 0.5, rng.normal(170, 10, n)], axis=1)
    x[::500, 0] = np.nan
    return TypicalValues.fit(SPEC, x.astype(np.float32), np.arange(n))


def test_far_numbers_and_rare_categories_come_first(typical):
    values = typical.describe(np.array([92, 2, 1, 171], np.float32))
    assert [value["column"] for value in values] == ["age", "town"]
    assert values[0]["value"] == "92"
    assert 38 < float(values[0]["typical"]) < 42
    assert values[1] == {"column": "town", "value": "Cork", "typical": "Aden"}


def test_typical_rows_have_no_unusual_value(typical):
    assert typical.describe(np.array([40, 0, 0, 170], np.float32)) == []


def test_missing_and_unknown_values_are_named(typical):
    values = typical.describe(np.array([np.nan, 7, 0, 170], np.float32))
    assert {value["value"] for value in values} == {"missing", "unknown"}


def test_number_of_values_is_limited(typical):
    assert len(typical.describe(np.array([900, 2, 1, 900], np.float32), count=1)) == 1


def test_images_and_empty_parts_have_none():
    assert TypicalValues.fit(Spec("regression", (1, 2, 2)), np.zeros((3, 1, 2, 2), np.uint8), np.arange(3)) is None
    assert TypicalValues.fit(SPEC, np.zeros((3, 4), np.float32), np.arange(0)) is None


@pytest.mark.parametrize("columns", [1, 500, 5000])
def test_constant_and_empty_columns_are_no_error(columns):
    x = np.zeros((50, columns), np.float32)
    x[:, 0] = np.nan
    typical = TypicalValues.fit(Spec("regression", (columns,)), x, np.arange(50))
    assert typical.describe(x[0]) == []
    assert typical.describe(x[0] + 1)[:1] == ([] if columns == 1 else [{"column": "x2", "value": "1", "typical": "0"}])


def test_values_are_estimated_from_a_sample_of_many_rows():
    x = np.random.default_rng(0).normal(size=(100_000, 30)).astype(np.float32)
    typical = TypicalValues.fit(Spec("regression", (30,)), x, np.arange(len(x)))
    assert len(typical.sample) * 30 <= 1 << 20
    assert np.abs(typical.center).max() < 0.05
    assert np.abs(typical.scale - 1).max() < 0.05
