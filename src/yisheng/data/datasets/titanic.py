"""Who survived the Titanic."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset


@register
def titanic(*, folder: Path | None = None) -> Dataset:
    """891 passengers of the Titanic, whether they survived, and who they were.

    Names and ticket numbers are left out: nearly every row has its own. The 418 rows of the competition's test table
    have no answer: they are not among these rows, and are there to be answered with ``yisheng predict``.

    Args:
        folder: where the file train.csv lies; without it it is fetched.

    Raises:
        DataError: the file is missing and cannot be fetched, or is not what it should be.

    Source: Kaggle, Titanic: machine learning from disaster.
    """
    from yisheng.data.datasets._table_dataset import table_set

    return table_set("titanic", "train.csv", folder, target="Survived", id="PassengerId", task="classification")
