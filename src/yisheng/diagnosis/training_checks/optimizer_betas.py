"""Betas of Adam in the wrong order."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_betas = any(isinstance(group.get("betas"), tuple | list) for group in case.optimizer.param_groups)
    return "" if has_betas and case.steps else Message("the optimizer has no betas")


@register(
    needs=explain_skip,
    when="first",
    cause="rate",
    explains=("oscillation", "high-learning-rate", "low-learning-rate", "plateau", "too-few-epochs", "underfitting"),
)
def optimizer_betas(case: Case) -> Iterator[Finding]:
    """Find an optimizer whose mean of the gradients is longer than that of their squares.

    The mean reaches back about 1 / (1 - beta1) updates, that of the squares 1 / (1 - beta2). The step is their ratio:
    with beta1 above beta2 the numerator remembers gradients that the denominator has forgotten, and the step is no
    longer bounded by the learning rate.

    Args:
        case: its optimizer.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 2.1 (the steps are bounded for
    (1 - beta1) <= sqrt(1 - beta2)).
    """
    for group in case.optimizer.param_groups:
        betas = group.get("betas")
        if not isinstance(betas, tuple | list) or len(betas) < 2:
            continue
        first, second = float(betas[0]), float(betas[1])
        if first > second:
            yield Finding(
                "optimizer-betas",
                "error",
                {"beta1": first, "beta2": second},
                Message(
                    "betas=({first}, {second}): the mean of the gradients reaches back {long} updates, that of their "
                    "squares only {short}",
                    first=f"{first:g}",
                    second=f"{second:g}",
                    long=f"{1 / max(1 - first, 1e-12):,.0f}",
                    short=f"{1 / max(1 - second, 1e-12):,.0f}",
                ),
                Message("swap them: betas=({second}, {first})", second=f"{second:g}", first=f"{first:g}"),
                source=case.sources.get("optimizer", ""),
            )
            return
