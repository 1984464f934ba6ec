"""New folders: numbered names that two processes never share, and the free space that a training needs."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from yisheng.core.errors import StorageError
from yisheng.core.files import explain_write_error
from yisheng.core.messages import Message
from yisheng.core.remote.sessions import find_destination
from yisheng.core.run_names import make_label
from yisheng.core.temporary import create_temporary_folder, remove_abandoned

CHECKPOINT_COPIES: Final = 14
"""Free space required before training, in copies of the weights: three checkpoints (two kept, one being written) with
weights, best weights and Adam's two moments need 12 copies, the saved model needs one, and one is spare."""
SPARE_BYTES: Final = 16 << 20
MAX_CLAIM_SECONDS: Final = 60.0
"""A claim to a number is held for a few microseconds."""


def create_numbered_folder(out: Path, label: str, write: Callable[[Path], None]) -> Path:
    """Create the next folder in ``out``, ``0007-label``, and return it.

    It appears with all files that ``write`` writes, by one rename: a process that is killed before leaves a hidden
    folder, which the next call removes.

    Args:
        out: the folder of runs; created if it does not exist. If its runs are published at an address, the number is
            free there, too.
        label: of the folder, cleaned by `yisheng.core.run_names.make_label`.
        write: writes the first files into a folder.

    Raises:
        StorageError: the folder cannot be created.
    """
    label = make_label(label) or "run"
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_abandoned(out)
        staging = create_temporary_folder(out)
    except OSError as error:
        raise explain_write_error(error, out) from error
    try:
        write(staging)
        return _rename_to_next_number(staging, out, label)
    except OSError as error:
        raise explain_write_error(error, out) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)  # after a failure; else it has another name


def _rename_to_next_number(staging: Path, out: Path, label: str) -> Path:
    """Give a folder the next free number in ``out``; return its new path."""
    _remove_abandoned_claims(out)
    destination = find_destination(out)
    numbers = [int(match[1]) for path in out.iterdir() if (match := re.match(r"([0-9]{4,9})-", path.name))]
    numbers += [] if destination is None else destination.list_numbers()
    number = 1 + max(numbers, default=0)
    while (path := _rename(staging, out, number, label)) is None:
        number += 1
    return path


def _rename(staging: Path, out: Path, number: int, label: str) -> Path | None:
    """Give a folder a number, or return None if the number is taken under this or another label."""
    claim = out / f".{number:04d}"  # names the number alone, so two processes with different labels collide on it
    try:
        claim.mkdir()
    except FileExistsError:
        return None
    try:
        if any(out.glob(f"{number:04d}-*")):
            return None
        destination, path = find_destination(out), out / f"{number:04d}-{label}"
        if destination is not None and not destination.claim(number, path.name):
            return None
        path = staging.rename(path)
        if destination is not None:
            destination.attach(path)
        return path
    finally:
        claim.rmdir()


def _remove_abandoned_claims(out: Path) -> None:
    """Remove the claims to a number of processes that were killed."""
    for claim in out.glob(".[0-9][0-9][0-9][0-9]*"):
        with contextlib.suppress(OSError):  # removed by its process
            if claim.name[1:].isdecimal() and time.time() - claim.stat().st_mtime > MAX_CLAIM_SECONDS:
                claim.rmdir()


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
            Message(
                "{existing} has {free} MiB of free space, this run needs about {required} MiB",
                existing=existing,
                free=f"{free / 2**20:,.1f}",
                required=f"{required / 2**20:,.1f}",
            ),
            Message("free some space, or write to another folder with out="),
        )
