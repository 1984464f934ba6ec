"""The arrays in a file: their names, shapes and types first, their values when asked for.

Nothing is unpickled, and no array is read that claims more bytes than `stored_array.MAX_BYTES`.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message, message_of
from yisheng.data.arrays.stored_array import MAX_ARRAYS, TEXT, StoredArray, require_size

NPZ_SUFFIX, NPY_SUFFIX, HDF5_SUFFIXES = ".npz", ".npy", (".h5", ".hdf5")
SUFFIXES = (NPZ_SUFFIX, NPY_SUFFIX, *HDF5_SUFFIXES)
_ERRORS = (
    *(OSError, EOFError, ValueError, KeyError, SyntaxError, TypeError, MemoryError, OverflowError, RuntimeError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged file of NumPy's raises."""


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[Mapping[str, StoredArray]]:
    """Open the arrays of a file by name during a block.

    Args:
        path: .npz, .npy, .h5 or .hdf5.

    Raises:
        DataError: the file is missing, damaged, or holds pickled objects or too many arrays.
        MissingPartError: it is HDF5, and h5py is not installed.
    """
    if path.suffix.lower() in HDF5_SUFFIXES:
        from yisheng.data.arrays import hdf5

        with hdf5.open_datasets(path) as arrays:
            yield arrays
        return
    try:
        if path.suffix.lower() == NPY_SUFFIX:
            with path.open("rb") as file:
                shape, dtype = _read_header(file)
            yield {path.stem: StoredArray(shape, dtype, lambda: _load_npy(path))}
            return
        with zipfile.ZipFile(path) as archive:
            yield _list_members(path, archive)
    except FileNotFoundError:
        raise DataError(Message("{path} does not exist", path=path), Message("check the path")) from None
    except _ERRORS as error:
        _refuse(path, error)


def _list_members(path: Path, archive: zipfile.ZipFile) -> dict[str, StoredArray]:
    members = [member for member in archive.infolist() if member.filename.endswith(NPY_SUFFIX)]
    if len(members) > MAX_ARRAYS:
        raise DataError(
            Message("{path} holds more than {limit} arrays", path=path, limit=f"{MAX_ARRAYS:,}"),
            Message("save fewer"),
        )
    arrays = {}
    for member in members:
        name = member.filename.removesuffix(NPY_SUFFIX)
        require_size(f"{path}: {name}", (member.file_size,), 1)
        with archive.open(member) as file:
            shape, dtype = _read_header(file)

        def read(member: zipfile.ZipInfo = member) -> np.ndarray:
            with archive.open(member) as file:
                return _checked(np.lib.format.read_array(file, allow_pickle=False))

        arrays[name] = StoredArray(shape, dtype, read)
    return arrays


def _read_header(file: object) -> tuple[tuple[int, ...], str]:
    """Return shape and type from the header of NumPy's format."""
    version = np.lib.format.read_magic(file)  # type: ignore[arg-type]  # a file of bytes
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)  # type: ignore[arg-type]
    return shape, TEXT if dtype.kind in "US" else dtype.name


def _load_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        shape, _ = _read_header(file)
        file.seek(0)
        require_size(str(path), (path.stat().st_size,), 1)
        require_size(str(path), shape, 1)
        return _checked(np.lib.format.read_array(file, allow_pickle=False))


def _checked(array: np.ndarray) -> np.ndarray:
    """Return an array in the byte order of this machine."""
    if array.dtype.kind not in "fiubUS":
        raise ValueError(Message("it holds {dtype}, neither numbers nor text", dtype=array.dtype))
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _refuse(path: Path, error: BaseException) -> NoReturn:
    reason = message_of(error)
    if "pickle" in reason:
        reason = Message("it holds pickled objects")
    elif not isinstance(reason, Message):
        reason = " ".join(reason.split())[:200]
    format = path.suffix.lower()
    raise DataError(
        Message("{path} cannot be read as {format}: {reason}", path=path, format=format, reason=reason),
        Message("write it again with {function}", function="numpy.savez" if format == NPZ_SUFFIX else "numpy.save"),
    ) from None
