"""Numbers that a loss needs besides output and target, kept where the output is."""

from __future__ import annotations

import torch


class Constant:
    """A tensor that follows the outputs' device and type, copied once and not at every step.

    Args:
        values: the numbers, on the CPU.

    >>> weights = Constant(torch.tensor([1.0, 2.0]))
    >>> weights.beside(torch.zeros(3, dtype=torch.float64)).dtype
    torch.float64
    """

    def __init__(self, values: torch.Tensor) -> None:
        self._values = values
        self._here = values

    def beside(self, output: torch.Tensor) -> torch.Tensor:
        """The numbers on the device and in the floating type of ``output``."""
        if self._here.device != output.device or self._here.dtype != output.dtype:
            # Made during evaluation, the copy must still be usable when training keeps it for backward.
            with torch.inference_mode(mode=False):
                self._here = self._values.to(device=output.device, dtype=output.dtype)
        return self._here
