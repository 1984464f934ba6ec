"""Bootstrapped targets that gradients flow into."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_problems import MIN_LOSSES, collect_forms


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_targets = any(form.bootstraps_with_graph for form in collect_forms(case))
    return "" if has_targets else Message("no target is a number plus a factor times an output with a gradient")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("oscillation", "plateau", "high-learning-rate", "opposed-score", "stale-target"),
)
def undetached_targets(case: Case) -> Iterator[Finding]:
    """Find targets r + γ v(s') through which gradients flow: the value of the next state is changed to fit, too.

    Args:
        case: the form of its recorded losses.

    Source: Sutton and Barto, "Reinforcement learning", 2018, sections 9.3 and 11.5 (semi-gradients, and what is wrong
    with the gradient of the squared temporal difference).
    """
    forms = collect_forms(case)
    count = sum(form.bootstraps_with_graph for form in forms)
    if count < MIN_LOSSES or count < len(forms):
        return
    yield Finding(
        "undetached-targets",
        "warning",
        {"losses": count},
        Message(
            "the targets are a reward plus a factor times outputs of the same weights, and gradients flow into both "
            "sides: the value of the next state is moved toward that of the present one"
        ),
        Message("compute the targets under torch.no_grad(), or detach() them"),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
