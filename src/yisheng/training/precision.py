"""Precision search: time each precision and memory format on this machine, and choose the fastest.

Two choices change nothing but rounding: the precision of the forward pass (bfloat16 halves the bytes, and some
processors multiply it faster) and the memory format of images (``channels-last`` stores the channels of a pixel next
to each other, which most convolution libraries prefer). Which is faster depends on the network, the processor and
the version of torch, so each combination is timed on a few rows of the data before training begins. The times are
cached, so that the same config always trains in the same way on the same machine.
"""

from __future__ import annotations

import contextlib
import copy
import math
import sys
import time
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from yisheng.core import cache_folder, machine
from yisheng.core.config import Config
from yisheng.core.errors import StorageError, UsageError
from yisheng.core.events import Batch
from yisheng.core.input_spec import Inputs
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches
from yisheng.models.summary import summarize
from yisheng.training.loop import Loss
from yisheng.training.trial_cache import TrialCache, hash_trial
from yisheng.training.update import Precision, mean_loss

MemoryFormat = Literal["contiguous", "channels-last"]
Candidate = tuple[Precision, MemoryFormat]

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
DEFAULT_FORMAT: Candidate = ("fp32", "contiguous")

MIN_TRAINING_MULTIPLICATIONS = 1e10
"""Skip the search if all forward passes together need fewer multiplications: it would cost more than it saves.

A search usually takes less than a second."""
PASS_MULTIPLICATIONS = 2e9
"""Target number of multiplications of one timed forward pass; it determines the number of rows."""
TIMED_PASSES = 4
MAX_TIME_RATIO = 0.95
"""A candidate is chosen only if it takes less than this fraction of the default's time: a smaller gain is not worth
different rounding."""
UNSUPPORTED = math.inf
"""Time recorded for a candidate that some layer does not support."""
CACHE = TrialCache("precision_search.json")


@dataclass(frozen=True)
class ComputeFormat:
    """The precision and the memory format of a training run.

    Args:
        precision: of the forward pass; see `yisheng.training.update.mean_loss`.
        memory_format: of the convolutions' weights; the images use the same one.
        seconds: duration of a forward and backward pass on a few rows for each candidate (``bf16, channels-last``),
            the default first; empty if nothing was timed.
    """

    precision: Precision
    memory_format: MemoryFormat
    seconds: dict[str, float]

    def describe(self) -> Message:
        """Return the choice and the relative times in one line."""
        default = next(iter(self.seconds.values()))
        times = ", ".join(f"{label} {seconds / default:.2f}" for label, seconds in self.seconds.items())
        return Message(
            "computing with precision={precision} memory_format={memory_format}; relative times: {times}",
            precision=self.precision,
            memory_format=self.memory_format,
            times=times,
        )


def search_precision(
    config: Config, model: nn.Module, spec: Spec, train: Batches, loss: Loss, updates: int
) -> ComputeFormat:
    """Return the precision and memory format to train with, searching where the config says ``auto``.

    If training is too short for a search to pay off, the result is float32 and contiguous memory. bfloat16 is a
    candidate for classification on hardware with instructions for it, channels-last for networks with convolutions.

    Args:
        config: the config; values other than ``auto`` are kept.
        model: on its device; it is copied, not changed, and the random generators are left as they are.
        spec: the contract of the scaled inputs.
        train: the training part; one batch of it is timed.
        loss: ``(output, y) -> (B,)``.
        updates: number of updates of the complete training run.
    """
    precisions = _list_precisions(config, spec, train.device)
    memory_formats = _list_memory_formats(config, model)
    candidates = [(precision, memory_format) for precision in precisions for memory_format in memory_formats]
    default = candidates[0]
    if len(candidates) == 1 or not _has_fine_clock(train.device):
        return ComputeFormat(*default, {})
    multiplications = max(1, summarize(model, spec, _take_row(train)).multiply_adds)
    if multiplications * train.size * updates < MIN_TRAINING_MULTIPLICATIONS:
        return ComputeFormat(*default, {})
    rows = min(train.size, len(train.rows), max(2, round(PASS_MULTIPLICATIONS / multiplications)))
    key = hash_trial(config.model, model, spec.shape, rows, candidates)
    seconds = _read_cached(key, candidates)
    if seconds is None:
        try:  # if several processes start together, one searches and the others wait for it
            with cache_folder.hold_lock(CACHE.lock, Message("searching the fastest precision")):
                seconds = _read_cached(key, candidates)
                if seconds is None:
                    seconds = _time_formats(model, next(iter(replace(train, size=rows, augment=()))), loss, candidates)
                    _write_cached(key, seconds)
        except (StorageError, UsageError):  # without the cache the next run could choose differently
            return ComputeFormat(*default, {})
    fastest = min(candidates, key=lambda candidate: seconds[_label(candidate)])
    if seconds[_label(fastest)] > MAX_TIME_RATIO * seconds[_label(default)]:
        fastest = default
    return ComputeFormat(*fastest, seconds)


