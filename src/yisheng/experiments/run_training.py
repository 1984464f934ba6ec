"""One training of a run, from its current state to its end: fit, save, evaluate, diagnose, call back."""

from __future__ import annotations

import contextlib
import copy
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from yisheng.core.components import is_custom
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import NonFiniteError, ProcessError, StoppedError, YishengError
from yisheng.core.events import Event
from yisheng.core.logging import progress_stream
from yisheng.core.messages import Message
from yisheng.core.remote.sessions import publish
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.run_folder import RunFolder
from yisheng.core.signals import collect_signals
from yisheng.diagnosis.doctor_callback import DoctorCallback
from yisheng.evaluation.scorer import make_scorer
from yisheng.experiments.calibrate import calibrate
from yisheng.experiments.evaluate import evaluate_assembly
from yisheng.experiments.shared_run import divide_if_asked, move_to_cpu, require_equal_weights
from yisheng.inference import artifact, fit_ood
from yisheng.inference.ood import OODDetector
from yisheng.inference.own_network import OwnNetwork, save_own_network
from yisheng.loggers.attach import attach_loggers
from yisheng.loggers.tracking import RunTracking, track_run
from yisheng.training import checkpoint
from yisheng.training.callbacks import apply_callbacks, save_checkpoints
from yisheng.training.distributed import Peers
from yisheng.training.event_log import EventLog, log_events
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.network import read_probe
from yisheng.training.portfolio.fold_pool import FoldPool
from yisheng.training.progress import show_assembly_progress
from yisheng.training.setup import Assembly

if TYPE_CHECKING:
    from yisheng.training.weight_shards import WeightShards


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


@dataclass(frozen=True)
class RunTraining:
    """One training from its current state to the end of its run.

    fit to the end or a signal -> save the model -> evaluate -> diagnose -> callbacks -> finished

    Args:
        run: the folder.
        assembly: the training in its current state.
        data: the data set.
        split: its parts.
        event_callbacks: the user's own callbacks on events.
        callbacks: called at the end.
        finish: whether the run is finished afterwards.
        peers: the processes that share the training, or None.
        pool: for an ensemble, folds that other processes train or have trained.
        weights: this process's part of the weights, if the processes divide them; set by `complete`.
    """

    run: RunFolder
    assembly: Assembly
    data: Dataset
    split: Split
    event_callbacks: Sequence[EventCallback]
    callbacks: Sequence[RunCallback]
    finish: bool
    peers: Peers | None = None
    pool: FoldPool | None = None
    weights: WeightShards | None = None

    def complete(self) -> RunResult:
        """Train, evaluate, diagnose and call the callbacks; these are called for a training that breaks off too."""
        assembly, weights = divide_if_asked(self.assembly, self.peers)
        return replace(self, assembly=assembly, weights=weights)._complete()

    def _complete(self) -> RunResult:
        doctor = DoctorCallback(self.run.path, self.assembly, self.data)
        with track_run(self.run.path, self.assembly) as tracking, collect_signals() as caught:
            try:
                training_seconds = self._fit(doctor, caught, tracking)
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

    def _fit(self, doctor: DoctorCallback, caught: list[int], tracking: RunTracking | None) -> float:
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
            if self.weights is None:
                checkpoint.save(self.run.file(RunFolder.CHECKPOINT), state)
            else:
                checkpoint.write(self.run.file(RunFolder.CHECKPOINT), *self.weights.dump())
            publish(self.run.path)

        if state.step == 0 and is_custom(self.assembly.config.model):
            save()  # the initial weights of a user's own network may exist nowhere else
        with contextlib.closing(event_log), doctor.record_training():
            events = self._observe(doctor, event_log, save, clock, tracking)
            with contextlib.closing(cast("Generator[Event]", events)):  # removes the progress bar before any message
                number = self._train(events, caught, save)
            save()
            if number is not None:
                raise StoppedError(
                    number,
                    Message(
                        "stopped by {name} after step {step}; a checkpoint was written",
                        name=signal.Signals(number).name,
                        step=state.step,
                    ),
                    Message("continue with: yisheng resume {path}", path=self.run.path),
                )
            if self.pool is not None:
                self.pool.discard()
            if self.weights is not None:
                self.weights.finish()
            elif self.peers is not None:
                require_equal_weights(state, self.peers)
        return clock()

    def _train(self, events: Iterator[Event], caught: list[int], save: Callable[[], None]) -> int | None:
        """Train to the last event or a signal, which is returned; then the state is between two updates.

        The processes of a training agree on a signal in an update, and all stop after it.

        Raises:
            ProcessError: another process ended; a checkpoint was written, unless a part of the weights is lost.
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
            if self.weights is None:
                save()  # the weights are those of the last complete update
            raise ProcessError(
                error.problem, Message("continue with: yisheng resume {path}", path=self.run.path)
            ) from error
        return None

    def _observe(
        self,
        doctor: DoctorCallback,
        event_log: EventLog,
        save: Callable[[], None],
        clock: Callable[[], float],
        tracking: RunTracking | None,
    ) -> Iterator[Event]:
        """Return the events of the training with everything that the config asks for attached."""
        config, assembly = self.assembly.config, doctor.observe(self.assembly)
        # A cross-validation reports the scores of its folds: they must not choose the epoch they are measured at.
        scorer = make_scorer if self.weights is None else self.weights.share_scores(make_scorer)
        events = fit_assembly(assembly, scorer, choose_best=config.fold is None, pool=self.pool)
        events = apply_callbacks(events, assembly.state, self.event_callbacks)
        events = log_events(events, event_log, interval=config.log_every, clock=clock)
        events = attach_loggers(events, self.run.path, assembly)
        if tracking is not None:
            events = tracking.follow(events)
        attach = save_checkpoints if self.weights is None else self.weights.save_checkpoints
        events = attach(events, save, interval=config.checkpoint_every)
        stream = progress_stream() if config.epochs else None
        return events if stream is None else show_assembly_progress(events, assembly, stream)

    def _save_model(self) -> Assembly:
        """Write the best weights with everything that prediction needs; return the setup with its temperature."""
        assembly, config = self.assembly, self.assembly.config
        if self.weights is not None:
            assembly = move_to_cpu(assembly)
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
            problem = Message("{name} came after the training; the run is finished", name=name)
            raise StoppedError(number, problem, Message("see it in {path}", path=self.run.path))
        problem = Message("{name} came after the training; more is to be trained", name=name)
        raise StoppedError(number, problem, Message("continue with: yisheng resume {path}", path=self.run.path))
