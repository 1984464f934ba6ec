"""The files of a saved model, and their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.run_folder import INTACT_COPY, RunFolder

ARTIFACT_FILES = (RunFolder.MODEL, RunFolder.WEIGHTS, RunFolder.OOD, RunFolder.CHECKSUMS)
"""The files that prediction reads."""
PROGRAM_FILES = (RunFolder.PROGRAM, RunFolder.PROGRAM_TENSORS)
"""Files that it reads besides if the network is a user's own and was saved without its code."""
INTERVAL_FILES = (RunFolder.RESIDUALS,)
"""Files that it reads besides for intervals, if the model has any."""
MAX_CHECKSUMS_BYTES = 1 << 16


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of the files of a run or cross-validation as they are now.

    Raises:
        StorageError: the list cannot be written.
    """
    names = (*ARTIFACT_FILES, *PROGRAM_FILES, *INTERVAL_FILES)
    paths = [folder / name for name in names if name != RunFolder.CHECKSUMS and (folder / name).is_file()]
    files.write_file(folder / RunFolder.CHECKSUMS, format_checksums({path.name: _hash(path) for path in paths}))


def verify_checksums(folder: Path, *names: str) -> None:
    """Refuse a file whose SHA-256 is not the one that was written with the model.

    Raises:
        DataError: a file or the list is missing or damaged, or the two do not belong together.
    """
    path = folder / RunFolder.CHECKSUMS
    try:
        text = (files.read_bytes(path, MAX_CHECKSUMS_BYTES) or b"").decode("ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise DataError(
            Message("{path} cannot be read: {reason}; it lists the files' SHA-256", path=path, reason=reason),
            INTACT_COPY,
        ) from None
    checksums = {name: value for value, _, name in (line.partition("  ") for line in text.splitlines())}
    for name in names:
        if _hash(folder / name) != checksums.get(name):
            raise DataError(
                Message(
                    "{path} is not the file that {CHECKSUMS} lists (SHA-256 differs)",
                    path=folder / name,
                    CHECKSUMS=RunFolder.CHECKSUMS,
                ),
                INTACT_COPY,
            )


def format_checksums(checksums: Mapping[str, str]) -> bytes:
    """Return SHA-256 by file name in the format of ``sha256sum``."""
    return "".join(f"{value}  {name}\n" for name, value in checksums.items()).encode()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)), INTACT_COPY
        ) from None
