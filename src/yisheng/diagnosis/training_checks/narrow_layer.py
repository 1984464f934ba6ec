"""A layer that is too narrow for the classes behind it."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_NARROWING = 4
"""Units of the layer before, at least, for one of the narrow layer."""
MAX_LEARNED_FRACTION = 0.85
"""A training that has learned more than this manages with the narrow layer."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    pairing = case.pairing
    if pairing is None or pairing.loss != "nll" or len(pairing.shape) != 2:
        return Message("the loss does not compare classes")
    return "" if any(record.layers for record in case.records) else Message("no layers were recorded")


@register(needs=explain_skip, when="during", cause="fit", explains=("plateau", "underfitting"))
def narrow_layer(case: Case) -> Iterator[Finding]:
    """Find a linear layer of far fewer units than its input and than the classes, in a classifier that learns little.

    C classes span C - 1 dimensions in general; through w < (C - 1) / 2 numbers they must share.

    Args:
        case: the layers of its first recorded step, and its losses.

    Source: Bishop, "Pattern recognition and machine learning", 2006, section 4.1.6 (C - 1 discriminant directions).
    """
    pairing = case.pairing
    assert pairing is not None  # ensured by needs
    layers = next((record.layers for record in case.records if record.layers), [])
    linear = [layer for layer in layers if layer.kind == "Linear" and len(layer.shape) == 2]
    widths = {name: module.in_features for name, module in case.model.named_modules() if hasattr(module, "in_features")}
    if not linear or linear[-1].shape[1] != pairing.shape[1]:
        return
    limit = (pairing.shape[1] - 1) / 2
    for layer in (layer for layer in linear if layer.name != linear[-1].name):
        width, inputs = layer.shape[1], widths.get(layer.name, 0)
        if width < limit and inputs >= MIN_NARROWING * width and case.learned_less_than(MAX_LEARNED_FRACTION):
            yield Finding(
                "narrow-layer",
                "warning",
                {"layer": layer.name, "units": width, "inputs": inputs, "classes": pairing.shape[1]},
                Message(
                    "everything passes the {width} units of {name}, and {shape} classes are to be told apart behind it",
                    width=width,
                    name=layer.name,
                    shape=pairing.shape[1],
                ),
                Message(
                    "give {name} more units: {width} to {width_2}",
                    name=layer.name,
                    width=8 * width,
                    width_2=max(8 * width, 4 * pairing.shape[1]),
                ),
            )
            return
