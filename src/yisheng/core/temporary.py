"""Temporary files and folders next to the final ones, and the removal of those whose process was killed.

A name tells who writes: ``.model.json.1f3a9c02-4711.k2j3.part`` belongs to process 4711 of the machine (or container)
1f3a9c02. What a killed process left is removed by the next one that works in the same folder.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Final

SUFFIX: Final = ".part"
MAX_NAME_BYTES: Final = 100
"""Of the final name in a temporary one: file systems allow 255 bytes in all."""
MAX_AGE_SECONDS: Final = 7 * 24 * 3600
"""What a process of another machine writes is not older than this; whether it still runs cannot be asked."""
_NAME: Final = re.compile(r"\..*\.(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]+)\.[^.]+\.part", re.DOTALL)
_UMASK: Final = os.umask(0o022)  # there is no way to read it without setting it
os.umask(_UMASK)


def create_temporary_file(path: Path) -> Path:
    """Create an empty file next to ``path``, with the permissions that a new file has; return its path.

    Raises:
        OSError: it cannot be created.
    """
    handle, name = tempfile.mkstemp(prefix=_prefix(path.name), suffix=SUFFIX, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o666 & ~_UMASK)
    return temporary


def create_temporary_folder(parent: Path) -> Path:
    """Create an empty folder in ``parent``, with the permissions that a new folder has; return its path.

    Raises:
        OSError: it cannot be created.
    """
    temporary = Path(tempfile.mkdtemp(prefix=_prefix("new"), suffix=SUFFIX, dir=parent))
    temporary.chmod(0o777 & ~_UMASK)
    return temporary


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders in a folder whose process has ended; errors are left for later."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is None or not _is_abandoned(path, match["machine"], int(match["process"])):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _prefix(name: str) -> str:
    stem = os.fsdecode(os.fsencode(name)[:MAX_NAME_BYTES])
    return f".{stem}.{identify_machine()}-{os.getpid()}."


def _is_abandoned(path: Path, machine: str, process: int) -> bool:
    if machine == identify_machine() and os.name != "nt":  # Windows has no way to ask without a right to
        return not is_process_alive(process)
    return time.time() - path.lstat().st_mtime > MAX_AGE_SECONDS


def is_process_alive(process: int) -> bool:
    """Return whether a process of this machine runs (on POSIX systems), whoever started it."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


@functools.cache
def identify_machine() -> str:
    """Return an identifier of the machine and, on Linux, of the container in which process numbers are counted."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]
