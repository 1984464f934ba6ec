"""Data sets, from a file or an address to parts and batches.

- ``datasets/``: one file per data set; a registered function returns a `yisheng.core.dataset.Dataset`.
- ``hub/``: downloads the files of known sets by name and checks them.
- ``images/``, ``tables/``: readers of image files and of tables.
- ``idx``, ``mat``: readers of the file formats of MNIST and of MATLAB.
- ``split``: hold-out parts and k folds.
- ``batches``: index gathers, scaled on the training device.
- ``preview``: facts about a data set, and an image of its samples.
- ``fingerprint``: a hash that changes with the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yisheng.core.dataset import Dataset


def names() -> list[str]:
    """Return the names of all data sets that can be loaded.

    >>> "digits" in names()
    True
    """
    from yisheng.core.registry import names

    return names("data.datasets")


def load(name: str, **options: Any) -> Dataset:
    """Return a data set by name; its files are downloaded if necessary.

    Args:
        name: its registered name.
        **options: its options, checked.

    Raises:
        UsageError: the name or an option is unknown, or a value is not allowed.
        DataError: the files cannot be downloaded, or are damaged.

    >>> load("polynomial", degree=3).x.shape
    (200, 3)
    """
    from yisheng.core import registry

    dataset: Dataset = registry.build("data.datasets", name, **options)
    return dataset
