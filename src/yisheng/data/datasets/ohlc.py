"""Daily prices of a stock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register


@register
def ohlc(*, ahead: Annotated[int, Interval(ge=1, le=250)] = 1, folder: Path | None = None) -> Dataset:
    """Load Apple's daily prices from 2004 to 2018: how the close changes from one day to a later one, in percent.

    Each row is a trading day with what was known at its end: open, high, low and close relative to the previous close,
    the volume relative to the previous volume, and the day of the week and year. The prices themselves rose over the
    years, so a network would be tested on prices outside the range of its training. Rows are in the order of time, and
    the data is split in time. The lesson of this set is that today's prices say little about tomorrow's.

    Args:
        ahead: trading days to predict ahead.
        folder: folder with the file; by default it is downloaded.

    Raises:
        DataError: the file cannot be downloaded, or has other content.

    Source: Yahoo Finance, AAPL.
    """
    from yisheng.data.datasets._prices import load_prices

    return load_prices("ohlc", "yahoofinance-AAPL-20040819-20180120.csv", folder, ahead)
