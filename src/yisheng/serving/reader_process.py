"""A reader's process, seen from the service."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yisheng.core.spec import Spec
from yisheng.serving.limits import Limits
from yisheng.serving.messages import ReaderMessage, read_message, write_message

MODULE = "yisheng.serving.reader"
END_SECONDS = 5.0
"""Time that the system has to end a process that was killed."""


class ReaderProcess:
    """A process that parses bodies; it starts at once, and is ready some tenths of a second later.

    Args:
        spec: the model's contract.
        limits: of a request.
        is_slow: whether it takes what quick readers leave.
    """

    def __init__(self, spec: Spec, limits: Limits, *, is_slow: bool) -> None:
        self.is_alive = True
        self._folder = tempfile.mkdtemp(prefix="yisheng-reader-")  # also for what it leaves when it is killed
        setup = Path(self._folder, "setup.json")
        setup.write_text(json.dumps({"spec": spec.to_json(), "limits": asdict(limits), "is_slow": is_slow}), "utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, str(setup)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_make_environment(self._folder),
        )

    def run(self, task: Mapping[str, Any], body: bytes, messages: list[ReaderMessage]) -> dict[str, Any]:
        """Do a task; return its outcome, empty if the process ended before.

        Args:
            task: what to do.
            body: of the request.
            messages: the results are appended here, also those before the end of a process that ends too early.
        """
        try:
            write_message(self._stdin, task, body)
            while (message := read_message(self._stdout)) is not None:
                if "outcome" in message[0]:
                    if message[0]["retires"]:
                        self.close()
                    return message[0]
                messages.append(message)
        except (OSError, ValueError):  # the process ended, or its pipe was closed
            pass
        self.close()
        return {}

    def kill(self) -> None:
        """End the process at once; a thread in `run` returns."""
        self.is_alive = False
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """End the process, and remove what it left; not while another thread is in `run`."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        for stream in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    @property
    def _stdout(self) -> Any:
        return self._process.stdout


def _make_environment(folder: str) -> dict[str, str]:
    """Return the environment of a reader: this package, one thread for each library, and its own temporary folder."""
    package_folder = str(Path(__file__).parents[2])
    paths = [package_folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    folders = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder)
    return {**os.environ, **threads, **folders, "PYTHONPATH": os.pathsep.join(paths)}
