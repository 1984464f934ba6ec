"""The sets that ship inside scikit-learn, as rows with named columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.types import Column, Dataset, Spec


def classified(
    name: str, bunch: Any, *, classes: tuple[str, ...], target: str, about: str, source: str, licence: str
) -> Dataset:
    """A classification set from a scikit-learn bunch.

    Args:
        name: the registered name.
        bunch: what ``load_...`` gave.
        classes: names of the classes, by number.
        target: what is predicted.
        about: what it is.
        source: where it comes from.
        licence: of the data.
    """
    x = np.ascontiguousarray(bunch.data, dtype=np.float32)
    columns = tuple(Column(str(column)) for column in bunch.feature_names)
    spec = Spec("classification", (x.shape[1],), classes=classes, columns=columns, target=target)
    return Dataset(name, spec, x, bunch.target.astype(np.int64), about=about, source=source, licence=licence)
