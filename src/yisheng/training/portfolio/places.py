"""Which columns of a table are the two coordinates of places, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.models._rotated_places import RotatedPlaces
from yisheng.training.portfolio.appended_columns import append_columns

DEGREES = (22.5, 45.0, 67.5, 112.5, 135.0, 157.5)
"""Of the turned axes, between those that the columns are."""
MAX_PLACES = 4
PAIRS = (
    ({"latitude", "lat", "纬度"}, {"longitude", "long", "lon", "lng", "经度"}),
    ({"northing"}, {"easting"}),
    ({"y"}, {"x"}),
)
"""Words for the first and the second coordinate. What else is in the names, such as ``pickup``, must be the same."""


def find_places(spec: Spec) -> tuple[tuple[int, int], ...]:
    """Return the positions of the two coordinates of each place among columns of numbers; the first few places.

    >>> from yisheng.core.columns import Column
    >>> names = ("pickup_lat", "rooms", "pickup_lon", "Latitude", "dropoff_lon")
    >>> find_places(Spec("regression", (5,), columns=tuple(map(Column, names))))
    ((0, 2),)
    """
    numbers = [(i, c.name) for i, c in enumerate(spec.columns) if c.kind == "number" and not c.text_part]
    places = []
    for first_words, second_words in PAIRS:
        seconds = {_remove_word(name, second_words): i for i, name in numbers}
        for i, name in numbers:
            further_words = _remove_word(name, first_words)
            if further_words is not None and further_words in seconds:
                places.append((i, seconds[further_words]))
    return tuple(places[:MAX_PLACES])


def rotate_places(data: Dataset, places: tuple[tuple[int, int], ...]) -> tuple[Dataset, Mapping[str, Any]]:
    """Return data with the coordinates along turned axes as further columns, and what `RotatedPlaces` is built from.

    Args:
        data: scaled rows.
        places: the positions of the two columns of each.
    """
    plain = {"places": [list(place) for place in places], "degrees": list(DEGREES)}
    turned = RotatedPlaces(plain)
    return replace(data, x=append_columns(turned, data.x), spec=turned.spec(data.spec)), plain


def _remove_word(name: str, words: set[str]) -> tuple[str, ...] | None:
    """Return the other words of a name that has exactly one of some words, or None.

    >>> _remove_word("PickupLat", {"lat"}), _remove_word("plateau", {"lat"})
    (('pickup',), None)
    """
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[\u4e00-\u9fff]+", name)
    lower = [part.lower() for part in parts]
    if sum(part in words for part in lower) != 1:
        return None
    return tuple(part for part in lower if part not in words)
