"""Units that are all the same and stay so."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage, join_names
from yisheng.diagnosis.recorder.recorder import MIN_UPDATES_TO_JUDGE
from yisheng.diagnosis.recorder.statistics import has_equal_rows

LITTLE = 0.5


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(MIN_UPDATES_TO_JUDGE, case.steps, "updates")


@register(
    needs=why_not,
    when="first",
    cause="structure",
    explains=("no-gradient", "vanishing-gradients", "low-learning-rate", "dead-relu", "high-learning-rate", "plateau"),
)
def symmetric_weights(case: Case) -> Iterator[Finding]:
    """All units of a hidden layer began with the same weights and still had them after some updates.

    Units that begin has_equal_rows get the same gradient and stay has_equal_rows: the layer works as one unit, until rounding parts them.
    A residual branch that begins at zero moves away from it, and the last layer may begin at zero.

    Args:
        case: weights with equal rows at the beginning, and those of them that were so after five updates.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 8.4.
    """
    weights = [(name, p) for name, p in case.model.named_parameters() if p.ndim > 1]
    last = weights[-1][0] if weights else ""
    same = [
        name
        for name, p in weights
        if name in case.still_equal
        and name != last
        and p.shape[0] > 1
        and (bool(case.equal_rows[name].any()) or has_equal_rows(p) or case.learned_less_than(LITTLE))
    ]
    if same:
        yield Finding(
            "symmetric-weights",
            "error",
            {"parameters": same, "updates": case.steps},
            f"all units of {join_names(same)} began with the same weights and still had the same after some updates",
            case.choose_remedy("say init=xavier-uniform, or leave init out", "draw the weights by chance, as torch's layers do"),
            change=case.config_change(init="xavier-uniform"),
        )
