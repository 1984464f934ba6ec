"""Weight decay that eats the weights."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnose.case import Case

SHRUNK, LITTLE = 0.2, 0.3


@register(
    when="during",
    cause="data",
    explains=("vanishing-gradients", "low-learning-rate", "high-learning-rate", "dead-relu", "no-gradient"),
)
def strong_decay(case: Case) -> Iterator[Finding]:
    """Weight decay has shrunk most weights to a small part of what they were, and little is learned.

    Args:
        case: the sizes of its weights in the steps that were looked at.

    Source: Krogh and Hertz, "A simple weight decay can improve generalization", 1992.
    """
    decay = max((float(group.get("weight_decay", 0.0)) for group in case.optimizer.param_groups), default=0.0)
    looked = [moment for moment in case.moments if moment.learning]
    if decay <= 0 or len(looked) < 2 or not case.harmed(LITTLE):
        return
    before = {one.name: one.weight for one in looked[0].learning if len(one.shape) > 1 and one.weight > 0}
    after = {one.name: one.weight for one in looked[-1].learning}
    shares = [after[name] / weight for name, weight in before.items() if name in after]
    if shares and max(shares) < SHRUNK:
        yield Finding(
            "strong-decay",
            "error",
            {"weight decay": decay, "largest weight left": max(shares)},
            f"with a weight decay of {decay:g} every layer's weights have shrunk to {max(shares):.1%} or less of what "
            "they were, and little is learned",
            case.says("divide weight_decay by 100", "divide the optimiser's weight_decay by 100"),
        )
