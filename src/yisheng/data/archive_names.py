"""Names of an archive's members as safe relative paths, the same on every platform."""

from __future__ import annotations

import os
import re
import unicodedata

from yisheng.core.errors import DataError
from yisheng.core.messages import Message

_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_FORBIDDEN_ON_WINDOWS = '<>:"|?*'
_MAX_PART_BYTES = 255


def split_member_name(name: str, *, max_bytes: int, max_depth: int) -> tuple[str, ...]:
    """Return the parts of a member's path; empty for the folder itself (``./``).

    Args:
        name: the name in the archive.
        max_bytes: most bytes of the whole path.
        max_depth: most parts.

    Raises:
        DataError: it would leave the folder, or names another file on another platform.

    >>> split_member_name("./train/ants/1.jpg", max_bytes=512, max_depth=32)
    ('train', 'ants', '1.jpg')
    """
    if name.startswith("/") or "\\" in name:
        raise _refuse(name, Message("an absolute path, or one with backslashes"))
    parts = tuple(part for part in name.removesuffix("/").split("/") if part != ".")
    try:
        size = len(os.fsencode(name))
        longest = max((len(os.fsencode(part)) for part in parts), default=0)
    except UnicodeError:
        raise _refuse(name, Message("characters that no file name can have")) from None
    if size > max_bytes or longest > _MAX_PART_BYTES or len(parts) > max_depth:
        raise _refuse(
            name,
            Message(
                "a path longer than {max_bytes} bytes or deeper than {max_depth} folders",
                max_bytes=max_bytes,
                max_depth=max_depth,
            ),
        )
    for part in parts:
        if problem := _find_problem(part):
            raise _refuse(name, problem)
    return parts


def make_collision_key(parts: tuple[str, ...]) -> str:
    """Return a key that is equal for paths of the same file on a system that ignores case or the encoding of accents.

    >>> make_collision_key(("A", "b")) == make_collision_key(("a", "B"))
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", "/".join(parts)).casefold())


def _find_problem(part: str) -> Message | None:
    if part == "..":
        return Message("a path that leaves the folder")
    if not part:
        return Message("an empty part")
    if any(unicodedata.category(c) == "Cc" for c in part):
        return Message("control characters")
    if re.match(r"[A-Za-z]:", part):
        return Message("a drive letter")
    if part.endswith((".", " ")) or _RESERVED.fullmatch(part):
        return Message("a name that Windows reserves")
    if os.name == "nt" and any(c in _FORBIDDEN_ON_WINDOWS for c in part):
        return Message("characters that Windows forbids")
    return None


def _refuse(name: str, problem: Message) -> DataError:
    return DataError(
        Message("the archive holds {name}: {problem}", name=f"{name[:100]!r}", problem=problem),
        Message("it is not safe to extract; get it from a trusted source"),
    )
