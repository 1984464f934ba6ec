"""Occlusion maps: which parts of an image the prediction depends on."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from yisheng.core import nested
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.inference.artifact import Artifact

PATCHES_PER_SIDE = 7
MIN_PIXELS_WITHOUT_OVERLAP, MIN_WEIGHTS_WITHOUT_OVERLAP = 64 * 64, 1 << 18
"""From this many pixels or weights on, patches do not overlap, which saves three quarters of the forward passes."""
BATCH = 64
COLOR = (255, 80, 0)
MAX_OPACITY = 0.75
"""Opacity of the color where the map is 1."""


def draw_occlusion_map(artifact: Artifact, x: np.ndarray) -> np.ndarray:
    """Draw the occlusion map of an image in orange over the image in gray.

    Args:
        artifact: a trained network for images.
        x: one image as it was read ``(C, H, W)``, uint8.

    Returns:
        uint8 ``(H, W, 3)``.

    Raises:
        UsageError: the network is not for images, or the image has another shape.
    """
    opacity = (MAX_OPACITY * compute_occlusion_map(artifact, x))[..., None]
    gray = x.astype(np.float32).mean(axis=0)
    if x.dtype != np.uint8:
        gray = (gray - gray.min()) / max(float(np.ptp(gray)), 1e-9) * 255
    return np.round((1 - opacity) * gray[..., None] + opacity * np.array(COLOR)).astype(np.uint8)


def compute_occlusion_map(artifact: Artifact, x: np.ndarray) -> np.ndarray:
    """Compute how much the prediction depends on each pixel of an image, from 0 to 1, float32 ``(H, W)``.

    A patch in the color of the image's border covers one place after the other. Its loss is log p(x) - log p(covered)
    of the predicted class (for regression: the absolute change of the prediction). The map is the mean loss of the
    patches over each pixel, clipped at 0 and divided by its maximum. It needs nothing but forward passes, so it is
    defined alike for every network.

    Args:
        artifact: a trained network for images.
        x: one image as it was read ``(C, H, W)``.

    Raises:
        UsageError: the network is not for images, or the image has another shape.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 4.2.
    """
    if not artifact.spec.is_image:
        raise UsageError(
            Message("the network takes rows of numbers, not images"), Message("give a run that was trained on images")
        )
    if x.shape != artifact.spec.shape:
        raise UsageError(
            Message(
                "the image must have the shape {expected}, got {shape}", expected=artifact.spec.shape, shape=x.shape
            ),
            Message("read it with its run"),
        )
    height, width = x.shape[1:]
    is_heavy = sum(weight.numel() for weight in artifact.model.parameters()) >= MIN_WEIGHTS_WITHOUT_OVERLAP
    overlap = 1 if is_heavy or height * width >= MIN_PIXELS_WITHOUT_OVERLAP else 2
    rows, columns = _place_patches(height, overlap), _place_patches(width, overlap)
    patches = [(row, column) for row in rows for column in columns]
    border = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], axis=1)
    background = np.median(border, axis=1).astype(x.dtype)[:, None, None]
    covered = np.repeat(x[None], len(patches), axis=0)
    for image, (row, column) in zip(covered, patches, strict=True):
        image[:, row, column] = background
    losses = _compute_losses(artifact, x, covered)
    if overlap == 1:  # interpolation hides the edges between adjacent patches
        grid = torch.from_numpy(np.clip(losses, 0, None).reshape(1, 1, len(rows), len(columns)))
        heat = F.interpolate(grid, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
    else:
        total, count = np.zeros((height, width)), np.zeros((height, width))
        for loss, (row, column) in zip(losses, patches, strict=True):
            total[row, column] += loss
            count[row, column] += 1
        heat = np.clip(total / count, 0, None)
    peak = float(heat.max())
    return (heat / peak if peak > 0 else heat).astype(np.float32)


def _place_patches(side: int, overlap: int) -> list[slice]:
    """Return the patches along a side, which they cover completely."""
    size = max(1, round(side / PATCHES_PER_SIDE))
    step = max(1, size // overlap)
    return [slice(max(0, start), start + size) for start in range(step - size, side, step)]


def _compute_losses(artifact: Artifact, x: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Compute the loss of each covered copy ``(P, C, H, W)`` of an image ``(C, H, W)``, float64 ``(P,)``."""

    def forward(images: np.ndarray) -> torch.Tensor:
        return artifact.model(artifact.scale.apply(nested.from_numpy(images))).double()

    with torch.inference_mode():
        output = forward(x[None])
        covered_outputs = torch.cat([forward(covered[n : n + BATCH]) for n in range(0, len(covered), BATCH)])
    if artifact.spec.task == "regression":
        return (covered_outputs - output).abs().sum(1).numpy()
    log_p, covered_log_p = (_compute_log_probabilities(block, artifact.spec) for block in (output, covered_outputs))
    label = int(log_p[0].argmax())
    return (log_p[:, label] - covered_log_p[:, label]).numpy()


def _compute_log_probabilities(outputs: torch.Tensor, spec: Spec) -> torch.Tensor:
    if spec.task == "multilabel":
        return F.logsigmoid(outputs)
    if spec.outputs == 1:
        return F.logsigmoid(torch.cat([-outputs, outputs], 1))
    return outputs.log_softmax(1)
