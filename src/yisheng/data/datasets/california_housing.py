"""What houses in California are worth, by district."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset

UNIT = 100_000


@register
def california_housing(*, folder: Path | None = None) -> Dataset:
    """20,640 districts of California in 1990, the median value of their houses in 100,000 dollars.

    The raw table: totals of kinds, bedrooms, people and households for each district, 207 missing values, and how
    near the sea is. Values above 500,000 dollars were written as 500,001.

    Args:
        folder: where the file housing.csv lies; without it it is fetched.

    Raises:
        DataError: the file is missing and cannot be fetched, or is not what it should be.

    Source: Pace and Barry, Sparse spatial autoregressions, Statistics & Probability Letters 33 (1997).
    """
    from yisheng.data.datasets._table_dataset import table_set

    data = table_set("california-housing", "housing.csv", folder, target="median_house_value", task="regression")
    return replace(data, spec=replace(data.spec, unit="100,000 dollars"), y=data.y / UNIT)
