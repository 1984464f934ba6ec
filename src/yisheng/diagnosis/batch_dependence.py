"""Find an evaluation whose predictions depend on which rows are in one batch, and are worse for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.batched_outputs import predict_in_batches
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.statistics import describe_inputs

CHECK = "batch-norm-statistics"
MAX_ROWS, MIN_ROWS, MIN_BATCH = 20_000, 100, 2
MIN_Z, MIN_LOST = 4.0, 0.05
"""Rows that only one of two orders predicts correctly: their difference in standard deviations, and relative to all
rows. A network that treats each row by itself predicts the same in every order."""
MAX_ROUNDING = 1e-4
"""Relative difference of the mean of a recorded batch from that of the given rows at the same place."""


def find_batch_dependence(case: Case, validation: Any) -> Iterator[Finding]:
    """Yield that the order of the validation rows decides how many classes the trained network recognizes.

    Args:
        case: the finished training.
        validation: the held-out rows ``(x, y)``, in the order of the evaluation.

    Source: Ioffe and Szegedy, "Batch normalization", 2015, section 3.1 (statistics of the population, not of the batch,
    in evaluation); PyTorch documentation, torch.nn.BatchNorm1d (track_running_stats).
    """
    is_pair = isinstance(validation, tuple | list) and len(validation) == 2
    if not is_pair or not all(isinstance(part, torch.Tensor) for part in validation) or case.is_restored:
        return
    x, y = validation
    names = [
        name
        for name, module in case.model.named_modules()
        if "BatchNorm" in type(module).__name__ and getattr(module, "running_mean", "") is None
    ]
    size = _find_batch_size(case, x)
    if not names or not size >= MIN_BATCH or not MIN_ROWS <= len(x) <= MAX_ROWS or y.is_floating_point() or y.ndim != 1:
        return
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(x), generator=generator)
    outputs = [predict_in_batches(case.model, rows, size) for rows in (x, x[order])]
    if any(output is None or output.ndim != 2 for output in outputs):
        return
    predicted = [output.argmax(1) for output in outputs if output is not None]
    is_right, shuffled = predicted[0] == y.cpu(), torch.empty(len(x), dtype=torch.bool)
    shuffled[order] = predicted[1] == y.cpu()[order]
    lost, won = int((shuffled & ~is_right).sum()), int((is_right & ~shuffled).sum())
    if lost - won < MIN_LOST * len(x) or lost - won < MIN_Z * math.sqrt(lost + won):
        return
    accuracies = float(is_right.float().mean()), float(shuffled.float().mean())
    yield Finding(
        CHECK,
        "error",
        {"accuracy": accuracies[0], "in random order": accuracies[1], "rows of a batch": size, "layer": names[0]},
        Message(
            "layer {layer} normalizes each evaluated batch by itself: {accuracy} of the validation rows are predicted "
            "correctly in their order, with similar rows in one batch of {size}, and {shuffled} in random order",
            layer=names[0],
            accuracy=f"{accuracies[0]:.0%}",
            size=size,
            shuffled=f"{accuracies[1]:.0%}",
        ),
        Message(
            "let batch norm keep running statistics (track_running_stats=True) and evaluate with model.eval(), or use "
            "a layer that treats each row by itself, such as nn.LayerNorm or nn.GroupNorm"
        ),
        source=case.sources.get("evaluation", ""),
    )


def _find_batch_size(case: Case, x: torch.Tensor) -> int:
    """Return the rows of the recorded evaluated batches if these are the first given rows in their order, else 0."""
    start = 0
    sizes: list[int] = []
    for record in case.evaluated.inputs:
        rows = x[start : start + (record.shape[0] if record.shape else 0)]
        if tuple(rows.shape) != tuple(record.shape) or not len(rows):
            return 0
        expected = describe_inputs(rows.detach())
        if abs(expected.mean - record.mean) > MAX_ROUNDING * max(expected.std, 1e-12):
            return 0
        start, sizes = start + len(rows), [*sizes, len(rows)]
    return max(sizes, default=0)
