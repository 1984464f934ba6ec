"""DataFrames with more in them than numbers: what each column is, and its values as a network takes them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Column
from yisheng.data.tables import column_kinds, encode, files


def is_frame(X: Any) -> bool:
    """Whether it is a DataFrame."""
    pandas = sys.modules.get("pandas")  # where nobody has imported it, nothing is one
    return pandas is not None and isinstance(X, pandas.DataFrame)


def is_mixed(X: Any) -> bool:
    """Whether it is a DataFrame with other columns than numbers.

    >>> import pandas as pd
    >>> is_mixed(pd.DataFrame({"size": [1, 2]})), is_mixed(pd.DataFrame({"town": ["a", "b"]}))
    (False, True)
    """
    if not is_frame(X):
        return False
    import pandas as pd

    return not all(map(pd.api.types.is_numeric_dtype, X.dtypes))


def opened(X: Any) -> tuple[np.ndarray, tuple[Column, ...], dict[str, str]]:
    """Values, features, and the columns that are left out with the reason.

    A column's type says what it is: a number, a category, yes/no. Texts and objects are looked at, as in a file.

    Args:
        X: a DataFrame ``(N, ...)``.

    Returns:
        float32 ``(N, D)``, the D features, and reasons by column.

    Raises:
        DataError: no column is left to learn from, or two have the same name.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [50, 80, 120], "town": ["a", "b", None], "same": ["x"] * 3})
    >>> x, columns, left_out = opened(frame)
    >>> x.tolist(), [column.kind for column in columns], left_out
    ([[50.0, 0.0], [80.0, 1.0], [120.0, nan]], ['number', 'yes/no'], {'same': 'left out: the same value in every row'})
    """
    raws = files.from_frame(X).columns
    asked = {str(name): _asked(kind) for name, kind in X.dtypes.items()}
    found = [column_kinds.find(raw, asked[name], only=len(raws) == 1) for name, raw in raws.items()]
    left_out = {one.name: one.becomes.partition(";")[0] for one in found if not one.columns}
    columns = tuple(column for one in found for column in one.columns)
    if not columns:
        raise DataError(
            "no column is left to learn from: " + "; ".join(f"{name}, {why}" for name, why in left_out.items()),
            'what is a category may be said to be one: X["town"].astype("category")',
        )
    return encode.encode(dict(raws), columns, "X")[0], columns, left_out


def answered(X: Any, columns: tuple[Column, ...]) -> np.ndarray:
    """Values of rows that are to be answered, float32 ``(N, D)``; see `opened`.

    Args:
        X: a DataFrame with the columns of the one that the model was fitted on.
        columns: the features.

    Raises:
        DataError: a value is no number where one is wanted.
    """
    return encode.encode(dict(files.from_frame(X).columns), columns, "X")[0]


def _asked(kind: Any) -> str:
    """What a column's type says of its kind."""
    import pandas as pd

    if isinstance(kind, pd.CategoricalDtype):
        return "category"
    if pd.api.types.is_bool_dtype(kind):
        return "yes/no"
    return "number" if pd.api.types.is_numeric_dtype(kind) else ""
