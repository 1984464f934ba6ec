"""Cross-validation: one run per fold, stopped and resumed as one experiment."""

from __future__ import annotations

import contextlib
import functools
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yisheng.core import files, machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import NonFiniteError, StoppedError, UsageError
from yisheng.core.logging import hide_messages, log_findings, logger, progress_stream
from yisheng.core.messages import Message
from yisheng.core.new_folder import require_space
from yisheng.core.references import short_name
from yisheng.core.run_environment import describe_environment
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Scores
from yisheng.core.signals import StopSignal, defer_signals, raise_stop_signals
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments import complete_run, submission
from yisheng.experiments.cross_validation.fold_results import (
    FoldResults,
    describe_progress,
    read_fold_result,
    write_results,
)
from yisheng.experiments.cross_validation.fold_tasks import train_folds
from yisheng.experiments.cross_validation.folds import Fold, fold_config, plan_folds, shared_config
from yisheng.experiments.cross_validation.out_of_fold import score_cross_validation
from yisheng.experiments.evaluate import evaluate_run
from yisheng.experiments.groups import require_groups
from yisheng.experiments.load_data import load_dataset
from yisheng.inference import ensemble
from yisheng.reporting import run_page
from yisheng.search.executors.cluster import Cluster, open_if_given, require_cluster
from yisheng.search.executors.sent_data import Loader
from yisheng.training.portfolio.plan import plan_ensemble
from yisheng.training.pretrained import load_pretrained
from yisheng.training.progress import detect_display
from yisheng.training.setup import Assembly, assemble


def train(config: Config, *, data: Dataset | None = None, out: Path, cluster: str | None = None) -> Path:
    """Train a model for each fold by a config with ``folds``; return the folder of the cross-validation.

    Each fold is a complete run in its own folder, the same to the bit as one trained with ``fold=2/5``. The data is
    read once.

    Args:
        config: every choice; ``auto`` is resolved for each fold.
        data: the data set, if the config cannot name it.
        out: folder of runs.
        cluster: where the folds are trained; see `yisheng.search.executors.cluster.require_cluster`. None for this
            process.

    Raises:
        ProcessError: the cluster cannot be reached, or a training was lost there again and again.
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite in one of the folds.
        StorageError: there is too little space on the disk, or it became full.
        UsageError: a choice does not fit the data, or another key contradicts the folds.
    """
    if config.scratch:
        raise UsageError(
            Message(
                "scratch=true compares two runs of one model, folds={folds} trains many models", folds=config.folds
            ),
            Message("use fold=1/{folds} for one of the folds, or leave scratch out", folds=config.folds),
        )
    if cluster is not None:
        require_cluster(cluster)
    load = functools.partial(load_dataset, config) if data is None else None
    data = load_dataset(config) if data is None else data
    require_groups(config, data.spec)
    folds = plan_folds(config, data)
    config, ensemble_notes = plan_ensemble(config, data.spec, len(data), len(folds))
    for note in ensemble_notes:
        logger.info(note)
    device = machine.select_device(config.device)
    named_config, weights = load_pretrained(config)
    first = assemble(
        fold_config(named_config, folds[0]), data, folds[0].split, device, weights
    )  # reports what is wrong
    weight_bytes = sum(value.nbytes for value in first.state.model.state_dict().values())
    require_space(out, len(folds) * weight_bytes)
    config = shared_config(config, first.config, data, folds)
    label = f"{short_name(config.model.name)}-{config.folds}-folds"
    environment = describe_environment(config, data, fingerprint(data), device)

    def begin(folder: RunFolder) -> None:
        write_results(folder, config, folds, {})
        folder.begin(config, environment)

    with open_if_given(cluster) as opened:
        folder = RunFolder.create(out, data.name, label, config.name, write=begin)
        with folder.lock():
            _log_beginning(config, data, folds, first)
            del first  # the models of the folds are built one by one
            _CrossValidation(folder, config, data, folds, opened, load).complete()
    return folder.path


