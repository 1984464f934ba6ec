"""Images and series whose channels were moved by a reshape."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

CHANNELS, SERIES_CHANNELS = (2, 3, 4), range(2, 17)
"""Channels of images and of series; a single one has nothing to move."""
MIN_PIXELS, MIN_TIMES = 6, 16
"""Height and width of images and length of series, below which there are too few neighbors."""
MIN_ROWS = 4
"""Rows of which a standard error is known."""
MIN_DIFFERENCE, MIN_Z = 0.1, 5.0
"""Correlation of neighbors with the channels read last, minus that of neighbors as the rows are now, and the same in
standard errors: it is 0 for noise, negative for correct images, and 0.2 to 0.8 for those that were reshaped."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a run reads its images itself")
    return "" if _find_rows(case) is not None else Message("the inputs are not images or series of several channels")


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=("plateau", "underfitting", "overfitting", "memorization", "low-learning-rate", "dead-relu"),
)
def reshaped_images(case: Case) -> Iterator[Finding]:
    """Find images ``(B, H, W, C)`` that became ``(B, C, H, W)`` by a reshape, which mixes rows, columns and channels.

    In memory the next pixel and the one below are 1 and W values away with the channels first, and C and W C values
    with the channels last. Series ``(B, T, C)`` that a convolution reads as ``(B, C, T)`` have their next value 1 or C
    values away.

    Args:
        case: rows of its inputs.

    Source: NumPy documentation, numpy.reshape and numpy.moveaxis (the order of the elements stays as it is).
    """
    x = _find_rows(case)
    if x is None:
        return
    channels, *size = x.shape[1:]
    lags = (1, size[-1])[: len(size)]
    present, restored = (torch.stack([_correlate(x, lag * factor) for lag in lags]).mean(0) for factor in (1, channels))
    difference = restored - present
    error = float(difference.std()) / math.sqrt(len(difference))
    if float(difference.mean()) < max(MIN_DIFFERENCE, MIN_Z * error):
        return
    values = {"present": f"{float(present.mean()):.2f}", "restored": f"{float(restored.mean()):.2f}"}
    yield Finding(
        "reshaped-images",
        "error",
        {"correlation": float(present.mean()), "with the channels last": float(restored.mean()), "rows": len(x)},
        Message(
            "the images were reshaped to {shape} instead of permuted: neighboring pixels correlate by {present}, and "
            "by {restored} if the same values are read as {shape_2}",
            shape=(channels, *size),
            shape_2=(*size, channels),
            **values,
        )
        if len(size) > 1
        else Message(
            "the series were reshaped to {shape} instead of transposed: values that follow one another correlate by "
            "{present}, and by {restored} if the same values are read as {shape_2}",
            shape=(channels, *size),
            shape_2=(*size, channels),
            **values,
        ),
        Message("use x.permute(0, 3, 1, 2) instead of reshape or view")
        if len(size) > 1
        else Message("use x.transpose(1, 2) instead of reshape or view"),
        source=case.sources.get("forward", ""),
    )


def _find_rows(case: Case) -> torch.Tensor | None:
    """Return images ``(B, C, H, W)`` of several channels, or series ``(B, C, T)`` of a convolution, or None."""
    x = None if case.example is None else case.example[0]
    if x is None or not x.is_floating_point() or len(x) < MIN_ROWS:
        return None
    if x.ndim == 4 and x.shape[1] in CHANNELS and min(x.shape[2:]) >= MIN_PIXELS:
        return x.float().cpu()
    first = next((record.layers[0] for record in case.records if record.layers), None)
    is_series = x.ndim == 3 and x.shape[1] in SERIES_CHANNELS and x.shape[2] >= MIN_TIMES
    return x.float().cpu() if is_series and first is not None and first.kind == "Conv1d" else None


def _correlate(x: torch.Tensor, lag: int) -> torch.Tensor:
    """Return the correlation of the values of each row ``(B,)`` with those that come later in memory."""
    values = x.flatten(1)
    values = values - values.mean(1, keepdim=True)
    variance = values.square().mean(1).clamp(min=1e-30)
    return (values[:, lag:] * values[:, :-lag]).mean(1) / variance
