"""Coordinates of places along turned axes: trees split along axes only, and coasts and streets run across them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from yisheng.core.columns import Column
from yisheng.core.spec import Spec


class RotatedPlaces(nn.Module):
    """Append the coordinates of places along turned axes: ``(B, D)`` to ``(B, D + places * angles)``.

    Args:
        plain: ``places``, the positions of the two columns of each, and ``degrees``, the angles of the axes.

    Raises:
        ValueError: the fields contradict one another.

    >>> turned = RotatedPlaces({"places": [[0, 1]], "degrees": [45, 180]})
    >>> turned(torch.tensor([[1.0, 1.0], [3.0, 1.0]]))[:, 2:]
    tensor([[ 1.4142, -1.0000],
            [ 2.8284, -3.0000]])
    """

    directions: torch.Tensor

    def __init__(self, plain: Mapping[str, Any]) -> None:
        super().__init__()
        self.places = [(int(first), int(second)) for first, second in plain["places"]]
        self.degrees = [float(angle) for angle in plain["degrees"]]
        is_valid = all(map(math.isfinite, self.degrees)) and all(min(place) >= 0 for place in self.places)
        if not self.places or not self.degrees or not is_valid:
            raise ValueError("the places of an ensemble contradict one another")
        radians = torch.tensor(self.degrees, dtype=torch.float64).deg2rad()
        # Not saved as a tensor: it follows from the description, from which the model is built.
        self.register_buffer("directions", torch.stack([radians.cos(), radians.sin()]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rows with the turned coordinates appended."""
        turned = []
        for first, second in self.places:
            along = x[:, first, None].double() * self.directions[0] + x[:, second, None].double() * self.directions[1]
            turned.append(along.to(x.dtype))
        return torch.cat([x, *turned], dim=1)

    def spec(self, spec: Spec) -> Spec:
        """Return the contract of the outputs: further columns of numbers."""
        added = [
            Column(
                f"{spec.columns[first].name}, {spec.columns[second].name}: {angle:g} degrees",
                source=spec.columns[first].source,
            )
            for first, second in self.places
            for angle in self.degrees
        ]
        columns = (*spec.columns, *added)
        return replace(spec, shape=(len(columns),), columns=columns)
