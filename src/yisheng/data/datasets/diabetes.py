"""Progression of diabetes after a year."""

from __future__ import annotations

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.registry import register
from yisheng.core.spec import Spec


@register
def diabetes() -> Dataset:
    """Load 442 patients, progression of diabetes after a year from ten measures (part of scikit-learn: no download).

    The measures are in their own units, not in scikit-learn's scaled form: that is scaled on all rows,
    including the test part. Columns s1 to s6 are blood serum: total cholesterol, LDL, HDL, total
    cholesterol / HDL, (probably) log of triglycerides, blood sugar.

    >>> data = diabetes()
    >>> len(data), float(data.y.min()), float(data.y.max())
    (442, 25.0, 346.0)

    Source: Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression, Annals of Statistics 32 (2004).
    """
    from yisheng.data.datasets._sklearn import read_rows

    columns = tuple(map(Column, ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")))
    return Dataset(
        "diabetes",
        Spec("regression", (len(columns),), columns=columns, target="disease progression", unit="points"),
        read_rows("diabetes_data_raw.csv.gz", separator=None).astype(np.float32),
        read_rows("diabetes_target.csv.gz").astype(np.float32)[:, None],
        about="Age, sex, body mass index, blood pressure and six blood serum measures of 442 patients, and a measure "
        "of the progression of their disease one year later.",
        source="Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression, Annals of Statistics 32 (2004)",
        license="not stated; published by the authors with the paper",
    )
