"""Median house values in California, by district."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register

DOLLARS_PER_UNIT = 100_000


@register
def california_housing(*, folder: Path | None = None) -> Dataset:
    """Load 20,640 districts of California in 1990, the median value of their houses in 100,000 dollars.

    The raw table: totals of rooms, bedrooms, people and households for each district, 207 missing values, and the
    proximity of the ocean. Values above 500,000 dollars are given as 500,001.

    Args:
        folder: folder with the file housing.csv; by default it is downloaded.

    Raises:
        DataError: the file cannot be downloaded, or has other content.

    Source: Pace and Barry, Sparse spatial autoregressions, Statistics & Probability Letters 33 (1997).
    """
    from yisheng.data.datasets._table_dataset import load_table_dataset

    dataset = load_table_dataset(
        "california-housing", "housing.csv", folder, target="median_house_value", task="regression"
    )
    return replace(dataset, spec=replace(dataset.spec, unit="100,000 dollars"), y=dataset.y / DOLLARS_PER_UNIT)