def _log_beginning(config: Config, data: Dataset, folds: Sequence[Fold], first: Assembly) -> None:
    test_rows = len(folds[0].split.test)
    values = {
        "model": config.model.name,
        "data": data.name,
        "folds": config.folds,
        "repeats": config.repeats,
        "models": len(folds),
        "rows": f"{len(data) - test_rows:,}",
        "test": f"{test_rows:,}",
        "device": first.train.device,
    }
    if config.repeats > 1:
        about = Message(
            "{model} on {data}: {folds} folds x {repeats} repeats, {models} models ({rows} rows, {test} test rows) on "
            "{device}",
            **values,
        )
    else:
        about = Message(
            "{model} on {data}: {folds} folds, {models} models ({rows} rows, {test} test rows) on {device}", **values
        )
    logger.info(about)
    log_findings(data.findings)
    for note in first.notes:
        logger.info(note)


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    cluster: str | None = None,
) -> Path:
    """Continue a cross-validation: finished folds are kept, an interrupted one continues from its checkpoint.

    On a CPU it ends with the same scores and weights as if it had never stopped.

    Args:
        folder: of the cross-validation.
        epochs: refused: a cross-validation cannot be made longer.
        force: continue although the data or the versions of the code changed.
        data: the data set, if the config cannot name it.
        cluster: as in `train`, for the folds that have not begun.

    Raises:
        DataError: this is not a cross-validation, or the data changed.
        UsageError: the code changed, ``epochs`` is given, or another process is training in it.
    """
    run = RunFolder(folder)
    config = run.cross_validation_config
    if epochs is not None:
        command = f"yisheng train config={run.file(RunFolder.CONFIG)} epochs={epochs}"
        raise UsageError(
            Message("a cross-validation cannot be made longer"), Message("train again: {command}", command=command)
        )
    with run.lock():
        if run.environment.get("finished"):
            logger.info(
                Message(
                    "the cross-validation is finished: all {folds} folds are trained; nothing is to do",
                    folds=config.folds,
                )
            )
            return folder
        load = functools.partial(load_dataset, config) if data is None else None
        data = load_dataset(config) if data is None else data
        if not force:
            run.require_unchanged(fingerprint(data), config)
        folds = plan_folds(config, data)
        finished = sum(RunFolder(folder / fold.name).is_finished for fold in folds)
        values = {"folder": folder, "finished": finished, "folds": len(folds)}
        logger.info(Message("continuing {folder}: {finished} of {folds} folds are trained", **values))
        with open_if_given(cluster) as opened:
            _CrossValidation(run, config, data, folds, opened, load, force=force).complete()
    return folder


def evaluate(folder: Path, data: Dataset | None = None, *, groups: str | None = None) -> Scores:
    """Score the models of all folds and the cross-validation again; write scores and reports again.

    Args:
        folder: of a finished cross-validation.
        data: the data set, if the config cannot name it.
        groups: a column by whose values the scores are reported too, instead of that of the config.

    Raises:
        DataError: the cross-validation or its data cannot be read, or the data differs from the data of the training.
    """
    run = RunFolder(folder)
    config = run.cross_validation_config
    config = config if groups is None else config.model_copy(update={"groups": groups})
    ensemble.read_description(folder)  # reports an unfinished one
    data = load_dataset(config) if data is None else data
    require_groups(config, data.spec)
    folds = plan_folds(config, data)
    with run.lock():
        for fold in folds:
            evaluate_run(folder / fold.name, data, groups=groups)
        results = {fold.name: read_fold_result(RunFolder(folder / fold.name)) for fold in folds}
        write_results(run, config, folds, results)
        scores = score_cross_validation(run, config, data, folds)
        run_page.write_run_page(folder)
    return scores


