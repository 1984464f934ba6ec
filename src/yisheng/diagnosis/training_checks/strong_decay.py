"""Weight decay that shrinks the weights to nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MAX_REMAINING_FRACTION = 0.2
"""Size of a weight relative to its initial size."""
MAX_UNEXPLAINED = 0.5
"""Size that the decay alone would leave, relative to the initial size: if more, something else shrank the weights."""
MAX_LEARNED_FRACTION = 0.3
"""A training that has learned more than this is not reported."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not largest_weight_decay(case) > 0:
        return Message("there is no weight decay")
    return describe_shortage(2, case.recorded_updates, Message("recorded updates"))


def largest_weight_decay(case: Case) -> float:
    """Return the largest weight decay among the optimizer's parameter groups."""
    return max((float(group.get("weight_decay", 0.0)) for group in case.optimizer.param_groups), default=0.0)


@register(
    needs=explain_skip,
    when="during",
    cause="data",
    explains=(
        "vanishing-gradients",
        "low-learning-rate",
        "high-learning-rate",
        "dead-relu",
        "no-gradient",
        "plateau",
        "constant-outputs",
        "missing-activation",
        "missed-classes",
    ),
)
def strong_decay(case: Case) -> Iterator[Finding]:
    """Find weights that weight decay has shrunk to a small part of their initial size, while little is learned.

    With learning rate r, decay d and momentum m, n updates alone leave exp(-n r d / (1 - m)) of a weight; that must be
    half or less. Where the decay is part of the gradient and an adaptive optimizer scales it, an update may be r.

    Args:
        case: the sizes of its weights in the recorded steps.

    Source: Krogh and Hertz, "A simple weight decay can improve generalization", 1992.
    """
    decay, updates = largest_weight_decay(case), [record for record in case.records if record.parameters]
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    vectors = {f"{name}.weight" for name, module in case.model.named_modules() if isinstance(module, nn.Embedding)}
    layers = [p for p in updates[0].parameters if len(p.shape) > 1 and p.weight > 0]
    # Vectors of tokens are large at first, so that the steps of an adaptive optimizer take long to shrink them.
    initial = {p.name: p.weight for p in layers if p.name not in vectors}
    final = {p.name: p.weight for p in updates[-1].parameters}
    fractions = [final[name] / weight for name, weight in initial.items() if name in final]
    if fractions and max(fractions) < MAX_REMAINING_FRACTION and _fraction_left_by_decay(case) < MAX_UNEXPLAINED:
        yield Finding(
            "strong-decay",
            "error",
            {"weight decay": decay, "largest weight left": max(fractions)},
            Message(
                "with a weight decay of {decay} the weights of every layer have shrunk to {fractions} or "
                "less of their initial size, and little is learned",
                decay=f"{decay:g}",
                fractions=f"{max(fractions):.1%}",
            ),
            case.choose_remedy(
                Message("divide weight_decay by 100"), Message("divide the optimizer's weight_decay by 100")
            ),
            change=case.config_change(weight_decay="x 0.01"),
        )


def _fraction_left_by_decay(case: Case) -> float:
    """Return what the decay alone can have left of a weight, relative to its initial size."""
    rates = [record.lr for record in case.records if record.parameters]
    rate = max(rates, default=0.0)
    fraction = 1.0
    for group in case.optimizer.param_groups:
        decay = float(group.get("weight_decay", 0.0))
        is_adaptive = any(key in group for key in ("betas", "alpha", "rho", "lr_decay"))
        is_decoupled = bool(group.get("decoupled_weight_decay", "AdamW" in type(case.optimizer).__name__))
        if not decay > 0:
            continue
        if is_adaptive and not is_decoupled:
            return 0.0
        damping = max(1e-3, 1 - float(group.get("momentum", 0.0)))
        fraction = min(fraction, math.exp(-case.steps * rate * decay / damping))
    return fraction
