"""The image files of a folder at an address, read from there one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.remote import manifests
from yisheng.core.remote.streams import StreamedFolder
from yisheng.data.images.file_listing import MAX_IMAGE_BYTES, Contents, Listing, is_hidden, is_image
from yisheng.data.images.folder_files import explain_large_file
from yisheng.data.images.part_names import part_from_name

ZIP: Final = ".zip"


def list_streamed(folder: StreamedFolder) -> Listing:
    """List all image files of a folder at an address, as `folder_files.list_folder` lists a local one.

    Raises:
        UsageError: parts are in zips, which cannot be read from the middle.
        DataError: there are too many files, or one has a name that leaves the folder.
    """
    listing = Listing(folder.address, lambda indices: _read(folder, [listing.names[index] for index in indices]))
    stamp = hashlib.sha256(folder.address.encode("utf-8", "surrogateescape"))
    for name in sorted(folder.versions):
        manifests.require_safe_name(name, folder.address)
        parts = PurePosixPath(name).parts
        if any(is_hidden(part) for part in parts):
            continue
        listing.folders |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if not is_image(name):
            listing.other_files.append(name)
            continue
        version = folder.versions[name]
        listing.add(name, version.size)
        stamp.update(f"{name}\0{version.size}\0{version.version}\n".encode("utf-8", "surrogateescape"))
    listing.stamp = stamp.hexdigest()
    _refuse_zips(listing)
    return listing


def _refuse_zips(listing: Listing) -> None:
    for name in listing.other_files:
        stem, suffix = Path(name).stem, Path(name).suffix.lower()
        is_part = "/" not in name and suffix == ZIP and part_from_name(stem) is not None
        if is_part and stem not in listing.folders:
            raise UsageError(
                Message("{path}/{name} is a zip, which is not streamed", path=listing.path, name=name),
                Message("unpack it at the address, or use stream=false"),
            )


def _read(folder: StreamedFolder, names: Sequence[str]) -> Contents:
    """Yield the files' bytes; a store that cannot be read is an error of the data set, not of an image."""
    start = 0
    for position, name in enumerate(names):
        size = folder.versions[name].size
        if size > MAX_IMAGE_BYTES:
            yield from folder.read(names[start:position])
            yield explain_large_file(name, size)
            start = position + 1
    yield from folder.read(names[start:])
