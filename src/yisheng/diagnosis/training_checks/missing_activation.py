"""Several layers without anything between them."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_LAYERS = 2
"""Weights of two or more axes; a single one is a linear model on purpose."""
MAX_LEARNED_FRACTION = 0.6
"""A target that a line follows so far needs no activation."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.probe.reason:
        return case.probe.reason
    return "" if case.probe.is_affine is not None else Message("the inputs are not one tensor of numbers")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "plateau", "overfitting", "low-learning-rate", "memorization"),
)
def missing_activation(case: Case) -> Iterator[Finding]:
    """Find a network of several layers that is one linear map, and learns little: no activation is called.

    Of a linear map f(a + (a - b)) = f(a) + (f(a) - f(b)) for all rows.

    Args:
        case: its network in its last state, and its losses.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.1.
    """
    layers = sum(p.ndim > 1 for p in case.model.parameters())
    targets = next((record.targets for record in case.records if record.targets is not None), None)
    is_autoencoder = targets is not None and case.example is not None and targets.shape[1:] == case.example[0].shape[1:]
    has_activations = any(record.activations for record in case.records)  # they may have died
    is_line = bool(case.probe.is_affine) and layers >= MIN_LAYERS and not is_autoencoder and not has_activations
    if not is_line or not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    yield Finding(
        "missing-activation",
        "warning",
        {"layers": layers, "fraction of the loss gone": case.learned_fraction},
        Message(
            "the {layers} layers of the network are together one linear map: nothing bends between them, and it can "
            "only draw straight lines",
            layers=layers,
        ),
        Message("call an activation after each layer but the last, such as torch.relu(self.fc1(x))"),
        source=case.sources.get("forward", ""),
    )
