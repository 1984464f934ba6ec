"""One form for texts that look alike: composed letters, full-width signs, and blanks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_BLANKS = dict.fromkeys((0xA0, 0x2007, 0x202F, 0x2009, 0x200A, 0x3000, *range(0x2000, 0x2007)), " ")
_INVISIBLE = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xAD, 0xFEFF))
_TABLE: dict[int, int | str | None] = {**_FULL_WIDTH, **_BLANKS, **_INVISIBLE}


def normalize_text(text: str) -> str:
    r"""Return a text without surrounding blanks, in the form by which texts are compared.

    Letters are composed (NFC), full-width signs become ASCII, no-break and other wide blanks become blanks, and
    characters without width disappear. A line break within a text is a newline.

    >>> normalize_text("e\u0301te\u0301") == "\u00e9t\u00e9", normalize_text("Ａ１\u3000b\u200b")
    (True, 'A1 b')
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", text.translate(_TABLE)).strip()


def choose_spellings(texts: Iterable[str]) -> dict[str, str]:
    r"""Return the spelling to show for each normalized text: as it is written, or normalized if there are several.

    >>> choose_spellings(["Ａ型", "b\u00a0c", "b c"])
    {'A型': 'Ａ型', 'b c': 'b c'}
    """
    spellings: dict[str, str] = {}
    for text in texts:
        key, written = normalize_text(text), unicodedata.normalize("NFC", text.strip())
        spellings[key] = key if spellings.setdefault(key, written) != written else written
    return spellings
