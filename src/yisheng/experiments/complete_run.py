"""Train or resume a run with everything that follows it: reports, submission, and the library's run if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.run_folder import RunFolder
from yisheng.experiments import resume_run, run
from yisheng.experiments.run_callbacks import CALLBACKS
from yisheng.experiments.run_training import EventCallback
from yisheng.experiments.scratch_comparison import compare_with_library
from yisheng.training.distributed import Peers


def train(
    config: Config,
    *,
    data: Dataset | None = None,
    out: Path,
    folder: Path | None = None,
    threads: int | None = None,
    event_callbacks: Sequence[EventCallback] = (),
    on_begin: Callable[[RunFolder], None] | None = None,
    peers: Peers | None = None,
    cluster: str | None = None,
) -> Path:
    """Train one model by a config without ``folds``; with ``scratch=true`` also the library's run. Return the folder.

    Args:
        config: every choice.
        data: the data set, if the config cannot name it.
        out: folder of runs.
        folder: an empty folder that becomes the run's, instead of a new one in ``out``.
        threads: see `yisheng.experiments.run.train`.
        event_callbacks: see there.
        on_begin: called with the run's folder before the training.
        peers: see there.
        cluster: see there.

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite.
        StorageError: there is too little space on the disk, or it became full.
    """
    result = run.train(
        config,
        data=data,
        out=out,
        folder=folder,
        threads=threads,
        event_callbacks=event_callbacks,
        on_begin=on_begin,
        callbacks=CALLBACKS,
        finish=not config.scratch,
        peers=peers,
        cluster=cluster,
    )
    if config.scratch:
        compare_with_library(result, force=False)
    return result.folder.path


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    event_callbacks: Sequence[EventCallback] = (),
    peers: Peers | None = None,
    cluster: str | None = None,
) -> Path:
    """Continue a run, and the library's run of a run with ``scratch=true``; return the folder.

    Args:
        folder: the run folder.
        epochs: a larger number of epochs than the run began with.
        force: continue although the data or the versions of the code changed.
        data: the data set, if the config cannot name it.
        event_callbacks: see `yisheng.experiments.resume_run.resume`.
        peers: see there.
        cluster: see there.

    Raises:
        DataError: this is not a run folder, or the data changed.
        UsageError: the code changed, ``epochs`` is smaller than before, the run stopped early, or another process is
            training in it.
    """
    scratch = RunFolder(folder).config.scratch
    result = resume_run.resume(
        folder,
        epochs=epochs,
        force=force,
        data=data,
        event_callbacks=event_callbacks,
        callbacks=CALLBACKS,
        finish=not scratch,
        peers=peers,
        cluster=cluster,
    )
    if result is not None and scratch:
        compare_with_library(result, force=force)
    return folder
