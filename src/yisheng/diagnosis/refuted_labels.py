"""Labels that a quick model takes for wrong, although the trained network finds the same ones right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import nn

from yisheng.core.findings import Finding
from yisheng.diagnosis.batched_outputs import predict_in_batches
from yisheng.diagnosis.data_checks._quick_model import predict_probabilities, select_learnable
from yisheng.diagnosis.data_checks.label_noise import MAX_ROWS, TREES
from yisheng.diagnosis.given_rows import has_tensors
from yisheng.diagnosis.row_checks import RowResults

QUICK_MODEL = "a quick model"
MIN_DOUBTED = 10
"""Held-out labels that the quick model contradicts, fewer of which show nothing."""
MIN_CONFIRMED = 0.6
"""Fraction of them that the network predicts: one that was never trained on these rows can guess no wrong label, so
that it predicts hardly any of wrong ones."""
MIN_RELATIVE_RATE = 0.6
"""How often held-out labels are contradicted, relative to training labels: less often, if only those are wrong."""


def find_refuted_labels(model: nn.Module, rows: RowResults, validation: Any) -> Iterator[Finding]:
    """Yield the finding about wrong labels by a quick model that the trained network refutes.

    The quick model is wrong, and not the labels, if it contradicts held-out labels as often as training labels and the
    network predicts most of these: trees on pixels do not recognize what stands at any place of an image.

    Args:
        model: the trained network.
        rows: the rows that the doctor was given.
        validation: the validation rows ``(x, y)``.

    Source: Breiman, "Statistical modeling: the two cultures", 2001, section 8 (another model, other conclusions).
    """
    sample = rows.sample
    doubts = [f for f in rows.findings if f.check == "label-noise" and f.evidence.get("by") == QUICK_MODEL]
    if not doubts or sample is None or not has_tensors(validation):
        return
    held_out = sample.rows("validation")
    output = predict_in_batches(model, validation[0])
    if output is None or output.ndim != 2 or len(output) != len(held_out):
        return
    predicted = output.argmax(1).numpy() if output.shape[1] > 1 else (output[:, 0] > 0).long().numpy()
    is_confirmed = np.zeros(len(sample.y), bool)
    is_confirmed[held_out] = predicted == sample.y[held_out]
    numbers, x, y = select_learnable(sample, sample.draw_rows_of_all_parts(MAX_ROWS))
    is_doubted = predict_probabilities(x, y, sample.seed, trees=TREES).argmax(1) != y
    is_held_out, is_training = np.isin(numbers, held_out), np.isin(numbers, sample.rows("train"))
    doubted = numbers[is_held_out & is_doubted]
    if len(doubted) < MIN_DOUBTED or is_confirmed[doubted].mean() < MIN_CONFIRMED:
        return
    if is_doubted[is_held_out].mean() >= MIN_RELATIVE_RATE * is_doubted[is_training].mean():
        yield from doubts
