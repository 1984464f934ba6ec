"""Resume a run: continue its training from the newest intact checkpoint, or make it longer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yisheng.core import machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.run_folder import RunFolder
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments.cluster_choice import require_usable_cluster
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.experiments.portfolio_tasks import open_fold_pool
from yisheng.experiments.run_training import EventCallback, RunCallback, RunResult, RunTraining
from yisheng.experiments.shared_run import assemble_together, follow, lead, select_device, share_config, share_state
from yisheng.search.executors.cluster import open_if_given
from yisheng.training import checkpoint
from yisheng.training.distributed import Peers
from yisheng.training.pretrained import load_pretrained
from yisheng.training.setup import Assembly, assemble
from yisheng.training.shardable import choose_shards
from yisheng.training.threads import count_useful_threads


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
        peers: see `yisheng.experiments.run.train`; their number may differ from that of the beginning.
        cluster: see there; the run may have begun without one.

    Returns:
        The ended run, or None if it was finished before.

    Raises:
        DataError: this is not a run folder, or the data changed.
        UsageError: the code changed, ``epochs`` is smaller than before, the run stopped early, or another process is
            training in it.
    """
    run = RunFolder(folder)
    if peers is not None and not peers.is_first:
        return _follow(run, data, peers)
    config: Config = run.config  # reports what is not a run folder before `lock` writes into it
    with run.lock():
        previous = run.config
        is_longer = _is_longer(run, previous, epochs)
        if run.environment.get("finished") and not is_longer:
            logger.info(_describe_finished(previous))
            if peers is not None:
                peers.broadcast_json(False)
            return None
        data = load_dataset(previous) if data is None else data
        if not force:
            run.require_unchanged(fingerprint(data), previous)
        require_usable_cluster(cluster, previous)
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
            lead(run.path, threads, peers)
        with (
            machine.use_threads(threads),
            open_if_given(cluster) as opened,
            open_fold_pool(assembly, run, opened) as pool,
        ):
            if force and pool is not None:
                pool.discard()
            return RunTraining(run, assembly, data, split, event_callbacks, callbacks, finish, peers, pool).complete()


def _is_longer(run: RunFolder, previous: ResolvedConfig, epochs: int | None) -> bool:
    """Return whether more epochs are asked for than the run began with.

    Raises:
        UsageError: fewer are, or the run has only scored its network.
    """
    if epochs is None or epochs == previous.epochs:
        return False
    if epochs < previous.epochs:
        raise UsageError(
            Message(
                "epochs must be {minimum} or more, got {epochs}: a run can be made longer, not shorter",
                minimum=previous.epochs,
                epochs=epochs,
            ),
            Message("use epochs={epochs} or more, or train a new run", epochs=previous.epochs),
        )
    if not previous.epochs:
        words = f"config={run.file(RunFolder.CONFIG)} weights={run.path} epochs={epochs}"
        raise UsageError(
            Message(
                "the run in {folder} only scored its network (epochs=0): there is no training to continue",
                folder=run.path,
            ),
            Message("train from its weights: yisheng train {words}", words=words),
        )
    return True


def _describe_finished(config: ResolvedConfig) -> Message:
    state = Message("all {epochs} epochs are trained", epochs=config.epochs)
    state = state if config.epochs else Message("its network is scored")
    return Message("the run is finished: {state}; there is nothing to do", state=state)


def _follow(run: RunFolder, data: Dataset | None, peers: Peers) -> RunResult | None:
    """Continue a run as a process that is not the first."""
    if not peers.broadcast_json():
        return None  # it is finished
    config = share_config(run.config, peers)
    data = load_dataset(config) if data is None else data
    assembly = assemble_together(config, data, split_dataset(config, data), peers.device, None, peers)
    share_state(assembly.state, peers)
    return RunResult(RunFolder(follow(assembly, peers)), assembly.config, data)


def _restore(run: RunFolder, config: Config, data: Dataset, split: Split, peers: Peers | None) -> Assembly:
    """Return the training setup with the state of the newest intact checkpoint, or at its beginning without one."""
    device = select_device(config, peers)
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
