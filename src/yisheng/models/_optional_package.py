"""Packages that a model is fitted with, and that may not be installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from yisheng.core.errors import MissingPartError
from yisheng.core.messages import Message


@dataclass(frozen=True)
class OptionalPackage:
    """A package of an extra.

    Args:
        name: under which it is imported.
        reason: what the error says without it.
        remedy: what to do then.
    """

    name: str
    reason: Message
    remedy: Message

    def load(self) -> Any:
        """Return the imported package.

        Raises:
            MissingPartError: it is not installed, or broken.
        """
        try:
            return importlib.import_module(self.name)
        except Exception:  # missing, or without a library that it needs
            raise MissingPartError(self.reason, self.remedy) from None

    def is_installed(self) -> bool:
        """Return whether it can be imported.

        >>> OptionalPackage("numpy", Message("no NumPy"), Message("install it")).is_installed()
        True
        >>> OptionalPackage("no_such_package", Message("no such package"), Message("install it")).is_installed()
        False
        """
        try:
            self.load()
        except MissingPartError:
            return False
        return True
