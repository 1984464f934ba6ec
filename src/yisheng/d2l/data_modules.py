"""Data of the book's object-oriented edition: loaders for training and validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.utils import data

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l.fashion_mnist import LABELS, read_rows
from yisheng.d2l.figures import show_images
from yisheng.d2l.hub_files import CACHE_DIR, download
from yisheng.d2l.hyper_parameters import HyperParameters


class DataModule(HyperParameters):
    """Data with a loader for training and one for validation; subclasses define ``get_dataloader``.

    Args:
        root: folder of downloaded files.
        num_workers: processes that read batches; the book uses 4.

    Yisheng's own: ``yisheng.train(data=(x, y), validation=(x2, y2))``.
    """

    def __init__(self, root: str = CACHE_DIR, num_workers: int = 0) -> None:
        self.root, self.num_workers = root, num_workers

    def get_dataloader(self, train: bool) -> Any:  # noqa: ARG002  # for subclasses
        """Return the loader for training or validation.

        Raises:
            UsageError: the subclass does not define it.
        """
        raise UsageError(
            Message("{type_name} has no loader", type_name=type(self).__name__),
            Message("define get_dataloader(self, train) in the class"),
        )

    def train_dataloader(self) -> Any:
        """Return the loader for training."""
        return self.get_dataloader(train=True)

    def val_dataloader(self) -> Any:
        """Return the loader for validation."""
        return self.get_dataloader(train=False)

    def get_tensorloader(self, tensors: Sequence[torch.Tensor], train: bool, indices: Any = slice(0, None)) -> Any:
        """Return a loader of some rows of tensors, shuffled for training.

        Args:
            tensors: tensors with the same number of rows.
            train: whether to shuffle.
            indices: the rows.
        """
        rows = data.TensorDataset(*(tensor[indices] for tensor in tensors))
        return data.DataLoader(rows, self.batch_size, shuffle=train)

    batch_size: int


class SyntheticRegressionData(DataModule):
    """Rows of a line with noise: y = Xw + b + e.

    Args:
        w: weights ``(D,)``.
        b: bias.
        noise: standard deviation of e.
        num_train: rows to train on.
        num_val: rows to validate on.
        batch_size: rows of a batch.

    Yisheng's own: ``yisheng.train(data="linear")``.
    """

    def __init__(
        self,
        w: torch.Tensor,
        b: float,
        noise: float = 0.01,
        num_train: int = 1000,
        num_val: int = 1000,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.num_train, self.batch_size = num_train, batch_size
        self.X = torch.randn(num_train + num_val, len(w))
        self.y = torch.matmul(self.X, w.reshape((-1, 1))) + b + torch.randn(num_train + num_val, 1) * noise

    def get_dataloader(self, train: bool) -> Any:
        """Return the loader for training or validation."""
        rows = slice(0, self.num_train) if train else slice(self.num_train, None)
        return self.get_tensorloader((self.X, self.y), train, rows)


class FashionMNIST(DataModule):
    """Fashion-MNIST, whose official test part is the validation.

    Args:
        batch_size: rows of a batch.
        resize: height and width of the images.

    Raises:
        DataError: a file cannot be downloaded, or is damaged.

    Yisheng's own: ``yisheng.train(data="fashion-mnist")``, which keeps the test part for the end.
    """

    def __init__(self, batch_size: int = 64, resize: tuple[int, int] = (28, 28)) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.batch_size = batch_size
        height, width = resize
        size = None if (height, width) == (28, 28) else (height, width)
        self.train, self.val = read_rows("train", size), read_rows("test", size)

    def text_labels(self, indices: Iterable[Any]) -> list[str]:
        """Return the class names of labels."""
        return [LABELS[int(index)] for index in indices]

    def get_dataloader(self, train: bool) -> Any:
        """Return the loader for training or validation."""
        rows = self.train if train else self.val
        return data.DataLoader(rows, self.batch_size, shuffle=train, num_workers=self.num_workers)

    def visualize(self, batch: Sequence[Any], nrows: int = 1, ncols: int = 8, labels: Sequence[str] = ()) -> None:
        """Show the images of a batch with their class names.

        Args:
            batch: images and labels.
            nrows: rows of the grid.
            ncols: columns of the grid.
            labels: other texts above the images.
        """
        X, y = batch
        show_images(X.squeeze(1), nrows, ncols, titles=labels or self.text_labels(y))


class KaggleHouse(DataModule):
    """The tables of the house prices: ``raw_train`` with prices, ``raw_val`` without.

    Args:
        batch_size: rows of a batch.
        train: a prepared table to train on instead.
        val: a prepared table to validate on.

    Raises:
        DataError: a file cannot be downloaded, or is damaged.

    Yisheng's own: ``yisheng.train(data="house-prices", folds=5)``.
    """

    def __init__(self, batch_size: int, train: Any = None, val: Any = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.batch_size, self.train, self.val = batch_size, train, val
        if train is None:
            import pandas as pd

            self.raw_train = pd.read_csv(download("kaggle_house_train", self.root))
            self.raw_val = pd.read_csv(download("kaggle_house_test", self.root))
