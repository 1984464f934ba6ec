"""Find an augmentation that destroys what a user's network should learn, by training without it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import MIN_MATCHED, are_inputs, compare, find_passed_fraction
from yisheng.diagnosis.restart import MAX_REMAINING_AFTER_RESTART, MAX_STEPS, Beginning, train_again
from yisheng.diagnosis.trailing_network import LOSSES
from yisheng.diagnosis.training_state import preserve_training_state

CHECK = "label-changing-augmentation"
MIN_HELD_OUT_LOSS = 0.6
"""Held-out loss relative to that of guessing, below which the network learned in spite of its augmentation."""
MIN_STEPS = 50
"""Updates after which a training that starts again can be compared."""


def find_harmful_augmentation(case: Case, beginning: Beginning | None, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that the loop changes its rows, and the same network learns the rows as they are far better.

    A copy starts again from the initial weights, with the same optimizer and number of updates (400 at most).

    Args:
        case: the finished training.
        beginning: its network before the first update.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.

    Source: Shorten and Khoshgoftaar, "A survey on image data augmentation for deep learning", 2019 (section on the
    safety of an augmentation: whether the label is the same afterwards).
    """
    pairing = case.pairing
    loss = None if pairing is None or not pairing.is_only_term else LOSSES.get((pairing.loss, pairing.operations))
    if loss is None or beginning is None or not case.baseline_loss > 0 or case.steps < MIN_STEPS:
        return
    passed = find_passed_fraction(case, data[0])
    if not passed < MIN_MATCHED or not are_inputs(case, data, validation):
        return
    batch = next((record.inputs.shape[0] for record in case.records if record.inputs is not None), 32)
    lr = max((record.lr for record in case.records), default=0.0)
    try:
        with preserve_training_state(case.model, case.optimizer):
            with evaluation_mode(case.model), torch.no_grad():
                present = float(compare(loss, case.model(validation[0]), validation[1]))
            if not present > MIN_HELD_OUT_LOSS * case.baseline_loss:
                return
            restarted = train_again(beginning, lr, loss, data, validation, steps=case.steps, batch=batch)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return
    if not restarted < MAX_REMAINING_AFTER_RESTART * (present if math.isfinite(present) else math.inf):
        return
    yield Finding(
        CHECK,
        "warning",
        {"given rows among the inputs": passed, "held-out loss": present, "without the change": restarted},
        Message(
            "the loop changes its rows before the network ({changed} of the recorded inputs are not among the given "
            "rows), and the held-out loss is {present}; a copy that starts again on the given rows reaches {restarted} "
            "in {updates} updates",
            changed=f"{1 - passed:.0%}",
            present=f"{present:.3g}",
            restarted=f"{restarted:.3g}",
            updates=f"{min(case.steps, MAX_STEPS):,}",
        ),
        Message(
            "look at the augmentation: the label must stay true (a mirrored arrow points to the other side, a rotated "
            "6 is a 9), and what the label depends on must stay visible"
        ),
        source=case.sources.get("forward", ""),
    )
