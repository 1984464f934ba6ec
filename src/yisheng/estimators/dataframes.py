"""DataFrames with other columns than numbers, as a network takes them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError
from yisheng.core.messages import Message, translate
from yisheng.data.tables import column_kinds, encode, files


def is_frame(X: Any) -> bool:
    """Return whether it is a DataFrame."""
    pandas = sys.modules.get("pandas")  # if nobody has imported it, there is no DataFrame
    return pandas is not None and isinstance(X, pandas.DataFrame)


def is_mixed(X: Any) -> bool:
    """Return whether it is a DataFrame with other columns than numbers.

    >>> import pandas as pd
    >>> is_mixed(pd.DataFrame({"size": [1, 2]})), is_mixed(pd.DataFrame({"town": ["a", "b"]}))
    (False, True)
    """
    if not is_frame(X):
        return False
    import pandas as pd

    return not all(map(pd.api.types.is_numeric_dtype, X.dtypes))


def encode_training_frame(X: Any) -> tuple[np.ndarray, tuple[Column, ...], dict[str, str]]:
    """Return values, features, and the columns that are left out with the reason.

    The type of a column decides whether it is a number, a category or yes/no; columns of text and of objects are read
    as those of a file.

    Args:
        X: a DataFrame ``(N, ...)``.

    Returns:
        float32 ``(N, D)``, the D features, and reasons by column.

    Raises:
        DataError: no column is left to learn from, or two have the same name.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [50, 80, 120], "town": ["a", "b", None], "same": ["x"] * 3})
    >>> x, columns, left_out = encode_training_frame(frame)
    >>> x.tolist(), [column.kind for column in columns], left_out
    ([[50.0, 0.0], [80.0, 1.0], [120.0, nan]], ['number', 'yes/no'], {'same': 'left out: the same value in every row'})
    """
    raw_columns = files.table_from_frame(X).columns
    kinds = {str(name): _kind_of_type(dtype) for name, dtype in X.dtypes.items()}
    inferred = [
        column_kinds.infer_column(raw, kinds[name], is_only_column=len(raw_columns) == 1)
        for name, raw in raw_columns.items()
    ]
    left_out = {column.name: column.becomes.partition(";")[0] for column in inferred if not column.features}
    features = tuple(feature for column in inferred for feature in column.features)
    if not features:
        raise DataError(
            Message(
                "no column is left to learn from: {columns}",
                columns="; ".join(f"{name}, {translate(reason)}" for name, reason in left_out.items()),
            ),
            Message('mark a column as a category: X["town"] = X["town"].astype("category")'),
        )
    return encode.encode_columns(dict(raw_columns), features, "X")[0], features, left_out


def encode_frame(X: Any, columns: tuple[Column, ...]) -> np.ndarray:
    """Return the values of rows to predict for, float32 ``(N, D)``; see `encode_training_frame`.

    Args:
        X: a DataFrame with the columns of the one that the model was fitted on.
        columns: the features.

    Raises:
        DataError: a value is not a number where one is required.
    """
    return encode.encode_columns(dict(files.table_from_frame(X).columns), columns, "X")[0]


def _kind_of_type(dtype: Any) -> str:
    """Return the kind of column that a pandas type implies, or nothing."""
    import pandas as pd

    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if pd.api.types.is_bool_dtype(dtype):
        return "yes/no"
    return "number" if pd.api.types.is_numeric_dtype(dtype) else ""
