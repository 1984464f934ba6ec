"""Choose the kind of experiment: a config asks for a run or a cross-validation, a folder holds one or a search."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.launch import find_launch
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.core.supplied_components import require_custom, supply_components
from yisheng.experiments import complete_run, resume_run, run
from yisheng.experiments import fix as fixing
from yisheng.experiments.cluster_choice import require_many_trainings
from yisheng.experiments.cross_validation import cross_validate
from yisheng.experiments.evaluate import evaluate_run
from yisheng.experiments.other_data.evaluate_other import evaluate_other
from yisheng.experiments.other_data.load import Request, is_own_data, resolve_request
from yisheng.experiments.other_data.result import Evaluation
from yisheng.experiments.processes import (
    count_processes,
    join_processes,
    list_references,
)
from yisheng.experiments.run_training import EventCallback
from yisheng.experiments.search import run_search
from yisheng.reporting import run_page, search_page
from yisheng.search.executors.serial import require_importable
from yisheng.training.distributed import Peers
from yisheng.training.portfolio.plan import ENSEMBLE
from yisheng.training.shardable import choose_shards


def train(
    config: Config,
    *,
    data: Dataset | None = None,
    out: Path,
    fix: bool = False,
    event_callbacks: Sequence[EventCallback] = (),
    processes: int | Literal["auto"] | None = 1,
    cluster: str | None = None,
) -> Path:
    """Train by a config, one model or with ``folds`` one for each fold; return the new folder.

    The user's own components that the config holds are at hand for whatever reads the folder back.

    Args:
        config: every choice; ``auto`` is resolved for the data.
        data: the data set, if the config cannot name it.
        out: folder of runs.
        fix: apply the doctor's remedies and train again; see `yisheng.experiments.fix`.
        event_callbacks: the user's own callbacks; see `yisheng.training.callbacks`.
        processes: number of processes of one training; None for those that a launcher started; ``auto`` for one for
            each GPU. See `yisheng.experiments.processes`.
        cluster: where the models of ``folds`` or the candidates of an ensemble are trained; see
            `yisheng.search.executors.cluster.require_cluster`.

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite.
        ProcessError: another process of the training ended; a checkpoint was written.
        StorageError: there is too little space on the disk, or it became full.
    """
    if event_callbacks and fix:
        raise UsageError(
            Message("fix=True trains several times, callbacks are for one training"), Message("leave one of them out")
        )
    if event_callbacks and config.folds is not None:
        raise UsageError(
            Message("callbacks are for one training, folds={folds} trains several", folds=config.folds),
            Message("use fold=1/{folds} for one of the folds, or leave callbacks out", folds=config.folds),
        )
    count = count_processes(processes, device=config.device, shards=config.shards)
    if cluster is not None:
        _require_many_trainings(config, cluster, count, fix=fix)
    if config.budget == AUTO and (fix or event_callbacks or count > 1):  # they are for one training
        config = config.model_copy(update={"budget": None})
    if count > 1:
        config = _choose_for_processes(config, count, fix=fix, event_callbacks=event_callbacks)
    with supply_components(**config.own_components()):
        if fix:
            return fixing.train(config, data=data, out=out)
        if config.folds is not None:
            return cross_validate.train(config, data=data, out=out, cluster=cluster)
        follow = functools.partial(_follow_training, config, data, out)
        with join_processes(count, follow, device=config.device) as peers:
            path = complete_run.train(
                config, data=data, out=out, event_callbacks=event_callbacks, peers=peers, cluster=cluster
            )
            _wait_for_first(peers)
            return path


def _require_many_trainings(config: Config, cluster: str, processes: int, *, fix: bool) -> None:
    """Refuse a cluster for what is known to train one model before the data is read."""
    if fix:
        raise UsageError(
            Message("cluster= is for many trainings, fix=true trains one model after the other"),
            Message("leave one of them out"),
        )
    if processes > 1:
        raise UsageError(
            Message(
                "{name}={value} and cluster={cluster} contradict: the cluster trains each job by itself",
                name="processes",
                value=processes,
                cluster=cluster,
            ),
            Message("leave one of them out"),
        )
    if config.folds is None and config.budget is None:
        require_many_trainings(config)


def _choose_for_processes(
    config: Config, processes: int, *, fix: bool, event_callbacks: Sequence[EventCallback]
) -> Config:
    """Return the config with its shards; refuse what several processes cannot do."""
    if fix:
        raise UsageError(
            Message("fix=true trains several times, processes= is for one training"), Message("leave one of them out")
        )
    _refuse_callbacks(event_callbacks)
    config = choose_shards(config, processes)
    if find_launch() is None:
        require_importable([config], otherwise=Message("start the program with torchrun"))
    return config


def _refuse_callbacks(event_callbacks: Sequence[EventCallback]) -> None:
    if event_callbacks:
        raise UsageError(
            Message("callbacks could stop one of several processes, and the others would wait for it"),
            Message("leave callbacks or processes= out"),
        )


def _wait_for_first(peers: Peers | None) -> None:
    """Let processes that a launcher started return when the run is complete."""
    if peers is not None and find_launch() is not None:
        peers.wait_for_all()


def _follow_training(config: Config, data: Dataset | None, out: Path, *, peers: Peers) -> None:
    """Train in a process that the first one has started."""
    with supply_components(**config.own_components()):
        run.train(config, data=data, out=out, peers=peers)


def _follow_resumed(
    folder: Path, components: Mapping[str, str | list[str]], data: Dataset | None, *, peers: Peers
) -> None:
    """Continue a run in a process that the first one has started."""
    with supply_components(**components):
        resume_run.resume(folder, data=data, peers=peers)


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    event_callbacks: Sequence[EventCallback] = (),
    processes: int | Literal["auto"] | None = 1,
    cluster: str | None = None,
) -> Path:
    """Continue a run, a cross-validation or a search; on a CPU to the same bits as if it had never stopped.

    Args:
        folder: of the run, cross-validation or search.
        epochs: for a run, a larger number of epochs than it began with.
        force: continue although the data or the versions of the code changed.
        data: the data set, if the config cannot name it.
        event_callbacks: the user's own callbacks, for a run.
        processes: for a run, as in `train`; the number may differ from that of the beginning.
        cluster: for a search, a cross-validation or an ensemble, as in `train`.

    Raises:
        DataError: this is not such a folder, or the data changed.
        UsageError: the code changed, ``epochs`` does not fit, the run stopped early, or another process is training
            in it.
    """
    kind = RunFolder(folder)
    kind.require_current_format()
    has_many = kind.is_search or kind.is_cross_validation
    device, shards = (AUTO, 1) if has_many else (kind.config.device, kind.config.shards)
    count = count_processes(processes, device=device, shards=shards)
    if count > 1 and has_many:
        raise UsageError(
            Message("processes= is for one training, this folder has several"), Message("leave processes= out")
        )
    if not kind.is_search:
        require_custom((kind.cross_validation_config if kind.is_cross_validation else kind.config).custom_choices())
    if kind.is_search:
        return run_search.resume(folder, epochs=epochs, force=force, data=data, cluster=cluster)
    if kind.is_cross_validation:
        return cross_validate.resume(folder, epochs=epochs, force=force, data=data, cluster=cluster)
    if cluster is not None and kind.config.model.name != ENSEMBLE:
        raise UsageError(Message("cluster= is for many trainings, this folder has one"), Message("leave cluster= out"))
    if cluster is not None and count > 1:
        _require_many_trainings(kind.config, cluster, count, fix=False)
    follow = None
    if count > 1:
        config = _choose_for_processes(kind.config, count, fix=False, event_callbacks=event_callbacks)
        follow = functools.partial(_follow_resumed, folder.absolute(), list_references(config), data)
    with join_processes(count, follow, device=device) as peers:
        path = complete_run.resume(
            folder,
            epochs=epochs,
            force=force,
            data=data,
            event_callbacks=event_callbacks,
            peers=peers,
            cluster=cluster,
        )
        _wait_for_first(peers)
        return path


def evaluate(folder: Path, data: Dataset | None = None, *, groups: str | None = None) -> Evaluation:
    """Score the best weights of a run or of all folds again on their own parts; write scores and reports again.

    Args:
        folder: of the run, the cross-validation or the search (its final run).
        data: the data set, if the config cannot name it.
        groups: a column by whose values the scores are reported too.

    Raises:
        DataError: the folder or its data cannot be read, or the data differs from the data of the training.
        UsageError: another process is training in the folder, or there is no such column.
    """
    run = RunFolder(folder).model_folder
    score = cross_validate.evaluate if run.is_cross_validation else evaluate_run
    score(run.path, data, groups=groups)
    return Evaluation(run.path)


def evaluate_on(
    folder: Path,
    request: Request,
    *,
    name: str | None = None,
    write_predictions: bool = False,
    groups: str | None = None,
) -> Evaluation:
    """Score a run, a cross-validation or a search's final run on other data; the run's own files stay as they are.

    If the data is that of the training, the run's own parts are scored again instead, as by `evaluate`.

    Args:
        folder: the folder.
        request: the data; see `yisheng.experiments.other_data.load`.
        name: name of the evaluation; by default that of the data.
        write_predictions: also write the prediction of each row.
        groups: a column by whose values the scores are reported too.

    Raises:
        UsageError: a name, an option or the part is unknown, or the name is taken.
        DataError: the run or the data cannot be read, or the data does not fit the run.
    """
    run = RunFolder(folder).model_folder
    request = resolve_request(request, Spec.from_json(run.description["spec"]))
    if not is_own_data(run, request):
        return evaluate_other(run.path, request, name=name, write_predictions=write_predictions, groups=groups)
    logger.info(Message("this is the data of the training: the run's own parts are scored again, not all rows"))
    return evaluate(run.path, request.data if isinstance(request.data, Dataset) else None, groups=groups)


def write_report(folder: Path) -> Path:
    """Write the ``report.html`` of a run, a cross-validation or a search again; return its path.

    Raises:
        DataError: this is not such a folder, or a file in it is damaged.
        StorageError: it cannot be written; an older report is untouched.
    """
    run = RunFolder(folder)
    if run.is_search:
        return search_page.write_search_page(folder)
    _ = run.cross_validation_config if run.is_cross_validation else run.config  # an error if this is not a run folder
    return run_page.write_run_page(folder)
