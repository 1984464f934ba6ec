"""Weight decay that eats the weights."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

SHRUNK, LITTLE = 0.2, 0.3


def why_not(case: Case) -> str:
    """What it lacks."""
    return (
        describe_shortage(2, case.recorded_updates, "updates that were looked at") if decay_of(case) > 0 else "there is no weight decay"
    )


def decay_of(case: Case) -> float:
    """The largest weight decay of the optimiser."""
    return max((float(group.get("weight_decay", 0.0)) for group in case.optimizer.param_groups), default=0.0)


@register(
    needs=why_not,
    when="during",
    cause="data",
    explains=("vanishing-gradients", "low-learning-rate", "high-learning-rate", "dead-relu", "no-gradient", "plateau"),
)
def strong_decay(case: Case) -> Iterator[Finding]:
    """Weight decay has shrunk most weights to a small part of what they were, and little is learned.

    Args:
        case: the sizes of its weights in the steps that were looked at.

    Source: Krogh and Hertz, "A simple weight decay can improve generalization", 1992.
    """
    decay, looked = decay_of(case), [moment for moment in case.records if moment.parameters]
    if not case.learned_less_than(LITTLE):
        return
    before = {one.name: one.weight for one in looked[0].parameters if len(one.shape) > 1 and one.weight > 0}
    after = {one.name: one.weight for one in looked[-1].parameters}
    shares = [after[name] / weight for name, weight in before.items() if name in after]
    if shares and max(shares) < SHRUNK:
        yield Finding(
            "strong-decay",
            "error",
            {"weight decay": decay, "largest weight left": max(shares)},
            f"with a weight decay of {decay:g} every layer's weights have shrunk to {max(shares):.1%} or less of what "
            "they were, and little is learned",
            case.choose_remedy("divide wd by 100", "divide the optimiser's weight_decay by 100"),
            change=case.config_change(wd="x 0.01"),
        )
