"""Class numbers that were interpolated between their neighbors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.recorder.statistics import is_discrete

MIN_LENGTH = 6
"""Places in a row of a mask, below which regions have no width."""
MAX_WIDTH, MAX_WIDTH_FRACTION = 2, 1 / 8
"""Width of a line of classes in between, in places or relative to the row: interpolation leaves as many as it adds."""
MIN_LINES = 30
"""Thin lines; a few may have been drawn."""
MIN_THIN_FRACTION = 0.7
"""Fraction of the ways from one class over classes in between to a third one that are that thin: of ordered classes,
such as heights, they have any width."""
MIN_FRACTION = 0.7
"""Fraction of the borders between classes two or more numbers apart that have such a line: in drawn masks they touch,
or what lies between them is as often outside as between their numbers."""
MAX_ROWS = 20_000
"""Rows of masks that are looked at: 0.1 s."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if _find_masks(case) is not None else Message("the targets are not class numbers of places in a row")


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=("label-noise", "missed-classes", "underfitting", "plateau", "class-imbalance", "overfitting"),
)
def interpolated_targets(case: Case) -> Iterator[Finding]:
    """Find class numbers of pixels or times that were enlarged or resampled as images are.

    Between the classes 0 and 2 interpolation draws a line of class 1. Counted are the ways along a row from one class
    to another that is two or more numbers apart, both of some width: directly, or over a thin line of one in between.

    Args:
        case: the recorded targets.

    Source: PyTorch documentation, torchvision.transforms.Resize (interpolation=NEAREST for masks).
    """
    masks = _find_masks(case)
    if masks is None:
        return
    lines = [masks.reshape(-1, masks.shape[-1])]
    if masks.ndim > 2:
        lines.append(np.swapaxes(masks, 1, 2).reshape(-1, masks.shape[1]))
    counts = np.sum([_count_borders(part[:MAX_ROWS]) for part in lines if part.shape[1] >= MIN_LENGTH], 0)
    thin, wide_lines, direct, outside = (int(count) for count in counts)
    if (
        thin < MIN_LINES
        or thin < MIN_THIN_FRACTION * (thin + wide_lines)
        or thin < MIN_FRACTION * (thin + direct + outside)
    ):
        return
    yield Finding(
        "interpolated-targets",
        "error",
        {"thin lines between": thin, "wide ones": wide_lines, "direct borders": direct, "thin lines outside": outside},
        Message(
            "of the borders between classes whose numbers are two or more apart, {fraction} have a thin line of a "
            "class in between: class numbers were interpolated, and the line is labeled as what it is not",
            fraction=f"{thin / (thin + direct + outside):.0%}",
        ),
        Message('resize masks and labels with mode="nearest" (NEAREST), images alone with "bilinear"'),
        source=case.sources.get("loss", ""),
    )


def _find_masks(case: Case) -> np.ndarray | None:
    """Return recorded class numbers ``(B, T)`` or ``(B, H, W)``, or None."""
    targets = [
        record.targets
        for record in case.records
        if record.targets is not None
        and record.pairing is not None
        and _is_per_place(record.pairing)
        and not _reads_tokens(record.rows)
        and not _reads_tokens(case.example)
    ]
    masks = [target for target in targets if target.ndim in (2, 3) and not target.is_floating_point()]
    masks = [target for target in masks if target.shape[1:] == masks[0].shape[1:]]
    if not masks or max(masks[0].shape[1:]) < MIN_LENGTH:
        return None
    return torch.cat(masks).cpu().numpy()


def _reads_tokens(rows: tuple[torch.Tensor, ...] | None) -> bool:
    """Return whether the network reads numbers of words, of which each may follow each other one."""
    return rows is not None and len(rows) > 0 and is_discrete(rows[0])


def _is_per_place(pairing: Pairing) -> bool:
    return pairing.loss in ("nll", "binary_cross_entropy_with_logits")


def _count_borders(rows: np.ndarray) -> np.ndarray:
    """Return how many borders have thin lines between, wide ones, none, and thin lines of other classes.

    >>> _count_borders(np.array([[0, 0, 0, 1, 2, 2, 2, 2], [0, 0, 0, 2, 2, 2, 2, 2]])).tolist()
    [1, 0, 1, 0]
    """
    count, length = rows.shape
    limit = max(MAX_WIDTH, int(length * MAX_WIDTH_FRACTION))
    is_start = np.ones(rows.shape, bool)
    is_start[:, 1:] = rows[:, 1:] != rows[:, :-1]
    row, column = np.nonzero(is_start)
    values = rows[row, column].astype(np.int64)
    widths = np.diff(np.append(row * length + column, count * length))
    is_same_row = row[1:] == row[:-1]
    direct = int((is_same_row & (np.abs(np.diff(values)) > 1) & (widths[1:] > limit) & (widths[:-1] > limit)).sum())
    first_class, line, last_class = values[:-2], values[1:-1], values[2:]
    is_same_row = row[2:] == row[:-2]
    is_monotone = is_same_row & ((line - first_class) * (last_class - line) > 0)
    is_between = is_monotone & (np.abs(last_class - first_class) > 1) & (widths[2:] > limit) & (widths[:-2] > limit)
    is_thin = widths[1:-1] <= limit
    outside = is_same_row & ~is_monotone & is_thin & (np.abs(line - first_class) > 1)
    return np.array([(is_between & is_thin).sum(), (is_between & ~is_thin).sum(), direct, outside.sum()])
