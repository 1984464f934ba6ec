"""Who survived the Titanic."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register


@register
def titanic(*, folder: Path | None = None) -> Dataset:
    """Load 891 passengers of the Titanic, whether they survived, and who they were.

    Names and ticket numbers are left out, because they differ in nearly every row. The 418 rows of the competition's
    test table have no target: they are not among these rows, but can be predicted with ``yisheng predict``.

    Args:
        folder: folder with the file train.csv; by default it is downloaded.

    Raises:
        DataError: the file cannot be downloaded, or has other content.

    Source: Kaggle, Titanic: machine learning from disaster.
    """
    from yisheng.data.datasets._table_dataset import load_table_dataset

    return load_table_dataset(
        "titanic", "train.csv", folder, target="Survived", id="PassengerId", task="classification"
    )
