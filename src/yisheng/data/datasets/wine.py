"""Wines of three cultivars."""

from __future__ import annotations

from yisheng.core.registry import register
from yisheng.core.types import Dataset


@register
def wine() -> Dataset:
    """Load 178 wines of three cultivars by chemical analysis, 13 columns (part of scikit-learn: no download).

    >>> data = wine()
    >>> len(data), data.spec.shape
    (178, (13,))

    Source: Aeberhard and Forina, Wine, UCI Machine Learning Repository (1992).
    """
    from sklearn.datasets import load_wine

    from yisheng.data.datasets._sklearn import make_dataset

    return make_dataset(
        "wine",
        load_wine(),
        classes=("cultivar 1", "cultivar 2", "cultivar 3"),
        target="cultivar",
        about="Chemical analysis of wines grown in one region of Italy from three cultivars of grapes.",
        source="Aeberhard and Forina, Wine, UCI Machine Learning Repository (1992)",
        license="CC BY 4.0 (UCI Machine Learning Repository)",
    )
