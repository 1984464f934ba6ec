"""Train a user's network again from its initial weights: at another rate, or on the given rows as they are."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.given_rows import compare

MAX_PARAMETERS, MAX_STEPS, MAX_SECONDS = 2_000_000, 400, 10.0
"""Parameters of which a copy is kept (8 MB), updates of a training that starts again, and the processor time that each
thread of torch may spend on it."""
MIN_TIMED_UPDATES = 5
"""Updates from which the time of all is estimated."""
MAX_REMAINING_AFTER_RESTART = 0.6
"""Held-out loss of a training that starts again relative to that of the training itself, below which it is far better:
repetitions from the same weights differ by 10%."""


@dataclass(frozen=True)
class Beginning:
    """A network and its optimizer before the first update."""

    model: nn.Module
    optimizer: torch.optim.Optimizer


def copy_beginning(model: nn.Module, optimizer: torch.optim.Optimizer, *parts: Any) -> Beginning | None:
    """Return copies of a small network and its optimizer; None if the given parts are no pairs of tensors on the CPU.

    >>> net = nn.Linear(2, 1)
    >>> rows = (torch.ones(4, 2), torch.ones(4, 1))
    >>> beginning = copy_beginning(net, torch.optim.SGD(net.parameters(), lr=0.1), rows, rows)
    >>> beginning.model is net, copy_beginning(net, torch.optim.SGD(net.parameters(), lr=0.1), rows, None)
    (False, None)
    """
    pairs = [part for part in parts if isinstance(part, tuple | list) and len(part) == 2]
    tensors = [value for pair in pairs for value in pair]
    parameters = list(model.parameters())
    is_lazy = any(isinstance(p, nn.UninitializedParameter) for p in parameters)
    if len(pairs) < len(parts) or not all(isinstance(value, torch.Tensor) for value in tensors) or is_lazy:
        return None
    if sum(p.numel() for p in parameters) > MAX_PARAMETERS or any(not p.is_cpu for p in parameters):
        return None
    try:
        return Beginning(*copy.deepcopy((model, optimizer)))
    except Exception:  # a network of the program's own may refuse in any way
        return None


def takes_too_long(started: float, count: int, updates: int) -> bool:
    """Return whether updates will take more processor time than they may, judged by those made so far.

    Time that other programs take does not count, so that a busy machine changes no finding.

    Args:
        started: processor time before the first update, in seconds.
        count: updates made since.
        updates: all that are to be made.

    >>> takes_too_long(time.process_time(), 5, 400), takes_too_long(time.process_time() - 1e3, 5, 400)
    (False, True)
    """
    seconds = (time.process_time() - started) / torch.get_num_threads()
    return count >= MIN_TIMED_UPDATES and seconds / count * updates > MAX_SECONDS


def train_again(
    beginning: Beginning,
    lr: float,
    loss: Any,
    data: Sequence[torch.Tensor],
    validation: Sequence[torch.Tensor],
    *,
    steps: int,
    batch: int,
) -> float:
    """Return the held-out loss after some updates of a copy; NaN if it takes too long or the rows do not fit.

    The caller preserves the random generators.

    Args:
        beginning: where to start.
        lr: the learning rate, constant.
        loss: ``(output, target)`` -> mean loss.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.
        steps: updates, at most `MAX_STEPS`.
        batch: rows of a batch.
    """
    output = predict_after_restart(beginning, lr, loss, data, validation[0], steps=steps, batch=batch)
    if output is None:
        return math.nan
    value = float(compare(loss, output, validation[1]))
    return value if math.isfinite(value) else math.inf


def predict_after_restart(
    beginning: Beginning,
    lr: float,
    loss: Any,
    data: Sequence[torch.Tensor],
    x: torch.Tensor,
    *,
    steps: int,
    batch: int,
) -> torch.Tensor | None:
    """Return the outputs of a copy after some updates from its initial weights; None if it takes too long.

    Args:
        beginning: where to start.
        lr: the learning rate, constant.
        loss: ``(output, target)`` -> mean loss.
        data: the training rows ``(x, y)``.
        x: inputs of the rows to predict.
        steps: updates, at most `MAX_STEPS`.
        batch: rows of a batch.
    """
    model, optimizer = copy.deepcopy((beginning.model, beginning.optimizer))
    for group in optimizer.param_groups:
        group["lr"] = lr
    model.train()
    generator, started, updates = torch.Generator().manual_seed(0), time.process_time(), min(steps, MAX_STEPS)
    for number in range(updates):
        if takes_too_long(started, number, updates):
            return None
        rows = torch.randint(0, len(data[0]), (batch,), generator=generator)
        optimizer.zero_grad()
        compare(loss, model(data[0][rows]), data[1][rows]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        output: torch.Tensor = model(x)
    return output
