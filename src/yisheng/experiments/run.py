"""Train one run by a config, or resume it: a folder with a model, its scores and the doctor's findings."""

from __future__ import annotations

import contextlib
import copy
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from yisheng.core import machine
from yisheng.core.components import is_custom
from yisheng.core.config import Config, ResolvedConfig
from yisheng.core.errors import NonFiniteError, ProcessError, StoppedError, UsageError, YishengError
from yisheng.core.logging import log_findings, logger, progress_stream
from yisheng.core.new_folder import require_space
from yisheng.core.references import short_name
from yisheng.core.run_environment import describe_environment
from yisheng.core.run_folder import RunFolder
from yisheng.core.signals import collect_signals
from yisheng.core.types import Dataset, Event, Split
from yisheng.data.fingerprint import fingerprint
from yisheng.diagnosis.doctor_callback import DoctorCallback
from yisheng.evaluation.scorer import make_scorer
from yisheng.experiments.calibrate import calibrate, require_calibration
from yisheng.experiments.evaluate import evaluate_assembly
from yisheng.experiments.groups import require_groups
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.experiments.shared_run import (
    assemble_together,
    follow,
    require_equal_weights,
    share_config,
    share_state,
)
from yisheng.inference import artifact, fit_ood
from yisheng.inference.ood import OODDetector
from yisheng.inference.own_network import OwnNetwork, save_own_network
from yisheng.loggers.attach import attach_loggers
from yisheng.loggers.tensorboard import hparams
from yisheng.models._fitted_model import FittedModel
from yisheng.training import checkpoint
from yisheng.training.budget import plan_budget
from yisheng.training.callbacks import apply_callbacks, save_checkpoints
from yisheng.training.distributed import Peers, describe_sharing
from yisheng.training.event_log import EventLog, log_events
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.network import read_probe
from yisheng.training.portfolio.plan import plan_ensemble
from yisheng.training.pretrained import load_pretrained
from yisheng.training.progress import show_assembly_progress
from yisheng.training.setup import Assembly, assemble
from yisheng.training.shardable import choose_shards
from yisheng.training.threads import count_free_threads, count_useful_threads


@dataclass(frozen=True)
class RunResult:
    """A training that came to its end or broke off.

    Args:
        folder: of the run.
        config: the resolved config.
        data: the data set.
        error: what broke it off, or None.
    """

    folder: RunFolder
    config: ResolvedConfig
    data: Dataset
    error: YishengError | None = None


