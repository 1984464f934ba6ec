"""Weights of classes or labels, kept on the device of the outputs."""

from __future__ import annotations

import torch


class OutputWeights:
    """A tensor that is copied to the outputs' device and type once, not at every step.

    Args:
        values: the weights, on the CPU.

    >>> weights = OutputWeights(torch.tensor([1.0, 2.0]))
    >>> weights.to_match(torch.zeros(3, dtype=torch.float64)).dtype
    torch.float64
    """

    def __init__(self, values: torch.Tensor) -> None:
        self._values = values
        self._copy = values

    def to_match(self, output: torch.Tensor) -> torch.Tensor:
        """Return the weights on the device and in the floating type of ``output``."""
        if self._copy.device != output.device or self._copy.dtype != output.dtype:
            # A copy made during evaluation must be usable in training, which saves it for backward.
            with torch.inference_mode(mode=False):
                self._copy = self._values.to(device=output.device, dtype=output.dtype)
        return self._copy
