"""``tune``: search over configs, live, and to be continued whatever happened; then train what was chosen."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from yisheng.core import files, machine, run_folder
from yisheng.core.errors import NonFiniteError, StoppedError, UsageError
from yisheng.core.types import Dataset
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments import load_data
from yisheng.experiments import run as single
from yisheng.experiments.search import settings as studies
from yisheng.experiments.search import trials
from yisheng.experiments.search.settings import Jobs, Study
from yisheng.inference.ensemble import BEST, is_search
from yisheng.loggers.tensorboard import hparams
from yisheng.reporting import search_page
from yisheng.reporting.formatting import plural
from yisheng.search.jobs import Job
from yisheng.search.trials import Trial

__all__ = ["is_search", "report", "resume", "tune"]


def tune(study: Study, *, data: Dataset | None = None, out: Path, stream: TextIO = sys.stderr) -> Path:
    """Search, and train the chosen setting; gives the study's folder.

    Args:
        study: what is searched and how.
        data: the data set, where it is not one that the config can name.
        out: folder of runs.
        stream: where progress and remarks go.

    Raises:
        StoppedError: a signal came; all trainings that had ended are kept.
        NonFiniteError: no setting has a score.
        StorageError: there is too little space on the disk, or it became full.
        UsageError: a value does not fit the data.
    """
    config = study.config
    data = load_data.dataset(config) if data is None else data
    jobs = Jobs(study, data)
    device = machine.device(config.device)
    assembly = trials.require_fit(study, data, jobs)
    run_folder.require_space(out, sum(value.nbytes for value in assembly.state.model.state_dict().values()))
    name = assembly.config.model.name if all(axis.key != "model" for axis in study.space.axes) else "models"
    folder = run_folder.create(out, data.name, f"{name}-search")
    with run_folder.locked(folder):
        files.write_json(folder / run_folder.ENVIRONMENT, run_folder.surroundings(data, device))
        studies.write(folder, study)
        axes = " x ".join(axis.name for axis in study.space.axes)
        print(
            f"{study.search} search on {data.name}: {axes}; {plural(len(jobs), 'training')} each, on {device}",
            file=stream,
            flush=True,
        )
        run_folder.tell(data.findings, _remarks(study, data, jobs), stream)
        _go(folder, study, data, jobs, stream)
    return folder


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    stream: TextIO = sys.stderr,
) -> Path:
    """Continue a search: what was trained is kept, and the table ends as if it had never stopped.

    Args:
        folder: the study's folder.
        epochs: refused: trials of different lengths cannot be compared.
        force: continue although the data or the versions of the code changed.
        data: the data set, where the config cannot name it.
        stream: where progress and remarks go.

    Raises:
        DataError: a file of the study is damaged, or the data changed.
        UsageError: the code changed, ``epochs`` is given, or another process is training in it.
    """
    study = studies.read(folder)
    if epochs is not None:
        raise UsageError("a search cannot be made longer", "search anew with another epochs=")
    with run_folder.locked(folder):
        environment = run_folder.environment(folder)
        if environment.get("finished"):
            print("the search is finished; nothing to do", file=stream)
            return folder
        data = load_data.dataset(study.config) if data is None else data
        if not force:
            run_folder.require_same(environment, fingerprint(data))
        print(f"continuing {folder}", file=stream, flush=True)
        _go(folder, study, data, Jobs(study, data), stream, force=force)
    return folder


def report(folder: Path) -> Path:
    """Write a search's ``report.html`` again; gives its path."""
    return search_page.write(folder)


def _remarks(study: Study, data: Dataset, jobs: Jobs) -> list[str]:
    """What the user should know before it begins."""
    some = jobs.of(Trial(0, next(study.space.samples())))[0].split
    official = data.part is not None and bool((data.part == 2).any())
    if study.seeds > 1 and len(some.test) and not official:
        return [
            "note: each seed draws its own test part, so rows that the final model is tested on helped to choose its "
            "setting; its test scores are a little too hopeful (test=0 leaves no test part)"
        ]
    return []


class _Stop(BaseException):
    """A signal, raised wherever the program is: whatever had ended is already written."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raise `_Stop` at once on Ctrl-C and SIGTERM; a second one does what it always does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def stop(number: int, _frame: Any) -> None:
        for known, handler in before.items():
            signal.signal(known, handler)
        raise _Stop(number)

    for wanted in (signal.SIGINT, signal.SIGTERM):
        before[wanted] = signal.signal(wanted, stop)
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


def _go(folder: Path, study: Study, data: Dataset, jobs: Jobs, stream: TextIO, *, force: bool = False) -> None:
    """Search on from where the table is, then train the chosen setting. What breaks off gets a report."""
    try:
        with _interruptible():
            chosen = trials.search(folder, study, data, jobs, stream)
    except _Stop as stop:
        _write(folder, study)
        name = signal.Signals(stop.number).name
        raise StoppedError(
            stop.number,
            f"stopped by {name}; all trainings that had ended are kept",
            f"continue with: yisheng resume {folder}",
        ) from None
    _write(folder, study)
    if chosen is None:
        raise NonFiniteError("no setting has a score: every one of them failed", f"see {folder / 'trials.csv'}")
    _train(folder, study, data, jobs.of(chosen)[0], stream, force)
    environment = run_folder.environment(folder)
    files.write_json(folder / run_folder.ENVIRONMENT, {**environment, "finished": True})


def _write(folder: Path, study: Study) -> None:
    """Write the report, and TensorBoard's files if they are wanted."""
    search_page.write(folder)
    if study.tensorboard:
        hparams.hparams(folder)


def _train(folder: Path, study: Study, data: Dataset, job: Job, stream: TextIO, force: bool) -> None:
    """Train the chosen setting as an ordinary run, or go on with it.

    With folds it learns from all rows outside the test part, for as many epochs and with batches of the size that its
    first fold was trained with. Without, it is the first of its trainings again.
    """
    config, path = job.config, folder / BEST
    if study.config.folds is not None:
        settled = config.settle(data.spec, len(job.split.train))
        official = data.part is not None and bool((data.part == 1).any())
        bare = {"fold": None, "repeat": 1, "validation": config.validation if official else 0}
        config = config.model_copy(update={**bare, "epochs": settled.epochs, "batch": settled.batch})
    print(f"training the chosen setting: {path}", file=stream, flush=True)
    try:
        if run_folder.is_begun(path):
            single.resume(path, data=data, force=force, stream=stream)
        else:
            path.mkdir(exist_ok=True)
            single.train(config, data=data, out=folder, folder=path, stream=stream)
    except StoppedError as error:
        name = signal.Signals(error.code - 128).name
        raise StoppedError(
            error.code - 128,
            f"stopped by {name} while the chosen setting was trained; all else is done",
            f"continue with: yisheng resume {folder}",
        ) from None