def _take_row(train: Batches) -> Inputs:
    """Return the inputs of one training row."""
    return next(iter(replace(train, size=1, augment=(), prefetcher=None))).x


def _has_fine_clock(device: torch.device) -> bool:
    """Return whether the clock can measure milliseconds; on Windows a thread's CPU time advances in steps of 16 ms."""
    if device.type == "cuda":
        return True
    return device.type == "cpu" and sys.platform != "win32" and time.get_clock_info("thread_time").resolution < 1e-4


def _list_precisions(config: Config, spec: Spec, device: torch.device) -> list[Precision]:
    if config.precision != "auto":
        return [config.precision]
    if _requires_default(config) or spec.task == "regression":  # bfloat16 has too few bits for regression
        return ["fp32"]
    return ["fp32", "bf16"] if machine.has_bfloat16(device) else ["fp32"]


def _list_memory_formats(config: Config, model: nn.Module) -> list[MemoryFormat]:
    if config.memory_format != "auto":
        return [config.memory_format]
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return ["contiguous", "channels-last"] if convolves and not _requires_default(config) else ["contiguous"]


def _requires_default(config: Config) -> bool:
    """Return whether the config requires the default: from-scratch layers, or a fold, which may be trained stacked."""
    return config.scratch or config.fold is not None


def _time_formats(model: nn.Module, batch: Batch, loss: Loss, candidates: list[Candidate]) -> dict[str, float]:
    """Time a forward and backward pass of each candidate in turn; return the shortest time of each by label.

    On a CPU this is the CPU time of one thread, which other programs hardly affect. A candidate that some layer does
    not support gets the time ``UNSUPPORTED``.
    """
    on_cpu = batch.index.device.type == "cpu"
    clock = time.thread_time if on_cpu else time.perf_counter
    networks = [
        copy.deepcopy(model).train().to(memory_format=MEMORY_FORMATS[memory_format])  # type: ignore[call-overload]
        for _, memory_format in candidates
    ]
    shortest = [UNSUPPORTED] * len(candidates)
    unsupported: set[int] = set()
    one_thread = machine.use_threads(1) if on_cpu else contextlib.nullcontext()
    with one_thread, torch.random.fork_rng([] if on_cpu else [batch.index.device]), torch.enable_grad():
        for number in range(TIMED_PASSES + 1):
            for i, (network, (precision, _)) in enumerate(zip(networks, candidates, strict=True)):
                if i in unsupported:
                    continue
                start = clock()
                try:
                    mean_loss(network, batch, loss, precision).backward()
                except RuntimeError:
                    if i == 0:
                        raise  # the default must work
                    unsupported.add(i)
                    continue
                machine.synchronize(batch.index.device)
                if number:  # the first pass warms up
                    shortest[i] = min(shortest[i], clock() - start)
                network.zero_grad()
    return {_label(candidate): round(seconds, 6) for candidate, seconds in zip(candidates, shortest, strict=True)}


def _label(candidate: Candidate) -> str:
    return ", ".join(candidate)


def _read_cached(key: str, candidates: list[Candidate]) -> dict[str, float] | None:
    """Return the times of an earlier search, or None if there is none or its entry is damaged."""
    entry, labels = CACHE.read(key), [_label(candidate) for candidate in candidates]
    if not isinstance(entry, dict) or set(entry) != set(labels):
        return None
    seconds = {label: UNSUPPORTED if entry[label] is None else entry[label] for label in labels}
    valid = all(type(value) in (int, float) and value > 0 for value in seconds.values())
    return seconds if valid and seconds[labels[0]] < UNSUPPORTED else None


def _write_cached(key: str, seconds: dict[str, float]) -> None:
    """Keep the times of a search.

    Raises:
        StorageError: the folder is not writable.
    """
    CACHE.write(key, {label: value if value < UNSUPPORTED else None for label, value in seconds.items()})
