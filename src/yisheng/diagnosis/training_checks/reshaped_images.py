"""Images whose channels were moved by a reshape."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case

CHANNELS = (2, 3, 4)
"""Channels of images; gray ones have nothing to move."""
MIN_PIXELS = 6
"""Height and width, below which there are too few neighbors."""
MAX_ROUGHNESS = 0.7
"""Difference of neighboring pixels with the channels read last, relative to that of the images as they are: photos that
were reshaped have a third to a half, noise and correct images 1 or more."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a run reads its images itself")
    return "" if _find_images(case) is not None else Message("the inputs are not images of several channels")


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=("plateau", "underfitting", "overfitting", "memorization", "low-learning-rate"),
)
def reshaped_images(case: Case) -> Iterator[Finding]:
    """Find images ``(B, H, W, C)`` that became ``(B, C, H, W)`` by a reshape, which mixes rows, columns and channels.

    The values are read back as ``(B, H, W, C)``: neighbors then differ far less.

    Args:
        case: rows of its inputs.

    Source: NumPy documentation, numpy.reshape and numpy.moveaxis (the order of the elements stays as it is).
    """
    images = _find_images(case)
    if images is None:
        return
    rows, channels, height, width = images.shape
    restored = images.reshape(rows, height, width, channels).permute(0, 3, 1, 2)
    present, alternative = _measure_roughness(images), _measure_roughness(restored)
    if not present > 0 or alternative > MAX_ROUGHNESS * present:
        return
    yield Finding(
        "reshaped-images",
        "error",
        {"roughness": present, "with the channels last": alternative, "images": rows},
        Message(
            "the images were reshaped to {shape} instead of permuted: read as {shape_2}, neighboring pixels differ by "
            "only {fraction} of what they do now",
            shape=(channels, height, width),
            shape_2=(height, width, channels),
            fraction=f"{alternative / present:.0%}",
        ),
        Message("use x.permute(0, 3, 1, 2) instead of reshape or view"),
        source=case.sources.get("forward", ""),
    )


def _find_images(case: Case) -> torch.Tensor | None:
    """Return recorded images ``(B, C, H, W)`` of several channels, or None."""
    x = None if case.example is None else case.example[0]
    if x is None or x.ndim != 4 or x.shape[1] not in CHANNELS or min(x.shape[2:]) < MIN_PIXELS:
        return None
    return x.float()


def _measure_roughness(images: torch.Tensor) -> float:
    """Return the mean absolute difference of neighbors in height and width."""
    return sum(float(images.diff(dim=axis).abs().mean()) for axis in (2, 3))
