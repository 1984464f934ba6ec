"""From a file or an address to a data set, its parts and its batches.

- ``sets/``: one file per data set; a registered function gives a `yisheng.core.types.Dataset`.
- ``hub``: files of known sets by name, checked (see there for what stands behind it).
- ``idx``: the reader of MNIST's file format.
- ``split``: hold-out parts and k folds.
- ``batches``: index gathers, scaled on the training device.
- ``show``: what is in a data set: facts, and an image.
- ``fingerprint``: whether data is what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yisheng.core.types import Dataset


def names() -> list[str]:
    """Names of all data sets that can be loaded.

    >>> "digits" in names()
    True
    """
    from yisheng.core.registry import names

    return names("data.datasets")


def load(name: str, **options: Any) -> Dataset:
    """A data set by name; its files are fetched if need be.

    Args:
        name: its registered name.
        **options: its options, checked.

    Raises:
        UsageError: the name or an option is unknown, or a value is not allowed.
        DataError: the files cannot be had, or are damaged.

    >>> load("polynomial", degree=3).x.shape
    (200, 3)
    """
    from yisheng.core import config

    found: Dataset = config.build("data.datasets", name, **options)
    return found
