"""Replicas of data parallel training that did not begin with the same weights."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if case.replicas else Message("no other network of the program takes over the gradients")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "plateau", "low-learning-rate", "high-learning-rate", "oscillation"),
)
def unsynchronized_replicas(case: Case) -> Iterator[Finding]:
    """Find networks that are updated with exactly the same gradients and have other weights.

    The mean of the gradients of several replicas is the gradient of the mean loss only if their weights are the same.

    Args:
        case: networks in variables of the program.

    Source: Li et al., "PyTorch distributed: experiences on accelerating data parallel training", 2020, section 3.1
    (the same initial state on all replicas).
    """
    assert case.replicas is not None  # ensured by needs
    replicas = case.replicas
    yield Finding(
        "unsynchronized-replicas",
        "error",
        {"replicas": replicas.count, "parameter": replicas.parameter, "cosine of the weights": replicas.cosine},
        Message(
            "{count} networks are updated with the same gradients and have different weights (the cosine of their "
            "{parameter} is {cosine}): a mean of gradients fits none of them",
            count=replicas.count,
            parameter=replicas.parameter,
            cosine=f"{replicas.cosine:.2g}",
        ),
        Message(
            "let all replicas begin with the same weights: replica.load_state_dict(replicas[0].state_dict()), or "
            "broadcast them from rank 0"
        ),
        source=case.sources.get("step", ""),
    )
