"""Names and notes that a user gives to runs, and the names of their folders."""

from __future__ import annotations

import unicodedata
from typing import Final

from yisheng.core.messages import Message

MAX_NAME_BYTES: Final = 120
"""Bytes of a name in UTF-8 at most: a file name of 255 bytes has room for its number and for ``.zip``."""
MAX_NOTES: Final = 10_000
"""Characters of notes at most."""
_LABEL_SIGNS: Final = "_.-"


def check_run_name(name: str) -> str:
    """Return a name of a run in Unicode's composed form, without blanks at its ends.

    Args:
        name: text of any script; spaces and signs are allowed, but `make_label` replaces them in the folder's name.

    Raises:
        ValueError: it has a slash, a control or invisible character, no letter or digit, or is too long.

    >>> check_run_name(" baseline, lr 0.1 ")
    'baseline, lr 0.1'
    >>> check_run_name("../../etc")
    Traceback (most recent call last):
    ValueError: a name without slashes, such as baseline
    """
    name = unicodedata.normalize("NFC", name.strip())
    if "/" in name or "\\" in name:
        raise ValueError(Message("a name without slashes, such as baseline"))
    if any(unicodedata.category(character).startswith(("C", "Zl", "Zp")) for character in name):
        raise ValueError(Message("a name on one line, without control or invisible characters, such as baseline"))
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(
            Message("a name of at most {count} bytes; a longer text can be in notes=", count=MAX_NAME_BYTES)
        )
    if not make_label(name):
        raise ValueError(Message("a name with a letter or a digit, such as baseline"))
    return name


def check_notes(notes: str) -> str:
    """Return notes of a run without blanks at their ends; they may have several lines.

    Raises:
        ValueError: they have a control character other than newlines and tabs, or are too long.
    """
    notes = notes.strip()
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in notes):
        raise ValueError(Message("a text without control characters"))
    if len(notes) > MAX_NOTES:
        raise ValueError(Message("a text of at most {count} characters", count=f"{MAX_NOTES:,}"))
    return notes


def make_label(name: str) -> str:
    """Return a name as a part of a folder's name: letters, digits, accents, ``_``, ``.`` and ``-`` of any script.

    Other characters become hyphens. Dots at the ends are removed, since Windows drops them.

    >>> make_label("baseline, lr 0.1"), make_label("基线 (v2)"), make_label("..")
    ('baseline-lr-0.1', '基线-v2', '')
    """
    characters = [c if unicodedata.category(c)[0] in "LMN" or c in _LABEL_SIGNS else "-" for c in name]
    words = [word for word in "".join(characters).split("-") if word]
    label = "-".join(words).strip(_LABEL_SIGNS)
    return label if any(unicodedata.category(c)[0] in "LN" for c in label) else ""
