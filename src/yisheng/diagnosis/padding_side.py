"""Sequences that are padded on one side in training and on the other one in evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from yisheng.core import nested
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.probe import REFUSALS, copied_network

CHECK = "evaluated-inputs"
MIN_ROWS, MIN_LENGTH, MIN_TOKENS = 64, 3, 4
"""Rows of each part, steps of a row, and different tokens."""
MIN_PADDED, MAX_PADDED = 0.3, 0.02
"""Fraction of the rows that are padded on the side of their part, and of those on the other side or in between."""
MAX_ROWS = 64
"""Rows that the network predicts with their padding on either side."""
MIN_CHANGE = 0.1
"""Change of the predictions, in their standard deviations, if the padding is moved to the side of training: a network
with a mask, or a mean over the words, reads both alike."""


@dataclass
class _Sides:
    """Rows by where they have padding.

    Args:
        rows: their number.
        padded_left: rows that begin with padding.
        padded_right: rows that end with padding.
        inside: rows with padding between other steps.
    """

    rows: int = 0
    padded_left: int = 0
    padded_right: int = 0
    inside: int = 0

    def add(self, is_padding: torch.Tensor) -> None:
        """Add rows ``(N, T)`` by which of their steps are padding."""
        words = ~is_padding
        leading, trailing = ~_accumulate(words), ~_accumulate(words.flip(1)).flip(1)
        self.rows += len(is_padding)
        self.padded_left += int(leading[:, 0].sum())
        self.padded_right += int(trailing[:, -1].sum())
        self.inside += int((is_padding & ~leading & ~trailing).any(1).sum())

    @property
    def name(self) -> str:
        """Return the side that has all of the padding, or an empty text."""
        if self.rows < MIN_ROWS or self.inside > MAX_PADDED * self.rows:
            return ""
        low, high = MAX_PADDED * self.rows, MIN_PADDED * self.rows
        if self.padded_left >= high and self.padded_right <= low:
            return "left"
        return "right" if self.padded_right >= high and self.padded_left <= low else ""


def find_padding_side(case: Case) -> Iterator[Finding]:
    """Yield that training pads on one side and evaluation on the other one, and that the network reads it otherwise.

    Args:
        case: rows of the inputs of training and evaluation, and the network.

    Source: PyTorch documentation, torch.nn.utils.rnn.pad_sequence (padding_side).
    """
    batches = [record.sample for record in case.records if record.sample is not None]
    samples = [sample for sample in case.evaluated.samples.list_samples() if _is_sequence(sample)]
    if not case.is_finished or not samples or not batches or not all(_is_sequence(batch) for batch in batches):
        return
    padding = _find_padding(batches)
    if padding is None:
        return
    in_training = _count(batches, padding)
    parts = [part for part in (_count([sample], padding) for sample in samples) if part.rows >= MIN_ROWS]
    names = {"left", "right"} - {in_training.name}
    if not in_training.name or not parts or any(part.name not in names for part in parts):
        return
    change = _measure_change(case.model, samples[0][:MAX_ROWS], padding, parts[0].name)
    if change is None or change < MIN_CHANGE:
        return
    is_right = parts[0].name == "right"
    fractions = [
        (side.padded_right if side.name == "right" else side.padded_left) / side.rows
        for side in (in_training, parts[0])
    ]
    yield Finding(
        CHECK,
        "error",
        {
            "fraction in training": fractions[0],
            "fraction in evaluation": fractions[1],
            "change in standard deviations": change,
        },
        Message(
            "the rows of evaluation are padded on the right ({other}), those of training on the left ({fraction}): "
            "with the padding on the left the predictions change by {change} standard deviations",
            other=f"{fractions[1]:.0%}",
            fraction=f"{fractions[0]:.0%}",
            change=f"{change:.2g}",
        )
        if is_right
        else Message(
            "the rows of evaluation are padded on the left ({other}), those of training on the right ({fraction}): "
            "with the padding on the right the predictions change by {change} standard deviations",
            other=f"{fractions[1]:.0%}",
            fraction=f"{fractions[0]:.0%}",
            change=f"{change:.2g}",
        ),
        Message(
            "pad the rows of both on the same side, by one function: pad_sequence(rows, batch_first=True, "
            'padding_side="left") or "right"'
        ),
        source=case.sources.get("evaluation", ""),
    )


def _is_sequence(x: torch.Tensor) -> bool:
    """Return whether rows are tokens ``(N, T)`` or steps of numbers ``(N, T, D)``."""
    is_tokens = x.ndim == 2 and x.dtype in (torch.int64, torch.int32)
    return (is_tokens or (x.ndim == 3 and x.is_floating_point())) and x.shape[1] >= MIN_LENGTH


def _find_padding(batches: Sequence[torch.Tensor]) -> float | None:
    """Return the token or number that fills the beginnings or ends of rows, or None if there is none."""
    if batches[0].is_floating_point():
        return 0.0
    ends = torch.cat([part for x in batches for part in (x[x[:, 0] == x[:, 1], 0], x[x[:, -1] == x[:, -2], -1])])
    if not len(ends) or len(torch.cat([x.flatten() for x in batches]).unique()) < MIN_TOKENS:
        return None
    return int(ends.mode().values)


def _find_padded_steps(x: torch.Tensor, padding: float) -> torch.Tensor:
    """Return which steps of rows are padding, as booleans ``(N, T)`` on the processor."""
    is_padding = (x == padding).cpu()
    return is_padding.all(2) if is_padding.ndim == 3 else is_padding


def _accumulate(words: torch.Tensor) -> torch.Tensor:
    """Return from which step on a row has had a word."""
    return words.long().cumsum(1) > 0


def _count(batches: Sequence[torch.Tensor], padding: float) -> _Sides:
    sides = _Sides()
    for batch in batches:
        sides.add(_find_padded_steps(batch, padding))
    return sides


def move_padding(x: torch.Tensor, padding: float, side: str) -> torch.Tensor:
    """Return rows whose padding is on the other side.

    Args:
        x: tokens ``(N, T)`` or numbers ``(N, T, D)``.
        padding: its token or number.
        side: on which side it is.

    >>> move_padding(torch.tensor([[5, 3, 0, 0], [7, 0, 0, 0]]), 0, "right").tolist()
    [[0, 0, 5, 3], [0, 0, 0, 7]]
    """
    is_padding = _find_padded_steps(x, padding)
    counts = is_padding.sum(1)
    shifts = counts if side == "right" else -counts
    return torch.stack([row.roll(int(shift), 0) for row, shift in zip(x, shifts, strict=True)])


def _measure_change(model: torch.nn.Module, x: torch.Tensor, padding: float, side: str) -> float | None:
    """Return the change of the predictions if the padding is moved, in their standard deviations; None if unknown."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x = x.to(device)
    moved = move_padding(x, padding, side)
    try:
        with copied_network(model, (x,)) as network:
            outputs = [next(iter(nested.tensors(network(rows))), None) for rows in (x, moved)]
    except REFUSALS:
        return None
    predictions = [_select_predictions(output, rows, padding) for output, rows in zip(outputs, (x, moved), strict=True)]
    first, second = predictions
    if first is None or second is None or first.shape != second.shape or not bool(torch.isfinite(first).all()):
        return None
    std = float(first.std())
    return float((first - second).square().mean().sqrt()) / std if std > 0 else None


def _select_predictions(output: torch.Tensor | None, x: torch.Tensor, padding: float) -> torch.Tensor | None:
    """Return the predictions of rows ``(N, ...)``, or of the steps that are words ``(words, ...)``."""
    if output is None or output.ndim < 1 or len(output) != len(x):
        return None
    if output.ndim == 3 and output.shape[1] == x.shape[1]:
        return output.float().cpu()[~_find_padded_steps(x, padding)]
    return output.float().cpu() if output.ndim <= 2 and output.shape[1:] != x.shape[1:2] else None
