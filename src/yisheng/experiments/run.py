"""Train one run by a config, or resume it: a folder with a model, its scores and the doctor's findings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from yisheng.core import machine
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.logging import log_findings, logger
from yisheng.core.messages import Message
from yisheng.core.new_folder import require_space
from yisheng.core.references import short_name
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.run_environment import describe_environment
from yisheng.core.run_folder import RunFolder
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments.calibrate import require_calibration
from yisheng.experiments.groups import require_groups
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.experiments.portfolio_tasks import open_fold_pool
from yisheng.experiments.run_training import EventCallback, RunCallback, RunResult, RunTraining
from yisheng.experiments.shared_run import (
    assemble_together,
    follow,
    share_config,
    share_state,
)
from yisheng.loggers.tensorboard import hparams
from yisheng.loggers.trackers.load_adapter import load_adapter
from yisheng.models._fitted_model import FittedModel
from yisheng.search.executors.cluster import open_if_given, require_cluster
from yisheng.training import checkpoint
from yisheng.training.budget import plan_budget
from yisheng.training.compile_trial import choose_compilation
from yisheng.training.distributed import Peers, describe_sharing
from yisheng.training.portfolio.plan import ENSEMBLE, plan_ensemble
from yisheng.training.pretrained import load_pretrained
from yisheng.training.setup import Assembly, assemble
from yisheng.training.shardable import choose_shards
from yisheng.training.threads import count_free_threads, count_useful_threads


def train(
    config: Config,
    *,
    data: Dataset | None = None,
    out: Path,
    folder: Path | None = None,
    threads: int | None = None,
    on_begin: Callable[[RunFolder], None] | None = None,
    event_callbacks: Sequence[EventCallback] = (),
    callbacks: Sequence[RunCallback] = (),
    finish: bool = True,
    peers: Peers | None = None,
    cluster: str | None = None,
) -> RunResult:
    """Train one model by a config in a new run folder.

    Args:
        config: every choice; ``auto`` is resolved here.
        data: the data set, if the config cannot name it.
        out: folder of runs.
        folder: an empty folder that becomes the run's, instead of a new one in ``out``.
        threads: number of compute threads, to repeat a run to the same bits; by default as many as the model is worth
            and the machine has free.
        on_begin: called with the run's folder before the training.
        event_callbacks: the user's own callbacks, in this order.
        callbacks: called in this order when the run has ended or broken off.
        finish: record the run as finished; False if more is to be trained in its folder.
        peers: the processes of the training, or None for this one alone. Only the first one writes and shows; the
            others return when they have trained.
        cluster: where the folds of an ensemble's candidates are trained, with one thread each; see
            `yisheng.search.executors.cluster.require_cluster`. None for this process.

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite.
        ProcessError: another process ended; a checkpoint was written. Or the cluster cannot be reached.
        StorageError: there is too little space on the disk, or it became full.
    """
    if config.tensorboard:
        hparams.require_tensorboard()  # before any work is spent
    if config.tracker is not None:
        load_adapter(config.tracker)
    config = choose_shards(config, 1 if peers is None else peers.size)
    data = load_dataset(config) if data is None else data
    config, ensemble_notes = plan_ensemble(config, data.spec, len(data))
    if cluster is not None:
        require_many_trainings(config)
        require_cluster(cluster)
    split = split_dataset(config, data)
    device = machine.select_device(config.device) if peers is None else peers.device
    config, weights = load_pretrained(config)
    notes: list[str] = []
    if config.budget is not None and (peers is None or peers.is_first):
        planned, note = plan_budget(config.model_copy(update={"sync_bn": False}), data, split, device, weights)
        config = planned.model_copy(update={"sync_bn": config.sync_bn})  # one process plans, and cannot synchronize
        notes.append(note)
    require_groups(config, data.spec)
    if peers is not None:
        config = share_config(config, peers)
    assembly = assemble_together(config, data, split, device, weights, peers)
    require_calibration(assembly.config, assembly.spec, split)
    if peers is not None:
        share_state(assembly.state, peers)
        if not peers.is_first:
            return _follow(assembly, data, peers)
    require_space(out, sum(value.nbytes for value in assembly.state.model.state_dict().values()))
    if cluster is not None:
        threads = 1
    elif threads is None:
        threads, note = count_free_threads(assembly)
        notes += [note] if note else []
    with contextlib.ExitStack() as stack:
        stack.enter_context(machine.use_threads(threads))
        assembly = choose_compilation(config, assembly)
        environment = describe_environment(assembly.config, data, fingerprint(data), device)
        opened = stack.enter_context(open_if_given(cluster))

        def begin(run: RunFolder) -> None:
            run.begin(assembly.config, environment)

        if folder is None:
            run = RunFolder.create(out, data.name, short_name(assembly.config.model.name), config.name, write=begin)
            stack.enter_context(run.lock())
        else:
            run = RunFolder(folder)
            stack.enter_context(run.lock())
            begin(run)
        if on_begin is not None:
            on_begin(run)
        for note in ensemble_notes:
            logger.info(note)
        logger.info(_describe(assembly, data, split))
        if peers is not None:
            logger.info(describe_sharing(assembly.config.shards, peers.size))
        log_findings(data.findings)
        for note in (*notes, *assembly.notes):
            logger.info(note)
        if peers is not None:
            _lead(run, threads, peers)
        pool = stack.enter_context(open_fold_pool(assembly, run, opened))
        return RunTraining(
            run, assembly, data, split, tuple(event_callbacks), tuple(callbacks), finish, peers, pool
        ).complete()


def require_many_trainings(config: Config) -> None:
    """Refuse a cluster for a config that trains one model.

    Raises:
        UsageError: it does.
    """
    if config.model.name != ENSEMBLE or is_custom(config.model):
        raise UsageError(
            Message("cluster= is for many trainings: folds=, budget= on a table, or a search"),
            Message("add folds=5 or budget=1m, or leave cluster= out"),
        )


def _lead(run: RunFolder, threads: int, peers: Peers) -> None:
    """Tell the other processes where the run is, and with how many threads each computes."""
    peers.broadcast_json([str(run.path.absolute()), threads])


def _follow(assembly: Assembly, data: Dataset, peers: Peers) -> RunResult:
    """Train as a process that is not the first; see `yisheng.experiments.shared_run.follow`."""
    path, threads = peers.broadcast_json()
    follow(assembly, peers, Path(path), threads)
    return RunResult(RunFolder(path), assembly.config, data)


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    event_callbacks: Sequence[EventCallback] = (),
    callbacks: Sequence[RunCallback] = (),
    finish: bool = True,
    peers: Peers | None = None,
    cluster: str | None = None,
) -> RunResult | None:
    """Continue a run from its newest intact checkpoint; on a CPU to the same bits as if it had never stopped.

    Args:
        folder: the run folder.
        epochs: a larger number of epochs than the run began with.
        force: continue although the data or the versions of the code changed.
        data: the data set, if the config cannot name it.
        event_callbacks: the user's own callbacks, in this order.
        callbacks: called in this order when the run has ended or broken off.
        finish: record the run as finished; False if more is to be trained in its folder.
        peers: see `train`; their number may differ from that of the beginning.
        cluster: see `train`; the run may have begun without one.

    Returns:
        The ended run, or None if it was finished before.

    Raises:
        DataError: this is not a run folder, or the data changed.
        UsageError: the code changed, ``epochs`` is smaller than before, the run stopped early, or another process is
            training in it.
    """
    run = RunFolder(folder)
    if peers is not None and not peers.is_first:
        return _follow_resumed(run, data, peers)
    config: Config = run.config  # reports what is not a run folder before `lock` writes into it
    with run.lock():
        previous = run.config
        if epochs is not None and epochs < previous.epochs:
            raise UsageError(
                Message(
                    "epochs must be {minimum} or more, got {epochs}: a run can be made longer, not shorter",
                    minimum=previous.epochs,
                    epochs=epochs,
                ),
                Message("use epochs={epochs} or more, or train a new run", epochs=previous.epochs),
            )
        is_longer = epochs is not None and epochs > previous.epochs
        if is_longer and not previous.epochs:
            words = f"config={folder / RunFolder.CONFIG} weights={folder} epochs={epochs}"
            raise UsageError(
                Message(
                    "the run in {folder} only scored its network (epochs=0): there is no training to continue",
                    folder=folder,
                ),
                Message("train from its weights: yisheng train {words}", words=words),
            )
        if run.environment.get("finished") and not is_longer:
            state = Message("all {epochs} epochs are trained", epochs=previous.epochs)
            state = state if previous.epochs else Message("its network is scored")
            logger.info(Message("the run is finished: {state}; there is nothing to do", state=state))
            if peers is not None:
                peers.broadcast_json(False)
            return None
        data = load_dataset(previous) if data is None else data
        if not force:
            run.require_unchanged(fingerprint(data), previous)
        if cluster is not None:
            require_many_trainings(previous)
            require_cluster(cluster)
        config = previous.model_copy(update={"epochs": epochs}) if is_longer else previous
        split = split_dataset(config, data)
        if peers is not None:
            config = choose_shards(config, peers.size)
            peers.broadcast_json(True)
            config = share_config(config, peers)
        assembly = _restore(run, config, data, split, peers)
        if is_longer:
            _require_patience(assembly)
            run.update_environment(finished=False)
            run.write_config(assembly.config)
            logger.info(_describe_longer_schedule(previous, assembly))
        threads = run.threads or count_useful_threads(assembly)  # another number would round differently
        if peers is not None:
            share_state(assembly.state, peers)
            _lead(run, threads, peers)
        with (
            machine.use_threads(threads),
            open_if_given(cluster) as opened,
            open_fold_pool(assembly, run, opened) as pool,
        ):
            if force and pool is not None:
                pool.discard()
            return RunTraining(
                run, assembly, data, split, tuple(event_callbacks), tuple(callbacks), finish, peers, pool
            ).complete()


def _follow_resumed(run: RunFolder, data: Dataset | None, peers: Peers) -> RunResult | None:
    """Continue a run as a process that is not the first."""
    if not peers.broadcast_json():
        return None  # it is finished
    config = share_config(run.config, peers)
    data = load_dataset(config) if data is None else data
    device = machine.select_device(config.device) if peers is None else peers.device
    assembly = assemble_together(config, data, split_dataset(config, data), device, None, peers)
    share_state(assembly.state, peers)
    return _follow(assembly, data, peers)


def _restore(run: RunFolder, config: Config, data: Dataset, split: Split, peers: Peers | None) -> Assembly:
    """Return the training setup with the state of the newest intact checkpoint, or at its beginning without one."""
    device = machine.select_device(config.device) if peers is None else peers.device
    assembly = assemble_together(config, data, split, device, None, peers)
    if checkpoint.load(run.file(RunFolder.CHECKPOINT), assembly.state):
        state = assembly.state
        values = {"run": run.path, "step": state.step, "epoch": state.epoch + 1}
        logger.info(Message("continuing {run} from step {step} (epoch {epoch})", **values))
        return assembly
    logger.info(Message("continuing {run} from the beginning: there is no intact checkpoint", run=run.path))
    if config.weights is not None:
        assembly = assemble(config, data, split, device, load_pretrained(config)[1], peers=peers)
    return assembly


def _describe(assembly: Assembly, data: Dataset, split: Split) -> Message:
    model = assembly.state.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    values = {
        "model": short_name(assembly.config.model.name),
        "parameters": f"{parameters:,}",
        "data": data.name,
        "training": f"{len(split.train):,}",
        "validation": f"{len(split.validation):,}",
        "test": f"{len(split.test):,}",
        "epochs": assembly.config.epochs,
        "device": assembly.train.device,
    }
    if not assembly.config.epochs and len(split.test):
        return Message(
            "{model} ({parameters} parameters) on {data} ({test} test rows), not trained: epochs=0", **values
        )
    if not assembly.config.epochs:
        return Message(
            "{model} ({parameters} parameters) on {data} ({validation} validation rows), not trained: epochs=0",
            **values,
        )
    if isinstance(model, FittedModel):
        return Message(
            "{model} (no gradient steps) on {data} ({training} training, {validation} validation, {test} test rows), "
            "{epochs} stages on {device}",
            **values,
        )
    return Message(
        "{model} ({parameters} parameters) on {data} ({training} training, {validation} validation, {test} test rows), "
        "{epochs} epochs on {device}",
        **values,
    )


def _require_patience(assembly: Assembly) -> None:
    """Refuse more epochs for a run that stopped early."""
    state, patience = assembly.state, assembly.config.patience
    if patience and state.position == 0 and state.epoch - state.best.epoch >= patience:
        raise UsageError(
            Message(
                "the run stopped early: no better score in the {patience} epochs after epoch {epoch}",
                patience=patience,
                epoch=state.best.epoch,
            ),
            Message("train again with a larger patience=, or with patience=0"),
        )


def _describe_longer_schedule(previous: ResolvedConfig, assembly: Assembly) -> Message:
    """Return what more epochs do to the learning rate at the step where the run continues."""
    state, steps_per_epoch, epochs = assembly.state, len(assembly.train), assembly.config.epochs
    old, new = (
        assembly.schedule(state.step, count * steps_per_epoch, steps_per_epoch) for count in (previous.epochs, epochs)
    )
    values = {
        "previous": previous.epochs,
        "epochs": epochs,
        "schedule": assembly.config.schedule.name,
        "step": state.step,
        "old": f"{old:.3g}",
        "new": f"{new:.3g}",
    }
    if old == new:
        return Message(
            "{previous} -> {epochs} epochs: the schedule {schedule} now spans all of them; at step {step} the learning "
            "rate stays as it was",
            **values,
        )
    return Message(
        "{previous} -> {epochs} epochs: the schedule {schedule} now spans all of them; at step {step} the learning "
        "rate jumps from {old} to {new} times lr",
        **values,
    )
