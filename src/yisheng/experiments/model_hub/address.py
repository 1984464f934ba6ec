"""Addresses of published models: ``hf:user/name`` or ``hf:user/name@revision``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

SCHEME: Final = "hf:"
MAIN: Final = "main"
_FORM: Final = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(@(?P<revision>[\w./-]{1,200}))?"
)


@dataclass(frozen=True)
class HubAddress:
    """A model on the hub.

    Args:
        repository: ``user/name``.
        revision: a branch, tag or commit.
    """

    repository: str
    revision: str = MAIN


def is_hub_address(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is the address of a published model.

    >>> is_hub_address("hf:user/name"), is_hub_address("runs/0001")
    (True, False)
    """
    return str(path).startswith(SCHEME)


def parse_hub_address(path: str | os.PathLike[str]) -> HubAddress:
    """Return the parts of an address.

    Raises:
        UsageError: it has another form.

    >>> parse_hub_address("hf:user/digits@v1")
    HubAddress(repository='user/digits', revision='v1')
    """
    text = os.fspath(path)
    if isinstance(path, Path):
        text = path.as_posix()
    match = _FORM.fullmatch(text.removeprefix(SCHEME)) if text.startswith(SCHEME) else None
    if match is None or ".." in text:
        raise UsageError(
            Message("{address} is not the address of a model on the hub", address=repr(text)),
            Message("write it as hf:user/name, or hf:user/name@revision"),
        )
    return HubAddress(match["repository"], match["revision"] or MAIN)
