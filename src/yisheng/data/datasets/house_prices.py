"""What houses in Ames, Iowa, were sold for."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset

TRAIN, TEST = "kaggle_house_pred_train.csv", "kaggle_house_pred_test.csv"


@register
def house_prices(*, folder: Path | None = None) -> Dataset:
    """1,460 houses in Ames, Iowa, with the price they were sold for and 79 columns of all kinds.

    The 1,459 rows of the competition's test table have no price: they are not among these rows, and are there to be
    answered with ``yisheng predict``. ``NA`` in a category (no alley, no pool) counts as missing.

    Args:
        folder: where the two files lie; without it they are fetched.

    Raises:
        DataError: a file is missing and cannot be fetched, or is not what it should be.

    Source: De Cock, Ames, Iowa: alternative to the Boston housing data, Journal of Statistics Education 19 (2011).
    """
    from yisheng.data.datasets._table_dataset import table_set

    return table_set("house-prices", TRAIN, folder, target="SalePrice", id="Id", task="regression", unit="dollars")
