"""The number of threads that a training can use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from yisheng.core import machine
from yisheng.core.messages import Message
from yisheng.models._fitted_model import FittedModel

if TYPE_CHECKING:
    from yisheng.training.setup import Assembly


def count_useful_threads(assembly: Assembly) -> int:
    """Return the number of threads that one forward pass can use; a method that fits a model itself uses all.

    Shards have the cores divided among them, whatever the number of processes: another number of threads rounds
    differently.
    """
    if isinstance(assembly.state.model, FittedModel):
        return machine.threads_worth(len(assembly.train.rows) * math.prod(assembly.spec.shape))
    batch, weights = assembly.config.batch, sum(p.numel() for p in assembly.state.model.parameters())
    useful = machine.threads_worth(batch * math.prod(assembly.spec.shape), batch * weights)
    if machine.user_set_threads():
        return useful
    return max(1, min(useful, machine.count_cores() // assembly.config.shards))


def count_free_threads(assembly: Assembly, count_busy_cores: Callable[[], float] | None = None) -> tuple[int, str]:
    """Return the number of threads that one forward pass can use on the free cores, and a note for the user, or "".

    A thread on a core that is busy with another program delays all other threads at the end of every operation.

    Args:
        assembly: the training.
        count_busy_cores: returns the number of cores that other programs use; measured now by default.
    """
    useful = count_useful_threads(assembly)
    is_fixed = machine.user_set_threads() or assembly.config.shards > 1
    if useful == 1 or is_fixed or assembly.train.device.type != "cpu":
        return useful, ""
    busy = (count_busy_cores or machine.busy_cores)()
    free = max(1, min(useful, machine.count_cores() - round(busy)))
    if free == useful:
        return useful, ""
    return free, Message(
        "other programs keep {busy} of {cores} cores busy: {free} left to train on",
        busy=f"{busy:.1f}",
        cores=machine.count_cores(),
        free=free,
    )
