"""Budget: from a time limit to the config that learns most in it.

For small images without a named network this is the preset of `yisheng.training.image_preset`. The width of its network
and the number of epochs follow from the time: some updates of each width are timed, and the widest network that gets
enough epochs is chosen. If the user names a network, only the number of epochs is chosen.
"""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from yisheng.core import autocast, machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.training.fitted import is_fitted
from yisheng.training.image_preset import DEFAULT_WIDTHS, apply_preset, fits_preset, set_learning_rate
from yisheng.training.loop import set_lr
from yisheng.training.part_batches import FittedTransforms
from yisheng.training.pretrained import Pretrained
from yisheng.training.setup import Assembly, assemble
from yisheng.training.threads import count_free_threads


class Width(NamedTuple):
    """A width of the preset's network.

    Args:
        widths: channels of its three blocks.
        min_epochs: number of epochs that must fit into the budget, so that the network converges.
    """

    widths: tuple[int, ...]
    min_epochs: int


PRESET_WIDTHS = (
    Width((64, 128, 256), 24),
    Width((48, 96, 192), 16),
    Width((32, 64, 128), 3),
    Width(DEFAULT_WIDTHS, 0),
)
MAX_EPOCHS = 1000
"""More epochs do not improve a model, on small data either."""
PLANNED_FRACTION = 0.94
"""Fraction of the budget that is planned: the remainder is for the log, checkpoints, the doctor, and a machine that
becomes slower."""
TIMING_FRACTION, MAX_TIMING_SECONDS = 0.01, 1.5
"""Fraction of the budget, and seconds at most, to time updates in; the same again for validation."""


def plan_budget(
    config: Config, dataset: Dataset, split: Split, device: torch.device, pretrained: Pretrained | None = None
) -> tuple[Config, str]:
    """Return the config with its epochs and everything else that the budget decides, and a note for the user.

    The plan assumes that the machine stays as fast as it was while updates were timed: no training is cut off.

    Args:
        config: with a ``budget``; values that the user gave stay.
        dataset: the data.
        split: its parts.
        device: where to train.
        pretrained: weights to start from.

    Raises:
        UsageError: a choice does not fit the data.
    """
    budget, finetune = config.budget, config.finetune
    assert isinstance(budget, float)
    if is_fitted(config):
        raise UsageError(
            Message("model={name} has no gradient steps that budget= could plan", name=config.model.name),
            Message("use epochs= for its stages"),
        )
    min_epochs = 2 if finetune == "gradual" else 1
    # Timed as a long training computes; gradual unfreezing ends in training all layers.
    changes = {"budget": None, "epochs": MAX_EPOCHS, "finetune": "all" if finetune == "gradual" else finetune}
    config = config.model_copy(update=changes)
    uses_preset = fits_preset(config, dataset)
    planned, seconds, epochs = config, 0.0, min_epochs
    fitted: FittedTransforms | None = None
    count_busy_cores = functools.cache(machine.busy_cores)  # measured once for all widths
    for width in _list_widths(config) if uses_preset else [None]:
        planned = config if width is None else apply_preset(config, width.widths)
        assembly = assemble(planned, dataset, split, device, pretrained, fitted=fitted)
        fitted = FittedTransforms(
            assembly.transforms["input"], assembly.transforms["target"]
        )  # the same for all widths
        seconds = _time_epoch(assembly, min(TIMING_FRACTION * budget, MAX_TIMING_SECONDS), count_busy_cores)
        epochs = min(MAX_EPOCHS, max(min_epochs, int(PLANNED_FRACTION * budget / seconds)))
        if width is None or epochs >= width.min_epochs:
            break
    if uses_preset:
        planned = set_learning_rate(planned, epochs)
    planned = planned.model_copy(update={"epochs": epochs, "finetune": finetune})
    return planned, Message(
        "budget of {budget} s: {epochs} epochs of about {seconds} s on this machine",
        budget=f"{budget:g}",
        epochs=epochs,
        seconds=f"{seconds:.1f}",
    )


def _list_widths(config: Config) -> Sequence[Width]:
    """Return the widths to time, the widest first; only the user's if there is one."""
    widths = config.model.options.get("widths")
    return [Width(widths, 0)] if widths else PRESET_WIDTHS


def _time_epoch(assembly: Assembly, duration: float, count_busy_cores: Callable[[], float]) -> float:
    """Return the seconds of an epoch with its validation, from updates of the given duration in seconds."""
    batches = itertools.chain.from_iterable(assembly.train.epoch(number) for number in itertools.count())
    device = assembly.train.device
    with machine.use_threads(count_free_threads(assembly, count_busy_cores)[0]):
        model = assembly.state.model.train()
        set_lr(assembly.state.optimizer, 1e-3)  # without the schedule's warmup the full rate could end in NaN
        seconds = len(assembly.train) * _time_median(
            lambda: assembly.step(assembly.state, next(batches), assembly.loss), duration, device
        )
        if len(assembly.validation.rows):
            validation = itertools.cycle(assembly.validation)
            model.eval()
            with torch.no_grad():
                seconds += len(assembly.validation) * _time_median(
                    lambda: autocast.forward(model, next(validation).x, bf16=assembly.validates_in_bf16),
                    duration,
                    device,
                )
    return seconds


def _time_median(function: Callable[[], object], duration: float, device: torch.device) -> float:
    """Return the median seconds of a call, after two calls to warm up; 3 calls or more, until ``duration`` is over."""
    for _ in range(2):
        function()
    times: list[float] = []
    while sum(times) < duration or len(times) < 3:
        start = time.perf_counter()
        function()
        machine.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
