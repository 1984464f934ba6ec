"""From a time that is granted to a config that learns most in it.

For small images of which nothing else is said it is a config of our own: the network `airbench`, the optimiser
`muon`, smoothed labels, small shifts, and mirror images where they mean the same, in training and in use. How wide the
network is and how often it sees the data follow from the time: each width is tried for some updates, and the widest is
taken that comes to enough epochs. Where the user has named a network, only its epochs are counted.
"""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from collections.abc import Callable

import torch

from yisheng.core import autocast, machine, registry
from yisheng.core.config import AUTO, Choice, Config
from yisheng.core.types import Dataset, Split
from yisheng.training.loop import set_lr
from yisheng.training.monitored import threads_now
from yisheng.training.setup import Assembly, Prepared, Pretrained, assemble

OURS = "airbench"
SMALL = (16, 96)
"""Rows and columns of the images that the config is meant for."""
SIZES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((64, 128, 256), 24),
    ((48, 96, 192), 16),
    ((32, 64, 128), 3),
    ((16, 32, 64), 0),
)
"""Widths of the network, and how many epochs must fit for it, so that each is trained to its end."""
RATE, WARMUP = 0.14, 0.1
"""Muon's peak rate is RATE / sqrt(epochs); the part of the run in which it rises. Chosen by trials of 4 and 16 epochs
on validation rows of Fashion-MNIST."""
MOST_EPOCHS = 1000
"""What is not learnt in so many epochs is not learnt in more, however small the data."""
SPARE = 0.94
"""Part of the time that is planned: the rest is for log, checkpoints and the doctor, and for a machine's moods."""
TRIED, MOST_TRIED = 0.01, 1.5
"""Part of the time, and seconds at most, in which the updates are made that a plan rests on; as long for validation."""


def plan(
    config: Config, dataset: Dataset, split: Split, device: torch.device, pretrained: Pretrained | None = None
) -> tuple[Config, str]:
    """The config with its epochs, and with all else that the budget decides; and what to tell the user of it.

    The plan holds as long as the machine stays as fast as it was while it was tried: nothing is cut off.

    Args:
        config: with a ``budget``; what the user has said is kept.
        dataset: the data.
        split: its parts.
        device: where to train.
        pretrained: weights to begin with.

    Raises:
        UsageError: a choice does not fit the data.
    """
    granted = config.budget
    assert granted is not None
    finetune, least = config.finetune, 2 if config.finetune == "gradual" else 1
    if finetune == "gradual":
        config = config.model_copy(update={"finetune": "all"})  # what it comes to, and what is tried
    config = config.model_copy(update={"budget": None, "epochs": MOST_EPOCHS})  # tried as what is long computes
    ours = _fits(config, dataset)
    said = config.model.options.get("widths")
    found, seconds, epochs, prepared = config, 0.0, 1, None
    taken = functools.cache(machine.taken)  # seen once for all widths
    for widths, enough in (((said, 0),) if said else SIZES) if ours else (((), 0),):
        found = _small_images(config, widths) if ours else config
        assembly = assemble(found, dataset, split, device, pretrained, prepared=prepared)
        prepared = Prepared(assembly.transforms["input"], assembly.transforms["target"])  # fitted once for all widths
        seconds = _epoch_seconds(assembly, min(TRIED * granted, MOST_TRIED), taken)
        epochs = min(MOST_EPOCHS, max(least, int(SPARE * granted / seconds)))
        if epochs >= enough:
            break
    found = (_paced(found, epochs) if ours else found).model_copy(update={"epochs": epochs, "finetune": finetune})
    return found, f"budget of {granted:g} s: {epochs} epochs of about {seconds:.1f} s on this machine"


def _fits(config: Config, dataset: Dataset) -> bool:
    """Whether the config of our own is meant for this: small images, and no other network named."""
    spec, (least, most) = dataset.spec, SMALL
    small = spec.is_image and least <= min(spec.shape[1:]) and max(spec.shape[1:]) <= most
    return small and spec.task == "classification" and config.model.name in (AUTO, OURS) and config.weights is None


def _small_images(config: Config, widths: tuple[int, ...]) -> Config:
    """What was not said, as it does best for small images."""
    name = config.data.name
    mirrored = name in registry.names("data.datasets") and bool(registry.find("data.datasets", name).meta.get("mirror"))
    said = [choice.name for choice in config.augment] != [AUTO]
    shift = Choice(name="crop", options={"pad": 2})
    ours = {
        "model": Choice(name=OURS, options={"mirror": mirrored, "widths": widths, **config.model.options}),
        "optimizer": Choice(name="muon", options=config.optimizer.options),
        "loss": Choice(name="cross-entropy", options={"smoothing": 0.1, **config.loss.options}),
        "augment": (Choice(name="flip"), shift) if mirrored else (shift,),
        "batch": 256,
    }
    keep = {
        "optimizer": config.optimizer.name != AUTO,
        "loss": config.loss.name != AUTO,
        "augment": said,
        "batch": config.batch != AUTO,
    }
    return config.model_copy(update={key: value for key, value in ours.items() if not keep.get(key)})


def _paced(config: Config, epochs: int) -> Config:
    """The learning rate for so many epochs, where none was said: few need long steps, many can afford short ones."""
    changes: dict[str, Choice] = {}
    if config.optimizer.name == "muon":
        lr = round(min(0.1, max(0.02, RATE / epochs**0.5)), 4)
        changes["optimizer"] = Choice(name="muon", options={"lr": lr, **config.optimizer.options})
    if config.schedule.name == "one-cycle":
        changes["schedule"] = Choice(name="one-cycle", options={"warmup": WARMUP, **config.schedule.options})
    return config.model_copy(update=changes)


def _epoch_seconds(assembly: Assembly, tried: float, taken: Callable[[], float]) -> float:
    """Seconds of an epoch with its validation, from so many seconds of updates that are made and thrown away."""
    updates = itertools.chain.from_iterable(assembly.train.epoch(number) for number in itertools.count())
    device = assembly.train.device
    with machine.threads(threads_now(assembly, taken)[0]):
        model = assembly.state.model.train()
        set_lr(assembly.state.optimizer, 1e-3)  # without the schedule's rise the full rate might end in NaN
        seconds = len(assembly.train) * _typical(
            lambda: assembly.step(assembly.state, next(updates), assembly.loss), tried, device
        )
        if len(assembly.validation.rows):
            seen = itertools.cycle(assembly.validation)
            model.eval()
            with torch.no_grad():
                seconds += len(assembly.validation) * _typical(
                    lambda: autocast.output(model, next(seen).x, half=assembly.half), tried, device
                )
    return seconds


def _typical(work: Callable[[], object], tried: float, device: torch.device) -> float:
    """Middle of the seconds that a piece of work takes, once it is warm."""
    for _ in range(2):
        work()
    times: list[float] = []
    while sum(times) < tried or len(times) < 3:
        began = time.perf_counter()
        work()
        machine.finish(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
