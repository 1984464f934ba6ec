"""As they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.registry import register
from yisheng.transforms._chunks import Gather


@register(default_for=lambda spec: spec.task != "regression")
@dataclass(frozen=True)
class none:  # noqa: N801  # its name is the registered name
    """Values as they are: bytes become the floats 0 to 255, floats are left alone.

    >>> none.fit(np.zeros((2, 1, 8, 8), np.uint8)).apply(torch.tensor([[7]], dtype=torch.uint8))
    tensor([[7.]])
    """

    @classmethod
    def fit(cls, x: np.ndarray | Gather) -> none:  # noqa: ARG003  # every transform is fitted in the same way
        """Nothing is fitted."""
        return cls()

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """The values as floats."""
        return x if x.is_floating_point() else x.to(torch.float32)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """The values as floats."""
        return self.apply(x)