EventCallback: TypeAlias = Callable[..., Iterator[Event]]
"""A user's own callback: ``(events) -> events`` or ``(events, state) -> events``; see `yisheng.training.callbacks`."""
RunCallback: TypeAlias = Callable[[RunResult], None]
"""Called after training and evaluation, and with an ``error`` if the training broke off."""


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

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient became NaN or infinite.
        ProcessError: another process ended; a checkpoint was written.
        StorageError: there is too little space on the disk, or it became full.
    """
    if config.tensorboard:
        hparams.require_tensorboard()  # before any work is spent
    config = choose_shards(config, 1 if peers is None else peers.size)
    data = load_dataset(config) if data is None else data
    config, ensemble_notes = plan_ensemble(config, data.spec)
    split = split_dataset(config, data)
    device = machine.select_device(config.device)
    config, weights = load_pretrained(config)
    notes = list(ensemble_notes)
    if config.budget is not None and (peers is None or peers.is_first):
        config, note = plan_budget(config, data, split, device, weights)
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
    if threads is None:
        threads, note = count_free_threads(assembly)
        notes += [note] if note else []
    with contextlib.ExitStack() as stack:
        stack.enter_context(machine.use_threads(threads))
        environment = describe_environment(assembly.config, data, fingerprint(data), device)

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
        logger.info(_describe(assembly, data, split))
        if peers is not None:
            logger.info(describe_sharing(assembly.config.shards, peers.size))
        log_findings(data.findings)
        for note in (*notes, *assembly.notes):
            logger.info(note)
        if peers is not None:
            _lead(run, threads, peers)
        return _Training(run, assembly, data, split, tuple(event_callbacks), tuple(callbacks), finish, peers).complete()


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
                f"epochs must be {previous.epochs} or more, got {epochs}: a run can be made longer, not shorter",
                f"use epochs={previous.epochs} or more, or train a new run",
            )
        is_longer = epochs is not None and epochs > previous.epochs
        if is_longer and not previous.epochs:
            words = f"config={folder / RunFolder.CONFIG} weights={folder} epochs={epochs}"
            raise UsageError(
                f"the run in {folder} only scored its network (epochs=0): there is no training to continue",
                f"train from its weights: yisheng train {words}",
            )
        if run.environment.get("finished") and not is_longer:
            state = f"all {previous.epochs} epochs are trained" if previous.epochs else "its network is scored"
            logger.info(f"the run is finished: {state}; there is nothing to do")
            if peers is not None:
                peers.broadcast_json(False)
            return None
        data = load_dataset(previous) if data is None else data
        if not force:
            run.require_unchanged(fingerprint(data), previous)
        config = previous.model_copy(update={"epochs": epochs}) if is_longer else previous
        split = split_dataset(config, data)
        if peers is not None:
            choose_shards(config, peers.size)
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
        with machine.use_threads(threads):
            return _Training(
                run, assembly, data, split, tuple(event_callbacks), tuple(callbacks), finish, peers
            ).complete()


def _follow_resumed(run: RunFolder, data: Dataset | None, peers: Peers) -> RunResult | None:
    """Continue a run as a process that is not the first."""
    if not peers.broadcast_json():
        return None  # it is finished
    config = share_config(run.config, peers)
    data = load_dataset(config) if data is None else data
    device = machine.select_device(config.device)
    assembly = assemble_together(config, data, split_dataset(config, data), device, None, peers)
    share_state(assembly.state, peers)
    return _follow(assembly, data, peers)


def _restore(run: RunFolder, config: Config, data: Dataset, split: Split, peers: Peers | None) -> Assembly:
    """Return the training setup with the state of the newest intact checkpoint, or at its beginning without one."""
    device = machine.select_device(config.device)
    assembly = assemble_together(config, data, split, device, None, peers)
    if checkpoint.load(run.file(RunFolder.CHECKPOINT), assembly.state):
        state = assembly.state
        logger.info(f"continuing {run.path} from step {state.step} (epoch {state.epoch + 1})")
        return assembly
    logger.info(f"continuing {run.path} from the beginning: there is no intact checkpoint")
    if config.weights is not None:
        assembly = assemble(config, data, split, device, load_pretrained(config)[1], peers=peers)
    return assembly


def _describe(assembly: Assembly, data: Dataset, split: Split) -> str:
    model = assembly.state.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    epochs = assembly.config.epochs
    if not epochs:
        rows = f"{len(split.test):,} test rows" if len(split.test) else f"{len(split.validation):,} validation rows"
        name = short_name(assembly.config.model.name)
        return f"{name} ({parameters:,} parameters) on {data.name} ({rows}), not trained: epochs=0"
    is_fitted = isinstance(model, FittedModel)
    size, steps = ("no gradient steps", "stages") if is_fitted else (f"{parameters:,} parameters", "epochs")
    return (
        f"{short_name(assembly.config.model.name)} ({size}) on {data.name} "
        f"({len(split.train):,} training, {len(split.validation):,} validation, {len(split.test):,} test rows), "
        f"{epochs} {steps} on {assembly.train.device}"
    )


def _require_patience(assembly: Assembly) -> None:
    """Refuse more epochs for a run that stopped early."""
    state, patience = assembly.state, assembly.config.patience
    if patience and state.position == 0 and state.epoch - state.best.epoch >= patience:
        raise UsageError(
            f"the run stopped early: no better score in the {patience} epochs after epoch {state.best.epoch}",
            "train again with a larger patience=, or with patience=0",
        )


def _describe_longer_schedule(previous: ResolvedConfig, assembly: Assembly) -> str:
    """Return what more epochs do to the learning rate at the step where the run continues."""
    state, steps_per_epoch, epochs = assembly.state, len(assembly.train), assembly.config.epochs
    old, new = (
        assembly.schedule(state.step, count * steps_per_epoch, steps_per_epoch) for count in (previous.epochs, epochs)
    )
    change = "stays as it was" if old == new else f"jumps from {old:.3g} to {new:.3g} times lr"
    return (
        f"{previous.epochs} -> {epochs} epochs: the schedule {assembly.config.schedule.name} now spans all of them; at "
        f"step {state.step} the learning rate {change}"
    )


@dataclass(frozen=True)
class _Training:
    """One training from its current state to the end of its run.

    fit to the end or a signal -> save the model -> evaluate -> diagnose -> callbacks -> finished
    """

    run: RunFolder
    assembly: Assembly
    data: Dataset
    split: Split
    event_callbacks: tuple[EventCallback, ...]
    callbacks: tuple[RunCallback, ...]
    finish: bool
    peers: Peers | None = None

    def complete(self) -> RunResult:
        """Train, evaluate, diagnose and call the callbacks; these are called for a training that breaks off too."""
        doctor = DoctorCallback(self.run.path, self.assembly, self.data)
        with collect_signals() as caught:
            try:
                training_seconds = self._fit(doctor, caught)
            except (NonFiniteError, StoppedError, ProcessError) as error:
                doctor.write_report(error)
                self._call_back(error)
                raise
            start = time.perf_counter()
            assembly = self._save_model()
            evaluate_assembly(self.run, assembly, self.data, self.split)
            doctor.write_report()
            seconds = {"training": round(training_seconds, 2), "evaluation": round(time.perf_counter() - start, 2)}
            result = self._call_back()
            self.run.update_environment(seconds=seconds, finished=self.finish)
        if caught:
            self._raise_stopped(caught[0])
        return result

    def _call_back(self, error: YishengError | None = None) -> RunResult:
        result = RunResult(self.run, self.assembly.config, self.data, error)
        for callback in self.callbacks:
            callback(result)
        return result

    def _fit(self, doctor: DoctorCallback, caught: list[int]) -> float:
        """Train to the last epoch or a signal, with a checkpoint at the end; return the seconds of training."""
        state = self.assembly.state
        event_log = EventLog(self.run.file(RunFolder.EVENTS), state.log_bytes)
        start = time.perf_counter() - state.seconds

        def clock() -> float:
            return time.perf_counter() - start

        def save() -> None:
            # The checkpoint records the length of the log, so the log is written before it.
            state.log_bytes, state.seconds = event_log.flush(sync=True), clock()
            doctor.save_progress()
            checkpoint.save(self.run.file(RunFolder.CHECKPOINT), state)

        if state.step == 0 and is_custom(self.assembly.config.model):
            save()  # the initial weights of a user's own network may exist nowhere else
        with contextlib.closing(event_log), doctor.record_training():
            events = self._observe(doctor, event_log, save, clock)
            with contextlib.closing(cast("Generator[Event]", events)):  # removes the progress bar before any message
                number = self._train(events, caught, save)
            save()
            if number is not None:
                raise StoppedError(
                    number,
                    f"stopped by {signal.Signals(number).name} after step {state.step}; a checkpoint was written",
                    f"continue with: yisheng resume {self.run.path}",
                )
            if self.peers is not None:
                require_equal_weights(state, self.peers)
        return clock()

    def _train(self, events: Iterator[Event], caught: list[int], save: Callable[[], None]) -> int | None:
        """Train to the last event or a signal, which is returned; then the state is between two updates.

        The processes of a training agree on a signal in an update, and all stop after it.

        Raises:
            ProcessError: another process ended; a checkpoint was written.
        """
        peers = self.peers
        if peers is not None:
            peers.caught = caught
        try:
            for _ in events:
                number = next(iter(caught), None) if peers is None else peers.stop_signal
                if number is not None:
                    return number
        except ProcessError as error:
            save()  # the weights are those of the last complete update
            raise ProcessError(error.problem, f"continue with: yisheng resume {self.run.path}") from error
        return None

    def _observe(
        self, doctor: DoctorCallback, event_log: EventLog, save: Callable[[], None], clock: Callable[[], float]
    ) -> Iterator[Event]:
        """Return the events of the training with everything that the config asks for attached."""
        config, assembly = self.assembly.config, doctor.observe(self.assembly)
        # A cross-validation reports the scores of its folds: they must not choose the epoch they are measured at.
        events = fit_assembly(assembly, make_scorer, choose_best=config.fold is None)
        events = apply_callbacks(events, assembly.state, self.event_callbacks)
        events = log_events(events, event_log, interval=config.log_every, clock=clock)
        events = attach_loggers(events, self.run.path, assembly)
        events = save_checkpoints(events, save, interval=config.checkpoint_every)
        stream = progress_stream() if config.epochs else None
        return events if stream is None else show_assembly_progress(events, assembly, stream)

    def _save_model(self) -> Assembly:
        """Write the best weights with everything that prediction needs; return the setup with its temperature."""
        assembly, config = self.assembly, self.assembly.config
        state = assembly.state
        state.model.load_state_dict(state.best.weights)
        assembly, calibration = calibrate(assembly) if config.calibrate else (assembly, None)
        detector = None  # the detector reads the layers of torch; a network from scratch has none
        if config.ood and not config.scratch:
            detector = fit_ood.fit_ood_detector(
                state.model, assembly.spec, assembly.train, assembly.validation, seed=config.seed
            )
        artifact.save(
            self.run.path,
            weights=state.best.weights,
            name=config.model.name,
            options=config.model.options,
            spec=assembly.spec,
            fitted_transforms=assembly.transforms,
            best={"epoch": state.best.epoch, "score": assembly.score_key, "value": state.best.value},
            parameters=sum(parameter.numel() for parameter in state.model.parameters()),
            ood_detector=detector,
            own_network=self._record_own_network(detector) if is_custom(config.model) else None,
            calibration=calibration,
        )
        return assembly

    def _record_own_network(self, detector: OODDetector | None) -> OwnNetwork:
        """Return what is saved of a user's own network besides its weights."""
        assembly, config = self.assembly, self.assembly.config
        rows = np.concatenate([self.split.train, self.split.validation, self.split.test])
        x = read_probe(self.data, replace(self.split, train=rows), assembly.transforms["input"])
        model = copy.deepcopy(assembly.state.model).float() if config.precision == "fp64" else assembly.state.model
        return save_own_network(config.model, model, x, output=config.output, detector=detector)

    def _raise_stopped(self, number: int) -> None:
        name = signal.Signals(number).name
        if self.finish:
            problem, remedy = "the run is finished", f"see it in {self.run.path}"
        else:
            problem, remedy = "more is to be trained", f"continue with: yisheng resume {self.run.path}"
        raise StoppedError(number, f"{name} came after the training; {problem}", remedy)
