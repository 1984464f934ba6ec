"""The samples of a data set, with their targets, and the rows of its three parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from yisheng.core.findings import Finding
from yisheng.core.input_spec import Inputs
from yisheng.core.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import torch

Part = Literal["train", "validation", "test"]


class RowStream(Protocol):
    """What reads the rows of a data set again in each epoch, because they are random."""

    @property
    def keeps_order(self) -> bool:
        """Return whether the rows come in an order of their own; they are then neither shuffled nor split."""
        ...

    def read(
        self, batches: Sequence[np.ndarray], *, seed: int, epoch: int, start: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        """Yield inputs, targets and weights of each batch of row numbers, from batch number ``start`` on.

        They have the form of `Dataset`. The same seed, epoch and row give the same values.
        """
        ...


@dataclass(frozen=True)
class Dataset:
    """All samples of a data set in one contiguous block, with their targets and metadata.

    Args:
        name: name of the data set.
        spec: the contract.
        x: inputs ``(N, *spec.shape)``: uint8 (images, 0..255) or float32 (float64 where that is too coarse: it is
            scaled before it becomes float32); int64 for ids; with several inputs uint8 ``(N, nbytes)``, see
            `yisheng.core.nested.pack`. It may be memory-mapped.
        y: int64 ``(N,)`` class numbers; float32 ``(N, L)`` of zeros and ones for labels; float32 or float64
            ``(N, T)`` for regression.
        part: the official part of each row, int8 ``(N,)``: 0 train, 1 validation, 2 test; None if the data set has
            no official parts.
        weight: float32 ``(N,)`` sample weights, or None.
        rows: name of each row (a file, an id), or None to name rows by their numbers.
        group: group of each row, int64 ``(N,)``, or None; rows of the same group stay in the same part and fold.
        time: time of each row, float64 ``(N,)``, or None; rows with times are split by time, never shuffled.
        findings: problems found while reading: files left out, duplicate images, unused columns.
        about: one or two sentences about the data and its origin.
        source: paper or URL.
        license: license of the data, in a few words.
        stream: what reads the training rows again in each epoch, because they are random; None if ``x`` is always the
            same. ``x`` then holds the rows as they were read first.

    Raises:
        DataError: an array has the wrong type, shape or values.

    >>> import numpy as np
    >>> spec = Spec("classification", (2,), classes=("down", "up"))
    >>> data = Dataset("points", spec, np.zeros((4, 2), np.float32), np.array([0, 1, 1, 0]))
    >>> len(data), data.spec.classes[data.y[1]]
    (4, 'up')
    """

    name: str
    spec: Spec
    x: np.ndarray
    y: np.ndarray
    part: np.ndarray | None = None
    weight: np.ndarray | None = None
    rows: tuple[str, ...] | None = None
    group: np.ndarray | None = None
    time: np.ndarray | None = None
    findings: tuple[Finding, ...] = ()
    about: str = ""
    source: str = ""
    license: str = ""
    stream: RowStream | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        from yisheng.core.dataset_checks import check_dataset

        check_dataset(self)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Inputs, torch.Tensor]:
        """Return input and target of a row as tensors, so that a data set works in a torch ``DataLoader``.

        The values are those that are stored, before any scaling. The target of a classification is the class's number,
        a scalar; else it has one axis.

        Raises:
            IndexError: there is no such row.

        >>> import numpy as np
        >>> data = Dataset("two", Spec("regression", (1,)), np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32))
        >>> data[1]
        (tensor([1.]), tensor([0.]))
        """
        import torch

        from yisheng.core.packed_rows import unpack

        if not -len(self) <= row < len(self):  # iteration over a data set ends with this error
            raise IndexError(f"row {row} of {len(self)}")
        rows = slice(row % len(self), row % len(self) + 1)
        block = torch.from_numpy(self.x[rows].copy())
        y = torch.from_numpy(self.y[rows].copy())[0]
        if not self.spec.inputs:
            return block[0], y
        x = unpack(block, self.spec.inputs)
        return {key: value[0] for key, value in x.items()} if isinstance(x, dict) else tuple(v[0] for v in x), y


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, int64 ``(n,)`` each, disjoint; validation and test may be empty."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
