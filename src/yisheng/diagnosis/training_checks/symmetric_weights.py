"""Units of a layer that are equal and stay so."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE
from yisheng.diagnosis.recorder.statistics import has_equal_rows
from yisheng.diagnosis.wording import describe_shortage, join_names

MAX_LEARNED_FRACTION = 0.5
"""In a training that has learned more than this, weights that began at zero and have changed are not reported."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_UPDATES_TO_JUDGE, case.steps, Message("updates"))


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        "no-gradient",
        "vanishing-gradients",
        "low-learning-rate",
        "dead-relu",
        "high-learning-rate",
        "plateau",
        "constant-outputs",
        "missing-activation",
        "missed-classes",
    ),
)
def symmetric_weights(case: Case) -> Iterator[Finding]:
    """Find hidden layers whose units began with equal weights and still had them after some updates.

    Equal units get equal gradients and stay equal, so the layer works as one unit until rounding separates them. A
    residual branch that begins at zero moves away from it, and the last layer may begin at zero. Weights that no
    gradient reaches, such as adapters in a part that runs without gradients, would stay as they are at any values.

    Args:
        case: weights with equal rows at the beginning, and those that still had them after five updates.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 8.4.
    """
    weights = [(name, p) for name, p in case.model.named_parameters() if p.ndim > 1]
    output_weight = weights[-1][0] if weights else ""
    updates = [record for record in case.records if record.parameters]
    without_gradient = [{p.name for p in record.parameters if p.gradient is None} for record in updates]
    unreached = set.intersection(*without_gradient) if updates else set()
    equal = [
        name
        for name, p in weights
        if name in case.still_equal
        and name != output_weight
        and p.shape[0] > 1
        and name not in unreached
        and (bool(case.equal_rows[name].any()) or has_equal_rows(p) or case.learned_less_than(MAX_LEARNED_FRACTION))
    ]
    if equal:
        yield Finding(
            "symmetric-weights",
            "error",
            {"parameters": equal, "updates": case.steps},
            Message(
                "all units of {equal} began with equal weights and still had them after some updates",
                equal=join_names(equal),
            ),
            case.choose_remedy(
                Message("use init=xavier-uniform, or remove init"),
                Message("initialize the weights at random, as torch's layers do"),
            ),
            change=case.config_change(init="xavier-uniform"),
        )
