"""What pandas 2 and 3 changed under the book's feet, changed back on request."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from yisheng.core.messages import Message, join_messages
from yisheng.d2l.notices import announce

STATISTICS = ("mean", "std", "var", "median", "sem", "skew", "kurt")
"""Methods of a DataFrame that left columns of text out before pandas 2."""
MISSING_TEXTS = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "n/a", "nan", "null"),
]
"""Texts that `pandas.read_csv` read as missing before pandas 2, which added None: a category of the house prices."""
TEXT_OPTION = "future.infer_string"
_undo: list[Callable[[], None]] = []
"""What takes each change back, the latest last."""


def compat() -> None:
    """Make pandas behave as the book's chapters expect, in this process, until `uninstall`.

    What is changed is printed: columns of text have the type ``object``, `pandas.read_csv` reads None as text,
    `pandas.get_dummies` returns numbers instead of booleans, and statistics of a DataFrame such as ``mean`` leave
    columns of text out, each time with a message. A second call does nothing.

    Yisheng's own: ``yisheng.train(data="train.csv", target="SalePrice")`` reads columns by their kind.

    >>> import contextlib, io
    >>> import pandas as pd
    >>> with contextlib.redirect_stderr(io.StringIO()):
    ...     compat()
    >>> pd.get_dummies(pd.Series(["a", "b"]))["a"].tolist()
    [1, 0]
    >>> restore_pandas()
    >>> pd.get_dummies(pd.Series(["a", "b"]))["a"].tolist()
    [True, False]
    """
    if _undo:
        return
    import pandas as pd

    changes = [
        Message("read_csv reads None as text"),
        Message("get_dummies returns 0 and 1"),
        Message("{names} of a DataFrame leave text out", names=", ".join(STATISTICS)),
    ]
    if _set_text_option(False):
        changes.insert(0, Message("columns of text have the type object"))
    _replace(pd, "read_csv", _with_none_as_text(pd.read_csv))
    _replace(pd, "get_dummies", _with_numbers(pd.get_dummies))
    for name in STATISTICS:
        _replace(pd.DataFrame, name, _without_text(getattr(pd.DataFrame, name)))
    announce(
        Message(
            "pandas {version} as the book expects it: {changes}",
            version=pd.__version__,
            changes=join_messages(changes),
        )
    )


def restore_pandas() -> None:
    """Undo `compat`."""
    while _undo:
        _undo.pop()()


def _replace(owner: Any, name: str, function: Any) -> None:
    original = getattr(owner, name)
    _undo.append(functools.partial(setattr, owner, name, original))
    setattr(owner, name, function)


def _set_text_option(infer: bool) -> bool:
    """Set whether pandas gives text a type of its own; return whether there was something to change."""
    import pandas as pd

    with warnings.catch_warnings():  # pandas 3 deprecates the option, which is the only way
        warnings.simplefilter("ignore")
        try:
            present = pd.get_option(TEXT_OPTION)
        except KeyError:  # pandas.errors.OptionError: a version without it
            return False
        if present == infer:
            return False
        pd.set_option(TEXT_OPTION, infer)
        if not infer:
            _undo.append(functools.partial(_set_text_option, True))  # type: ignore[arg-type]  # its result is unused
    return True


def _with_none_as_text(read_csv: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(read_csv)
    def read_csv_with_none(*args: Any, **kwargs: Any) -> Any:
        if not {"na_values", "keep_default_na", "na_filter"} & set(kwargs):
            kwargs.update(na_values=MISSING_TEXTS, keep_default_na=False)
        return read_csv(*args, **kwargs)

    return read_csv_with_none


def _with_numbers(get_dummies: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(get_dummies)
    def get_number_dummies(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        return get_dummies(*args, dtype=np.uint8 if dtype is None else dtype, **kwargs)

    return get_number_dummies


def _without_text(statistic: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(statistic)
    def compute(frame: Any, *args: Any, **kwargs: Any) -> Any:
        if "numeric_only" not in kwargs and len(args) < 3:
            text = frame.columns.difference(
                frame.select_dtypes(["number", "bool", "datetime", "datetimetz", "timedelta"]).columns
            )
            if len(text):
                names = ", ".join(map(str, text))
                announce(
                    Message("{statistic}: not numbers, left out: {names}", statistic=statistic.__name__, names=names)
                )
                frame = frame.drop(columns=text)
        return statistic(frame, *args, **kwargs)

    return compute
