"""Daily prices as rows to learn from: relative changes instead of prices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data import hub
from yisheng.data.datasets._catalog_facts import add_catalog_facts
from yisheng.data.tables import files, table_dataset
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.table import Table

PRICES = ("Open", "High", "Low", "Close", "Volume")


def load_prices(name: str, file: str, folder: Path | None, horizon: int) -> Dataset:
    """Load a stock's daily prices as changes in percent, from the previous day and to a later day.

    Args:
        name: the registered name, and that in the hub.
        file: the file's name in the catalog, with the columns Date and `PRICES`.
        folder: the user's folder, or None.
        horizon: trading days to predict ahead.

    Raises:
        DataError: the file cannot be downloaded, or has other content.
    """
    table = files.read_table(hub.fetch_file(name, file, folder), ReadingOptions(header=True))
    values = {}
    for column in PRICES:
        raw = table.columns.get(column)
        if raw is None or raw.numbers is None or "Date" not in table.columns:
            raise DataError(
                Message("{file} lacks prices in the columns Date, {columns}", file=file, columns=", ".join(PRICES)),
                Message("use the set's own file"),
            )
        values[column] = raw.numbers.astype(np.float64)
    close = values["Close"]
    if len(close) < horizon + 3:
        raise DataError(
            Message(
                "{file} has {count} days, too few to predict {horizon} ahead",
                file=file,
                count=len(close),
                horizon=horizon,
            ),
            Message("use the complete file"),
        )
    target = f"change in {horizon} day{'s' * (horizon > 1)}"
    days = slice(1, len(close) - horizon)  # the first day has no previous day, the last ones no later day
    rows = {"Date": table.columns["Date"].take(np.arange(len(close))[days])}
    for column in PRICES:
        previous = values["Volume" if column == "Volume" else "Close"][:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = 100 * (values[column][1:] / previous - 1)
        rows[column] = RawColumn(column, numbers=change[: days.stop - 1])
    rows[target] = RawColumn(target, numbers=100 * (close[1 + horizon :] / close[1:-horizon] - 1))
    dataset = table_dataset.build_dataset(name, Table(rows), Roles((target,), time="Date", task="regression"))
    return add_catalog_facts(replace(dataset, spec=replace(dataset.spec, unit="percent")))
