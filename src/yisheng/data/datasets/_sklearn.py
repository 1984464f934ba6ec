"""Sets that are part of scikit-learn, as rows with named columns.

Their files are read from the folder of the package, because importing it takes longer than a training on them.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import MissingPartError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec


def read_rows(name: str, *, separator: str | None = ",", skip: int = 0) -> np.ndarray:
    """Return the numbers of one of scikit-learn's own files ``(N, D)``.

    Args:
        name: the file, compressed or not.
        separator: between the values; None for blanks.
        skip: lines above the numbers.

    Raises:
        MissingPartError: the file is not there.

    >>> read_rows("iris.csv", skip=1).shape
    (150, 5)
    """
    package = importlib.util.find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or []:
        path = Path(folder) / "datasets" / "data" / name
        if path.is_file():
            return np.loadtxt(path, delimiter=separator, skiprows=skip)
    try:  # a package in an archive
        with importlib.resources.as_file(importlib.resources.files("sklearn.datasets.data") / name) as path:
            return np.loadtxt(path, delimiter=separator, skiprows=skip)
    except (ImportError, OSError):
        raise MissingPartError(
            Message("this version of scikit-learn does not hold its file {name}", name=name),
            Message('pip install "scikit-learn==1.9.*"'),
        ) from None


def make_dataset(
    name: str,
    file: str,
    columns: tuple[str, ...],
    *,
    classes: tuple[str, ...],
    target: str,
    about: str,
    source: str,
    license: str,
) -> Dataset:
    """Return a classification set from one of scikit-learn's files, whose last column is the number of the class.

    Args:
        name: the registered name.
        file: in scikit-learn's folder.
        columns: their names, as scikit-learn's.
        classes: names of the classes, by number.
        target: what is predicted.
        about: a description.
        source: where the data comes from.
        license: of the data.
    """
    rows = read_rows(file, skip=1)
    x, y = np.ascontiguousarray(rows[:, :-1], dtype=np.float32), rows[:, -1].astype(np.int64)
    spec = Spec("classification", (x.shape[1],), classes=classes, columns=tuple(map(Column, columns)), target=target)
    return Dataset(name, spec, x, y, about=about, source=source, license=license)
