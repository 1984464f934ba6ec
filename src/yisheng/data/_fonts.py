"""A font that has the letters: class names come in any script."""

from __future__ import annotations

import functools
from pathlib import Path

OURS = "DejaVuSans.ttf"
MOST = 400
"""Most font files of the system that are opened in search of a letter."""


def one_line(text: str, most: int) -> str:
    """At most so many characters, without line breaks or other controls.

    >>> one_line("a\\nvery long name", 10)
    'a very lo…'
    """
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def path_for(text: str) -> str:
    """The font file that has most of the text's characters: the one that comes with matplotlib, if it has
    them all or no font of the system has more. Boxes are drawn for the others."""
    import matplotlib

    ours = str(Path(matplotlib.get_data_path(), "fonts", "ttf", OURS))
    needed = frozenset(map(ord, text))
    if needed <= _letters(ours):
        return ours
    return max((ours, *_of_system()), key=lambda path: len(needed & _letters(path)))


@functools.cache
def _of_system() -> tuple[str, ...]:
    """The system's fonts, those of regular weight first."""
    from matplotlib.font_manager import findSystemFonts

    return tuple(sorted(findSystemFonts(), key=lambda path: ("regular" not in Path(path).name.lower(), path))[:MOST])


@functools.lru_cache(maxsize=MOST + 1)
def _letters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (RuntimeError, OSError, ValueError):  # bitmap fonts and the like
        return frozenset()
