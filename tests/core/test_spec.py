"""Specs and data sets check their fields."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.image_values import Drawing
from yisheng.core.input_spec import InputSpec
from yisheng.core.spec import Spec

names = st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6, unique=True).map(tuple)
shapes = st.lists(st.integers(1, 99), min_size=1, max_size=4).map(tuple)


@given(names, shapes, st.sampled_from([None, Drawing(20, "mass")]))
def test_a_spec_survives_json(classes, shape, drawing):
    columns = tuple(Column(f"c{i}") for i in range(shape[0])) if len(shape) == 1 else ()
    spec = Spec("classification", shape, classes=classes, columns=columns, drawing=drawing)
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "clustering", "shape": (3,)}, "task must be one of"),
        ({"task": "classification", "shape": (3,), "classes": ("a",)}, "requires 2 or more"),
        ({"task": "classification", "shape": (3,), "classes": ("a", "a")}, "must differ"),
        ({"task": "regression", "shape": (3,), "classes": ("a",)}, "requires no classes"),
        ({"task": "regression", "shape": ()}, "one axis or more"),
        ({"task": "regression", "shape": (0,)}, "sizes of 1 or more"),
        ({"task": "regression", "shape": (3,), "columns": (Column("a"),)}, "1 columns do not fit"),
    ],
)
def test_fields_that_contradict_are_refused(arguments, message):
    with pytest.raises(DataError) as caught:
        Spec(**arguments)
    assert message in caught.value.problem


@pytest.mark.parametrize("damage", [{"task": 3}, {"shape": "x"}, {"shape": None}, {"extra": 1}])
def test_a_damaged_spec_is_a_data_error(damage):
    with pytest.raises(DataError):
        Spec.from_json({**Spec("regression", (2,)).to_json(), **damage})


def test_a_data_set_checks_its_arrays():
    spec = Spec("regression", (2,))
    x, y = np.zeros((5, 2), np.float32), np.zeros((5, 1), np.float32)
    assert len(Dataset("d", spec, x, y)) == 5
    for wrong in (
        {"x": np.zeros((5, 3), np.float32)},
        {"y": y[:4]},
        {"part": np.zeros(4, np.int8)},
        {"x": x.astype(np.float16)},
        {"x": x[:0], "y": y[:0]},
    ):
        with pytest.raises(DataError):
            Dataset(**{"name": "d", "spec": spec, "x": x, "y": y, **wrong})


@pytest.mark.parametrize(
    ("spec", "is_row", "has_maps", "is_image"),
    [
        (Spec("regression", (3,)), True, False, False),
        (Spec("regression", (3, 8, 8)), False, True, True),
        (Spec("regression", (12, 8, 8)), False, True, False),
        (Spec("regression", (5, 3)), False, False, False),
        (Spec("regression", (3, 8, 8), dtype="int64"), False, False, False),
        (Spec("regression", (5,), dtype="int64"), False, False, False),
        (Spec("regression", (8,), inputs=(InputSpec((1,)), InputSpec((1,)))), False, False, False),
    ],
)
def test_only_what_can_be_drawn_is_an_image(spec, is_row, has_maps, is_image):
    assert (spec.is_row, spec.has_maps, spec.is_image) == (is_row, has_maps, is_image)


def test_new_fields_leave_the_fingerprints_of_data_unchanged():
    spec = Spec("regression", (2,), dtype="float32", link="probabilities", fit="pad")
    assert repr(spec) == repr(Spec("regression", (2,)))


@pytest.mark.parametrize(("dtype", "stored"), [("int64", np.float32), ("float32", np.int64), ("uint8", np.float32)])
def test_inputs_must_be_stored_in_a_type_that_the_network_can_receive(dtype, stored):
    with pytest.raises(DataError, match="inputs must be"):
        Dataset("d", Spec("regression", (2,), dtype=dtype), np.zeros((5, 2), stored), np.zeros((5, 1), np.float32))
