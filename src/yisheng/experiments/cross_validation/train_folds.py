"""k-fold: a study of k runs, each validated on another fold; stopped and continued as one."""

from __future__ import annotations

import io
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from yisheng.core import files, machine, run_folder
from yisheng.core.config import Config, read, resolve
from yisheng.core.errors import DataError, NonFiniteError, StoppedError, UsageError
from yisheng.core.signals import undisturbed
from yisheng.core.types import Dataset, Run, Score, Scores, Spec
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments import evaluate as rescore
from yisheng.experiments import load_data, submission
from yisheng.experiments import run as single
from yisheng.experiments.cross_validation import pooling, status
from yisheng.experiments.cross_validation.folds import Fold, of_fold, plan, settled
from yisheng.experiments.pretrained import pretrained
from yisheng.inference.ensemble import STUDY, description, is_study
from yisheng.reporting.run_page import write as report
from yisheng.training.progress import place
from yisheng.training.setup import assemble

__all__ = ["STUDY", "config_of", "cross", "evaluate", "is_study", "resume", "run"]


def cross(config: Config, *, data: Dataset | None = None, out: Path, stream: TextIO = sys.stderr) -> Path:
    """Train a model for each fold by a config with ``folds``; gives the study's folder.

    Each fold is a whole run in a folder of its own, the same to the bit as one trained with ``fold=2/5``. The data
    is read once.

    Args:
        config: every choice; ``auto`` is settled for each fold.
        data: the data set, where it is not one that the config can name.
        out: folder of runs.
        stream: where progress and remarks go.

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite in one of the folds.
        StorageError: there is too little space on the disk, or it became full.
        UsageError: a choice does not fit the data, or the folds are asked for twice.
    """
    if config.scratch:
        raise UsageError(
            f"scratch=true trains one run by hand and one by the library, folds={config.folds} a study of many",
            f"say fold=1/{config.folds} for one of the folds, or leave scratch out",
        )
    data = load_data.dataset(config) if data is None else data
    each = plan(config, data)
    device = machine.device(config.device)
    named, begin = pretrained(config)
    first = assemble(of_fold(named, each[0]), data, each[0].split, device, begin)  # what is wrong shows here
    state = first.state.model.state_dict().values()
    run_folder.require_space(out, len(each) * sum(value.nbytes for value in state))
    config = settled(config, first.config, data, each)
    folder = run_folder.create(out, data.name, f"{config.model.name}-{config.folds}-folds")
    with run_folder.locked(folder):
        status.write(folder, config, each, {})
        run_folder.begin(folder, config, data, device)
        repeats = f" x {config.repeats} repeats" if config.repeats > 1 else ""
        print(
            f"{config.model.name} on {data.name}: {config.folds} folds{repeats}, {len(each)} models "
            f"({len(data) - len(each[0].split.test):,} rows, {len(each[0].split.test):,} test rows) on {device}",
            file=stream,
            flush=True,
        )
        run_folder.tell(data.findings, first.remarks, stream)
        del first, state  # the members are built one by one
        _go(folder, config, data, each, stream)
    return folder


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    stream: TextIO = sys.stderr,
) -> Path:
    """Continue a study: finished folds are kept, a broken one goes on from its checkpoint, the rest is trained.

    On a CPU it ends with the same scores and weights as if it had never stopped.

    Args:
        folder: the study's folder.
        epochs: refused: a study cannot be made longer.
        force: continue although the data or the versions of the code changed.
        data: the data set, where the config cannot name it.
        stream: where progress and remarks go.

    Raises:
        DataError: this is no study, or the data changed.
        UsageError: the code changed, ``epochs`` is given, or another process is training in it.
    """
    config = config_of(folder)
    if epochs is not None:
        again = f"yisheng train config={folder / run_folder.CONFIG} epochs={epochs}"
        raise UsageError("a study of k folds cannot be made longer", f"train anew: {again}")
    with run_folder.locked(folder):
        environment = run_folder.environment(folder)
        if environment.get("finished"):
            print(f"the study is finished: all {config.folds} folds are trained; nothing to do", file=stream)
            return folder
        data = load_data.dataset(config) if data is None else data
        if not force:
            run_folder.require_same(environment, fingerprint(data))
        each = plan(config, data)
        kept = sum(map(status.is_finished, (folder / fold.name for fold in each)))
        print(f"continuing {folder}: {kept} of {len(each)} folds are trained", file=stream, flush=True)
        _go(folder, config, data, each, stream, force=force)
    return folder


