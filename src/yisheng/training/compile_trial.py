"""The trial of ``compile=auto``: compile the network of a long training, and keep that where it is clearly faster.

Compiling takes from seconds to minutes of processor time, and saves a quarter of an update at most on a CPU, often
nothing. So it is tried only where the training would take half an hour or more: a trial without a gain costs few
percent of it, and one with a gain is won back several times. The times are cached, so that the same config
always trains in the same way on the same machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from yisheng import transforms
from yisheng.core import autocast, cache_folder, machine
from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.errors import StorageError, UsageError
from yisheng.core.events import Batch
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.seeds import isolated_generators
from yisheng.models._fitted_model import FittedModel
from yisheng.models.summary import summarize
from yisheng.training.compiled import find_obstacle, keep_buffers
from yisheng.training.precision import MAX_TIME_RATIO
from yisheng.training.setup import Assembly
from yisheng.training.step_setup import build_forward, build_step
from yisheng.training.trial_cache import TrialCache, hash_trial
from yisheng.training.update import Forward, mean_loss, needs_closure

MIN_TRAINING_SECONDS = 1800.0
"""Shorter trainings are not compiled: at the usual gain of a tenth they would not win a minute of compiling back
several times."""
SLOW_MULTIPLICATIONS_PER_SECOND = 1e9
SLOW_SECONDS_PER_UPDATE = 0.01
"""A slow machine: trainings that are short even there are not timed."""
MIN_CPU_PASS_SECONDS = 0.005
"""Shorter passes on a CPU are not tried: those of 0.7 and 2.6 ms took longer when they were compiled."""
TIMED_PASSES = 5
CACHE = TrialCache("compile_trials.json")


@dataclass(frozen=True)
class CompileTrial:
    """The times of a network with and without compiled code.

    Args:
        seconds: of a forward and backward pass without it.
        compiled_seconds: with it; None if the network cannot be compiled.
        compile_seconds: that compiling took.
        reason: why the network cannot be compiled, or "".
    """

    seconds: float
    compiled_seconds: float | None
    compile_seconds: float
    reason: str = ""

    @property
    def is_faster(self) -> bool:
        """Return whether compiled code is clearly faster: a smaller gain is not worth different rounding."""
        return self.compiled_seconds is not None and self.compiled_seconds <= MAX_TIME_RATIO * self.seconds

    def describe(self) -> Message:
        """Return the result in one line."""
        if self.compiled_seconds is None:
            return Message("compile=false: the network cannot be compiled: {reason}", reason=self.reason)
        return Message(
            "compile={choice}: compiled passes take {ratio} of the time, and compiling took {seconds} s",
            choice="true" if self.is_faster else "false",
            ratio=f"{self.compiled_seconds / self.seconds:.2f}",
            seconds=f"{self.compile_seconds:.0f}",
        )


def choose_compilation(config: Config, assembly: Assembly) -> Assembly:
    """Return the training with its network compiled, if ``compile=auto`` and a trial shows that this is faster.

    Call it with the number of threads of the training: compiled code is for one number of them.

    Args:
        config: the config, perhaps with ``compile=auto``; any other value is decided already.
        assembly: the training in its initial state; it is not changed.
    """
    if config.compile != AUTO or not _is_possible(assembly) or not _can_be_long(assembly):
        return assembly
    compiled = replace(assembly, config=assembly.config.model_copy(update={"compile": True}))
    model, device = assembly.state.model, assembly.train.device
    forward = build_forward(compiled.config, model, device, len(assembly.train.rows))
    try:
        trial = _read_or_measure(assembly, forward)
    except (StorageError, UsageError):  # without the cache the next run could choose differently
        return assembly
    if trial is None:
        return assembly
    logger.info(trial.describe())
    if not trial.is_faster:
        return assembly
    return replace(compiled, step=build_step(compiled.config, model, device, None, forward=forward))


def _is_possible(assembly: Assembly) -> bool:
    """Return whether the network of a training can be compiled; folds are trained stacked."""
    config = assembly.config
    return not (
        isinstance(assembly.state.model, FittedModel)
        or config.scratch
        or config.fold is not None
        or config.finetune not in (None, "all")
        or needs_closure(assembly.state.optimizer)
        or find_obstacle(config.model_copy(update={"compile": True}), assembly.train.device)
    )


def _can_be_long(assembly: Assembly) -> bool:
    """Return whether the training can take `MIN_TRAINING_SECONDS`, without any timing."""
    updates = _count_updates(assembly)
    inputs = transforms.transform_spec(assembly.transforms["input"], assembly.spec)
    sample = next(iter(replace(assembly.train, size=1, augment=(), prefetcher=None))).x if updates else None
    products = summarize(assembly.state.model, inputs, sample).multiply_adds if updates else 0
    multiplications = 3 * products * assembly.train.size * updates
    slow = multiplications / SLOW_MULTIPLICATIONS_PER_SECOND + updates * SLOW_SECONDS_PER_UPDATE
    return slow >= MIN_TRAINING_SECONDS


def _count_updates(assembly: Assembly) -> int:
    """Return the number of updates that are still to be made."""
    return assembly.config.epochs * len(assembly.train) - assembly.state.step


def _read_or_measure(assembly: Assembly, forward: Forward) -> CompileTrial | None:
    """Return the trial of a network, from the cache if it was made before; None if training or passes are short.

    Raises:
        StorageError: the cache folder is not writable.
        UsageError: the cache folder is not a folder.
    """
    batch = next(iter(replace(assembly.train, size=assembly.config.batch, augment=(), prefetcher=None)))
    timer = _PassTimer(assembly, batch)
    seconds = timer.measure(autocast.forward)
    is_short_pass = assembly.train.device.type == "cpu" and seconds < MIN_CPU_PASS_SECONDS
    if is_short_pass or seconds * _count_updates(assembly) * assembly.config.accumulate < MIN_TRAINING_SECONDS:
        return None
    config, model = assembly.config, assembly.state.model
    details = (len(batch), config.precision, config.memory_format, torch.get_num_threads(), torch.__version__)
    key = hash_trial(config.model, model, tuple(assembly.spec.shape), *details)
    with cache_folder.hold_lock(CACHE.lock, Message("compiling a network for a trial")):
        trial = _read(CACHE.read(key))
        if trial is None:
            logger.info(Message("compiling the network to see whether that is faster (compile=auto)"))
            trial = timer.compare(forward)
            CACHE.write(
                key,
                {
                    "seconds": trial.seconds,
                    "compiled_seconds": trial.compiled_seconds,
                    "compile_seconds": trial.compile_seconds,
                },
            )
    return trial


def _read(entry: Any) -> CompileTrial | None:
    """Return a cached trial, or None if the entry is missing or damaged."""
    names = ("seconds", "compiled_seconds", "compile_seconds")
    if not isinstance(entry, dict) or set(entry) != set(names):
        return None
    seconds, compiled_seconds, compile_seconds = (entry[name] for name in names)
    if not all(map(_is_duration, (seconds, 1.0 if compiled_seconds is None else compiled_seconds, compile_seconds))):
        return None
    reason = Message("it failed in an earlier trial on this machine") if compiled_seconds is None else ""
    return CompileTrial(seconds, compiled_seconds, compile_seconds, reason)


def _is_duration(value: Any) -> bool:
    return type(value) is float and 0 < value < float("inf")


class _PassTimer:
    """Time the passes of a training, all others as they were.

    Args:
        assembly: the training.
        batch: samples of one pass.
    """

    def __init__(self, assembly: Assembly, batch: Batch) -> None:
        self._assembly, self._batch = assembly, batch
        self._model: nn.Module = assembly.state.model
        self._parameters = [p for p in self._model.parameters() if p.requires_grad]
        one_thread = batch.index.device.type == "cpu" and torch.get_num_threads() == 1
        self._clock: Callable[[], float] = time.thread_time if one_thread else time.perf_counter

    def measure(self, forward: Forward) -> float:
        """Return the seconds of a forward and backward pass, the shortest of some."""
        return min(times[0] for times in self._time_in_turn([forward]))

    def compare(self, forward: Forward) -> CompileTrial:
        """Return the times without and with compiled code, which alternate."""
        start = time.perf_counter()
        try:
            self._time_once(forward)
        except UsageError as error:
            seconds = time.perf_counter() - start
            return CompileTrial(self.measure(autocast.forward), None, seconds, error.problem)
        compile_seconds = time.perf_counter() - start
        times = self._time_in_turn([autocast.forward, forward])
        plain, compiled = (min(pair[i] for pair in times) for i in range(2))
        return CompileTrial(plain, compiled, compile_seconds)

    def _time_in_turn(self, forwards: list[Forward]) -> list[list[float]]:
        for forward in forwards:
            self._time_once(forward)  # the first pass warms up
        return [[self._time_once(forward) for forward in forwards] for _ in range(TIMED_PASSES)]

    def _time_once(self, forward: Forward) -> float:
        assembly, was_training = self._assembly, self._model.training
        device = self._batch.index.device
        self._model.train()
        try:
            with isolated_generators(), keep_buffers(self._model), torch.enable_grad():
                start = self._clock()
                loss = mean_loss(self._model, self._batch, assembly.loss, assembly.config.precision, forward)
                torch.autograd.grad(loss, self._parameters, allow_unused=True)
                machine.synchronize(device)
                return self._clock() - start
        finally:
            self._model.train(was_training)
