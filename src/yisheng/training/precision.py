"""How a network computes fastest on this machine, found out by a short trial of it.

Two things can be chosen without changing what is learnt beyond rounding: the precision of the forward pass (bfloat16
halves the bytes, and some processors multiply it faster) and the order of an image's numbers in memory (``channels
last`` puts the channels of a pixel side by side, as the convolutions of most libraries like them). Which is faster
depends on the network, the processor and the version of torch; so each is timed, on a few rows of the data, before
training begins. What was found is remembered, so that the same config trains alike on the same machine.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from yisheng.core import files, machine
from yisheng.core.config import Config
from yisheng.core.errors import StorageError, UsageError, YishengError
from yisheng.core.types import Batch, Spec
from yisheng.data.batches import Batches
from yisheng.data.hub import locations
from yisheng.models.summary import summary
from yisheng.training.loop import Loss
from yisheng.training.update import Precision, mean_loss

MemoryFormat = Literal["contiguous", "channels-last"]
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
PLAIN: tuple[Precision, MemoryFormat] = ("fp32", "contiguous")

WORTH = 1e10
"""Multiplications of a whole training, forward, from which on a trial is worth its time, mostly below a second."""
ROUND = 2e9
"""Multiplications of one timed pass forward: as many rows are taken."""
ROUNDS = 4
GAIN = 0.95
"""What is not faster than this part of the time of plain float32 is not worth another rounding."""
REFUSED = math.inf
"""Seconds of a way that a layer does not bear."""
KEPT = 200
"""Trials that are remembered."""


@dataclass(frozen=True)
class Pace:
    """How to compute.

    Args:
        precision: of the forward pass; see `yisheng.training.update.mean_loss`.
        memory_format: of the convolutions' weights, which the images follow.
        seconds: what a pass forward and back of some rows took with each (``bf16, channels-last``), the plainest
            first; empty where nothing was tried.
    """

    precision: Precision
    memory_format: MemoryFormat
    seconds: dict[str, float]

    def __str__(self) -> str:
        """The trial in one line."""
        first = next(iter(self.seconds.values()))
        parts = ", ".join(f"{name} {seconds / first:.2f}" for name, seconds in self.seconds.items())
        return f"computing with precision={self.precision} memory_format={self.memory_format}; in a trial: {parts}"


def pace(config: Config, model: nn.Module, spec: Spec, train: Batches, loss: Loss, updates: int) -> Pace:
    """What ``precision`` and ``memory_format`` are where the config says ``auto``.

    Float32 and the usual order, unless the whole training is long enough for a trial. Half precision is tried where
    classes are learnt and the hardware has instructions for it; channels last on networks with convolutions.

    Args:
        config: the choices; what is not ``auto`` is left as it is.
        model: on its device; it is copied, not changed, and no random generator moves.
        spec: the contract of the scaled inputs.
        train: the training part, of which the first rows are taken.
        loss: ``(output, y) -> (B,)``.
        updates: of the whole training.
    """
    precisions = _precisions(config, spec, train.device)
    formats = _formats(config, model)
    asked = [(one, other) for one in precisions for other in formats]
    if len(asked) == 1 or not _measurable(train.device):
        return Pace(*asked[0], {})
    work = max(1, summary(model, spec).multiply_adds)
    if work * train.size * updates < WORTH:
        return Pace(*asked[0], {})
    rows = min(train.size, len(train.rows), max(2, round(ROUND / work)))
    key = _key(config, model, spec, rows, asked)
    seconds = _remembered(key, asked)
    if seconds is None:
        try:  # of processes that begin at once one tries, while the others wait
            with locations.alone(locations.home() / "pace.lock", "trying how a network computes fastest"):
                seconds = _remembered(key, asked)
                if seconds is None:
                    seconds = _timed(model, next(iter(replace(train, size=rows, augment=()))), loss, asked)
                    _remember(key, seconds)
        except (StorageError, UsageError):  # the next run would have to try again, and might choose otherwise
            return Pace(*asked[0], {})
    first = asked[0]
    best = min(asked, key=lambda one: seconds[_name(*one)])
    if seconds[_name(*best)] > GAIN * seconds[_name(*first)]:
        best = first
    return Pace(*best, seconds)


def _measurable(device: torch.device) -> bool:
    """Whether times of some milliseconds can be told here; Windows counts a thread's in steps of 16, and says finer."""
    if device.type == "cuda":
        return True
    fine = sys.platform != "win32" and time.get_clock_info("thread_time").resolution < 1e-4
    return device.type == "cpu" and fine


