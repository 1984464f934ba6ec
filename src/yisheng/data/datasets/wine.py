"""Wines of three cultivars."""

from __future__ import annotations

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register

COLUMNS = (
    *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
    *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline"),
)


@register
def wine() -> Dataset:
    """Load 178 wines of three cultivars by chemical analysis, 13 columns (part of scikit-learn: no download).

    >>> data = wine()
    >>> len(data), data.spec.shape
    (178, (13,))

    Source: Aeberhard and Forina, Wine, UCI Machine Learning Repository (1992).
    """
    from yisheng.data.datasets._sklearn import make_dataset

    return make_dataset(
        "wine",
        "wine_data.csv",
        COLUMNS,
        classes=("cultivar 1", "cultivar 2", "cultivar 3"),
        target="cultivar",
        about="Chemical analysis of wines grown in one region of Italy from three cultivars of grapes.",
        source="Aeberhard and Forina, Wine, UCI Machine Learning Repository (1992)",
        license="CC BY 4.0 (UCI Machine Learning Repository)",
    )
