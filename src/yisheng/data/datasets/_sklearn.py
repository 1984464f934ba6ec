"""Sets that are part of scikit-learn, as rows with named columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.types import Column, Dataset, Spec


def make_dataset(
    name: str, bunch: Any, *, classes: tuple[str, ...], target: str, about: str, source: str, license: str
) -> Dataset:
    """Return a classification set from a scikit-learn bunch.

    Args:
        name: the registered name.
        bunch: the result of ``load_...``.
        classes: names of the classes, by number.
        target: what is predicted.
        about: a description.
        source: where the data comes from.
        license: of the data.
    """
    x = np.ascontiguousarray(bunch.data, dtype=np.float32)
    columns = tuple(Column(str(column)) for column in bunch.feature_names)
    spec = Spec("classification", (x.shape[1],), classes=classes, columns=columns, target=target)
    return Dataset(name, spec, x, bunch.target.astype(np.int64), about=about, source=source, license=license)
