"""Advantages of a policy gradient through which gradients flow into the critic."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_problems import MIN_LOSSES, collect_forms


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_advantage = any(form.advantage_with_graph for form in collect_forms(case))
    return "" if has_advantage else Message("no log-probabilities are multiplied with numbers minus outputs")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("oscillation", "plateau", "high-learning-rate", "unbounded-loss", "opposed-score", "collapsed-outputs"),
)
def undetached_advantage(case: Case) -> Iterator[Finding]:
    """Find advantages R - v(s) with a gradient: the policy's loss also moves the values, away from the returns.

    The derivative of -log π(a|s) (R - v(s)) to the value is log π(a|s), which is never positive: the value grows
    without end as long as its own loss does not stop it.

    Args:
        case: the form of its recorded losses.

    Source: Mnih et al., "Asynchronous methods for deep reinforcement learning", 2016, algorithm S3 (the value is a
    constant in the gradient of the policy).
    """
    forms = collect_forms(case)
    count = sum(form.advantage_with_graph for form in forms)
    if count < MIN_LOSSES or count < len(forms):
        return
    yield Finding(
        "undetached-advantage",
        "error",
        {"losses": count},
        Message(
            "the advantages that the log-probabilities are multiplied with have a gradient: the loss of the policy "
            "also moves the values of the critic, in the direction of ever larger ones"
        ),
        Message("detach the advantage in the loss of the policy: -(log_prob * advantage.detach()).mean()"),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
