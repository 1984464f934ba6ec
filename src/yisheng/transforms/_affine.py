"""(x − shift) / scale and its inverse, one pair of constants per channel or column."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.transforms._row_chunks import channel_axis

SINGLE_EPSILON = float(torch.finfo(torch.float32).eps)
MAX_RELATIVE_STEP = 1e-4
"""Single precision is too coarse for a result if its step exceeds this fraction of the standard deviation."""


class Affine:
    """``y = (x − shift) / scale``, with constants that are created once per device and precision.

    Args:
        shift: one value per channel of images ``(C,)``, or per column of rows and sequences ``(D,)``.
        scale: the same number of values, none of them zero.
    """

    def __init__(self, shift: Sequence[float], scale: Sequence[float]) -> None:
        self.shift, self.scale = tuple(shift), tuple(scale)
        self._cache: dict[tuple[torch.device, torch.dtype, int], tuple[torch.Tensor, ...]] = {}
        self._factor = 1 / scale[0]
        pairs = zip(self.shift, self.scale, strict=True)
        self._is_coarse = any(abs(a) * SINGLE_EPSILON > MAX_RELATIVE_STEP * abs(b) for a, b in pairs)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(x − shift) / scale``, a new tensor.

        Raises:
            DataError: the number of channels or columns is wrong.
        """
        shift, scale, offset = self._constants(x)
        if len(self.shift) == 1 and not x.is_floating_point():
            return torch.add(offset, x, alpha=self._factor)  # one pass from bytes to floats
        # x * factor + offset would lose digits if the mean is large and the deviation small.
        if x.is_floating_point():
            return torch.sub(x, shift).div_(scale)
        return x.to(shift.dtype).sub_(shift).div_(scale)

    def invert(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``y * scale + shift``, a new tensor; float64 where single precision is too coarse for the result.

        Raises:
            DataError: the number of channels or columns is wrong.
        """
        shift, scale, _ = self._constants(y.double() if self._is_coarse else y)
        return torch.addcmul(shift, y.to(shift.dtype), scale)

    def _constants(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        axis = channel_axis(x.ndim) if x.ndim > 1 else 0
        trailing = x.ndim - 1 - axis
        if x.shape[axis] != len(self.shift):
            axis_name = "channels" if trailing else "columns"
            raise DataError(
                Message(
                    "this transform was fitted on {count} {axis_name}, got inputs of shape {shape}",
                    count=len(self.shift),
                    axis_name=axis_name,
                    shape=tuple(x.shape),
                ),
                Message("give data of the same form as in training"),
            )
        dtype = torch.float64 if x.dtype is torch.float64 else torch.float32
        key = (x.device, dtype, trailing)
        if key not in self._cache:
            # A backward pass cannot use tensors that were created in inference mode.
            with torch.inference_mode(False):
                shape = (-1, *[1] * trailing)
                shift, scale = (torch.tensor(v, dtype=torch.float64).reshape(shape) for v in (self.shift, self.scale))
                self._cache[key] = tuple(v.to(x.device, dtype) for v in (shift, scale, -shift / scale))
        return self._cache[key]
