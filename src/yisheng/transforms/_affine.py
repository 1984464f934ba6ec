"""(x − shift) / scale and its inverse, one pair of constants per channel or column."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from yisheng.core.errors import DataError


class Affine:
    """``y = (x − shift) / scale``, with constants that are created once per device and precision.

    Args:
        shift: one value per channel of images ``(C,)`` or column of rows ``(D,)``.
        scale: the same number of values, none of them zero.
    """

    def __init__(self, shift: Sequence[float], scale: Sequence[float]) -> None:
        self.shift, self.scale = tuple(shift), tuple(scale)
        self._cache: dict[tuple[torch.device, torch.dtype, bool], tuple[torch.Tensor, ...]] = {}
        self._factor = 1 / scale[0]

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
        """Return ``y * scale + shift``, a new tensor.

        Raises:
            DataError: the number of channels or columns is wrong.
        """
        shift, scale, _ = self._constants(y)
        return torch.addcmul(shift, y.to(shift.dtype), scale)

    def _constants(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        is_image = x.ndim >= 4
        if x.shape[-3 if is_image else -1] != len(self.shift):
            axis_name = "channels" if is_image else "columns"
            raise DataError(
                f"this transform was fitted on {len(self.shift)} {axis_name}, got inputs of shape {tuple(x.shape)}",
                "give data of the same form as in training",
            )
        dtype = torch.float64 if x.dtype is torch.float64 else torch.float32
        key = (x.device, dtype, is_image)
        if key not in self._cache:
            # A backward pass cannot use tensors that were created in inference mode.
            with torch.inference_mode(False):
                shape = (-1, 1, 1) if is_image else (-1,)
                shift, scale = (torch.tensor(v, dtype=torch.float64).reshape(shape) for v in (self.shift, self.scale))
                self._cache[key] = tuple(v.to(x.device, dtype) for v in (shift, scale, -shift / scale))
        return self._cache[key]
