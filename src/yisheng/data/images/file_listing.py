"""Listings: the image files of a folder or zip, and its other files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data.images.file_names import NameDecoder

IMAGE_SUFFIXES = frozenset(
    "jpg jpeg jpe jfif mpo png webp bmp dib gif tif tiff ppm pgm pbm pnm pfm avif".split()  # noqa: SIM905
)
"""Suffixes of files that are taken for images, in lower case."""
SYSTEM_NAMES = frozenset(
    ("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information")
)
"""Names that operating systems add to folders, in lower case; names that begin with a dot are hidden too."""
MAX_IMAGES = 2_000_000
"""Most image files of a listing; each takes some hundred bytes of memory."""
MAX_IMAGE_BYTES = 512 << 20
"""Largest image file: the largest image that is decoded, uncompressed in 16 bits and four channels."""
MAX_FOLDER_DEPTH = 32

Contents = Iterator[bytes | DataError]
"""The bytes of files one after the other, or why one cannot be read."""


@dataclass
class Listing:
    """The image files of a folder or zip, in parallel lists.

    Args:
        path: the folder or zip, or an address.
        read: function from file indices to the files' bytes, in this order; several threads may call it at once.
        names: paths of the files relative to ``path``, with ``/``.
        sizes: sizes in bytes.
        stamp: text that changes when any of the files does.
        folders: all folders inside.
        others: files without the suffix of an image.
        links: links to folders that are listed already.
    """

    path: Path | str
    read: Callable[[Sequence[int]], Contents]
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    stamp: str = ""
    folders: set[str] = field(default_factory=set)
    other_files: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def add(self, name: str, size: int) -> None:
        """Append an image file.

        Raises:
            DataError: there are `MAX_IMAGES` already.
        """
        if len(self.names) == MAX_IMAGES:
            raise DataError(
                Message("{path} holds more than {limit} images", path=self.path, limit=f"{MAX_IMAGES:,}"),
                Message("split it into several data sets"),
            )
        self.names.append(name)
        self.sizes.append(size)


def is_image(name: str) -> bool:
    """Return whether a file has the suffix of an image.

    >>> is_image("ants/1.JPG"), is_image("notes.txt"), is_image(".png")
    (True, False, False)
    """
    stem, _, suffix = name.rpartition(".")
    return suffix.lower() in IMAGE_SUFFIXES and stem[-1:] not in ("", "/")


def is_hidden(part: str) -> bool:
    """Return whether a file or folder is hidden or belongs to the operating system."""
    return part.startswith(".") or part.lower() in SYSTEM_NAMES


def sanitize_name(name: str) -> str:
    """Return a file's name as text that can be written anywhere, the same on every system; bytes become escapes.

    >>> sanitize_name("a\\udcff/e\\u0301")
    'a\\\\xff/é'
    """
    return NameDecoder().decode(name)


def join_listings(path: Path, parts: Sequence[tuple[str, Listing]]) -> Listing:
    """Return several listings as one, each below a folder.

    Args:
        path: the place that holds them.
        parts: name of the folder (may be empty) and its listing.
    """
    starts = [0]
    for _, listing in parts:
        starts.append(starts[-1] + len(listing.names))

    def read(indices: Sequence[int]) -> Contents:
        start = 0
        while start < len(indices):
            part = next(i for i in range(len(parts)) if indices[start] < starts[i + 1])
            end = start
            while end < len(indices) and starts[part] <= indices[end] < starts[part + 1]:
                end += 1
            yield from parts[part][1].read([index - starts[part] for index in indices[start:end]])
            start = end

    joined = Listing(path, read, stamp="\n".join(f"{name}: {listing.stamp}" for name, listing in parts))
    for name, listing in parts:
        prefix = f"{name}/" if name else ""
        for inner, size in zip(listing.names, listing.sizes, strict=True):
            joined.add(prefix + inner, size)
        joined.folders |= {prefix + inner for inner in listing.folders} | ({name} if name else set())
        joined.other_files += [prefix + inner for inner in listing.other_files]
        joined.links += [prefix + inner for inner in listing.links]
    return joined
