"""The loop, on one screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import nn

from yisheng.core.types import Batch, Epoched, Event, Stepped
from yisheng.data.batches import Batches
from yisheng.training.state import State

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Step = Callable[[State, Batch, Loss], torch.Tensor]
Scorer = Callable[[nn.Module, Iterable[Batch]], Mapping[str, float]]
Factor = Callable[[int, int, int], float]


def fit(
    state: State,
    train: Batches,
    valid: Batches,
    *,
    loss: Loss,
    score: Scorer,
    epochs: int,
    schedule: Factor,
    step: Step,
) -> Iterator[Event]:
    """Train ``state`` in place, telling what happens. To stop it, stop listening.

    Args:
        state: where to begin, mid-epoch too; it is complete and consistent at every event.
        train: training batches, shuffled by epoch.
        valid: validation batches; may be empty.
        loss: ``(output, y) -> (B,)``.
        score: ``(model, batches) -> {name: value}``.
        epochs: total number of epochs, those already done included.
        schedule: ``(step, steps, per_epoch) -> factor`` of the learning rate.
        step: one update; see `yisheng.training.update.make_update`.
    """
    while state.epoch < epochs:
        state.model.train()
        for batch in train.epoch(state.epoch, start=state.position):
            lr = set_lr(state.optimizer, schedule(state.step, epochs * len(train), len(train)))
            value = step(state, batch, loss)
            state.advance(value, len(batch))
            yield Stepped(state.step, state.epoch, lr, value, batch)
        scores = score(state.model, valid) if len(valid.rows) else {}
        mean = state.end_epoch()
        yield Epoched(state.step, state.epoch, mean, scores)


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's learning rate to ``factor`` times its initial one; gives the first group's."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])
