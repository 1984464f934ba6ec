"""What lies in a place: the image files, and what else there is."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yisheng.core.errors import DataError

SUFFIXES = frozenset(
    "jpg jpeg jpe jfif mpo png webp bmp dib gif tif tiff ppm pgm pbm pnm avif".split()  # noqa: SIM905
)
"""Files that are taken for images, by the end of their names in lower case."""
HIDDEN = frozenset(("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"))
"""What systems leave in folders, in lower case; names that begin with a dot are hidden too."""
COUNT = 2_000_000
"""Most image files of a place; each takes some hundred bytes of memory while they are listed."""
BYTES = 512 << 20
"""Largest image file: the largest image that is decoded, uncompressed in 16 bits and four channels."""
DEPTH = 32
"""Most folders within one another."""

Contents = Iterator[bytes | DataError]
"""The bytes of files one after the other, or why one cannot be read."""


@dataclass
class Listing:
    """The image files of a place, in parallel lists.

    Args:
        path: the folder or zip.
        names: their paths in it, with ``/``.
        sizes: their bytes.
        stamp: what changes when any of them does.
        read: the bytes of those with these numbers, in this order; may be called by several threads at once.
        folders: every folder in it.
        others: files that are no images by their names.
        links: links to folders that were listed already.
    """

    path: Path
    read: Callable[[Sequence[int]], Contents]
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    stamp: str = ""
    folders: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def add(self, name: str, size: int) -> None:
        """One more image file."""
        if len(self.names) == COUNT:
            raise DataError(f"{self.path} holds more than {COUNT:,} images", "split it into several data sets")
        self.names.append(name)
        self.sizes.append(size)


def is_image(name: str) -> bool:
    """Whether a file's name is one of an image.

    >>> is_image("ants/1.JPG"), is_image("notes.txt"), is_image(".png")
    (True, False, False)
    """
    stem, _, suffix = name.rpartition(".")
    return suffix.lower() in SUFFIXES and stem[-1:] not in ("", "/")


def is_hidden(part: str) -> bool:
    """Whether a file or folder is the system's rather than the user's."""
    return part.startswith(".") or part.lower() in HIDDEN


def readable(name: str) -> str:
    """A file's name as text that can be written anywhere, the same on every system.

    >>> readable("a\\udcff/e\\u0301")
    'a�/é'
    """
    if name.isascii():
        return name
    return unicodedata.normalize("NFC", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def joined(path: Path, parts: Sequence[tuple[str, Listing]]) -> Listing:
    """Several places as one, each under a folder's name.

    Args:
        path: the place that holds them.
        parts: name of the folder (may be empty) and what is in it.
    """
    starts = [0]
    for _, listing in parts:
        starts.append(starts[-1] + len(listing.names))

    def read(numbers: Sequence[int]) -> Contents:
        at = 0
        while at < len(numbers):
            which = next(i for i in range(len(parts)) if numbers[at] < starts[i + 1])
            end = at
            while end < len(numbers) and starts[which] <= numbers[end] < starts[which + 1]:
                end += 1
            yield from parts[which][1].read([n - starts[which] for n in numbers[at:end]])
            at = end

    whole = Listing(path, read, stamp="\n".join(f"{name}: {listing.stamp}" for name, listing in parts))
    for name, listing in parts:
        under = f"{name}/" if name else ""
        for inner, size in zip(listing.names, listing.sizes, strict=True):
            whole.add(under + inner, size)
        whole.folders |= {under + inner for inner in listing.folders} | ({name} if name else set())
        whole.others += [under + inner for inner in listing.others]
        whole.links += [under + inner for inner in listing.links]
    return whole
