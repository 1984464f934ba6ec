"""Layers that the network does not register."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.initialization import are_untrained
from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE
from yisheng.diagnosis.wording import describe_shortage


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_UPDATES_TO_JUDGE, case.steps, Message("updates"))


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("low-learning-rate", "vanishing-gradients", "plateau"),
)
def unregistered_parameters(case: Case) -> Iterator[Finding]:
    """Find untrained weights that the loss depends on, in neither ``model.parameters()`` nor the optimizer.

    Layers in a plain Python list are not registered: they are not trained, saved or moved to a device. A trained
    network whose features a loss compares is not reported.

    Args:
        case: parameters in the graph of its loss that nothing has changed.

    Source: PyTorch documentation, torch.nn.ModuleList.
    """
    weights = [p for p in case.unknown_parameters if p.ndim > 1]
    if not are_untrained(weights):
        return
    shapes = [list(p.shape) for p in weights]
    yield Finding(
        "unregistered-parameters",
        "error",
        {"shapes": shapes},
        Message(
            "the loss depends on weights of shape {str} that are not in model.parameters(): nothing trains them",
            str=", ".join(map(str, shapes[:4])),
        ),
        Message(
            "assign the layers to attributes or nn.ModuleList instead of a plain list or dict, then "
            "create the optimizer",
        ),
    )