@dataclass(frozen=True)
class _CrossValidation:
    """A cross-validation in its folder: train the remaining folds, then combine all of them."""

    folder: RunFolder
    config: Config
    data: Dataset
    folds: list[Fold]
    cluster: Cluster | None = None
    load: Loader | None = None
    force: bool = False

    def complete(self) -> None:
        """Train what is not trained yet, then score the folds together. One that breaks off gets a report."""
        try:
            results = self._train_remaining()
        except (NonFiniteError, StoppedError):
            run_page.write_run_page(self.folder.path)
            raise
        finished = Message("after all folds were trained; the cross-validation is finished")
        with defer_signals(finished, Message("see it in {path}", path=self.folder.path)):
            self._combine(results)

    def _train_remaining(self) -> FoldResults:
        runs = {fold.name: RunFolder(self.folder.file(fold.name)) for fold in self.folds}
        results = {name: read_fold_result(run) for name, run in runs.items() if run.is_finished}
        labels = {
            fold.name: Message("fold {number} of {folds}", number=number, folds=len(self.folds))
            for number, fold in enumerate(self.folds, 1)
        }
        start = time.perf_counter()
        missing = [fold for fold in self.folds if fold.name not in results]
        for trained, fold in enumerate(self._train(missing, runs, labels), 1):
            results[fold.name] = read_fold_result(runs[fold.name])
            remaining = (time.perf_counter() - start) / trained * (len(self.folds) - len(results))
            label = labels[fold.name]
            remedy = Message("continue with: yisheng resume {path}", path=self.folder.path)
            with defer_signals(Message("after {fold}", fold=label), remedy):
                write_results(self.folder, self.config, self.folds, results)
                progress = describe_progress(self.config, results, fold.name, remaining)
                logger.info(Message("{fold}  {progress}", fold=label, progress=progress))
        return results

    def _train(self, folds: Sequence[Fold], runs: Mapping[str, RunFolder], labels: Mapping[str, str]) -> Iterator[Fold]:
        """Train folds; yield each when it is trained. Those that have begun are continued here."""
        for_cluster = [fold for fold in folds if self.cluster is not None and not runs[fold.name].is_begun]
        names = {fold.name for fold in for_cluster}
        for fold in folds:
            if fold.name not in names:
                with self._explain_errors(runs[fold.name], labels[fold.name]), _show_progress_bars_only():
                    self._train_fold(runs[fold.name], fold)
                yield fold
        if self.cluster is not None and for_cluster:
            cores = self.cluster.count_cores()
            logger.info(Message("cluster: {folds} folds on {cores} cores", folds=len(for_cluster), cores=cores))
            labeled = [(labels[fold.name], fold) for fold in for_cluster]
            trained = train_folds(self.cluster, self.config, labeled, self.data, self.load, self.folder.path)
            yield from iter(lambda: self._wait_for(trained), None)

    def _wait_for(self, trained: Iterator[Fold]) -> Fold | None:
        """Return the next fold that a cluster has trained, or None after the last."""
        try:
            with raise_stop_signals():
                return next(trained, None)
        except StopSignal as stop:
            raise StoppedError(
                stop.number,
                Message("stopped by {name}; the folds that had ended are kept", name=signal.Signals(stop.number).name),
                Message("continue with: yisheng resume {path}", path=self.folder.path),
            ) from None

    def _train_fold(self, run: RunFolder, fold: Fold) -> None:
        if run.is_begun:
            complete_run.resume(run.path, data=self.data, force=self.force)
        else:
            run.path.mkdir(exist_ok=True)
            config = fold_config(self.config, fold)
            complete_run.train(config, data=self.data, out=self.folder.path, folder=run.path)

    @contextlib.contextmanager
    def _explain_errors(self, run: RunFolder, label: str) -> Iterator[None]:
        """Raise what stops a fold as an error of the cross-validation."""
        try:
            yield
        except StoppedError as error:
            name = signal.Signals(error.code - 128).name
            raise StoppedError(
                error.code - 128,
                Message("stopped by {name} in {label}; what is trained is kept", name=name, label=label),
                Message("continue with: yisheng resume {path}", path=self.folder.path),
            ) from None
        except NonFiniteError as error:
            raise NonFiniteError(
                Message("{label}: {problem}", label=label, problem=error.problem), error.remedy
            ) from None
        except OSError as error:
            raise files.explain_write_error(error, run.path) from error

    def _combine(self, results: FoldResults) -> None:
        start = time.perf_counter()
        write_results(self.folder, self.config, self.folds, results)
        score_cross_validation(self.folder, self.config, self.data, self.folds)
        training = sum(result["seconds"] or 0.0 for result in results.values())
        evaluation = time.perf_counter() - start
        self.folder.update_environment(seconds={"training": round(training, 2), "evaluation": round(evaluation, 2)})
        submission.predict_test_table(self.folder, self.config)
        run_page.write_run_page(self.folder.path)
        self.folder.update_environment(finished=True)


@contextlib.contextmanager
def _show_progress_bars_only() -> Iterator[None]:
    """Hide what the run of a fold logs: a cross-validation logs one line for each fold."""
    stream = progress_stream()
    on_terminal = stream is not None and detect_display(stream) == "terminal"
    with hide_messages(progress=on_terminal):
        yield
