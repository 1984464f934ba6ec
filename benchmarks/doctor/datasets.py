"""Data sets of the benchmark: rows to learn from, and rows to score with."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split


@dataclass(frozen=True)
class Data:
    """Training rows and held-out rows."""

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1


@functools.cache
def table(name: str, seed: int, scale: bool = True) -> Data:
    """Return one of scikit-learn's tables with class numbers: iris, wine, breast_cancer, digits (as 64 columns)."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return _split(x, y.astype("int64"), seed, scale)


@functools.cache
def diabetes(seed: int, scale: bool = True, scale_target: bool = True) -> Data:
    """Return a regression of one target ``(N, 1)`` on 10 columns."""
    x, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    y = (y - y.mean()) / y.std() if scale_target else y
    return _split(x, y.astype("float32")[:, None], seed, scale)


@functools.cache
def images(seed: int) -> Data:
    """Return the digits as images (1, 8, 8) from 0 to 1."""
    x, y = datasets.load_digits(return_X_y=True)
    return _split((x / 16).reshape(-1, 1, 8, 8), y.astype("int64"), seed, False)


@functools.cache
def generate(kind: str, seed: int, rows: int = 800, columns: int = 20) -> Data:
    """Generate rows.

    Args:
        kind: moons, blobs (6 classes), table (5 classes), binary; or regression and friedman with targets (N, 1).
        seed: of the generator and the split.
        rows: their number.
        columns: their number, if the kind allows it.
    """
    if kind == "moons":
        x, y = datasets.make_moons(rows, noise=0.2, random_state=seed)
    elif kind == "blobs":
        x, y = datasets.make_blobs(rows, columns, centers=6, cluster_std=4.0, random_state=seed)
    elif kind == "binary":
        x, y = datasets.make_classification(rows, columns, n_informative=8, class_sep=1.5, random_state=seed)
    elif kind == "table":
        x, y = datasets.make_classification(
            rows, columns, n_informative=10, n_classes=5, n_clusters_per_class=1, class_sep=1.5, random_state=seed
        )
    elif kind == "friedman":
        x, y = datasets.make_friedman1(rows, n_features=10, noise=0.5, random_state=seed)
        y = ((y - y.mean()) / y.std())[:, None]
    else:
        x, y = datasets.make_regression(rows, columns, noise=5.0, random_state=seed)
        y = ((y - y.mean()) / y.std())[:, None]
    regression = y.ndim == 2
    return _split(x, y.astype("float32" if regression else "int64"), seed, True)


@functools.cache
def photos(name: str, seed: int, rows: int = 1500) -> Data:
    """Return some rows of an image data set that Yisheng downloads, from 0 to 1."""
    import yisheng

    data = yisheng.data.load(name)
    order = np.random.default_rng(seed).permutation(len(data.x))[:rows]
    x = np.asarray(data.x[order], dtype="float32") / 255
    x = x[:, None] if x.ndim == 3 else x
    return _split(x, np.asarray(data.y)[order].astype("int64"), seed, False)


def _split(x: np.ndarray, y: np.ndarray, seed: int, scale: bool) -> Data:
    x_train, x_test, y_train, y_test = train_test_split(x.astype("float32"), y, test_size=0.3, random_state=seed)
    if scale:
        mean, std = x_train.mean(0), x_train.std(0) + 1e-6
        std[std < 1e-5] = 1  # a column that is constant in the training rows
        x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
    return Data(*(torch.as_tensor(part) for part in (x_train, y_train, x_test, y_test)))
