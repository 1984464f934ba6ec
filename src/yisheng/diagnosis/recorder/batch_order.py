"""The order of the batches: whether the same ones come again and again."""

from __future__ import annotations

from typing import Any

from yisheng.diagnosis.loss_graph import SCALING_NODES, first_child, saved_tensor

MAX_COMPARED, MAX_VALUES = 128, 16
"""Batches from the start whose targets are compared, and values of each."""
MAX_EPOCHS = 16
"""First batches after an evaluation that are compared."""
MIN_REPETITIONS = 8
"""Batches that must repeat: earlier ones are no period yet."""
MIN_EPOCHS = 3
MIN_UNREADABLE = 5
"""Updates without targets that can be read, after which none are expected."""

Fingerprint = tuple[float, ...]


class BatchOrder:
    """The first targets of each of the first batches, and of the first batch after each evaluation.

    Targets on another device are not read, since that would wait for it.

    Attributes:
        rows: rows of the first batch.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._batches: list[Fingerprint] = []
        self._epochs: list[Fingerprint] = []
        self._after_evaluation = False

    def note_evaluation(self) -> None:
        """Note that the next batch may be the first one of an epoch."""
        self._after_evaluation = True

    def add_loss(self, node: Any, step: int) -> None:
        """Add a batch by the node of its loss, which keeps the targets.

        Args:
            node: of the loss, before its backward pass; None if there is none.
            step: updates made before.
        """
        if step >= MAX_COMPARED and not self._after_evaluation:
            return
        starts_epoch, self._after_evaluation = self._after_evaluation or step == 0, False
        if node is None or (step >= MAX_COMPARED and len(self._epochs) >= MAX_EPOCHS):
            return
        if node.name() in SCALING_NODES:
            node = first_child(node)
        target = None if node is None else saved_tensor(node, "target")
        if target is None or not target.is_cpu or not target.numel():
            return
        values = tuple(target.reshape(-1)[:MAX_VALUES].tolist())
        if step == 0:
            self.rows = len(target) if target.ndim else 1
        if step < MAX_COMPARED and not self._is_decided:
            self._batches.append(values)
        if starts_epoch:
            self._epochs.append(values)

    def is_complete(self, steps: int) -> bool:
        """Return whether the targets of the next batch need not be compared.

        Args:
            steps: updates made.
        """
        if steps >= MAX_COMPARED:
            return True
        return self._is_decided if self._batches else steps >= MIN_UNREADABLE

    @property
    def _is_decided(self) -> bool:
        """Return whether enough batches were compared to know the period.

        Of a period of at most half of `MAX_COMPARED` the first batch has come again by then.
        """
        batches = self._batches
        return len(batches) > MAX_COMPARED // 2 and (batches[0] not in batches[1:] or self.period > 0)

    @property
    def period(self) -> int:
        """Return after how many batches the same ones come again; 0 if they do not, or it is unknown."""
        batches = self._batches
        if len(set(map(len, batches))) > 2 or any(len(set(values)) < 2 for values in batches[:1]):
            return 0
        for period in range(1, len(batches) // 2 + 1):
            repeats = len(batches) - period >= max(MIN_REPETITIONS, period)
            if repeats and batches[period:] == batches[:-period]:
                return period
        return 0

    @property
    def begins_alike(self) -> bool:
        """Return whether the batch after each evaluation is the first batch of all."""
        return len(self._epochs) >= MIN_EPOCHS and len(set(self._epochs)) == 1 and len(set(self._epochs[0])) > 1
