"""The identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.registry import register
from yisheng.transforms._row_chunks import RowSubset


@register(default_for=lambda spec: spec.task != "regression")
@dataclass(frozen=True)
class none:  # noqa: N801  # its name is the registered name
    """The identity: bytes become the floats 0 to 255, floats stay as they are.

    >>> none.fit(np.zeros((2, 1, 8, 8), np.uint8)).apply(torch.tensor([[7]], dtype=torch.uint8))
    tensor([[7.]])
    """

    @classmethod
    def fit(cls, x: np.ndarray | RowSubset) -> none:  # noqa: ARG003  # every transform has this signature
        """Return the transform, which has nothing to fit."""
        return cls()

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values as floats."""
        return x if x.is_floating_point() else x.to(torch.float32)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values as floats."""
        return self.apply(x)
