"""The training of a cross-validation, from its current state to its end: the folds, then all of them together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from yisheng.core import files
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import NonFiniteError, StoppedError
from yisheng.core.logging import hide_messages, logger, progress_stream
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.signals import StopSignal, defer_signals, raise_stop_signals
from yisheng.experiments import complete_run, submission
from yisheng.experiments.cross_validation.fold_results import (
    FoldResults,
    describe_progress,
    read_fold_result,
    write_results,
)
from yisheng.experiments.cross_validation.fold_tasks import train_folds
from yisheng.experiments.cross_validation.folds import Fold, fold_config
from yisheng.experiments.cross_validation.out_of_fold import score_cross_validation
from yisheng.reporting import run_page
from yisheng.search.executors.cluster import Cluster
from yisheng.search.executors.sent_data import Loader
from yisheng.training.progress import detect_display


@dataclass(frozen=True)
class CrossValidationTraining:
    """One cross-validation from its current state to its end: train the remaining folds, then combine all of them.

    Args:
        folder: of the cross-validation.
        config: every choice; ``epochs`` and ``batch`` may be ``auto``, to be resolved for each fold.
        data: the data set.
        folds: all of them, in their order.
        cluster: where the folds that have not begun are trained; None for this process.
        load: loads the data again on the cluster, if the config names it.
        force: continue interrupted folds although the data or the versions of the code changed.
    """

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
                Message("stopped by {name}; the folds that had ended are kept", name=stop.name),
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
            raise StoppedError(
                error.signal,
                Message("stopped by {name} in {label}; what is trained is kept", name=error.signal_name, label=label),
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
