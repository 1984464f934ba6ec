"""Coordinates of places along turned axes."""

import numpy as np
import pytest
import torch

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.models._rotated_places import RotatedPlaces
from yisheng.training.portfolio.places import DEGREES, find_places, rotate_places


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (("longitude", "latitude", "rooms"), ((1, 0),)),
        (("Lat", "Lng"), ((0, 1),)),
        (("pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude"), ((1, 0), (3, 2))),
        (("startLat", "endLat", "endLong", "startLong"), ((0, 3), (1, 2))),
        (("X.coord", "Y.coord"), ((1, 0),)),
        (("经度", "纬度"), ((1, 0),)),
        (("easting (m)", "northing (m)"), ((1, 0),)),
        (("latency", "longevity"), ()),
        (("pickup_lat", "dropoff_lon"), ()),
        (("lat", "lat_error"), ()),
        (("x1", "x2", "y1"), ((2, 0),)),
    ],
)
def test_coordinates_are_found_by_their_names(names, places):
    assert find_places(Spec("regression", (len(names),), columns=tuple(map(Column, names)))) == places


def test_categories_and_words_are_no_coordinates():
    columns = (Column("lat", "category", ("a", "b")), Column("lon"), Column("y", text_part="word:y"), Column("x"))
    assert find_places(Spec("regression", (4,), columns=columns)) == ()


def test_turned_coordinates_are_those_of_a_rotation():
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    x[3, 2] = np.nan
    spec = Spec("regression", (3,), columns=(Column("lon"), Column("rooms"), Column("lat")))
    data = Dataset("places", spec, x, np.zeros((20, 1), np.float32))
    turned, plain = rotate_places(data, find_places(spec))
    assert turned.spec == RotatedPlaces(plain).spec(spec)
    np.testing.assert_array_equal(turned.x[:, :3], x)
    complex_numbers = x[:, 2] + 1j * x[:, 0]
    for position, angle in enumerate(DEGREES):
        expected = (complex_numbers * np.exp(-1j * np.deg2rad(angle))).real
        np.testing.assert_allclose(turned.x[:, 3 + position], expected, rtol=1e-5, atol=1e-6)


def test_damaged_places_are_refused():
    for plain in ({"places": [], "degrees": [45]}, {"places": [[0, 1]], "degrees": [torch.inf]}):
        with pytest.raises(ValueError, match="contradict"):
            RotatedPlaces(plain)
