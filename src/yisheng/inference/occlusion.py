"""What a network looked at: the parts of an image that it cannot do without."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.inference.artifact import Saved

PATCHES = 7
"""A patch covers one part in so many of each side."""
LARGE, HEAVY = 64 * 64, 1 << 18
"""Pixels or weights from which on patches lie side by side, not over one another: a quarter of the forward passes."""
BATCH = 64
COLOUR = (255, 80, 0)
STRENGTH = 0.75
"""How much of the colour there is where it counts most."""


def looked_at(saved: Saved, x: np.ndarray) -> np.ndarray:
    """An image in grey, and in orange over it what the network's answer depends on.

    Args:
        saved: a trained network for images.
        x: one image as it was read ``(C, H, W)``, uint8.

    Returns:
        uint8 ``(H, W, 3)``.

    Raises:
        UsageError: the network is not for images, or the image has another shape.
    """
    share = (STRENGTH * heat(saved, x))[..., None]
    values = x.astype(np.float32).mean(axis=0)
    if x.dtype != np.uint8:
        values = (values - values.min()) / max(float(np.ptp(values)), 1e-9) * 255
    return np.round((1 - share) * values[..., None] + share * np.array(COLOUR)).astype(np.uint8)


def heat(saved: Saved, x: np.ndarray) -> np.ndarray:
    """How much the network's answer depends on each place of an image, from 0 to 1, float32 ``(H, W)``.

    A patch in the colour of the image's border is laid over one place after the other. What the logarithm of the
    answer's probability loses by it (of a predicted number: by how much it changes) is the heat of the pixels below,
    averaged over the patches that cover them; what makes the answer surer by being covered has none. Nothing is
    asked of the network but its answers, so it is the same for every kind.

    Args:
        saved: a trained network for images.
        x: one image as it was read ``(C, H, W)``.

    Raises:
        UsageError: the network is not for images, or the image has another shape.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 4.2.
    """
    if not saved.spec.is_image:
        raise UsageError("the network reads rows of numbers, not images", "look into a run that learned images")
    if x.shape != saved.spec.shape:
        raise UsageError(f"an image of shape {saved.spec.shape} is wanted, got {x.shape}", "read it with its run")
    height, width = x.shape[1:]
    heavy = sum(weight.numel() for weight in saved.model.parameters()) >= HEAVY
    overlap = 1 if heavy or height * width >= LARGE else 2
    rows, columns = _spans(height, overlap), _spans(width, overlap)
    border = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], axis=1)
    paper = np.median(border, axis=1).astype(x.dtype)[:, None, None]
    covered = np.repeat(x[None], len(rows) * len(columns), axis=0)
    places = [(row, column) for row in rows for column in columns]
    for one, (row, column) in zip(covered, places, strict=True):
        one[:, row, column] = paper
    losses = _losses(saved, x, covered)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for loss, (row, column) in zip(losses, places, strict=True):
        total[row, column] += loss
        count[row, column] += 1
    found = np.clip(total / count, 0, None)
    if overlap == 1:  # the patches' own edges would be seen
        small = torch.from_numpy(np.clip(losses, 0, None).reshape(1, 1, len(rows), len(columns)))
        found = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
    most = float(found.max())
    return (found / most if most > 0 else found).astype(np.float32)


def _spans(side: int, overlap: int) -> list[slice]:
    """Where patches lie along a side; they cover all of it."""
    size = max(1, round(side / PATCHES))
    step = max(1, size // overlap)
    return [slice(max(0, at), at + size) for at in range(step - size, side, step)]


def _losses(saved: Saved, x: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """What the answer to an image ``(C, H, W)`` loses in each of the covered ones, float64 ``(P,)``."""

    def outputs(images: np.ndarray) -> torch.Tensor:
        return saved.model(saved.scale.apply(torch.from_numpy(images))).double()

    with torch.inference_mode():
        whole = outputs(x[None])
        parts = torch.cat([outputs(covered[at : at + BATCH]) for at in range(0, len(covered), BATCH)])
    if saved.spec.task == "regression":
        return (parts - whole).abs().sum(1).numpy()
    before, after = (_log_probabilities(some, saved.spec) for some in (whole, parts))
    answer = int(before[0].argmax())
    return (before[:, answer] - after[:, answer]).numpy()


def _log_probabilities(outputs: torch.Tensor, spec: Spec) -> torch.Tensor:
    if spec.task == "multilabel":
        return F.logsigmoid(outputs)
    if spec.outputs == 1:
        return F.logsigmoid(torch.cat([-outputs, outputs], 1))
    return outputs.log_softmax(1)
