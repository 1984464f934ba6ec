"""Names of files and folders as text, also those whose bytes are not UTF-8.

Python keeps the bytes of such a name as lone surrogates, which can be written nowhere. All such names of a folder are
decoded in one encoding, which is guessed from all of them; names that differ in their bytes stay different.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data.tables.encodings import FALLBACK_ENCODINGS, MULTIBYTE_ENCODINGS, guess_encodings

_MAX_SAMPLE_NAMES = 10_000
"""Names by which an encoding is guessed."""
_RARE_ENCODINGS = ("euc_jp",)
"""Encodings of text files that names of files have on no system of today."""
_COMMON_CHINESE = re.compile(rb"(?:(?:[\xb0-\xd7][\xa1-\xfe])+[!-~]*\n?)+")
"""Names that begin with common Chinese characters in GBK, as those of hardly any other language do."""


@dataclass(frozen=True)
class NameDecoder:
    """How names that are not UTF-8 become text.

    Args:
        encoding: of these names; empty writes their bytes as escapes.
        has_chance_names: whether names that happen to be valid UTF-8, as short ones in GBK do, are in it too.

    >>> name = "图片/猫.png".encode("gbk").decode("utf-8", "surrogateescape")
    >>> NameDecoder("gb18030", True).decode(name), NameDecoder().decode("a\\udcff/e\\u0301")
    ('图片/猫.png', 'a\\\\xff/é')
    """

    encoding: str = ""
    has_chance_names: bool = False

    @classmethod
    def from_names(cls, names: Iterable[str]) -> NameDecoder:
        """Return a decoder for all of some names, which may have ``/`` between their parts."""
        parts = {part for name in names if not name.isascii() for part in name.split("/") if not part.isascii()}
        odd = sorted(_to_bytes(part) for part in parts if not is_text(part))[:_MAX_SAMPLE_NAMES]
        if not odd:
            return cls()
        chance = sorted(_to_bytes(part) for part in parts if is_text(part) and _may_be_chance(part))
        encoding = guess_name_encoding([*odd, *chance[:_MAX_SAMPLE_NAMES]])
        if encoding in MULTIBYTE_ENCODINGS:
            return cls(encoding, has_chance_names=True)
        return cls(guess_name_encoding(odd))

    def decode(self, name: str) -> str:
        """Return a name as text in Unicode's composed form."""
        if name.isascii():
            return name
        if self.encoding or not is_text(name):
            name = "/".join(part if part.isascii() else self._decode_part(part) for part in name.split("/"))
        return unicodedata.normalize("NFC", name)

    def _decode_part(self, part: str) -> str:
        """Return a part of a name; one that happens to be valid UTF-8 is in the encoding of the others."""
        content = _to_bytes(part)
        try:
            text = content.decode(self.encoding) if self.encoding else ""
        except UnicodeDecodeError:
            text = ""
        is_usable = text != "" and text.isprintable() and "/" not in text
        if is_text(part):
            return text if self.has_chance_names and is_usable and _may_be_chance(part) else part
        if is_usable:
            return text
        return content.decode("utf-8", "backslashreplace")


def is_text(name: str) -> bool:
    """Return whether a name is text, rather than bytes in an unknown encoding.

    >>> is_text("猫"), is_text("a\\udcff")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def guess_name_encoding(names: Iterable[bytes]) -> str:
    """Return the likely encoding of names that are not UTF-8; empty if none decodes all of them.

    >>> guess_name_encoding(["猫".encode("gbk"), "狗".encode("gbk")])
    'gb18030'
    """
    sample = b"\n".join(names)
    guesses = [*guess_encodings(sample), *FALLBACK_ENCODINGS]
    if guesses[0] in _RARE_ENCODINGS and guesses[1] in MULTIBYTE_ENCODINGS:
        guesses = guesses[1:]
    if guesses[0] not in MULTIBYTE_ENCODINGS and _COMMON_CHINESE.fullmatch(sample):
        guesses.insert(0, "gb18030")
    for encoding in guesses:
        try:
            sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return ""


def refuse_equal_names(place: str, folders: Iterable[str], decoder: NameDecoder) -> None:
    """Raise an error if folders at one place have different bytes but, in different encodings, the same name.

    Args:
        place: what holds the folders, for the error.
        folders: their paths.
        decoder: of their names.

    Raises:
        DataError: there are such folders.
    """
    folders = list(folders)
    if all(map(is_text, folders)):
        return
    first: dict[str, dict[str, str]] = defaultdict(dict)
    for folder in sorted(folders):
        parent, _, part = folder.rpartition("/")
        other_part = first[parent].setdefault(decoder.decode(part), part)
        if other_part != part and not (is_text(other_part) and is_text(part)):
            text = decoder.decode(folder)
            first_encoding, second_encoding = ("UTF-8" if is_text(p) else decoder.encoding for p in (other_part, part))
            raise DataError(
                Message(
                    "{place} holds two folders that are called {text}: the name of one is in {first}, the other in "
                    "{second}",
                    place=place,
                    text=text,
                    first=first_encoding,
                    second=second_encoding,
                ),
                Message("rename one of them, or move its images into the other"),
            )


def _may_be_chance(part: str) -> bool:
    """Return whether a name is valid UTF-8 of two bytes a character, as a short one in GBK may be: 猫 is then è."""
    return max(part) < "\u0800"


def _to_bytes(part: str) -> bytes:
    """Return the bytes of a part of a name on the disk."""
    try:
        return part.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte, as Windows allows them
        return part.encode("utf-8", "surrogatepass")
