"""Ants and bees: few photographs, to be learnt from with the help of many others."""

from __future__ import annotations

from typing import Literal

from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.images.image_dataset import Size

ZIP = "hymenoptera_data.zip"
NOT_OURS = ("imageNotFound.gif",)
"""A web server's answer in place of an image, which the published zip has among the ants."""


@register(mirror=True)
def hymenoptera(*, size: Size = 224, fit: Literal["crop", "squash", "pad"] = "crop", strict: bool = False) -> Dataset:
    """397 photographs of ants and bees, 153 of them the official validation part: the example of fine-tuning.

    Args:
        size: height and width of the inputs, one number for both; networks trained on ImageNet want 224.
        fit: how an image of another ratio of sides comes to that size: the middle is cut out (crop), it is squashed,
            or filled up with black (pad). Prediction does the same.
        strict: a damaged image is an error; else it is left out and named.

    Raises:
        DataError: the files are missing and cannot be fetched, or hold something else.

    Source: PyTorch's tutorial on transfer learning; images of ImageNet.
    """
    from yisheng.data.datasets import _image_dataset
    from yisheng.data.hub import files as hub
    from yisheng.data.images import image_dataset

    files = hub.fetch("hymenoptera")
    place = files.get(ZIP) or files["train"].parent
    how = image_dataset.settings(size, fit, "rgb")
    return _image_dataset.in_folders("hymenoptera", place, how, strict=strict, without=NOT_OURS)
