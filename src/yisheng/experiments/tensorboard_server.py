"""Start TensorBoard's server for a run or a folder of runs, on the loopback address."""

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
from typing import Any, Final

from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.loggers.tensorboard.hparams import require_tensorboard, write_hparams
from yisheng.loggers.tensorboard.run_summary import convert_log, has_event_files

HOST: Final = "127.0.0.1"
MAX_DEPTH: Final = 3
"""Depth of the deepest runs: the folds of a search's final cross-validation, in a folder of runs."""
RELOAD_SECONDS: Final = 3


@dataclass(frozen=True)
class Serving:
    """A running TensorBoard server.

    Args:
        address: URL to open in a browser.
        written: number of runs and searches that have event files.
        converted: number of runs and searches without event files, whose logs were converted.
    """

    address: str
    written: int
    converted: int


@contextlib.contextmanager
def serve_tensorboard(folder: Path, *, port: int = 6006) -> Iterator[Serving]:
    """Serve a folder until the ``with`` block ends; yield the running server.

    Runs without event files are shown too: their logs and scores are converted to event files in a temporary folder,
    which is removed afterwards.

    Args:
        folder: the folder of a run, a cross-validation or a search, or a folder of them.
        port: port on the loopback address; 0 for any free one.

    Raises:
        MissingPartError: TensorBoard is not installed.
        DataError: the folder does not exist, contains no run, or was written by an older version.
        UsageError: the port is in use.
    """
    require_tensorboard()
    runs = list(_find_runs(folder))
    if not runs:
        raise DataError(
            Message("there is no run in {folder}", folder=folder),
            Message("give the folder of a run, or a folder that contains runs"),
        )
    unwritten = [path for path in runs if not has_event_files(path)]
    with tempfile.TemporaryDirectory(prefix="yisheng-tensorboard-") as temporary:
        top, converted = folder.resolve(), 0
        for path in unwritten:
            out = Path(temporary) / (path.relative_to(top) if path != top else path.name)
            with contextlib.suppress(DataError):  # a damaged run is left out; the others are still shown
                (write_hparams if RunFolder(path).is_search else convert_log)(path, out)
                converted += 1
        with _start_server([top, Path(temporary)] if converted else [top], port) as address:
            yield Serving(address, len(runs) - len(unwritten), converted)


@contextlib.contextmanager
def _start_server(log_folders: list[Path], port: int) -> Iterator[str]:
    """Start TensorBoard in a thread of this process; yield its address."""
    if len(log_folders) > 1 and any("," in str(path) for path in log_folders):
        raise UsageError(
            Message("TensorBoard cannot read {folder}: there is a comma in the path", folder=log_folders[0]),
            Message("rename the folder"),
        )
    started: list[Any] = []

    def make_server(*arguments: Any) -> Any:
        started.append(program.WerkzeugServer(*arguments))
        return started[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing TensorBoard raises warnings
        program: Any = importlib.import_module("tensorboard.program")
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        tensorboard = program.TensorBoard(server_class=make_server)
        # The fast loader would start a second process, which could outlive this one.
        options = ["--host", HOST, "--port", str(port), "--load_fast", "false"]
        options += ["--reload_interval", str(RELOAD_SECONDS)]
        if len(log_folders) == 1:
            options += ["--logdir", str(log_folders[0])]
        else:
            options += ["--logdir_spec", ",".join(map(str, log_folders))]
        try:
            tensorboard.configure(["tensorboard", *options])
            address: str = tensorboard.launch()
        except program.TensorBoardServerException as error:
            raise UsageError(
                Message("port {port} cannot be used: {reason}", port=port, reason=" ".join(str(error.msg).split())),
                Message("choose another port with port=, or use port=0 for any free one"),
            ) from None
    try:
        yield address
    finally:
        started[0].shutdown()
        started[0].server_close()


def _find_runs(folder: Path) -> Iterator[Path]:
    """Yield the runs and searches in a folder (or the folder itself); for a cross-validation, the runs of its folds."""
    if not os.path.isdir(folder):  # noqa: PTH112  # never raises
        raise DataError(
            Message("{folder} is not a folder", folder=folder),
            Message("give the folder of a run, or a folder that contains runs"),
        )
    RunFolder(folder).require_current_format()
    top = folder.resolve()
    for parent, subfolders, names in os.walk(top):
        path = Path(parent)
        subfolders[:] = sorted(n for n in subfolders if n not in (RunFolder.CHECKPOINT, RunFolder.TENSORBOARD))
        if len(path.relative_to(top).parts) >= MAX_DEPTH:
            subfolders.clear()
        if RunFolder(path).is_search or (RunFolder.CONFIG in names and RunFolder.EVENTS in names):
            yield path
