"""The training loop, on one screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import nn

from yisheng.core.events import Batch, EpochEnd, Event, StepEnd
from yisheng.data.batches import Batches
from yisheng.training.state import State

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Step = Callable[[State, Batch, Loss], torch.Tensor]
Scorer = Callable[[nn.Module, Iterable[Batch]], Mapping[str, float]]
Schedule = Callable[[int, int, int], float]


def fit(
    state: State,
    train: Batches,
    valid: Batches,
    *,
    loss: Loss,
    score: Scorer,
    epochs: int,
    schedule: Schedule,
    step: Step,
) -> Iterator[Event]:
    """Train ``state`` in place and yield an event for every step and epoch. To stop, stop iterating.

    Args:
        state: the initial state, which may be in the middle of an epoch; it is complete and consistent at every event.
        train: training batches, shuffled by epoch.
        valid: validation batches; may be empty.
        loss: ``(output, y) -> (B,)``.
        score: ``(model, batches) -> {name: value}``.
        epochs: total number of epochs, including finished ones.
        schedule: ``(step, steps, steps_per_epoch) -> factor`` of the learning rate.
        step: one update; see `yisheng.training.update.make_update`.
    """
    while state.epoch < epochs:
        state.model.train()
        for batch in train.epoch(state.epoch, start=state.position):
            lr = set_lr(state.optimizer, schedule(state.step, epochs * len(train), len(train)))
            value = step(state, batch, loss)
            state.advance(value, len(batch))
            yield StepEnd(state.step, state.epoch, lr, value, batch)
        scores = score(state.model, valid) if len(valid.rows) else {}
        mean = state.end_epoch()
        yield EpochEnd(state.step, state.epoch, mean, scores)


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's learning rate to ``factor`` times its initial one; return the first group's."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])
