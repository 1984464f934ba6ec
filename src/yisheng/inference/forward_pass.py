"""Forward passes of a saved model: its outputs in the original units, in batches of one size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from yisheng.core import nested
from yisheng.evaluation.predictions import apply_link
from yisheng.inference import artifact
from yisheng.inference.own_network import explain_failed_call
from yisheng.models._fitted_model import FittedModel

BATCH = 256
"""Inputs per forward pass."""
FITTED_BATCH = 8192
"""The same for models of rows that are fitted, not trained by gradient steps: they divide the rows themselves."""
ROW_BATCH, MAX_ROW_PARAMETERS = 2048, 1 << 17
"""The same for networks of rows with at most this number of parameters: calls would take longer than the arithmetic of
a small batch. A large batch of a larger network would take much memory."""


def compute_outputs(
    model: artifact.Artifact, x: np.ndarray, size: int, ood_scores: list[torch.Tensor] | None = None
) -> np.ndarray:
    """Return the outputs of one model, computed in batches.

    Args:
        model: the model with its transforms.
        x: inputs ``(N, *shape)``.
        size: inputs of a forward pass.
        ood_scores: a list to which the OOD scores of each batch are appended, if the model has a detector.

    Returns:
        Probabilities ``(N, C)`` or values ``(N, T)``.
    """
    invert = model.target_scale.invert if model.target_scale is not None else None
    blocks = []
    with torch.inference_mode():
        for start in range(0, len(x), size):
            raw = nested.from_numpy(x[start : start + size])
            scaled = nested.to_contiguous(nested.to_single(model.scale.apply(raw)))
            with explain_failed_call(model.description):
                if ood_scores is None or model.ood_detector is None:
                    output = nested.call(model.model, scaled)
                else:
                    output, scores = model.ood_detector.score(model.model, scaled, raw)
                    ood_scores.append(scores)
            blocks.append(apply_link(output, model.spec, invert))
        return torch.cat(blocks).numpy()


def choose_batch(model: artifact.Artifact) -> int:
    """Return the number of inputs of a forward pass, which does not depend on how many there are."""
    if isinstance(model.model, FittedModel):
        return FITTED_BATCH
    is_small = sum(parameter.numel() for parameter in model.model.parameters()) <= MAX_ROW_PARAMETERS
    return ROW_BATCH if model.spec.is_row and is_small else BATCH


def average_outputs(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the models' outputs; a single model's outputs are returned unchanged."""
    if len(outputs) == 1:
        return outputs[0]
    return np.mean([block.astype(np.float64) for block in outputs], axis=0).astype(outputs[0].dtype)
