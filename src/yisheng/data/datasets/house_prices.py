"""Sale prices of houses in Ames, Iowa."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register

TRAIN, TEST = "kaggle_house_pred_train.csv", "kaggle_house_pred_test.csv"


@register
def house_prices(*, folder: Path | None = None) -> Dataset:
    """Load 1,460 houses in Ames, Iowa, with their sale price and 79 columns of all kinds.

    The 1,459 rows of the competition's test table have no price: they are not among these rows, but can be predicted
    with ``yisheng predict``. ``NA`` in a category (no alley, no pool) counts as missing.

    Args:
        folder: folder with the two files; by default they are downloaded.

    Raises:
        DataError: a file cannot be downloaded, or has other content.

    Source: De Cock, Ames, Iowa: alternative to the Boston housing data, Journal of Statistics Education 19 (2011).
    """
    from yisheng.data.datasets._table_dataset import load_table_dataset

    return load_table_dataset(
        "house-prices", TRAIN, folder, target="SalePrice", id="Id", task="regression", unit="dollars"
    )
