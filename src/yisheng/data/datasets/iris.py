"""Three kinds of iris flowers."""

from __future__ import annotations

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register


@register
def iris() -> Dataset:
    """Load 150 iris flowers of three species, four measured lengths each (part of scikit-learn: no download).

    >>> data = iris()
    >>> len(data), data.spec.classes
    (150, ('setosa', 'versicolor', 'virginica'))

    Source: Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936).
    """
    from yisheng.data.datasets._sklearn import make_dataset

    return make_dataset(
        "iris",
        "iris.csv",
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        classes=("setosa", "versicolor", "virginica"),
        target="species",
        about="Sepals and petals of 50 flowers of each of three species, measured by Edgar Anderson.",
        source="Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936)",
        license="CC BY 4.0 (UCI Machine Learning Repository)",
    )
