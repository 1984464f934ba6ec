"""New folders: numbered names that two processes never share, and the free space that a training needs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from yisheng.core.errors import StorageError
from yisheng.core.files import explain_write_error

CHECKPOINT_COPIES: Final = 14
"""Free space required before training, in copies of the weights: three checkpoints (two kept, one being written) with
weights, best weights and Adam's two moments need 12 copies, the saved model needs one, and one is spare."""
SPARE_BYTES: Final = 16 << 20


def create_numbered_folder(out: Path, label: str) -> Path:
    """Create the next folder in ``out``, ``0007-label``, and return it.

    Args:
        out: the folder of runs; created if it does not exist.
        label: of the folder; characters that are not letters, digits, ``.`` or ``-`` are replaced.

    Raises:
        StorageError: the folder cannot be created.
    """
    label = re.sub(r"[^\w.-]+", "-", label)
    try:
        out.mkdir(parents=True, exist_ok=True)
        numbers = (int(match[1]) for path in out.iterdir() if (match := re.match(r"(\d{4,})-", path.name)))
        number = 1 + max(numbers, default=0)
        while (path := _claim(out, number, label)) is None:
            number += 1
    except OSError as error:
        raise explain_write_error(error, out) from error
    return path


def _claim(out: Path, number: int, label: str) -> Path | None:
    """Create the folder of a number, or return None if the number is taken under this or another label."""
    lock = out / f".{number:04d}"  # names the number alone, so two processes with different labels collide on it
    try:
        lock.mkdir()
    except FileExistsError:
        return None
    try:
        if any(out.glob(f"{number:04d}-*")):
            return None
        path = out / f"{number:04d}-{label}"
        path.mkdir()
        return path
    finally:
        lock.rmdir()


def require_space(out: Path, model_bytes: int) -> None:
    """Check that the checkpoints of a training will fit on the disk.

    Args:
        out: where the run will be written; it need not exist yet.
        model_bytes: bytes of the weights.

    Raises:
        StorageError: there is too little free space.
    """
    existing = out.absolute()
    try:
        while not existing.is_dir() and existing != existing.parent:
            existing = existing.parent
        free = shutil.disk_usage(existing).free
    except OSError as error:
        raise explain_write_error(error, out) from error
    required = CHECKPOINT_COPIES * model_bytes + SPARE_BYTES
    if free < required:
        raise StorageError(
            f"{existing} has {free / 2**20:,.1f} MiB of free space, this run needs about {required / 2**20:,.1f} MiB",
            "free some space, or write to another folder with out=",
        )
