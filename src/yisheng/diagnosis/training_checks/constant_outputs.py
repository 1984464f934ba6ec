"""Predictions that are the same for all rows at the end of training."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.training_checks.outweighed_loss import find_remaining_fraction
from yisheng.diagnosis.wording import describe_shortage

MAX_SPREAD = 0.02
"""Standard deviation of the predictions over the rows relative to their size: rounding, or next to nothing."""
MIN_UPDATES = 100
"""Before that, the outputs of a deep network may still be close to its last bias."""
MAX_LEARNED_FRACTION = 0.1
"""A loss that has fallen by more than this says that the predictions differ where it matters."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.probe.reason or case.probe.between_rows is None:
        return case.probe.reason or Message("the outputs are not one per row")
    has_targets = any(record.targets is not None for record in case.records)
    return (
        describe_shortage(MIN_UPDATES, case.steps, Message("updates"))
        if has_targets
        else Message("the loss has no targets")
    )


@register(
    needs=explain_skip, when="during", cause="fit", explains=("plateau", "underfitting", "memorization", "overfitting")
)
def constant_outputs(case: Case) -> Iterator[Finding]:
    """Find a network whose predictions are the same for different rows although their targets differ.

    Args:
        case: its network in its last state, rows of its inputs and their targets.

    Source: Bowman et al., "Generating sentences from a continuous space", 2016, section 3.1 (a code that is ignored).
    """
    deviation, example, targets = case.probe.between_rows, case.example, case.collect_targets()
    if deviation is None or deviation > MAX_SPREAD or example is None or targets is None:
        return
    differs = bool((example[0] != example[0][:1]).any()) and bool((targets != targets[0]).any())
    is_known = case.baseline_loss > 0
    if not differs or (is_known and not case.learned_less_than(MAX_LEARNED_FRACTION)):
        return
    if not is_known and _is_learned(case):
        return
    if not is_known and targets.is_floating_point() and _is_offset(case, float(targets.double().std())):
        return
    yield Finding(
        "constant-outputs",
        "warning",
        {"relative spread of the predictions": deviation, "rows": case.probe.rows, "updates": case.steps},
        Message(
            "after {steps} updates the predictions are the same for all rows, up to {deviation}: nothing "
            "of the inputs reaches them",
            steps=f"{case.steps:,}",
            deviation=f"{deviation:.1%}",
        ),
        Message(
            "divide the learning rate by 10 from the start; then look for units that died, and for a "
            "second term of the loss (a divergence, a penalty) that outweighs the error: average both in "
            "the same way",
        ),
    )


def _is_learned(case: Case) -> bool:
    """Return whether the term of a sum that compares outputs with targets is below that of guessing, or unknown."""
    if case.pairing is not None and case.pairing.is_only_term:
        return False
    return not find_remaining_fraction(case) >= 1 - MAX_LEARNED_FRACTION


def _is_offset(case: Case, std: float) -> bool:
    """Return whether targets far from 0 hide differences between the predictions."""
    targets = case.collect_targets()
    return targets is not None and std < MAX_SPREAD * abs(float(targets.double().mean()))
