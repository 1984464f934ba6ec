"""Find an augmentation that destroys what a user's network should learn, by training without it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional as F  # its common name

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.given_rows import MIN_MATCHED, are_inputs, compare, find_passed_fraction
from yisheng.diagnosis.restart import MAX_REMAINING_AFTER_RESTART, MAX_STEPS, Beginning, predict_after_restart
from yisheng.diagnosis.trailing_network import LOSSES
from yisheng.diagnosis.training_state import preserve_training_state

CHECK = "label-changing-augmentation"
MIN_HELD_OUT_LOSS = 0.6
"""Held-out loss relative to that of guessing, below which the network learned in spite of its augmentation."""
MAX_OUTPUTS = 64
"""Numbers of each row that are compared one by one."""
ERRORS = {("smooth_l1", ()): F.smooth_l1_loss, ("huber", ()): F.huber_loss, ("absolute", ()): F.l1_loss}
MIN_STEPS = 50
"""Updates after which a training that starts again can be compared."""


def find_harmful_augmentation(case: Case, beginning: Beginning | None, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that the loop changes its rows, and the same network learns the rows as they are far better.

    A copy starts again from the initial weights, with the same optimizer and number of updates (400 at most). Of
    several numbers each is compared by itself: mirrored images spoil the place of a box, and not its size.

    Args:
        case: the finished training.
        beginning: its network before the first update.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.

    Source: Shorten and Khoshgoftaar, "A survey on image data augmentation for deep learning", 2019 (section on the
    safety of an augmentation: whether the label is the same afterwards).
    """
    pairing = case.pairing
    losses = LOSSES | ERRORS
    loss = None if pairing is None or not pairing.is_only_term else losses.get((pairing.loss, pairing.operations))
    if pairing is None or loss is None or beginning is None or not case.baseline_loss > 0 or case.steps < MIN_STEPS:
        return
    passed = find_passed_fraction(case, data[0])
    if not passed < MIN_MATCHED or not are_inputs(case, data, validation):
        return
    batch = next((record.inputs.shape[0] for record in case.records if record.inputs is not None), 32)
    lr = max((record.lr for record in case.records), default=0.0)
    try:
        with preserve_training_state(case.model, case.optimizer):
            with evaluation_mode(case.model), torch.no_grad():
                present = _measure(loss, pairing.loss, case.model(validation[0]), validation[1], case.baseline_loss)
            if not bool((present > MIN_HELD_OUT_LOSS).any()):
                return
            output = predict_after_restart(beginning, lr, loss, data, validation[0], steps=case.steps, batch=batch)
            if output is None:
                return
            restarted = _measure(loss, pairing.loss, output, validation[1], case.baseline_loss)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return
    gain = torch.where(present > MIN_HELD_OUT_LOSS, restarted / present, math.inf)
    worst = int(gain.argmin())
    if not float(gain[worst]) < MAX_REMAINING_AFTER_RESTART:
        return
    values = {
        "changed": f"{1 - passed:.0%}",
        "present": f"{float(present[worst]):.0%}",
        "restarted": f"{float(restarted[worst]):.0%}",
        "updates": f"{min(case.steps, MAX_STEPS):,}",
    }
    yield Finding(
        CHECK,
        "warning",
        {
            "given rows among the inputs": passed,
            "held-out loss relative to guessing": float(present[worst]),
            "without the change": float(restarted[worst]),
            "output": worst,
        },
        Message(
            "the loop changes its rows before the network ({changed} of the recorded inputs are not among the given "
            "rows), and the held-out loss is {present} of that of guessing; a copy that starts again on the given rows "
            "reaches {restarted} in {updates} updates",
            **values,
        )
        if len(gain) == 1
        else Message(
            "the loop changes its rows before the network ({changed} of the recorded inputs are not among the given "
            "rows), and the held-out error of output {number} is {present} of that of guessing; a copy that starts "
            "again on the given rows reaches {restarted} in {updates} updates",
            number=worst,
            **values,
        ),
        Message(
            "look at the augmentation: the label must stay true (a mirrored arrow points to the other side, a rotated "
            "6 is a 9), what the label depends on must stay visible, and boxes, points and masks must be moved with "
            "their image"
        ),
        source=case.sources.get("forward", ""),
    )


def _measure(loss: Any, name: str, output: torch.Tensor, target: torch.Tensor, guess: float) -> torch.Tensor:
    """Return the loss relative to that of guessing, of several numbers the squared error of each; infinite for NaN."""
    is_table = name in REGRESSION_LOSSES and output.shape == target.shape and output.ndim == 2
    if is_table and 1 < output.shape[1] <= MAX_OUTPUTS:
        relative = (output - target).square().mean(0) / target.var(0).clamp(min=1e-30)
    else:
        relative = compare(loss, output, target)[None] / guess
    return torch.where(torch.isfinite(relative), relative, math.inf).double()
