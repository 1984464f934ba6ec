"""Daily prices as rows that can be learned from: changes, not prices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Dataset
from yisheng.data.hub import catalog
from yisheng.data.hub import files as hub
from yisheng.data.tables import files, table_dataset
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.delimited import Table
from yisheng.data.tables.raw_column import Raw

PRICES = ("Open", "High", "Low", "Close", "Volume")


def prices(name: str, file: str, folder: Path | None, ahead: int) -> Dataset:
    """Changes of a share's prices in percent, from the day before and to a day ahead.

    Args:
        name: the registered name, and the hub's.
        file: the file's name in the catalogue, with the columns Date and `PRICES`.
        folder: of the user's, or None.
        ahead: trading days to look ahead.

    Raises:
        DataError: the file is missing and cannot be fetched, or is not what it should be.
    """
    table = files.read(hub.path(name, file, folder), header=True)
    values = {}
    for column in PRICES:
        raw = table.columns.get(column)
        if raw is None or raw.numbers is None or "Date" not in table.columns:
            raise DataError(f"{file} lacks prices in the columns Date, {', '.join(PRICES)}", "take the set's own file")
        values[column] = raw.numbers.astype(np.float64)
    if len(values["Close"]) < ahead + 3:
        raise DataError(f"{file} has {len(values['Close'])} days, too few to look {ahead} ahead", "take a whole file")
    target = f"change in {ahead} day{'s' * (ahead > 1)}"
    days = slice(1, len(values["Close"]) - ahead)  # the first day has no day before, the last ones no day ahead
    close = values["Close"]
    rows = {"Date": table.columns["Date"].take(np.arange(len(close))[days])}
    for column in PRICES:
        before = values["Volume" if column == "Volume" else "Close"][:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = 100 * (values[column][1:] / before - 1)
        rows[column] = Raw(column, numbers=change[: days.stop - 1])
    rows[target] = Raw(target, numbers=100 * (close[1 + ahead :] / close[1:-ahead] - 1))
    data = table_dataset.dataset(name, Table(rows), Roles((target,), time="Date", task="regression"))
    known = catalog.find(name)
    return replace(
        data,
        spec=replace(data.spec, unit="percent"),
        about=known.about,
        source=known.source,
        licence=known.licence,
    )
