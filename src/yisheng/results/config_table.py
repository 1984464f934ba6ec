"""The config of a run as a mapping that prints as its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yisheng.core.notebook_html import render_text


class ConfigTable(dict[str, Any]):
    """Every resolved choice of a run by key, as plain data; it prints as ``config.toml``.

    Args:
        values: the choices.
        text: the text of the file.

    >>> config = ConfigTable({"epochs": 3}, "epochs = 3")
    >>> config["epochs"], config
    (3, epochs = 3)
    """

    def __init__(self, values: Mapping[str, Any], text: str) -> None:
        super().__init__(values)
        self._text = text.rstrip()

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return render_text(self._text)
