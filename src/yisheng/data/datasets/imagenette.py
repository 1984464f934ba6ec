"""Ten easy classes of ImageNet."""

from __future__ import annotations

from typing import Literal

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register
from yisheng.data.images.image_dataset import Size
from yisheng.data.images.resize import Fit

CLASS_NAMES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""By WordNet's numbers, which are the names of the folders."""
DEFAULT_SIZES = {"full": 224, "320": 224, "160": 128}


@register(
    mirror=True,
    variants={
        "imagenette": {"side": "full"},
        "imagenette-160": {"side": "160"},
        "imagenette-320": {"side": "320"},
    },
)
def imagenette(
    *, side: Literal["full", "160", "320"], size: Size = "auto", fit: Fit = "crop", strict: bool = False
) -> Dataset:
    """Load 13,394 photographs of ten kinds of things, 3,925 of them the official validation part.

    Variants:
        imagenette: 13,394 photographs of ten kinds of things, full size, 3,925 of them the official validation part. A
            download of 1.6 GB.
        imagenette-160: 13,394 photographs of ten kinds of things, short side 160 pixels, 3,925 of them the official
            validation part. A download of 99 MB.
        imagenette-320: 13,394 photographs of ten kinds of things, short side 320 pixels, 3,925 of them the official
            validation part. A download of 342 MB.

    Args:
        side: shorter side of the photographs in pixels.
        size: height and width of the inputs, one number for both; auto is 224, the size of networks trained on
            ImageNet, and for imagenette-160 it is 128, the smallest size of the set's leaderboard.
        fit: how an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
            or padded with black (pad). Prediction does the same.
        strict: a damaged image is an error; by default it is left out and reported.

    Raises:
        DataError: the archive cannot be downloaded, or has other content.

    Source: Howard, Imagenette, github.com/fastai/imagenette.
    """
    from yisheng.data import hub
    from yisheng.data.datasets import _image_dataset
    from yisheng.data.images import image_dataset

    name, stem = ("imagenette", "imagenette2") if side == "full" else (f"imagenette-{side}", f"imagenette2-{side}")
    options = image_dataset.parse_options(DEFAULT_SIZES[side] if size == "auto" else size, fit, "rgb")
    root = hub.unpack(name, f"{stem}.tgz") / stem
    return _image_dataset.load_from_folders(
        name, root, options, strict=strict, class_name_of=lambda folder: CLASS_NAMES.get(folder, folder)
    )
