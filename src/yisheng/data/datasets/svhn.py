"""House numbers in the street, 32x32."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec

FILES = ("train_32x32.mat", "test_32x32.mat")


@register
def svhn(*, folder: Path | None = None) -> Dataset:
    """Load 99,289 digits cut out of photographs of house numbers, color, 32x32, 26,032 of them the official test part.

    The label is the digit in the center; its neighbors are often in the image.

    Args:
        folder: folder with train_32x32.mat and test_32x32.mat; by default they are downloaded.

    Raises:
        DataError: a file cannot be downloaded, or is not SVHN's.

    Source: Netzer et al., Reading digits in natural images with unsupervised feature learning (2011).
    """
    from yisheng.data import hub
    from yisheng.data.datasets._catalog_facts import add_catalog_facts

    train, test = (_read(hub.fetch_file("svhn", file, folder)) for file in FILES)
    part = np.repeat(np.array([0, 2], np.int8), [len(train[1]), len(test[1])])
    spec = Spec("classification", (3, 32, 32), classes=tuple("0123456789"), target="digit")
    x, y = np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])
    return add_catalog_facts(Dataset("svhn", spec, x, y, part))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 ``(N, 3, 32, 32)`` and digits int64 ``(N,)``.

    Raises:
        DataError: the file has other content.
    """
    from yisheng.data import mat

    arrays = mat.read(path)
    x, y = arrays.get("X"), arrays.get("y")
    are_images = x is not None and x.dtype == np.uint8 and x.ndim == 4 and x.shape[:3] == (32, 32, 3)
    if x is None or y is None or not are_images or y.size != x.shape[-1] or not np.isin(y, np.arange(1, 11)).all():
        raise DataError(
            Message("{path} should hold images X (32, 32, 3, N) in bytes and digits y (N, 1) from 1 to 10", path=path),
            Message("use the file of this set"),
        )
    return np.ascontiguousarray(x.transpose(3, 2, 0, 1)), y.ravel().astype(np.int64) % 10  # the label of 0 is 10
