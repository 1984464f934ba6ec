"""Training mode where it is not meant, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.recorder import MODE_DEPENDENT

LEAST, SHARE = 5, 0.25


def why_not(case: Case) -> str:
    """What it lacks."""
    seen = any(isinstance(module, MODE_DEPENDENT) for module in case.model.modules())
    return "" if seen else "the network has neither dropout nor batch norm"


@register(needs=why_not, when="first", cause="structure")
def mode(case: Case) -> Iterator[Finding]:
    """Updates in evaluation mode, or evaluation in training mode, in a network where it makes a difference.

    A frozen part may well be in evaluation mode: meant is the network as a whole, when what depends on the mode learns.

    Args:
        case: the modes of its updates and evaluations.

    Source: PyTorch documentation, torch.nn.Module.eval.
    """
    modal = [(name, module) for name, module in case.model.named_modules() if isinstance(module, MODE_DEPENDENT)]
    learning = [
        name
        for name, m in modal
        if (isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0) or any(p.requires_grad for p in m.parameters())
    ]
    wrong = case.updated_in_evaluation_mode
    if learning and wrong >= LEAST and wrong > SHARE * case.steps:
        yield Finding(
            "mode",
            "warning",
            {"updates": wrong, "of": case.steps, "layers": learning[:5]},
            f"{wrong} of {case.steps} updates are made in evaluation mode: {learning[0]} does not do in training what "
            "it is for",
            "call model.train() before the training steps, again after each evaluation",
        )
    if case.evaluated_in_training_mode > 1:
        yield Finding(
            "mode",
            "warning",
            {"forward passes": case.evaluated_in_training_mode},
            f"the network is evaluated in training mode: {modal[0][0] if modal else 'dropout'} makes what it says "
            "depend on chance or on the other rows of the batch",
            "call model.eval() before evaluating",
        )
