"""The order of the batches: whether the same ones come again and again."""

from __future__ import annotations

import sys
from typing import Any

from yisheng.diagnosis.loss_graph import SCALING_NODES, first_child, saved_tensor

MAX_PERIOD, MAX_COMPARED, MAX_VALUES = 64, 128, 64
"""Longest period that is found, batches from the start whose targets may be compared, and values of each."""
INTERVAL = 10
"""The first ten batches are compared, then the last of every ten: any distance up to `MAX_PERIOD` is that of two of
them. Several of their steps are recorded anyway."""
MAX_EPOCHS = 16
"""First batches after an evaluation that are compared."""
MIN_REPETITIONS = 8
"""Batches that must repeat: earlier ones are no period yet."""
MIN_EPOCHS = 3
MAX_COMMON_TARGETS = 2
"""Different targets of all batches: those of the last one of an epoch, which may be smaller, and of the others."""
MIN_UNREADABLE = 5
"""Batches without targets that can be read, after which none are expected."""
NEVER = sys.maxsize

Fingerprint = tuple[float, ...]


class BatchOrder:
    """The first targets of some of the first batches, and of the first batch after each evaluation.

    If the same batches come again after at most `MAX_PERIOD`, two that are compared are equal. From then on each
    batch is compared until the period is known.

    Targets on another device are not read, since that would wait for it.

    Attributes:
        rows: rows of the first batch.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._batches: dict[int, Fingerprint] = {}
        self._epochs: list[Fingerprint] = []
        self._after_evaluation = False
        self._is_suspicious = False

    def note_evaluation(self) -> None:
        """Note that the next batch may be the first one of an epoch."""
        self._after_evaluation = True

    def add_loss(self, node: Any, number: int) -> None:
        """Add a batch by the node of its loss, which keeps the targets.

        Args:
            node: of the loss, before its backward pass; None if there is none.
            number: backward passes before.
        """
        if number >= MAX_COMPARED and not self._after_evaluation:
            return
        starts_epoch, self._after_evaluation = self._after_evaluation or number == 0, False
        if node is None or (number >= MAX_COMPARED and len(self._epochs) >= MAX_EPOCHS):
            return
        if node.name() in SCALING_NODES:
            node = first_child(node)
        target = None if node is None else saved_tensor(node, "target")
        if target is None or not target.is_cpu or not target.numel():
            return
        values = tuple(target.reshape(-1)[:MAX_VALUES].tolist())
        if number == 0:
            self.rows = len(target) if target.ndim else 1
        if number < MAX_COMPARED:
            repeats = values in self._batches.values()
            self._batches[number] = values
            if repeats or self._is_suspicious:
                self._is_suspicious = self.period == 0
        if starts_epoch:
            self._epochs.append(values)

    def find_next(self, passes: int) -> int:
        """Return the number of the next batch to compare, at least ``passes``; `NEVER` if there is none.

        Args:
            passes: backward passes so far.

        >>> order = BatchOrder()
        >>> order.add_loss(None, 0)
        >>> order.find_next(1), order.find_next(5) == NEVER
        (1, True)
        """
        if not self._batches:
            return passes if passes < MIN_UNREADABLE else NEVER
        if self._is_hopeless:
            return NEVER
        if passes < INTERVAL or (self._is_suspicious and passes < MAX_COMPARED):
            return passes
        following = passes + (INTERVAL - 1 - passes) % INTERVAL
        return following if following < MAX_PERIOD + INTERVAL else NEVER

    @property
    def _is_hopeless(self) -> bool:
        """Return whether the first targets are all equal, so that they do not tell batches apart."""
        first = next(iter(self._batches.values()))
        return len(set(first)) < 2

    @property
    def period(self) -> int:
        """Return after how many batches the same ones come again; 0 if they do not, or it is unknown."""
        batches = self._batches
        if not batches or self._is_hopeless or len(set(map(len, batches.values()))) > 2:
            return 0
        periods = range(1, min(MAX_PERIOD, max(batches)) + 1)
        return next((period for period in periods if self._has_period(period)), 0)

    def _has_period(self, period: int) -> bool:
        """Return whether batches that are a multiple of the period apart are equal, and enough of them are known."""
        earlier: dict[int, Fingerprint] = {}
        repetitions = 0
        for number, values in self._batches.items():
            if earlier.setdefault(number % period, values) is not values:
                if earlier[number % period] != values:
                    return False
                repetitions += len(set(values)) > 1
        return repetitions >= MIN_REPETITIONS

    @property
    def distinguishes(self) -> bool:
        """Return whether the targets tell the batches of a period apart: those of pairs are the same in all batches."""
        return len(set(self._batches.values())) > MAX_COMMON_TARGETS

    @property
    def begins_alike(self) -> bool:
        """Return whether the batch after each evaluation is the first batch of all."""
        return len(self._epochs) >= MIN_EPOCHS and len(set(self._epochs)) == 1 and len(set(self._epochs[0])) > 1
