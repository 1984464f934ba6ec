"""Errors of the estimators: those of the package, which are also ValueErrors as scikit-learn expects."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from yisheng.core.errors import DataError, UsageError


class ParameterError(UsageError, ValueError):
    """A parameter is unknown or has a value that is not allowed."""


class RowsError(DataError, ValueError):
    """The rows cannot be learned from, or not be predicted for."""


@contextlib.contextmanager
def as_value_errors() -> Iterator[None]:
    """Turn the package's errors about values into errors that are ValueErrors too."""
    try:
        yield
    except UsageError as error:
        raise ParameterError(error.problem, error.remedy) from None
    except DataError as error:
        raise RowsError(error.problem, error.remedy) from None
