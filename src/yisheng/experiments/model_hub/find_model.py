"""The folder of a model that a user names: a path, or the address of a published one."""

from __future__ import annotations

import os
from pathlib import Path

from yisheng.core.paths import parse_path
from yisheng.experiments.model_hub.address import is_hub_address, parse_hub_address


def find_model(path: str | os.PathLike[str], key: str = "path") -> Path:
    """Return the folder of a model; a published one is downloaded into the cache.

    Args:
        path: of the folder, or ``hf:user/name``.
        key: what it is called, for the error.

    Raises:
        UsageError: no file can have this path, or the address has another form.
        DataError: the published model cannot be had.
    """
    if not is_hub_address(path):
        return parse_path(path, key)
    from yisheng.experiments.model_hub.fetch import fetch

    return fetch(parse_hub_address(path))
