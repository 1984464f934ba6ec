"""The scaling of ImageNet's images for the published networks."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.transforms._affine import Affine
from yisheng.transforms._row_chunks import RowSubset, count_columns

Mean = Annotated[float, Interval(gt=-math.inf, lt=math.inf)]
Std = Annotated[float, Interval(gt=0, lt=math.inf)]
MEAN: tuple[float, ...] = (0.485, 0.456, 0.406)
STD: tuple[float, ...] = (0.229, 0.224, 0.225)


@register(fits=lambda spec: spec.is_image, requires="images")
@dataclass(frozen=True)
class imagenet:  # noqa: N801  # its name is the registered name
    """Pixels from 0 to 255, scaled by ImageNet's mean and standard deviation, as published weights require it.

    ``y = (x / 255 − mean) / std`` per channel. Nothing is fitted to the data: a pretrained network needs its inputs
    as in its training. For gray images, where the filters of the three colors are added up, mean and standard
    deviation are averaged over the channels: a gray pixel is then scaled like the three, except for the small
    differences between the colors.

    Args:
        mean: in units of pixel / 255, red, green, blue; one value is for all channels. The default is ImageNet's;
            GoogLeNet's weights need 0.5 for both.
        std: standard deviation, in the same units.

    Raises:
        DataError: the numbers of values differ, or a value is not finite or not above zero.

    >>> scale = imagenet.fit(np.zeros((1, 3, 8, 8), np.uint8))
    >>> scale
    imagenet(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    >>> scale.apply(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    tensor([2.2489, 2.4286, 2.6400])
    >>> imagenet.fit(np.zeros((1, 1, 8, 8), np.uint8), mean=(0.5,), std=(0.25,))
    imagenet(mean=(0.5,), std=(0.25,))

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
    2012, section 2 (subtracting the mean); torchvision's model zoo (the numbers).
    """

    mean: tuple[Mean, ...] = field(default=MEAN, kw_only=True)
    std: tuple[Std, ...] = field(default=STD, kw_only=True)

    def __post_init__(self) -> None:
        values = (*self.mean, *self.std)
        if not (len(self.mean) == len(self.std) > 0 and all(map(math.isfinite, values)) and min(self.std) > 0):
            raise DataError(
                Message(
                    "imagenet scaling needs an equal number of finite means and of standard deviations above "
                    "zero, got mean={mean} and std={std}",
                    mean=self.mean,
                    std=self.std,
                ),
                Message("give both once for all channels, or for red, green and blue"),
            )

    @classmethod
    def fit(
        cls, x: np.ndarray | RowSubset, *, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
    ) -> imagenet:
        """Return the constants for the number of channels of the images, whose pixels are not read.

        Args:
            x: images ``(N, C, H, W)``.
            mean: one value, or one per channel; gray images use the average of three.
            std: likewise.

        Raises:
            DataError: these are not images, or their number of channels is not that of the values.
        """
        channels = count_columns(x)
        if x.ndim != 4:
            raise DataError(
                Message("imagenet scaling is for images, got rows of numbers"), Message("use scale=standard")
            )
        return cls(mean=_per_channel(mean, channels, "mean"), std=_per_channel(std, channels, "std"))

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return scaled images, float32 (float64 for float64).

        Raises:
            DataError: the number of channels is not that of the fit.
        """
        return self._affine.apply(x)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Return pixels from 0 to 255."""
        return self._affine.invert(x)

    @functools.cached_property
    def _affine(self) -> Affine:
        return Affine([255 * value for value in self.mean], [255 * value for value in self.std])


def _per_channel(values: tuple[float, ...], channels: int, name: str) -> tuple[float, ...]:
    if len(values) == channels:
        return tuple(values)
    if len(values) == 1:
        return tuple(values) * channels
    if channels == 1 and values:
        return (sum(values) / len(values),)
    raise DataError(
        Message(
            "imagenet scaling has {count} values of {name} for images of {channels} channels",
            count=len(values),
            name=name,
            channels=channels,
        ),
        Message(
            "give {name} once for all channels, or {channels} values; or use scale=standard",
            name=name,
            channels=channels,
        ),
    )
