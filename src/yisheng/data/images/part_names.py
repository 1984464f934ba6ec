"""Names of folders, and values of columns, that mean the training, validation or test part."""

from __future__ import annotations

import re

PART_NAMES = ("train", "validation", "test")
PART_ALIASES = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validate": 1,
    "validation": 1,
    "dev": 1,
    "development": 1,
    "test": 2,
    "testing": 2,
}
"""Names that mean a part, in lower case; a suffix such as ``_set`` or ``-data`` is ignored."""


def part_from_name(name: str) -> int | None:
    """Return the part that a name means: 0 train, 1 validation, 2 test, or None.

    >>> part_from_name("Training_Set"), part_from_name("dev"), part_from_name("cats")
    (0, 1, None)
    """
    return PART_ALIASES.get(re.sub(r"[-_ ]?(set|data|images|split)$", "", name.lower()))
