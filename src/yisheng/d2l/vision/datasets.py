"""Image data sets with torchvision's names and arguments; their files come from Yisheng's hub.

The hub keeps its own copy of each file, so ``root`` is only read: files that torchvision put there are used if they are
intact. ``download=True`` allows a download if neither has them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.d2l.notices import FAST_PIXELS, limit_rows
from yisheng.d2l.vision.hub_images import read_cifar10, read_idx_part

Transform = Callable[[Any], Any]
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FAST_IMAGES_PER_CLASS = 16
"""Images of each class folder in fast mode."""


class _VisionDataset(Dataset[tuple[Any, Any]]):
    """Images and their class numbers, each passed through a transform of its own."""

    classes: Sequence[str]

    def __init__(self, transform: Transform | None, target_transform: Transform | None) -> None:
        self.transform, self.target_transform = transform, target_transform

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Return the number of each class by its name."""
        return {name: number for number, name in enumerate(self.classes)}

    def __repr__(self) -> str:
        return f"Dataset {type(self).__name__}\n    Number of datapoints: {len(self)}"

    def __len__(self) -> int:
        raise NotImplementedError  # by each data set

    def _apply(self, image: Any, target: int) -> tuple[Any, Any]:
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)


class MNIST(_VisionDataset):
    """Handwritten digits, gray, 28x28.

    Args:
        root: folder that is read if torchvision has put the files there.
        train: the training part, else the test part.
        transform: applied to each PIL image.
        target_transform: applied to each class number.
        download: allow a download.

    Raises:
        DataError: a file is missing or damaged, or cannot be downloaded.

    Yisheng's own: ``yisheng.data.load("mnist")``.
    """

    hub_set = "mnist"
    classes = (
        *("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four"),
        *("5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"),
    )

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(transform, target_transform)
        part = "train" if train else "test"
        name = type(self).__name__
        self.root, self.train = root, train
        folder = None if root is None else parse_path(root, "root") / name / "raw"
        images, labels = read_idx_part(self.hub_set, part, folder=folder, download=download)
        limit = FAST_PIXELS // int(np.prod(images.shape[1:]))
        count = limit_rows(len(labels), limit if train else limit // 4, f"{name} ({part})")
        self.data, self.targets = torch.from_numpy(images[:count]), torch.from_numpy(labels[:count])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._apply(Image.fromarray(self.data[index].numpy()), int(self.targets[index]))


class FashionMNIST(MNIST):
    """Clothes, gray, 28x28; the arguments are those of `MNIST`.

    Yisheng's own: ``yisheng.data.load("fashion-mnist")``.
    """

    hub_set = "fashion-mnist"
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class CIFAR10(_VisionDataset):
    """Animals and vehicles, in color, 32x32; the arguments are those of `MNIST`.

    Yisheng's own: ``yisheng.data.load("cifar10")``.
    """

    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(transform, target_transform)
        self.root, self.train = root, train
        dataset = read_cifar10(download=download)
        assert dataset.part is not None
        rows = np.flatnonzero(dataset.part == (0 if train else 2))
        limit = FAST_PIXELS // (32 * 32)
        rows = rows[: limit_rows(len(rows), limit if train else limit // 4, "CIFAR10")]
        self.data = np.ascontiguousarray(np.asarray(dataset.x)[rows].transpose(0, 2, 3, 1))
        self.targets = [int(label) for label in np.asarray(dataset.y)[rows]]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._apply(Image.fromarray(self.data[index]), self.targets[index])


class ImageFolder(_VisionDataset):
    """Images in class folders; the classes are numbered in the order of their names.

    Args:
        root: folder that holds a folder for each class.
        transform: applied to each PIL image, in RGB.
        target_transform: applied to each class number.

    Raises:
        DataError: the folder is missing or has no class folders, or one of them has no images.

    Yisheng's own: ``yisheng.train(data="photos/")``.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        super().__init__(transform, target_transform)
        self.root = root
        folder = parse_path(root, "root")
        if not folder.is_dir():
            raise DataError(
                Message(
                    "the folder {folder} does not exist (the present folder is {present_folder})",
                    folder=folder,
                    present_folder=Path.cwd(),
                ),
                Message("check the path; d2l.download_extract returns the folder that it extracted"),
            )
        self.classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
        if not self.classes:
            raise DataError(
                Message("{folder} holds no folders", folder=folder),
                Message("give a folder that holds one folder of images for each class"),
            )
        self.samples = [sample for name in self.classes for sample in self._list_class(folder / name)]
        self.imgs, self.targets = self.samples, [target for _, target in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        try:
            with Image.open(path) as image:
                pixels = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(
                Message("{path} is not an intact image: {error}", path=path, error=error),
                Message("remove the file, or get it again"),
            ) from None
        return self._apply(pixels, target)

    def _list_class(self, folder: Path) -> list[tuple[str, int]]:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
        if not paths:
            raise DataError(
                Message("{folder} holds no images", folder=folder),
                Message("remove the folder, or add images ({extensions})", extensions=", ".join(EXTENSIONS)),
            )
        count = limit_rows(len(paths), FAST_IMAGES_PER_CLASS, f"each class of {folder.parent}")
        return [(os.fspath(path), self.class_to_idx[folder.name]) for path in paths[:count]]
