"""Train one run by a config: a folder with a model, its scores and the doctor's findings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from yisheng.core import machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.logging import log_findings, logger
from yisheng.core.messages import Message
from yisheng.core.new_folder import require_space
from yisheng.core.references import short_name
from yisheng.core.run_environment import describe_environment
from yisheng.core.run_folder import RunFolder
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments.calibrate import require_calibration
from yisheng.experiments.cluster_choice import require_usable_cluster
from yisheng.experiments.groups import require_groups
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.experiments.portfolio_tasks import open_fold_pool
from yisheng.experiments.run_training import EventCallback, RunCallback, RunResult, RunTraining
from yisheng.experiments.shared_run import assemble_together, follow, lead, select_device, share_config, share_state
from yisheng.loggers.tensorboard import hparams
from yisheng.loggers.trackers.load_adapter import load_adapter
from yisheng.models._fitted_model import FittedModel
from yisheng.search.executors.cluster import open_if_given
from yisheng.training.budget import plan_budget
from yisheng.training.compile_trial import choose_compilation
from yisheng.training.distributed import Peers, describe_sharing
from yisheng.training.portfolio.plan import plan_ensemble
from yisheng.training.pretrained import load_pretrained
from yisheng.training.setup import Assembly
from yisheng.training.shardable import choose_shards
from yisheng.training.threads import count_free_threads


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
    _require_loggers(config)
    config = choose_shards(config, 1 if peers is None else peers.size)
    data = load_dataset(config) if data is None else data
    config, ensemble_notes = plan_ensemble(config, data.spec, len(data))
    require_usable_cluster(cluster, config)
    split = split_dataset(config, data)
    device = select_device(config, peers)
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
            return RunResult(RunFolder(follow(assembly, peers)), assembly.config, data)
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
            lead(run.path, threads, peers)
        pool = stack.enter_context(open_fold_pool(assembly, run, opened))
        return RunTraining(run, assembly, data, split, event_callbacks, callbacks, finish, peers, pool).complete()


def _require_loggers(config: Config) -> None:
    """Report a logger that is not installed before any work is spent."""
    if config.tensorboard:
        hparams.require_tensorboard()
    if config.tracker is not None:
        load_adapter(config.tracker)


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
