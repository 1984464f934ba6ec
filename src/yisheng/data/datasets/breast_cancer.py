"""Breast tumors, malignant or benign."""

from __future__ import annotations

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register

MEASURES = (
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
)
FORMS = ("mean {}", "{} error", "worst {}")


@register
def breast_cancer() -> Dataset:
    """Load 569 breast tumors, malignant or benign, 30 measures of cell nuclei (part of scikit-learn: no download).

    >>> data = breast_cancer()
    >>> len(data), data.spec.classes
    (569, ('malignant', 'benign'))

    Source: Street, Wolberg and Mangasarian, Nuclear feature extraction for breast tumor diagnosis (1993).
    """
    from yisheng.data.datasets._sklearn import make_dataset

    return make_dataset(
        "breast-cancer",
        "breast_cancer.csv",
        tuple(form.format(measure) for form in FORMS for measure in MEASURES),
        classes=("malignant", "benign"),
        target="diagnosis",
        about="Cell nuclei in a fine needle aspirate of a breast mass: mean, standard error and worst of ten measures.",
        source="Wolberg, Mangasarian, Street and Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning "
        "Repository (1995)",
        license="CC BY 4.0 (UCI Machine Learning Repository)",
    )
