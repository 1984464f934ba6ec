"""Column names of a DataFrame as text: pandas allows numbers, tuples and several levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def column_name(name: Any) -> str:
    """Return the text of a column's name; the levels of a MultiIndex are joined by dots.

    >>> column_name(7), column_name(("size", "mean")), column_name(("price", ""))
    ('7', 'size.mean', 'price')
    """
    if isinstance(name, tuple):
        return ".".join(str(level) for level in name if str(level))
    return str(name)


def flatten_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a DataFrame with one level of column names; one that has it already is returned unchanged.

    >>> import pandas as pd
    >>> frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("size", "mean"), ("price", "")]))
    >>> list(flatten_columns(frame).columns)
    ['size.mean', 'price']
    """
    if frame.columns.nlevels == 1:
        return frame
    return frame.set_axis([column_name(name) for name in frame.columns], axis=1)


def name_target(target: Any, columns: pd.Index) -> Any:
    """Return ``target=`` with the name of a column of a MultiIndex as text.

    >>> import pandas as pd
    >>> name_target(("price", ""), pd.MultiIndex.from_tuples([("size", "mean"), ("price", "")]))
    ('price',)
    """
    if isinstance(target, Mapping | str) or columns.nlevels == 1 or tuple(target) not in {*columns}:
        return target
    return (column_name(tuple(target)),)
