"""Boxes that lie outside of their images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample

MIN_ROWS, CORNERS = 50, 4
"""Rows, and numbers of a box: left, top, right and bottom edge."""
MIN_FRACTION = 0.05
"""Fraction of the boxes that end outside of their image: a few reach over an edge by mistake."""
MIN_EXCESS = 1.1
"""Edge relative to the width or height: an object may be cut off by the edge of its image."""
MIN_PIXELS = 2.0
"""Largest edge, below which the boxes are relative to the size of the image."""


def _explain_skip(sample: Sample) -> str:
    if sample.spec.task != "regression" or np.prod(sample.y.shape[1:]) != CORNERS:
        return Message("the targets are no boxes")
    enough = len(sample.rows("train")) >= MIN_ROWS
    return "" if enough else Message("it needs at least {count} training rows", count=MIN_ROWS)


@register(cost="cheap", needs=_explain_skip, fits=lambda spec: spec.is_image)
def unresized_boxes(sample: Sample) -> Iterator[Finding]:
    """Find boxes in pixels whose right or lower edge is beyond that of their image: the image was resized, they not.

    It is a note, since images of one size may be resized by one factor on purpose, which the network learns.

    Args:
        sample: images ``(C, H, W)`` and boxes of two corners.

    Source: Buslaev et al., "Albumentations: fast and flexible image augmentations", 2020, section 2 (the same transform
    for image, mask, boxes and keypoints).
    """
    rows = sample.draw_rows("train")
    boxes = np.asarray(sample.y[rows], np.float64).reshape(len(rows), CORNERS)
    height, width = sample.spec.shape[-2:]
    is_box = np.isfinite(boxes).all() and bool((boxes[:, 2:] > boxes[:, :2]).all()) and bool((boxes >= 0).all())
    if not is_box or boxes.max() <= MIN_PIXELS:
        return
    outside = (boxes[:, 2] > MIN_EXCESS * width) | (boxes[:, 3] > MIN_EXCESS * height)
    fraction = float(outside.mean())
    if fraction < MIN_FRACTION:
        return
    largest = boxes[:, 2:].max(0)
    yield Finding(
        "unresized-boxes",
        "note",
        {"fraction": fraction, "largest": largest.tolist(), "image": [int(width), int(height)]},
        Message(
            "{fraction} of the boxes end outside of their images of {width} x {height} pixels (the largest edges are "
            "{x} and {y}): the images seem to be resized, and their boxes are not",
            fraction=f"{fraction:.0%}",
            width=width,
            height=height,
            x=f"{largest[0]:.4g}",
            y=f"{largest[1]:.4g}",
        ),
        Message(
            "multiply each box by new size / old size of its own image, or give the boxes as fractions of the size"
        ),
    )
