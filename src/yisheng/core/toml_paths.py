"""Paths of Windows in TOML: between double quotes a backslash begins an escape.

``data = "C:\\Users\\me\\a.csv"`` is an error, and ``"C:\\temp\\new.csv"``, worse, another path: it has a tab and a
new line.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

_ESCAPED: Final = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\x1b": "\\e"}
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_PATH_KEYS: Final = ("data", "path", "test", "validation", "weights", "folder")
"""Keys and options that may be a path."""
_QUOTED: Final = re.compile(r'([\w"\'.\-]+\s*=\s*)"([^"\n]*\\[^"\n]*)"')
"""A key with text between double quotes that has a backslash."""


def suggest_literal_string(text: str) -> str | None:
    r"""Return the remedy for a file that is not TOML because of a path with backslashes; None without such a path.

    >>> print(suggest_literal_string(r'data = "C:\Users\me\a.csv"'))
    a backslash begins an escape between double quotes; use single quotes: data = 'C:\Users\me\a.csv'
    """
    for match in _QUOTED.finditer(text):
        key, value = match.groups()
        if "'" not in value and re.search(r"\\[^btnfre\"\\uU]|\\u(?![0-9a-fA-F]{4})|\\U(?![0-9a-fA-F]{8})", value):
            return Message(
                "a backslash begins an escape between double quotes; use single quotes: {key}'{value}'",
                key=key,
                value=value,
            )
    return None


def require_no_escapes(path: Path, key: str, value: Any) -> None:
    """Refuse a path in which backslashes were read as escapes.

    That is a path with a drive, or of a file that does not exist, with a control character.

    Args:
        path: the file, for the error.
        key: the setting.
        value: its value; only text is checked.

    Raises:
        UsageError: it is such a path.

    >>> require_no_escapes(Path("run.toml"), "data", "C:" + chr(9) + "emp")
    Traceback (most recent call last):
    yisheng.core.errors.UsageError: config run.toml: a backslash in data was read as an escape
      use single quotes: data = 'C:\\temp'
    """
    if not isinstance(value, str) or _ESCAPED.keys().isdisjoint(value):
        return
    if _DRIVE.match(value) or (key.rpartition(".")[2] in _PATH_KEYS and not os.path.lexists(value)):
        original = "".join(_ESCAPED.get(character, character) for character in value)
        raise UsageError(
            Message("config {path}: a backslash in {key} was read as an escape", path=path, key=key),
            Message("use single quotes: {key} = '{original}'", key=key, original=original),
        )
