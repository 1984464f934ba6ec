"""The arrays in an HDF5 file. Nothing in it can make h5py run code, open another file, or take more memory than it has.

External links and external storage, virtual data sets, references, compound types and filters from plugins are refused
before any value is read.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import DataError, MissingPartError
from yisheng.core.messages import Message
from yisheng.data.arrays.stored_array import MAX_ARRAYS, TEXT, StoredArray, require_size

ALLOWED_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
"""Filters that HDF5 or h5py contain; any other is code that would be loaded from a plugin."""
MAX_DEPTH = 8
MAX_EXPANSION, MIN_BOMB_BYTES = 1100, 64 << 20
"""Bytes of an array for each byte of the file (gzip reaches 1,032), or that are read from any file."""
MAX_TEXTS = 10_000_000


@contextlib.contextmanager
def open_datasets(path: Path) -> Iterator[Mapping[str, StoredArray]]:
    """Open the arrays of an HDF5 file by their paths in it, ``group/name``, during a block.

    Raises:
        DataError: the file is missing, damaged, or holds something that is not a plain array.
        MissingPartError: h5py is not installed.
    """
    h5py = import_h5py(path)
    try:
        with h5py.File(path, "r") as file:
            yield dict(_list_arrays(h5py, path, file))
    except FileNotFoundError:
        raise DataError(Message("{path} does not exist", path=path), Message("check the path")) from None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise DataError(
            Message("{path} cannot be read as HDF5: {reason}", path=path, reason=" ".join(str(error).split())[:200]),
            Message("it is damaged; write it again"),
        ) from None


def import_h5py(path: Path) -> Any:
    """Return h5py.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        return importlib.import_module("h5py")
    except Exception:  # absent, or built for another NumPy
        raise MissingPartError(
            Message("{path} needs h5py, which reads HDF5", path=path),
            Message('pip install "yisheng[hdf5]", or save the arrays with numpy.savez'),
        ) from None


def _list_arrays(h5py: Any, path: Path, file: Any) -> Iterator[tuple[str, StoredArray]]:
    """Yield the arrays of all groups; links to other files and soft links are left out."""
    groups = [("", file, 0)]
    count = 0
    while groups:
        prefix, group, depth = groups.pop()
        for name in group:
            count += 1
            if count > MAX_ARRAYS or depth > MAX_DEPTH:
                raise DataError(
                    Message("{path} holds more than {limit} arrays and groups", path=path, limit=f"{MAX_ARRAYS:,}"),
                    Message("save fewer"),
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append((f"{prefix}{name}/", item, depth + 1))
            elif isinstance(item, h5py.Dataset) and item.shape is not None:
                yield f"{prefix}{name}", _describe(h5py, path, f"{prefix}{name}", item)


def _describe(h5py: Any, path: Path, name: str, item: Any) -> StoredArray:
    is_text = h5py.check_string_dtype(item.dtype) is not None or item.dtype.kind in "US"

    def read() -> np.ndarray:
        _require_plain(h5py, path, name, item, is_text=is_text)
        values = item.asstr()[()] if is_text and h5py.check_string_dtype(item.dtype) is not None else item[()]
        array = np.asarray(values)
        return array.astype(str) if is_text else array.astype(array.dtype.newbyteorder("="), copy=False)

    return StoredArray(tuple(item.shape), TEXT if is_text else item.dtype.name, read)


def _require_plain(h5py: Any, path: Path, name: str, item: Any, *, is_text: bool) -> None:
    """Refuse an array that is more than numbers or texts in this very file.

    Raises:
        DataError: it is.
    """
    label = f"{path}: {name}"
    creation = item.id.get_create_plist()
    filters = [creation.get_filter(n)[0] for n in range(creation.get_nfilters())]
    unknown = [number for number in filters if number not in ALLOWED_FILTERS]
    problem = ""
    if item.is_virtual or creation.get_external_count():
        problem = Message("its values are in another file")
    elif h5py.check_ref_dtype(item.dtype) is not None or not (is_text or item.dtype.kind in "fiub"):
        problem = Message("it holds {dtype}, neither numbers nor text", dtype=item.dtype)
    elif unknown:
        problem = Message("it is compressed by a filter that needs a plugin (number {number})", number=unknown[0])
    if problem:
        remedy = Message("save the numbers themselves, as in numpy.savez(path, x=x, y=y)")
        raise DataError(Message("{label} is not read: {problem}", label=label, problem=problem), remedy)
    require_size(label, tuple(item.shape), item.dtype.itemsize)
    if is_text and item.size > MAX_TEXTS:
        raise DataError(
            Message("{label} holds more than {limit} texts", label=label, limit=f"{MAX_TEXTS:,}"),
            Message("take a sample of its rows"),
        )
    if math.prod(item.shape) * item.dtype.itemsize > max(MIN_BOMB_BYTES, MAX_EXPANSION * path.stat().st_size):
        raise DataError(
            Message("{label} claims more values than its file can hold", label=label),
            Message("it is damaged; write it again"),
        )
