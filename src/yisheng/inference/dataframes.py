"""Rows of a DataFrame, matched with the columns of the training data as those of a file are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.data.tables import files
from yisheng.data.tables.encode import encode
from yisheng.inference.rows import Rows, said

if TYPE_CHECKING:
    import pandas as pd


def is_frame(value: Any) -> TypeGuard[pd.DataFrame]:
    """Whether it is a DataFrame; where nobody has imported pandas, nothing is one."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def read(frame: pd.DataFrame, spec: Spec) -> Rows:
    """Rows as float32 ``(N, D)``; columns are matched by name, in any order, further ones left out.

    Args:
        frame: of a model that was trained on a table its raw columns: categories, dates and missing values as they
            stood there; of others finite numbers.
        spec: a contract for rows.

    Raises:
        DataError: a column is missing, a value is no number or date where one is wanted, or there are no rows.

    >>> import pandas as pd
    >>> from yisheng.core.types import Column
    >>> spec = Spec("regression", (2,), columns=(Column("size"), Column("kinds")))
    >>> read(pd.DataFrame({"kinds": [3], "town": ["a"], "size": [80.5]}), spec).x.tolist()
    [[80.5, 3.0]]
    """
    if spec.is_image:
        raise DataError(f"the model wants images of shape {spec.shape}, got a DataFrame", "give images")
    if not len(frame):
        raise DataError("the DataFrame has no rows", "give at least one")
    if any(column.source for column in spec.columns):
        table = files.from_frame(frame)
        x, odd = encode(dict(table.columns), spec.columns, "the DataFrame")
        noticed = [finding.cause for finding in table.findings if finding.severity != "note"]
        return Rows(x, notes=(*noticed, *said(odd)))
    names = [column.name for column in spec.columns] or list(frame.columns)
    missing = [name for name in names if name not in frame.columns]
    if missing or len(names) != spec.shape[0]:
        what = f"lacks {', '.join(map(str, missing[:5]))}" if missing else f"has {len(names)} columns"
        raise DataError(
            f"the DataFrame {what}, the model wants {spec.shape[0]} columns", "name the columns as in training"
        )
    try:
        x = np.array(frame[names].to_numpy(np.float32), order="C")
    except (ValueError, TypeError) as error:
        raise DataError(f"the DataFrame holds what is no number: {error}", "give finite numbers") from None
    if not np.isfinite(x).all():
        raise DataError("the DataFrame holds missing, infinite or too large values", "remove or replace them")
    return Rows(x)
