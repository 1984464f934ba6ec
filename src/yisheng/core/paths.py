"""A path in the place of a data set's name."""

from __future__ import annotations

from pathlib import Path

from yisheng.core import registry
from yisheng.core.errors import DataError, closest


def is_path(value: str) -> bool:
    """Whether a value is meant as a path: it looks like one, or something lies there.

    >>> is_path("photos/"), is_path("train.csv"), is_path("digits")
    (True, True, False)
    """
    if not value.strip():
        return False
    if any(sign in value for sign in ("/", "\\", "~")) or Path(value).suffix:
        return True
    try:
        return Path(value).exists()
    except (ValueError, OSError):  # a NUL in it, no permission
        return False


def opening(value: str) -> tuple[str, str]:
    """The data set that reads what lies at a path, and the path made absolute: a run may be resumed from anywhere.

    A data set that reads paths says which in ``@register(opens=...)``; exactly one must want this one.

    Raises:
        DataError: nothing lies there, or no data set reads it.
    """
    try:
        path = Path(value).expanduser().absolute()
        there = path.exists()
    except (ValueError, RuntimeError, OSError):  # a NUL in it, no home, no permission
        there = False
    if not there:
        known = closest(registry.dashed(value), registry.names("data.datasets"))
        raise DataError(f"{value} does not exist", f"check the path; or name a data set: {known}")
    fitting = [e for e in registry.entries("data.datasets") if "opens" in e.meta and e.meta["opens"](path)]
    if len(fitting) != 1:
        several = f": several data sets could read it ({', '.join(e.name for e in fitting)})" if fitting else ""
        raise DataError(
            f"{value} cannot be opened as data{several}",
            "give a folder or zip of images in class folders, or a table (.csv, .tsv, .parquet, .npz)",
        )
    return fitting[0].name, str(path)
