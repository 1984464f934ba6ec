"""Terms of a loss that have no gradient: derivatives without a graph, and numbers such as those of a penalty."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.changing_numbers import is_cut

MIN_TERMS = 3
"""Sums of the recorded steps, of which each update has one or more."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_terms = len(case.constant_terms) >= MIN_TERMS or bool(case.number_terms)
    return "" if has_terms else Message("no loss adds a number or a derivative that has no graph")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("plateau", "oscillation", "underfitting", "low-learning-rate", "high-learning-rate"),
)
def detached_loss(case: Case) -> Iterator[Finding]:
    """Find terms of a loss without a gradient: derivatives without create_graph, and numbers by item() or detach().

    The term counts in the value of the loss and changes no weight. Derivatives that become inputs of a network, as
    those of adversarial examples, or factors of a loss, are meant to be numbers. Numbers of a batch, such as the
    entropy of its targets, change from step to step; those of the weights move as slowly as these do.

    Args:
        case: the sums of its recorded steps.

    Source: PyTorch documentation, torch.autograd.grad (``create_graph``); Raissi, Perdikaris and Karniadakis,
    "Physics-informed neural networks", 2019; Gulrajani et al., "Improved training of Wasserstein GANs", 2017.
    """
    terms = case.constant_terms
    if len(terms) < MIN_TERMS:
        yield from _find_numbers(case)
        return
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


def _find_numbers(case: Case) -> Iterator[Finding]:
    """Yield the first number in the loss that is a function of the weights or of the outputs."""
    series = next((series for series in case.number_terms if is_cut(series)), None)
    if series is None:
        return
    values = [term.value for term in series.terms]
    yield Finding(
        "detached-loss",
        "error",
        {"sums": len(values), "lowest": min(values), "highest": max(values), "loss at the end": case.final_loss},
        Message(
            "the loss adds a number without a gradient, which was {first} at first and {last} at the end: it counts in "
            "the value of the loss, and no weight is changed by it",
            first=f"{values[0]:.3g}",
            last=f"{values[-1]:.3g}",
        ),
        Message(
            "compute this term of the loss from the weights or the outputs without .item(), float(), .detach(), .data "
            "and torch.no_grad()"
        ),
        source=series.source,
    )
