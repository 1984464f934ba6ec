"""Layers that the network does not know as its own."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, are_untrained, describe_shortage
from yisheng.diagnosis.recorder.recorder import MIN_UPDATES_TO_JUDGE


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(MIN_UPDATES_TO_JUDGE, case.steps, "updates")


@register(
    needs=why_not, when="first", cause="structure", explains=("low-learning-rate", "vanishing-gradients", "plateau")
)
def unregistered_parameters(case: Case) -> Iterator[Finding]:
    """The loss depends on untrained weights that are in neither ``model.parameters()`` nor the optimiser.

    Layers in a plain Python list are not registered: they are not trained, saved or moved to a device. A trained
    network that a loss compares features with is not meant.

    Args:
        case: parameters in the graph of its loss that nothing has changed.

    Source: PyTorch documentation, torch.nn.ModuleList.
    """
    lost = [p for p in case.unknown_parameters if p.ndim > 1]
    if not are_untrained(lost):
        return
    shapes = [list(p.shape) for p in lost]
    yield Finding(
        "unregistered-parameters",
        "error",
        {"shapes": shapes},
        f"the loss depends on weights of shape {', '.join(map(str, shapes[:4]))} that are not among "
        "model.parameters(): nothing trains them",
        "keep layers as attributes or in nn.ModuleList, not in a plain list or dict, and make the optimiser afterwards",
    )
