"""Parameters that no gradient reaches."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage, join_names

LEAST, LITTLE = 5, 0.3


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(LEAST, case.recorded_updates, "updates that were looked at")


@register(
    needs=why_not,
    when="first",
    cause="structure",
    explains=("vanishing-gradients", "low-learning-rate", "dead-relu", "plateau"),
)
def no_gradient(case: Case) -> Iterator[Finding]:
    """Parameters that want a gradient and are in the optimiser never get one.

    The graph is cut before them; or the gradients are cleared between backward pass and update. Layers that are not
    called, as a second head that is not in use yet, are only told of where nothing is learned.

    Args:
        case: the gradients of the steps that were looked at.

    Source: PyTorch documentation, "Autograd mechanics" (detach, .data, no_grad).
    """
    looked = [moment for moment in case.records if moment.parameters]
    never = {one.name for one in looked[0].parameters if one.gradient is None}
    zero = {one.name for one in looked[0].parameters if one.gradient == 0}
    reached = False
    for moment in looked:
        never &= {one.name for one in moment.parameters if one.gradient is None}
        zero &= {one.name for one in moment.parameters if one.gradient == 0}
        reached |= any(one.gradient for one in moment.parameters)
    held = [name for name, p in case.model.named_parameters() if id(p) in case.optimizer_ids and p.requires_grad]
    names = [name for name in held if name in never]
    depends = {name for moment in looked for name in moment.reached}
    if depends and (not reached) and all(name in never | zero for name in depends) and _cleared(case):
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": sorted(depends), "steps": len(looked)},
            "every update finds no gradients, though the loss depends on the parameters: they are cleared between "
            "the backward pass and the update",
            "call optimizer.zero_grad() before loss.backward(), not between it and optimizer.step()",
        )
    elif names and (not _unused(case, names) or case.learned_less_than(LITTLE)):
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": names, "steps": len(looked)},
            f"no gradient reaches {join_names(names)}: the graph is cut before them, or they are not used",
            "look for detach(), .data, .item(), numpy() or no_grad() on the way from them to the loss",
        )
    elif not reached and zero and not names:
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": sorted(zero), "steps": len(looked)},
            "the gradient of every parameter is exactly zero: the loss does not depend on them",
            "look at what lies between the last layer and the loss: a softmax over one unit, a rounded or thresholded "
            "output, a dead layer",
        )


def _cleared(case: Case) -> bool:
    """Whether there are no gradients at the update: None, or zeros in a loss that still has a slope."""
    looked = [moment for moment in case.records if moment.parameters]
    if all(one.gradient is None for moment in looked for one in moment.parameters):
        return True
    pairing = case.pairing
    bounded = pairing is not None and pairing.softmax_axis is not None and 1 in pairing.shape
    bent = any(bend.zero_fraction is not None and bool((bend.zero_fraction == 1).all()) for m in looked for bend in m.activations)
    return not bounded and not bent


def _unused(case: Case, names: list[str]) -> bool:
    """Whether all of these belong to layers that were never called."""
    called = {unit.name for moment in case.records for unit in moment.layers}
    layers = {name for name, module in case.model.named_modules() if next(module.children(), None) is None}
    owners = {name.rpartition(".")[0] for name in names}
    return all(owner in layers and owner and owner not in called for owner in owners)
