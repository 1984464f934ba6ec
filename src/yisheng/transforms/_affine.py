"""(x − shift) / scale and its inverse, one pair of constants per channel or column."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from yisheng.core.errors import DataError


class Affine:
    """``y = (x − shift) / scale`` with constants that are made once per device and precision.

    Args:
        shift: one value per channel of images or column of rows ``(C,)`` or ``(D,)``.
        scale: the same number of values, none of them zero.
    """

    def __init__(self, shift: Sequence[float], scale: Sequence[float]) -> None:
        self.shift, self.scale = tuple(shift), tuple(scale)
        self._kept: dict[tuple[torch.device, torch.dtype, bool], tuple[torch.Tensor, ...]] = {}
        self._factor = 1 / scale[0]

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """``(x − shift) / scale``, a new tensor."""
        shift, scale, offset = self._constants(x)
        if len(self.shift) == 1 and not x.is_floating_point():
            return torch.add(offset, x, alpha=self._factor)  # one pass from bytes to floats
        # Not x * factor + offset: where the mean is large and the spread small, that would lose digits.
        if x.is_floating_point():
            return torch.sub(x, shift).div_(scale)
        return x.to(shift.dtype).sub_(shift).div_(scale)

    def invert(self, y: torch.Tensor) -> torch.Tensor:
        """``y * scale + shift``, a new tensor."""
        shift, scale, _ = self._constants(y)
        return torch.addcmul(shift, y.to(shift.dtype), scale)

    def _constants(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image = x.ndim >= 4
        if x.shape[-3 if image else -1] != len(self.shift):
            what = "channels" if image else "columns"
            raise DataError(
                f"this transform was fitted on {len(self.shift)} {what}, got inputs of shape {tuple(x.shape)}",
                "give data of the form that the model was trained on",
            )
        dtype = torch.float64 if x.dtype is torch.float64 else torch.float32
        key = (x.device, dtype, image)
        if key not in self._kept:
            # Constants made in inference mode could never again take part in a backward pass.
            with torch.inference_mode(False):
                shape = (-1, 1, 1) if image else (-1,)
                shift, scale = (torch.tensor(v, dtype=torch.float64).reshape(shape) for v in (self.shift, self.scale))
                self._kept[key] = tuple(v.to(x.device, dtype) for v in (shift, scale, -shift / scale))
        return self._kept[key]
