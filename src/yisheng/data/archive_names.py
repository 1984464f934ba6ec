"""Names of an archive's members as safe relative paths, the same on every platform."""

from __future__ import annotations

import os
import re
import unicodedata

from yisheng.core.errors import DataError

_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_WINDOWS_ONLY = '<>:"|?*'


def parts_of(name: str, *, length: int, depth: int) -> tuple[str, ...]:
    """The parts of a member's path; empty for the folder itself (``./``).

    Args:
        name: the name as it stands in the archive.
        length: most bytes of the whole path.
        depth: most parts.

    Raises:
        DataError: it would leave the folder, or means something else on another platform.

    >>> parts_of("./train/ants/1.jpg", length=512, depth=32)
    ('train', 'ants', '1.jpg')
    """
    if name.startswith("/") or "\\" in name:
        raise _refused(name, "an absolute path, or one with backslashes")
    parts = tuple(part for part in name.removesuffix("/").split("/") if part != ".")
    try:
        size = len(os.fsencode(name))
        widest = max((len(os.fsencode(part)) for part in parts), default=0)
    except UnicodeError:
        raise _refused(name, "characters that no file name can have") from None
    if size > length or widest > 255 or len(parts) > depth:
        raise _refused(name, f"a path longer than {length} bytes or deeper than {depth} folders")
    for part in parts:
        if why := _trouble(part):
            raise _refused(name, why)
    return parts


def key_of(parts: tuple[str, ...]) -> str:
    """What two paths share that are the same file on a system that ignores case or accents' encoding.

    >>> key_of(("A", "b")) == key_of(("a", "B"))
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", "/".join(parts)).casefold())


def _trouble(part: str) -> str | None:
    if part == "..":
        return "a path that leaves the folder"
    if not part:
        return "an empty part"
    if any(unicodedata.category(c) == "Cc" for c in part):
        return "control characters"
    if re.match(r"[A-Za-z]:", part):
        return "a drive letter"
    if part.endswith((".", " ")) or _RESERVED.fullmatch(part):
        return "a name that Windows reserves"
    if os.name == "nt" and any(c in _WINDOWS_ONLY for c in part):
        return "characters that Windows forbids"
    return None


def _refused(name: str, why: str) -> DataError:
    return DataError(
        f"the archive holds {name[:100]!r}: {why}", "it is not safe to extract; take it from a trusted source"
    )
