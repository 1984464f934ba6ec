"""Representations that are the same for all rows."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MAX_SPREAD = 0.1
"""Standard deviation of the outputs over the rows relative to their size: in a network that distinguishes rows it is
near 1, and before training 0.3 to 0.9."""
MIN_LOSS_REDUCTION = 0.9
"""Fraction of the loss that must be gone: a collapse makes such a loss nearly as small as it can be."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if any(record.targets is not None and record.pairing is not None and record.pairing.target is not None
           for record in case.records):  # fmt: skip
        return Message("the loss has targets")
    return case.probe.reason or (Message("the outputs are not one per row") if case.probe.between_rows is None else "")


@register(needs=explain_skip, when="during", cause="structure", explains=("plateau", "instant-fit", "dead-relu"))
def collapsed_outputs(case: Case) -> Iterator[Finding]:
    """Find a loss without targets that is small because the outputs are the same for all rows.

    Such a loss compares outputs with one another, and nothing in it keeps those of different rows apart.

    Args:
        case: its network in its last state, rows of its inputs and its losses.

    Source: Hadsell, Chopra and LeCun, "Dimensionality reduction by learning an invariant mapping", 2006, section 2;
    Bardes, Ponce and LeCun, "VICReg", 2022, section 3.
    """
    deviation = case.probe.between_rows
    if deviation is None or deviation > MAX_SPREAD or not case.loss_reduction > MIN_LOSS_REDUCTION:
        return
    last = next((record.layers[-1] for record in case.records if record.layers), None)
    if last is not None and last.shape[1:] in ((), (1,)):  # one number, as of a critic, may have any offset
        return
    if case.example is None or bool((case.example[0] == case.example[0][:1]).all()):
        return
    yield Finding(
        "collapsed-outputs",
        "error",
        {"relative spread of the outputs": deviation, "fraction of the loss gone": case.loss_reduction},
        Message(
            "the outputs are the same for all rows, up to {deviation}: the loss is small because nothing "
            "in it keeps different rows apart",
            deviation=f"{deviation:.1%}",
        ),
        Message(
            "add pairs that differ to the loss (cross_entropy of similarities, a margin), or a term for the variance",
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
