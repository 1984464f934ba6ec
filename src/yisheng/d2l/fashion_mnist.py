"""Fashion-MNIST as the book's chapters read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import data

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l.notices import FAST_PIXELS, FAST_RESIZED_PIXELS, limit_rows
from yisheng.d2l.vision.functional import interpolate
from yisheng.d2l.vision.hub_images import read_idx_part

LABELS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class ImageRows(data.Dataset[tuple[torch.Tensor, int]]):
    """Gray images and their labels; a batch is converted at once, which is much quicker than image by image.

    Args:
        images: uint8 ``(N, H, W)``.
        labels: class numbers ``(N,)``.
        size: height and width to resize the images to, or None.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, size: tuple[int, int] | None = None) -> None:
        self.images, self.labels, self.size = torch.from_numpy(images), torch.from_numpy(labels), size

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        (row,) = self.__getitems__([index])
        return row

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, int]]:
        """Return the images ``(1, H, W)`` from 0 to 1 and the labels of some rows; loaders call it for a batch."""
        rows = torch.as_tensor(indices)
        images = self.images[rows][:, None]
        if self.size is not None:
            images = interpolate(images, self.size, "bilinear", antialias=True)
        return list(zip((images / 255).unbind(), self.labels[rows].tolist(), strict=True))


def get_dataloader_workers() -> int:
    """Return how many processes read the data: 0, this process itself.

    The book uses 4. Starting them in each epoch takes longer than reading Fashion-MNIST here.
    """
    return 0


def get_fashion_mnist_labels(labels: Iterable[Any]) -> list[str]:
    """Return the class names of Fashion-MNIST's labels.

    Args:
        labels: class numbers from 0 to 9.

    Yisheng's own: ``yisheng.data.load("fashion-mnist").spec.classes``.

    >>> get_fashion_mnist_labels(torch.tensor([0, 9]))
    ['t-shirt', 'ankle boot']
    """
    return [LABELS[int(label)] for label in labels]


def load_data_fashion_mnist(
    batch_size: int, resize: int | Sequence[int] | None = None
) -> tuple[data.DataLoader[tuple[torch.Tensor, int]], data.DataLoader[tuple[torch.Tensor, int]]]:
    """Return loaders of Fashion-MNIST's training part, shuffled, and of its test part.

    The files come from the hub: its cache, your mirrors, or the network. Batches are images ``(B, 1, H, W)`` from 0 to
    1 and labels ``(B,)``. With ``YISHENG_D2L_FAST=1`` there are fewer rows.

    Args:
        batch_size: rows of a batch.
        resize: height and width to resize the images to: one number for both, or two.

    Raises:
        DataError: a file cannot be downloaded, or is damaged.
        UsageError: the size or the batch size is not a positive number.

    Yisheng's own: ``yisheng.train(data="fashion-mnist", batch_size=256)``; with a size
    ``data={"name": "fashion-mnist", "size": 96}``.
    """
    if batch_size < 1:
        raise UsageError(
            Message("batch_size must be at least 1, got {batch_size}", batch_size=batch_size),
            Message("give batch_size=256"),
        )
    size = _parse_size(resize)
    train, test = (data.DataLoader(read_rows(part, size), batch_size, shuffle=part == "train") for part in PARTS)
    return train, test


PARTS = ("train", "test")


def read_rows(part: str, size: tuple[int, int] | None = None) -> ImageRows:
    """Return the rows of a part of Fashion-MNIST, fewer in fast mode.

    Args:
        part: ``train`` or ``test``.
        size: height and width to resize the images to, or None.

    Raises:
        DataError: a file cannot be downloaded, or is damaged.
    """
    images, labels = read_idx_part("fashion-mnist", part)
    pixels = int(np.prod(size or images.shape[1:]))
    limit = max(1, (FAST_PIXELS if size is None else FAST_RESIZED_PIXELS) // pixels)
    count = limit_rows(len(labels), limit if part == "train" else max(1, limit // 4), f"Fashion-MNIST ({part})")
    return ImageRows(images[:count], labels[:count], size)


def _parse_size(resize: int | Sequence[int] | None) -> tuple[int, int] | None:
    if resize is None:
        return None
    sides = (resize, resize) if isinstance(resize, int) else tuple(resize)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UsageError(
            Message("resize must be a number of pixels, got {resize}", resize=f"{resize!r}"),
            Message("give resize=96, or resize=(96, 96)"),
        )
    return sides[0], sides[1]