def evaluate(folder: Path, data: Dataset | None = None, *, force: bool = False) -> Scores:
    """Score the models of all folds again, and the study with them; rewrites the scores and the reports.

    Args:
        folder: a finished study.
        data: the data set, where the config cannot name it.
        force: score although the data is not what it was in training.

    Raises:
        DataError: the study or its data cannot be read, or the data is another than in training.
    """
    config = config_of(folder)
    description(folder)
    data = load_data.dataset(config) if data is None else data
    each = plan(config, data)
    with run_folder.locked(folder):
        for fold in each:
            rescore.evaluate(folder / fold.name, data, force=force)
        done = {fold.name: status.result(folder / fold.name) for fold in each}
        status.write(folder, config, each, done)
        found = pooling.finish(folder, config, data, each)
        report(folder)
    return found


def run(folder: Path) -> Run:
    """A finished study, read as a run; what differs between its members (transforms, best epochs) is empty.

    Raises:
        DataError: it is not finished, or a file in it is damaged.
    """
    about, path = description(folder), folder / run_folder.SCORES
    plain = files.read_json(path) if path.is_file() else {}
    try:
        scores = {part: {name: Score(**value) for name, value in named.items()} for part, named in plain.items()}
    except (TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}", f"say yisheng evaluate {folder}") from None
    return Run(folder, config_of(folder).to_dict(), Spec.from_json(about["spec"]), {}, scores)


def config_of(folder: Path) -> Config:
    """The config of a study; where the folds are of very different sizes its epochs or batch may be ``auto``.

    Raises:
        DataError: this is no study, or its config is damaged.
    """
    path = folder / run_folder.CONFIG
    if not is_study(folder) or not path.is_file():
        raise DataError(
            f"{folder} is not a study: it has no {STUDY}", "give the path that `yisheng train` printed last"
        )
    try:
        found = resolve(read(path)).config
    except UsageError as error:
        raise DataError(f"{path} is damaged: {error.problem}", "take it from where it was whole") from None
    if found.folds is None:
        raise DataError(f"{path} is damaged: it has no folds", "take it from where it was whole")
    return found


class _Bars(io.TextIOBase):
    """What a member's progress bar draws goes through, its lines do not: a study says a line for each fold."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if "\r" in text:
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _go(folder: Path, config: Config, data: Dataset, each: list[Fold], stream: TextIO, *, force: bool = False) -> None:
    """Train what is not trained yet, then put the folds together. A study that breaks off gets a report."""
    done = {fold.name: status.result(folder / fold.name) for fold in each if status.is_finished(folder / fold.name)}
    inner: Any = _Bars(stream) if place(stream) == "terminal" else io.StringIO()
    began, trained = time.perf_counter(), 0
    try:
        for number, fold in enumerate(each, 1):
            if fold.name in done:
                continue
            which = f"fold {number} of {len(each)}"
            _train(folder / fold.name, of_fold(config, fold), data, inner, which, force)
            done[fold.name] = status.result(folder / fold.name)
            trained += 1
            left = (time.perf_counter() - began) / trained * (len(each) - len(done))
            with undisturbed(f"after {which}", f"continue with: yisheng resume {folder}"):
                status.write(folder, config, each, done)
                print(f"{which}  {status.progress(config, done, fold.name, left)}", file=stream, flush=True)
    except (NonFiniteError, StoppedError):
        report(folder)
        raise
    with undisturbed("when all folds were trained; the study is finished", f"it lies in {folder}"):
        began = time.perf_counter()
        status.write(folder, config, each, done)
        pooling.finish(folder, config, data, each)
        training = sum(result["seconds"] or 0.0 for result in done.values())
        spent = {"training": round(training, 2), "evaluation": round(time.perf_counter() - began, 2)}
        environment = {**run_folder.environment(folder), "seconds": spent}
        files.write_json(folder / run_folder.ENVIRONMENT, environment)
        submission.after_training(folder, config, stream)
        report(folder)
        files.write_json(folder / run_folder.ENVIRONMENT, {**environment, "finished": True})


def _train(path: Path, config: Config, data: Dataset, stream: TextIO, which: str, force: bool) -> None:
    """Train one member, or go on with it; what stops it is told of the study."""
    study = path.parent
    try:
        if run_folder.is_begun(path):
            single.resume(path, data=data, force=force, stream=stream)
        else:  # nothing of it counts yet
            path.mkdir(exist_ok=True)
            single.train(config, data=data, out=study, folder=path, stream=stream)
    except StoppedError as error:
        name = signal.Signals(error.code - 128).name
        raise StoppedError(
            error.code - 128,
            f"stopped by {name} in {which}; what is trained is kept",
            f"continue with: yisheng resume {study}",
        ) from None
    except NonFiniteError as error:
        raise NonFiniteError(f"{which}: {error.problem}", error.remedy) from None
    except OSError as error:
        raise files.storage_error(error, path) from error