def _precisions(config: Config, spec: Spec, device: torch.device) -> list[Precision]:
    if config.precision != "auto":
        return [config.precision]
    if _plainly(config) or spec.task == "regression":  # eight bits of a number are too few to predict one
        return ["fp32"]
    return ["fp32", "bf16"] if machine.halves(device) else ["fp32"]


def _formats(config: Config, model: nn.Module) -> list[MemoryFormat]:
    if config.memory_format != "auto":
        return [config.memory_format]
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return ["contiguous", "channels-last"] if convolves and not _plainly(config) else ["contiguous"]


def _plainly(config: Config) -> bool:
    """What is written by hand, and the folds of a study, which may be trained as one, compute in one way only."""
    return config.scratch or config.fold is not None


def _timed(model: nn.Module, batch: Batch, loss: Loss, asked: list[tuple[Precision, MemoryFormat]]) -> dict[str, float]:
    """Least seconds of a pass forward and back, turn about.

    On a processor they are those of one thread at work: what else the machine does hardly counts then. A way that a
    layer does not bear takes for ever.
    """
    on_cpu = batch.x.device.type == "cpu"
    clock = time.thread_time if on_cpu else time.perf_counter
    networks = [
        copy.deepcopy(model).train().to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload]
        for _, memory_format in asked
    ]
    least, refused = [REFUSED] * len(asked), set[int]()
    one = machine.threads(1) if on_cpu else contextlib.nullcontext()
    with one, torch.random.fork_rng([] if on_cpu else [batch.x.device]), torch.enable_grad():
        for turn in range(ROUNDS + 1):
            for number, (network, (precision, _)) in enumerate(zip(networks, asked, strict=True)):
                if number in refused:
                    continue
                began = clock()
                try:
                    mean_loss(network, batch, loss, precision).backward()
                except RuntimeError:
                    if not number:
                        raise  # plainly it must work
                    refused.add(number)
                    continue
                machine.finish(batch.x.device)
                if turn:  # the first is to warm up
                    least[number] = min(least[number], clock() - began)
                network.zero_grad()
    return {_name(*one): round(seconds, 6) for one, seconds in zip(asked, least, strict=True)}


def _name(precision: str, memory_format: str) -> str:
    return f"{precision}, {memory_format}"


def _key(config: Config, model: nn.Module, spec: Spec, rows: int, asked: list[tuple[Precision, MemoryFormat]]) -> str:
    """Names the network, the rows, the machine and the code, as another version may compute otherwise."""
    shapes = [tuple(p.shape) for p in model.parameters()]
    device = next(model.parameters()).device
    there = machine.processor()[0] if device.type == "cpu" else torch.cuda.get_device_name(device)
    text = repr((config.model, shapes, spec.shape, rows, asked, there, torch.__version__, machine.code()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _trials() -> dict[str, Any]:
    try:
        found = files.read_json(_path(), limit=1 << 20)
    except (YishengError, OSError):
        return {}  # none yet, or damaged: tried again
    return found if isinstance(found, dict) else {}


def _remembered(key: str, asked: list[tuple[Precision, MemoryFormat]]) -> dict[str, float] | None:
    """The seconds of an earlier trial; None where there is none, or something else stands there."""
    found, names = _trials().get(key), [_name(*one) for one in asked]
    if not isinstance(found, dict) or set(found) != set(names):
        return None
    seconds = {name: REFUSED if found[name] is None else found[name] for name in names}
    whole = all(type(value) in (int, float) and value > 0 for value in seconds.values())
    return seconds if whole and seconds[names[0]] < REFUSED else None


def _remember(key: str, seconds: dict[str, float]) -> None:
    """Keep the last trials.

    Raises:
        StorageError: the folder cannot be written to.
    """
    kept = {**_trials(), key: {name: value if value < REFUSED else None for name, value in seconds.items()}}
    kept = dict(list(kept.items())[-KEPT:])
    files.write(_path(), json.dumps(kept, indent=1) + "\n", sync=False)


def _path() -> Path:
    return locations.home() / "pace.json"
