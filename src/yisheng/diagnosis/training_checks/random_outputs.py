"""Predictions that are drawn again in each pass, although no layer drops values."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case

MIN_CHANGE = 0.1
"""Difference of two passes over the same rows, in standard deviations of the predictions; sums in another order differ
by a millionth, and a tenth changes a few percent of the predicted classes."""
CLASS_LOSSES = ("nll", "soft_nll", "binary_cross_entropy", "binary_cross_entropy_with_logits")


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.probe.reason:
        return case.probe.reason
    return "" if case.probe.chance is not None else Message("the predictions are the same for all rows")


@register(needs=explain_skip, when="during", cause="structure", explains=("overfitting", "underfitting", "plateau"))
def random_outputs(case: Case) -> Iterator[Finding]:
    """Find a classifier, or a recurrent network, whose prediction for a row changes from pass to pass in evaluation.

    A first state or noise that is drawn in `forward` stays random in evaluation mode. Networks that generate, and those
    whose loss has several terms, draw on purpose.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.LSTM (h_0 and c_0 are zeros if they are not given).
    """
    change, pairing = case.probe.chance or 0.0, case.pairing
    if change < MIN_CHANGE or case.probe.active_dropout or pairing is None or not pairing.is_only_term:
        return
    recurrent = [name for name, module in case.model.named_modules() if isinstance(module, nn.RNNBase)]
    is_prediction = pairing.loss in CLASS_LOSSES or (bool(recurrent) and pairing.loss in REGRESSION_LOSSES)
    if not is_prediction:
        return
    yield Finding(
        "random-outputs",
        "warning",
        {"change in standard deviations": change, "rows": case.probe.rows},
        Message(
            "two predictions for the same row differ by {change} standard deviations in evaluation mode, though no "
            "dropout is active: forward draws random numbers",
            change=f"{change:.2g}",
        ),
        Message(
            "leave out the first state of {recurrent}, which is zero then, or draw noise only if self.training",
            recurrent=recurrent[0],
        )
        if recurrent
        else Message("draw noise only if self.training; look for torch.rand and torch.randn in forward"),
        source=case.sources.get("forward", ""),
    )
