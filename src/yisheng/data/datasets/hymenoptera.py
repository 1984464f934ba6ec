"""Ants and bees: few photographs, the textbook example of fine-tuning."""

from __future__ import annotations

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register
from yisheng.data.images.image_dataset import Size
from yisheng.data.images.resize import Fit

ARCHIVE = "hymenoptera_data.zip"
EXCLUDED_FILES = ("imageNotFound.gif",)
"""A web server's error image, which is among the ants in the published zip."""


@register(mirror=True)
def hymenoptera(*, size: Size = 224, fit: Fit = "crop", strict: bool = False) -> Dataset:
    """Load 397 photographs of ants and bees, 153 of them the official validation part: the example of fine-tuning.

    Args:
        size: height and width of the inputs, one number for both; 224 is the size of networks trained on ImageNet.
        fit: how an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
            or padded with black (pad). Prediction does the same.
        strict: a damaged image is an error; by default it is left out and reported.

    Raises:
        DataError: the files cannot be downloaded, or have other content.

    Source: PyTorch's tutorial on transfer learning; images of ImageNet.
    """
    from yisheng.data import hub
    from yisheng.data.datasets import _image_dataset
    from yisheng.data.images import image_dataset

    files = hub.fetch("hymenoptera")
    root = files.get(ARCHIVE) or files["train"].parent
    options = image_dataset.parse_options(size, fit, "rgb")
    return _image_dataset.load_from_folders("hymenoptera", root, options, strict=strict, excluded_files=EXCLUDED_FILES)
