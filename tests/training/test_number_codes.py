"""Columns of whole numbers as categories: which they are, and that every number gets its code again."""

import numpy as np
import pytest
import torch

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.models._number_codes import NumberCodes
from yisheng.training.portfolio.number_codes import MAX_RANGE, add_number_codes, find_whole_numbers
from yisheng.transforms.codes import codes

N = 4000
KINDS = {
    "ten": lambda draw: draw.integers(0, 10, N),
    "shop": lambda draw: 90_000 + draw.choice(300, N) * 37,
    "negative": lambda draw: -draw.integers(0, 40, N),
    "far apart": lambda draw: draw.choice([0.0, MAX_RANGE, *range(7, 60)], N),
    "nine": lambda draw: draw.integers(0, 9, N),
    "halves": lambda draw: draw.integers(0, 40, N) / 2,
    "hardly repeated": lambda draw: draw.integers(0, 3000, N),
    "too far apart": lambda draw: draw.choice([0.0, MAX_RANGE + 1.0, *range(50)], N),
}
ELIGIBLE = ("ten", "shop", "negative", "far apart")


def make_table(names, missing=0.0):
    """Return a table with a column of each kind, and its scaled rows."""
    draw = np.random.default_rng(0)
    x = np.stack([KINDS[name](draw) for name in names], 1).astype(np.float32)
    x[draw.random(x.shape) < missing] = np.nan
    spec = Spec("regression", (len(names),), columns=tuple(Column(name, source=name) for name in names))
    source = Dataset("table", spec, x, np.zeros((N, 1), np.float32))
    scale = codes.fit(x, columns=spec.columns)
    return source, scale.apply(torch.from_numpy(x)).numpy(), scale


@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["complete", "missing"])
def test_whole_numbers_that_are_repeated_are_found(missing):
    source, scaled, _ = make_table(list(KINDS), missing)
    columns = find_whole_numbers(source, np.arange(N), scaled)
    assert tuple(source.spec.columns[column.column].name for column in columns) == ELIGIBLE


def test_every_number_of_the_training_rows_has_the_code_of_its_rank():
    source, scaled, scale = make_table(ELIGIBLE, missing=0.1)
    columns = find_whole_numbers(source, np.arange(N), scaled)
    rows = np.arange(0, N, 2)
    data = Dataset("scaled", source.spec, scaled, source.y)
    coded, plain = add_number_codes(data, rows, columns)
    assert coded.spec == NumberCodes(plain).spec(data.spec)
    np.testing.assert_array_equal(coded.x[:, : len(ELIGIBLE)], scaled)
    for position in range(len(ELIGIBLE)):
        original = source.x[:, position]
        numbers = np.unique(original[rows][~np.isnan(original[rows])])
        code = coded.x[:, len(ELIGIBLE) + position]
        column = coded.spec.columns[len(ELIGIBLE) + position]
        assert (column.kind, len(column.categories), column.source) == ("category", len(numbers), ELIGIBLE[position])
        is_seen = np.isin(original, numbers)
        np.testing.assert_array_equal(code[is_seen], np.searchsorted(numbers, original[is_seen]))
        assert np.isnan(code[~is_seen]).all()
    low, high = (scale.apply(torch.full((1, len(ELIGIBLE)), value)) for value in (-1e9, 1e9))
    assert NumberCodes(plain)(torch.cat([low, high, low * torch.nan]))[:, len(ELIGIBLE) :].isnan().all()


def test_numbers_that_a_transform_has_bent_have_no_codes():
    source, scaled, _ = make_table(["shop"])
    assert find_whole_numbers(source, np.arange(N), scaled)
    assert not find_whole_numbers(source, np.arange(N), np.sign(scaled) * np.sqrt(np.abs(scaled)))


def test_damaged_codes_are_refused():
    valid = {"columns": [0], "starts": [0.0], "steps": [1.0], "numbers": [[0, 2]]}
    NumberCodes(valid)
    for change in (
        {"steps": [0.0]},
        {"numbers": [[2, 0]]},
        {"numbers": [[-1, 0]]},
        {"columns": [0, 1]},
        {"numbers": []},
    ):
        with pytest.raises(ValueError, match="contradict"):
            NumberCodes({**valid, **change})
