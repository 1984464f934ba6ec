"""Ten easy classes of ImageNet, photographs with a short side of 160 pixels."""

from __future__ import annotations

from typing import Literal

from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.images.image_dataset import Size


@register(mirror=True)
def imagenette_160(
    *, size: Size = 128, fit: Literal["crop", "squash", "pad"] = "crop", strict: bool = False
) -> Dataset:
    """13,394 photographs of ten kinds of things, short side 160 pixels, 3,925 of them the official validation part.

    A download of 99 MB.

    Args:
        size: height and width of the inputs, one number for both; 128 is the smallest of the set's leaderboard.
        fit: how an image of another ratio of sides comes to that size: the middle is cut out (crop), it is squashed,
            or filled up with black (pad). Prediction does the same.
        strict: a damaged image is an error; else it is left out and named.

    Raises:
        DataError: the archive is missing and cannot be fetched, or holds something else.

    Source: Howard, Imagenette, github.com/fastai/imagenette.
    """
    from yisheng.data.datasets._imagenette import imagenette_set

    return imagenette_set("imagenette-160", "imagenette2-160.tgz", size, fit, strict)
