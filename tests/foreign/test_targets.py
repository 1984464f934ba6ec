"""Targets: whole numbers that may be classes, and numbers that single precision cannot hold."""

import numpy as np
import pandas as pd
import pytest

from tests.foreign.tables import learn
from yisheng.core.errors import DataError
from yisheng.data import tables
from yisheng.data.objects import to_dataset


def note_of(data):
    return next((finding for finding in data.findings if finding.check == "task"), None)


@pytest.mark.parametrize(
    ("values", "task", "is_noted"),
    [
        (["3", "4", "5", "6", "7", "8"], "classification", True),
        (["0", "1"], "classification", True),
        (["-1", "1"], "classification", True),
        (["1.0", "2.0", "3.0"], "classification", True),
        (["1", "2", "3", ""], "classification", True),
        (["1", "2", "3", "NA"], "classification", True),
        ([str(n) for n in range(12)], "classification", True),
        ([str(n) for n in range(13)], "regression", True),
        ([str(n) for n in range(1990, 2021)], "regression", True),
        (["1.000", "2.000", "3.000,0", "4.500,0"], "classification", True),
        ([str(10**12 + n) for n in range(60)], "regression", True),
        ([f"{n},5" for n in range(20)], "regression", False),
        (["0.5", "1.5", "2.5"], "regression", False),
        (["10%", "12.5%", "15%"], "regression", False),
        (["01", "02", "03"], "classification", False),
        (["a", "b"], "classification", False),
        (["True", "False"], "classification", False),
        (["1e2", "2e2", "3e2"], "classification", True),
        (["１", "２", "３"], "classification", True),
        (["\u22121", "0", "1"], "classification", True),
        (["1.1", "1.10", "1.2"], "regression", False),
        (["low", "2", "3"], "classification", False),
    ],
)
def test_the_task_is_chosen_and_reported(tmp_path, values, task, is_noted):
    data = learn(tmp_path, {"v": ["1", "2", "4"]}, y=values)
    assert data.spec.task == task
    note = note_of(data)
    assert (note is not None) == is_noted
    if note is None:
        return
    assert data.findings[0] is note
    other = "regression" if task == "classification" else "classification"
    assert f"task={other}" in note.remedy
    if task == "classification" or len(set(values)) <= 20:
        chosen = learn(tmp_path, {"v": ["1", "2", "4"]}, y=values, task=other)
        assert (chosen.spec.task, note_of(chosen)) == (other, None)


@pytest.mark.parametrize("values", [["5"], ["a"], ["", ""], ["2024-01-05", "2024-01-06", "2024-02-07"], ["NA", "NA"]])
def test_a_target_that_cannot_be_learned_is_refused(tmp_path, values):
    with pytest.raises(DataError):
        learn(tmp_path, {"v": ["1", "2", "4"]}, y=values)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([str(1_700_000_000 + n) for n in range(60)], 1_700_000_000 + np.arange(60)),
        ([str(10**12 + n) for n in range(60)], 10**12 + np.arange(60)),
        ([str(2**53 - 60 + n) for n in range(60)], 2**53 - 60 + np.arange(60)),
        ([f"{-(10**9) - n}" for n in range(60)], -(10**9) - np.arange(60)),
        ([f"1.700.000.{n:03d},5" for n in range(60)], 1_700_000_000.5 + np.arange(60)),
        ([f"$1,700,000,{n:03d}.25" for n in range(60)], 1_700_000_000.25 + np.arange(60)),
        ([f"1 700 000 {n:03d}" for n in range(60)], 1_700_000_000 + np.arange(60)),
        ([f"1000000.0{n:02d}" for n in range(10, 70)], 1_000_000 + np.arange(10, 70) / 1000),
        ([f"0.1000000{n:02d}" for n in range(60)], 0.1 + np.arange(60) * 1e-9),
        ([f"1.70000000{n:02d}e9" for n in range(60)], 1.7e9 + np.arange(60) / 10),
        ([f"１７０００００{n:03d}" for n in range(100, 160)], 1_700_000_000 + np.arange(100, 160)),
        ([f"{n}e-40" for n in range(1, 61)], np.arange(1, 61) * 1e-40),
    ],
)
def test_numbers_keep_their_differences_as_targets_and_inputs(tmp_path, texts, expected):
    data = learn(tmp_path, {"v": texts, "w": ["1", "2", "4"]}, y=texts, task="regression")
    np.testing.assert_allclose(data.y[:, 0], expected, rtol=4e-16 * 4)
    std = expected.std()
    assert abs(data.x[:, 0].astype(np.float64) - expected).max() <= 1e-3 * std


@pytest.mark.parametrize("options", [{}, {"task": "classification"}])
@pytest.mark.parametrize("missing", [[], [""], ["NA"], ["NULL", ""]])
def test_classes_of_many_digits_keep_their_names(tmp_path, missing, options):
    """Next to a missing value a column of numbers becomes one of floats, which would round them."""
    classes = [str(2**53 + n) for n in (1, 2, 3)]
    data = learn(tmp_path, {"x": ["1", "2", "3"]}, y=[*classes, *missing], **options)
    assert [str(name) for name in data.spec.classes] == classes


@pytest.mark.parametrize("options", [{}, {"task": "classification"}])
@pytest.mark.parametrize("is_file", [False, True])
def test_classes_of_many_digits_in_a_frame_keep_their_names(tmp_path, options, is_file):
    classes = [2**53 + n for n in (1, 2, 3)]
    frame = pd.DataFrame({"x": np.arange(60) % 7, "y": pd.array([*classes, None] * 15, dtype="Int64")})
    if is_file:
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / "train.parquet")
        data = tables.from_file(tmp_path / "train.parquet", target="y", **options)
    else:
        data = to_dataset(frame, target="y", **options)
    assert [str(name) for name in data.spec.classes] == list(map(str, classes))
