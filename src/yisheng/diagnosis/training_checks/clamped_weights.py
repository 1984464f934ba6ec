"""Weights that are cut off at a bound after each update."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_FRACTION = 0.2
"""Fraction of a weight's values at the bound; of values that are not cut off, one or two are the largest."""
MIN_VALUES = 16
"""Values of a weight: of fewer, several may be equal at random."""
MAX_LEARNED_FRACTION = 0.7
"""A training that has learned more than this bears the bound."""
COMPARISONS = ("nll", "mse", "squared", "binary_cross_entropy")
"""Beginnings of losses, as in `Pairing`, that compare with targets; the bound of a critic is meant."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or not case.pairing.loss.startswith(COMPARISONS):
        return Message("the loss does not compare predictions with targets")
    return "" if case.steps else Message("no update was made")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "plateau", "vanishing-gradients", "low-learning-rate", "narrow-layer", "too-few-epochs"),
)
def clamped_weights(case: Case) -> Iterator[Finding]:
    """Find weights of which many have exactly the largest absolute value, while little is learned.

    Args:
        case: its network in its last state.

    Source: Arjovsky, Chintala and Bottou, "Wasserstein GAN", 2017, section 3 (weights of a critic are clipped, "a
    clearly terrible way" to bound its slope).
    """
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    for name, weight in case.model.named_parameters():
        if weight.ndim < 2 or weight.numel() < MIN_VALUES or not weight.is_floating_point():
            continue
        sizes = weight.detach().abs()
        bound = float(sizes.max())
        fraction = float((sizes == bound).float().mean()) if bound and math.isfinite(bound) else 0.0
        if fraction < MIN_FRACTION or name in case.equal_rows:  # those of a constant initialization are equal
            continue
        yield Finding(
            "clamped-weights",
            "warning",
            {
                "parameter": name,
                "bound": bound,
                "fraction": fraction,
                "fraction of the loss gone": case.learned_fraction,
            },
            Message(
                "{fraction} of the values of {name} are exactly {bound} in size: something cuts them off after each "
                "update, and the network cannot learn more",
                fraction=f"{fraction:.0%}",
                name=name,
                bound=f"{bound:.3g}",
            ),
            Message("leave out the clamp; to keep weights small use weight_decay, for bounded slopes spectral_norm"),
            source=case.sources.get("step", ""),
        )
        return
