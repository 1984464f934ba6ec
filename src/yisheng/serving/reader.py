"""A reader: a process that parses the bodies of requests, so that a hostile one can be ended at any time.

It bounds its own memory and its CPU time for each input; the system ends it if an input takes more, and `readers`
starts another one. It reads tasks from its standard input and writes results to its standard output, see `messages`;
the last message of each task has its ``outcome``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from yisheng.core.errors import DataError, YishengError
from yisheng.core.spec import Spec
from yisheng.data.images import decode
from yisheng.data.images.decode_limits import MAX_BYTES
from yisheng.serving.correction_bodies import parse_correction
from yisheng.serving.errors import ApiError, to_api_error
from yisheng.serving.image_inputs import decode_files, estimate_costs, load_decoders, read_files
from yisheng.serving.limits import Limits
from yisheng.serving.messages import describe_array, pack_text, read_message, write_message
from yisheng.serving.row_inputs import parse_rows

QUICK_SECONDS, QUICK_BYTES = 0.4, 250_000_000
"""Estimated time and memory of a request that a quick reader decodes; it leaves others to the slow one."""
MAX_QUICK_BODY_BYTES = 2 << 20
"""Bytes of rows that a quick reader parses."""
MAX_QUICK_CPU_SECONDS = 1.0
"""CPU time after which a quick reader is ended, because its estimate was wrong."""
WALL_FACTOR = 4
"""Elapsed time that a reader has, in units of its CPU time; a busy machine gives it a part of a core."""
EXTRA_MEMORY = 256 << 20
"""Bytes for the body, its parts and libraries, in addition to the image."""
MAX_KEPT_BYTES = 64 << 20
"""Memory that a reader may keep after a request; one that keeps more ends itself, and is replaced."""
SLOW_NICENESS = 5
Write = Callable[..., None]


class DeferredError(Exception):
    """A task takes too long for a quick reader."""


class Reader:
    """Parses bodies for one model.

    Args:
        spec: the model's contract.
        limits: of a request.
        is_slow: whether it takes what quick readers leave.
        write: writes a message.
    """

    def __init__(self, spec: Spec, limits: Limits, is_slow: bool, write: Write) -> None:
        self._spec, self._limits, self._is_slow, self._write = spec, limits, is_slow, write

    def read_inputs(self, task: Mapping[str, Any], body: bytes) -> None:
        """Parse the body of a prediction; write the result, or that the slow reader must go on."""
        if self._spec.is_image:
            self._read_images(body, task["content_type"], task["done"])
            return
        if not self._is_slow and len(body) > MAX_QUICK_BODY_BYTES:
            raise DeferredError
        rows = parse_rows(body, task["content_type"], self._spec, self._limits)
        header = {"rows": describe_array(rows.x), "names": rows.names, "notes": [*map(pack_text, rows.notes)]}
        self._write(header, rows.x.tobytes())

    def read_correction(self, _task: Mapping[str, Any], body: bytes) -> None:
        """Parse the body of a correction; write the sample."""
        if not self._is_slow and len(body) > MAX_QUICK_BODY_BYTES:
            raise DeferredError
        correction = parse_correction(body, self._spec, self._limits)
        self._write({"label": correction.label, "texts": correction.texts}, correction.image)

    def _read_images(self, body: bytes, content_type: str, start: int) -> None:
        """Write an image after the other, so that those before one that ends this process are not lost."""
        files = read_files(body, content_type, self._limits)
        costs = estimate_costs(files, self._limits)
        self._write({"files": [name for name, _ in files]})
        decoded = decode_files(files, costs, self._spec, start)
        seconds = 0.0
        for cost in costs[start:]:
            if not isinstance(cost, DataError):
                seconds += cost.seconds
                if not self._is_slow and (seconds > QUICK_SECONDS or cost.nbytes > QUICK_BYTES):
                    raise DeferredError
            start_timer(self._limits.seconds if self._is_slow else MAX_QUICK_CPU_SECONDS)
            image = next(decoded)
            if isinstance(image, DataError):
                self._write({"failure": [pack_text(image.problem), pack_text(image.remedy)]})
            else:
                self._write(
                    {"image": describe_array(image[0]), "notes": [*map(pack_text, image[1])]}, image[0].tobytes()
                )


def start_timer(cpu_seconds: float) -> None:
    """Let the system end this process after some CPU time, or a multiple of it has elapsed; 0 stops the timers."""
    if hasattr(signal, "setitimer"):  # not on Windows, where the service measures the elapsed time
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, WALL_FACTOR * cpu_seconds)


def limit_memory(nbytes: int) -> None:
    """Bound the memory of this process to what it has and some bytes more; allocations beyond fail."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit = pages * resource.getpagesize() + nbytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):  # not Linux
        return


def resident_bytes() -> int:
    """Return the memory that this process occupies, 0 if the system does not tell it."""
    try:
        import resource

        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    except (ImportError, OSError):
        return 0


def _claim_output() -> IO[bytes]:
    """Return standard output, and let whatever a library prints go nowhere."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return output


def _ignore_signals() -> None:
    """Leave Ctrl-C and SIGTERM, which a terminal or a supervisor sends to all processes, to the service."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _warm_up(spec: Spec) -> None:
    """Load what the first request would have to wait for."""
    if spec.is_image:
        load_decoders(spec)
    else:
        import yisheng.data.tables.files  # noqa: F401


def _answer(reader: Reader, task: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Do a task; return its outcome."""
    tasks = {"inputs": reader.read_inputs, "correction": reader.read_correction}
    try:
        tasks[task["task"]](task, body)
    except (ApiError, YishengError) as error:
        refused = error if isinstance(error, ApiError) else to_api_error(error)
        details = [refused.status_code, refused.code, pack_text(refused.problem), pack_text(refused.remedy)]
        return {"outcome": "refused", "error": details}
    except DeferredError:
        return {"outcome": "deferred"}
    except MemoryError:
        return {"outcome": "out of memory"}
    except Exception:
        return {"outcome": "defect", "traceback": traceback.format_exc()}
    return {"outcome": "done"}


def main(setup_file: str) -> None:
    """Do tasks until the service closes the pipe, or this process has grown.

    Args:
        setup_file: JSON with the model's contract, the limits, and whether this is the slow reader.
    """
    _ignore_signals()
    output = _claim_output()
    setup = json.loads(Path(setup_file).read_text("utf-8"))
    is_slow, limits = bool(setup["is_slow"]), Limits(**setup["limits"])
    spec = Spec.from_json(setup["spec"])
    reader = Reader(spec, limits, is_slow, functools.partial(write_message, output))
    _warm_up(spec)
    if is_slow and hasattr(os, "nice"):
        os.nice(SLOW_NICENESS)
    limit_memory((MAX_BYTES if is_slow else QUICK_BYTES) + EXTRA_MEMORY + 6 * limits.body)
    initial_bytes = resident_bytes()
    with decode.silence_pillow(), contextlib.suppress(BrokenPipeError):
        while (message := read_message(sys.stdin.buffer)) is not None:
            start_timer(limits.seconds if is_slow else MAX_QUICK_CPU_SECONDS)
            outcome = _answer(reader, *message)
            start_timer(0)
            del message
            is_large = resident_bytes() > initial_bytes + MAX_KEPT_BYTES
            retires = is_large or outcome["outcome"] == "out of memory"
            write_message(output, {**outcome, "retires": retires})
            if retires:
                return


if __name__ == "__main__":
    main(sys.argv[1])
    shutil.rmtree(Path(sys.argv[1]).parent, ignore_errors=True)  # the service may have ended
