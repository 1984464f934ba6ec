"""Daily prices of a share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.types import Dataset


@register
def ohlc(*, ahead: Annotated[int, Interval(ge=1, le=250)] = 1, folder: Path | None = None) -> Dataset:
    """Apple's daily prices from 2004 to 2018: how the close changes from one day to a later one, in percent.

    Each row is a trading day with what was known at its end: open, high, low and close as parts of the close of the
    day before, the volume likewise, and the day of the week and year. Prices themselves only ever grew: a network
    would be asked about prices that it never saw. Rows stand in the order of time, and the data is split in time.
    That today's prices tell little of tomorrow's is what there is to learn here.

    Args:
        ahead: trading days to look ahead.
        folder: where the file lies; without it it is fetched.

    Raises:
        DataError: the file is missing and cannot be fetched, or is not what it should be.

    Source: Yahoo Finance, AAPL.
    """
    from yisheng.data.datasets._prices import prices

    return prices("ohlc", "yahoofinance-AAPL-20040819-20180120.csv", folder, ahead)
