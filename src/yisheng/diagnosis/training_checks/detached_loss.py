"""Terms of a loss that hold derivatives without a graph."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case

MIN_TERMS = 3
"""Sums of the recorded steps, of which each update has one or more."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = len(case.constant_terms)
    return "" if count >= MIN_TERMS else Message("no loss adds a derivative that has no graph")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("plateau", "oscillation", "underfitting", "low-learning-rate", "high-learning-rate"),
)
def detached_loss(case: Case) -> Iterator[Finding]:
    """Find derivatives by torch.autograd.grad without create_graph that are added to a loss: they have no gradient.

    The term counts in the value of the loss and changes no weight. Derivatives that become inputs of a network, as
    those of adversarial examples, or factors of a loss, are meant to be numbers.

    Args:
        case: the sums of its recorded steps.

    Source: PyTorch documentation, torch.autograd.grad (``create_graph``); Raissi, Perdikaris and Karniadakis,
    "Physics-informed neural networks", 2019; Gulrajani et al., "Improved training of Wasserstein GANs", 2017.
    """
    terms = case.constant_terms
    scalars = sum(term.is_scalar for term in terms)
    yield Finding(
        "detached-loss",
        "error",
        {"sums": len(terms), "of whole terms": scalars, "loss at the end": case.final_loss},
        Message(
            "the loss adds a derivative that torch.autograd.grad computed without create_graph=True: it counts in the "
            "value of the loss, and no weight is changed by it"
        ),
        Message("pass create_graph=True to each torch.autograd.grad whose result is in the loss"),
        source=terms[0].source,
    )
