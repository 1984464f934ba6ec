"""The live page: served on its own (`yisheng watch`), or during a training by another process (``watch=true``)."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from yisheng.core.errors import DataError, MissingPartError, StoppedError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.signals import collect_signals

START_TIMEOUT, STOP_TIMEOUT = 60.0, 10.0
"""Seconds for the page's process to start and to stop; a training waits no longer for it."""


def serve_live_page(out: Path, port: int, announce: Callable[[str], None], *, until_eof: bool = False) -> None:
    """Serve the live page of a folder of runs until a signal comes.

    Args:
        out: the folder.
        port: 0 takes a free one.
        announce: called with the page's address when it can be opened.
        until_eof: stop also when standard input is closed, and then without an error.

    Raises:
        DataError: the folder does not exist.
        MissingPartError: the extra ``serve`` is not installed.
        UsageError: the port is in use.
        StoppedError: a signal came.
    """
    if not until_eof and not os.path.isdir(out):  # noqa: PTH112  # never raises; a training creates its folder later
        raise DataError(
            Message("there is no folder {out}", out=out), Message("give the folder of runs: yisheng watch runs/")
        )

    from yisheng.serving import server

    server.require_packages()
    from yisheng.serving.live_page import serve

    with collect_signals(with_server=True) as caught:
        serve(out, port, announce, until_eof=until_eof)
    if caught and not until_eof:
        raise StoppedError(
            caught[0],
            Message("stopped"),
            Message("the runs in {out} are unchanged; watch them again: yisheng watch {out}", out=out),
        )


@contextlib.contextmanager
def watch_training(out: Path) -> Iterator[None]:
    """Serve the live page of a folder of runs from another process during the block.

    The process ends with the training: its standard input is a pipe from this process, which the system closes
    however this process ends. If a page is open, it stays for a few seconds so that the page receives the end.

    Args:
        out: the folder of runs.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "httptools")):
        raise MissingPartError(
            Message("watch=true needs a web server"), Message('pip install "yisheng[serve]", or leave watch=true out')
        )
    words = ["watch", "port=0", "until_eof=true", "--json", "--", str(out)]
    child = subprocess.Popen(
        [sys.executable, "-m", "yisheng", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=os.name != "nt",  # Ctrl-C is for the training; the page must show how the training ended
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    try:
        assert child.stdout is not None
        address = _read_address(child.stdout)
        if address is None:
            logger.warning(Message("the live page did not start; training continues without it"))
        else:
            logger.info(Message("watch it at {address}", address=address))
        yield
    finally:
        _stop(child)


@contextlib.contextmanager
def watch_resumed(folder: Path) -> Iterator[None]:
    """Serve the live page as `watch_training` does, if the config of a run that is resumed has ``watch = true``.

    Args:
        folder: of the run.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    is_watched = False
    with contextlib.suppress(OSError, ValueError, RecursionError):  # resuming the run reports a damaged config
        config = tomllib.loads(RunFolder(folder).file(RunFolder.CONFIG).read_text("utf-8"))
        is_watched = config.get("watch") is True
    with watch_training(folder.absolute().parent) if is_watched else contextlib.nullcontext():
        yield


def _read_address(stdout: IO[bytes]) -> str | None:
    """Return the address that the page's process prints, or None if it does not start."""
    addresses: list[str] = []

    def read() -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            addresses.append(str(json.loads(stdout.readline())["address"]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(START_TIMEOUT)
    return addresses[0] if addresses else None


def _stop(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if child.stdin is not None:
            child.stdin.close()
    try:
        child.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    finally:
        if child.stdout is not None:
            child.stdout.close()
