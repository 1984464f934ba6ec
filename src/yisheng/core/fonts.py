"""Fonts for class names in any script."""

from __future__ import annotations

import functools
import unicodedata
from pathlib import Path

from yisheng.core.logging import logger
from yisheng.core.messages import Message

DEFAULT_FONT = "DejaVuSans.ttf"
"""Part of matplotlib."""
_warned_scripts: set[str] = set()
MAX_FONT_FILES = 400
"""Most font files of the system that are opened in search of a character."""


def shorten_line(text: str, max_length: int) -> str:
    """Return a text of at most ``max_length`` characters, without line breaks or other controls.

    >>> shorten_line("a\\nvery long name", 10)
    'a very lo…'
    """
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def find_font_path(text: str) -> str:
    """Return the path of the font with most of the text's characters.

    It is matplotlib's own font if that has them all, or if no font of the system has more. Missing characters are drawn
    as boxes, and a warning says once for each script which font to install.
    """
    import matplotlib

    default = str(Path(matplotlib.get_data_path(), "fonts", "ttf", DEFAULT_FONT))
    characters = frozenset(map(ord, text))
    if characters <= _read_characters(default):
        return default
    best = max((default, *_list_system_fonts()), key=lambda path: len(characters & _read_characters(path)))
    missing = sorted(chr(code) for code in characters - _read_characters(best) if chr(code).isprintable())
    for script, character in {_script_of(character): character for character in reversed(missing)}.items():
        _warn_of_boxes(script, character)
    return best


def _script_of(character: str) -> str:
    """Return the first word of a character's name: CJK, HANGUL, ARABIC, ..."""
    return unicodedata.name(character, "UNNAMED").split(" ")[0]


def _warn_of_boxes(script: str, character: str) -> None:
    if script in _warned_scripts:
        return
    _warned_scripts.add(script)
    logger.warning(
        Message(
            "warning: no font of this machine has {character}, and perhaps others of its script: figures show boxes in "
            "their place. Install a font that has them, such as Noto Sans CJK for Chinese, Japanese and Korean (Debian "
            "and Ubuntu: apt-get install fonts-noto-cjk)",
            character=f"{character!r}",
        )
    )


@functools.cache
def _list_system_fonts() -> tuple[str, ...]:
    """Return the paths of the system's fonts, those of regular weight first."""
    from matplotlib.font_manager import findSystemFonts

    paths = sorted(findSystemFonts(), key=lambda path: ("regular" not in Path(path).name.lower(), path))
    return tuple(paths[:MAX_FONT_FILES])


@functools.lru_cache(maxsize=MAX_FONT_FILES + 1)
def _read_characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (RuntimeError, OSError, ValueError):  # bitmap fonts, for example
        return frozenset()
