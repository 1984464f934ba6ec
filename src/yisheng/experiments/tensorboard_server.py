"""``tensorboard``: TensorBoard's own server for a run or a folder of runs, on loopback."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yisheng.core import run_folder
from yisheng.core.errors import DataError, UsageError
from yisheng.experiments.search import run_search
from yisheng.loggers.tensorboard import hparams, run_events

HOST = "127.0.0.1"
DEPTH = 3
"""Runs lie in a folder of runs, in a study or search in it, or as the run of a search's study."""


@dataclass(frozen=True)
class Serving:
    """A server that runs.

    Args:
        address: where the browser finds it.
        written: runs and searches with event files of their own.
        converted: those whose curves were taken from their logs.
    """

    address: str
    written: int
    converted: int


@contextlib.contextmanager
def serving(folder: Path, *, port: int = 6006) -> Iterator[Serving]:
    """Serve a folder until the block ends.

    Runs without event files are shown, too: what their logs and scores tell is written into a temporary folder, which
    is gone afterwards.

    Args:
        folder: a run, a study, a search, or a folder of them.
        port: of the loopback address; 0 for any that is free.

    Raises:
        MissingPartError: TensorBoard is not installed.
        DataError: the folder is not there, or holds no run.
        UsageError: the port is taken.
    """
    hparams.require()
    found = list(_runs(folder))
    if not found:
        raise DataError(f"there is no run in {folder}", "give the folder of a run, or one with runs in it")
    bare = [path for path in found if not run_events.is_written(path)]
    with tempfile.TemporaryDirectory(prefix="yisheng-tensorboard-") as place:
        top, converted = folder.resolve(), 0
        for path in bare:
            out = Path(place) / (path.relative_to(top) if path != top else path.name)
            with contextlib.suppress(DataError):  # a damaged one costs its own curves only
                (hparams.hparams if run_search.is_search(path) else run_events.convert)(path, out)
                converted += 1
        with _server([top, Path(place)] if converted else [top], port) as address:
            yield Serving(address, len(found) - len(bare), converted)


@contextlib.contextmanager
def _server(logs: list[Path], port: int) -> Iterator[str]:
    """TensorBoard over some folders, in a thread of this process; gives its address."""
    if len(logs) > 1 and any("," in str(path) for path in logs):
        raise UsageError(f"TensorBoard cannot read {logs[0]}: there is a comma in the path", "rename the folder")
    started: list[Any] = []

    def server(*given: Any) -> Any:
        started.append(program.WerkzeugServer(*given))
        return started[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about what it imports
        program: Any = importlib.import_module("tensorboard.program")
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        board = program.TensorBoard(server_class=server)
        # One process that ends with this one, instead of a helper that reads the files.
        words = ["--host", HOST, "--port", str(port), "--load_fast", "false", "--reload_interval", "3"]
        where = ["--logdir", str(logs[0])] if len(logs) == 1 else ["--logdir_spec", ",".join(map(str, logs))]
        try:
            board.configure(["tensorboard", *words, *where])
            address: str = board.launch()
        except program.TensorBoardServerException as error:
            raise UsageError(
                f"port {port} cannot be used: {' '.join(str(error.msg).split())}",
                "name another with port=, or any that is free with port=0",
            ) from None
    try:
        yield address
    finally:
        started[0].shutdown()
        started[0].server_close()


def _runs(folder: Path) -> Iterator[Path]:
    """Runs, and searches, in a folder or being it; studies by their members."""
    if not os.path.isdir(folder):  # noqa: PTH112  # never raises
        raise DataError(f"{folder} is not a folder", "give the folder of a run, or one with runs in it")
    top = folder.resolve()
    for place, inner, names in os.walk(top):
        path = Path(place)
        inner[:] = sorted(name for name in inner if name not in (run_folder.CHECKPOINT, hparams.FOLDER))
        if len(path.relative_to(top).parts) >= DEPTH:
            inner.clear()
        if run_search.is_search(path) or (run_folder.CONFIG in names and run_folder.EVENTS in names):
            yield path
