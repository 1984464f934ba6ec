"""Paths from users: checked once, where they enter."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from yisheng.core import registry
from yisheng.core.discovery import hyphenate
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.launch import find_launch
from yisheng.core.local_paths import parse_local_path
from yisheng.core.messages import Message
from yisheng.core.remote.addresses import is_address, parse_address
from yisheng.core.remote.connections import must_not_connect
from yisheng.core.remote.inputs import fetch_path
from yisheng.core.remote.sessions import open_output, open_run, open_runs_folder
from yisheng.core.remote.streams import list_folder


def parse_path(value: Any, key: str) -> Path:
    """Return the path of what a user names, to read it; what is at an address is fetched into the cache.

    Args:
        value: text or a path, or an address (``s3://bucket/file.csv``).
        key: what it is called, for the error: ``config``, `INPUT`.

    Raises:
        UsageError: see `yisheng.core.local_paths.parse_local_path`; or the address has a wrong form.
        DataError: nothing is at the address, or the store cannot be read.

    >>> parse_path("runs/0001", "path").as_posix()
    'runs/0001'
    """
    return fetch_path(value, key) if is_address(value) else parse_local_path(value, key)


def parse_out_path(value: Any) -> Path:
    """Return where the user wants a file written (``out=``), or a folder, new or existing.

    A link to a file is followed, so that the link stays and its file is replaced. A file for an address is written in
    the cache, and copied at the end of the command or call.

    Raises:
        UsageError: see `yisheng.core.local_paths.parse_local_path`; or the path is a link to nothing, a pipe or a
            device.
        DataError: the store of the address cannot be read.

    >>> parse_out_path("runs").as_posix()
    'runs'
    """
    output = open_output(value, "out")
    if output is not None:
        return output
    path = parse_local_path(value, "out")
    try:
        mode = path.stat().st_mode
    except OSError:  # whoever writes there reports why not, unless something is there already
        if path.is_symlink():
            raise UsageError(
                Message("out={value} is a link to {readlink}, where nothing is", value=value, readlink=path.readlink()),
                Message("create what it links to, remove the link, or name another out="),
            ) from None
        return path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(
            Message("out={value} is a pipe or a device", value=value), Message("name a file or a folder with out=")
        )
    return Path(os.path.realpath(path)) if path.is_symlink() and stat.S_ISREG(mode) else path


def parse_runs_path(value: Any) -> Path:
    """Return the folder for new runs (``out=``); at an address, the local one whose runs are published there.

    Raises:
        UsageError: see `parse_out_path`; or the address is that of a run.
        DataError: the store of the address cannot be read.
    """
    folder = open_runs_folder(value, "out")
    return parse_out_path(value) if folder is None else folder


def parse_run_path(value: Any, key: str = "the run folder", *, writes: bool = False) -> Path:
    """Return the folder of a run; of one at an address, its working copy.

    Args:
        value: a path or an address.
        key: what it is called, for the error.
        writes: whether the command writes in the folder: then it is published at the end, and no other process may
            write to its address meanwhile. This holds for the path of a working copy, too.

    Raises:
        UsageError: see `parse_path`; or another process writes to the address.
        DataError: the address holds no complete copy of a run, or the store cannot be read.
        StorageError: the address cannot be written.
    """
    launch = find_launch() if writes else None
    is_first = launch is None or launch.rank == 0  # the others of a training write nothing
    folder = open_run(value, key, writes=True) if writes and is_first else None
    return parse_path(value, key) if folder is None else folder


def is_path(value: str) -> bool:
    """Return whether a value is meant as a path: it looks like one, or there is a file or folder of that name.

    >>> is_path("photos/"), is_path("train.csv"), is_path("digits")
    (True, True, False)
    """
    if not value.strip():
        return False
    if any(sign in value for sign in ("/", "\\", "~")) or Path(value).suffix:
        return True
    try:
        return Path(value).exists()
    except (ValueError, OSError):  # a NUL character, no permission
        return False


def find_data_reader(value: str) -> tuple[str, str]:
    """Return the data set that reads what is at a path, and the absolute path: a run may be resumed from anywhere.

    An address stays one: the run may be resumed on another machine.

    A data set that reads paths declares which in ``@register(opens=...)``; exactly one must fit. For a folder at an
    address it may declare by ``opens_names=`` which names of files it reads: then nothing is fetched to choose it.

    Raises:
        DataError: no file can have this path, nothing is there, or no data set reads it.
    """
    reader = _find_address_reader(value) if is_address(value) else None
    if reader is not None:
        return reader, parse_address(value, "data")
    try:
        path = parse_path(value, "data").absolute()
    except UsageError as error:
        raise DataError(error.problem, error.remedy) from None
    exists = os.path.exists(path)  # noqa: PTH110  # False for a folder without permission too
    may_be_read = exists or any(sign in path.name for sign in "*?[")  # a pattern for several files
    readers = list(registry.entries("data.datasets", "opens")) if may_be_read else []
    fitting = [e for e in readers if e.meta["opens"](path)]
    if not fitting and not exists:
        candidates = suggest(hyphenate(value), registry.names("data.datasets"))
        raise DataError(
            Message("{value} does not exist", value=value),
            Message("check the path; or name a data set: {candidates}", candidates=candidates),
        )
    if len(fitting) != 1:
        problem = Message("{value} cannot be opened as data", value=value)
        if fitting:
            names = ", ".join(e.name for e in fitting)
            problem = Message(
                "{value} cannot be opened as data: several data sets could read it ({names})", value=value, names=names
            )
        raise DataError(
            problem,
            Message(
                "give a folder or zip of images in class folders, a table (.csv, .tsv, .txt, .parquet, ...) "
                "or arrays (.npz, .npy, .h5); if it is a table of text, use data=table path=FILE format=csv",
            ),
        )
    return fitting[0].name, parse_address(value, "data") if is_address(value) else str(path)


def _find_address_reader(value: str) -> str | None:
    """Return the data set that reads a folder at an address, by the names of its files; None to decide it by a copy.

    Raises:
        UsageError: the address has a wrong form.
        DataError: the store cannot be read.
    """
    address = parse_address(value, "data")
    folder = None if must_not_connect(address) else list_folder(address)
    if folder is None:
        return None
    readers = [entry for entry in registry.entries("data.datasets") if "opens_names" in entry.meta]
    fitting = [entry.name for entry in readers if entry.meta["opens_names"](folder.versions)]
    return fitting[0] if len(fitting) == 1 else None
