"""``train ... watch=true``: the live page of `yisheng watch` beside a training, from another process."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

from yisheng.core import run_folder
from yisheng.core.errors import MissingPartError

BEGIN, END = 60.0, 10.0
"""Seconds for the page to come up, and to go; a training waits no longer for it."""


@contextlib.contextmanager
def beside(out: Path, stream: TextIO) -> Iterator[None]:
    """Serve the live page of a folder of runs from another process while something is trained.

    The process ends with the training: its standard input is a pipe from this one, which the system closes however
    this one ends. Where a page is open, it stays for a few seconds so that the page gets the end.

    Args:
        out: the folder of runs.
        stream: where the page's address is said.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise MissingPartError("watch=true needs a web server", 'pip install "yisheng[serve]", or leave watch=true out')
    words = ["watch", "port=0", "beside=true", "--json", "--", str(out)]
    child = subprocess.Popen(
        [sys.executable, "-m", "yisheng", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=os.name != "nt",  # a Ctrl-C is for the training; the page shall show how it ended
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    try:
        assert child.stdout is not None  # asked for above
        address = _address(child.stdout)
        remark = f"watch it at {address}" if address else "the live page did not come up; training goes on without it"
        print(remark, file=stream, flush=True)
        yield
    finally:
        _end(child)


@contextlib.contextmanager
def resumed(folder: Path, stream: TextIO) -> Iterator[None]:
    """`beside` for a run or study that goes on, where its config says ``watch``.

    Args:
        folder: of the run.
        stream: where the page's address is said.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    wanted: object = False
    with contextlib.suppress(OSError, ValueError, RecursionError):  # who continues the run says what is wrong with it
        wanted = tomllib.loads((folder / run_folder.CONFIG).read_text("utf-8")).get("watch")
    with beside(folder.absolute().parent, stream) if wanted is True else contextlib.nullcontext():
        yield


def _address(stdout: IO[bytes]) -> str | None:
    """What the page's process says of itself; None where it does not come up."""
    said: list[str] = []

    def read() -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said.append(str(json.loads(stdout.readline())["address"]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(BEGIN)
    return said[0] if said else None


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if child.stdin is not None:
            child.stdin.close()
    try:
        child.wait(END)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    finally:
        if child.stdout is not None:
            child.stdout.close()
