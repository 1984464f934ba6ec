"""Dropout that leaves next to nothing, or that sets predictions to zero."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
MIN_PROBABILITY = 0.9
"""Dropout of 0.8 is used on wide layers; above 0.9 fewer than one unit in ten is left, with ten times its value."""
MAX_LEARNED_FRACTION = 0.5
"""A training that has learned more than this stands the dropout."""
MIN_OUTPUT_PROBABILITY = 0.05
"""Probability behind the last layer: even a twentieth of predictions of 0 is an error that no weight can remove."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    drops = any(isinstance(module, DROPOUT) and module.p > 0 for module in case.model.modules())
    return "" if drops and case.records else Message("the network has no dropout")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("plateau", "low-learning-rate", "oscillation", "vanishing-gradients", "dead-relu", "high-learning-rate"),
)
def strong_dropout(case: Case) -> Iterator[Finding]:
    """Find dropout of 0.9 and more while little is learned, and dropout of the predictions themselves.

    Args:
        case: its network and the layers of the recorded steps.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014, section 7.3
    (units are kept with a probability of 0.4 to 0.8).
    """
    modules = {name: module for name, module in case.model.named_modules() if isinstance(module, DROPOUT)}
    last = next((record.layers[-1].name for record in case.records if record.layers), "")
    if last in modules and modules[last].p > MIN_OUTPUT_PROBABILITY and _is_compared(case):
        yield Finding(
            "strong-dropout",
            "error",
            {"layer": last, "p": modules[last].p},
            Message(
                "{last} is the last layer and sets {p} of the predictions to zero in training, whatever the inputs are",
                last=last,
                p=f"{modules[last].p:.0%}",
            ),
            Message("put the dropout before the last layer with weights"),
        )
        return
    strong = [name for name, module in modules.items() if module.p >= MIN_PROBABILITY]
    if strong and case.learned_less_than(MAX_LEARNED_FRACTION):
        p = max(modules[name].p for name in strong)
        yield Finding(
            "strong-dropout",
            "warning",
            {"layers": strong, "p": p, "fraction of the loss gone": case.learned_fraction},
            Message(
                "{strong} sets {p} of its units to zero, and little is learned: p is the fraction that is "
                "dropped, not the one that is kept",
                strong=strong[0],
                p=f"{p:.0%}",
            ),
            case.choose_remedy(
                Message("use dropout=0.3"),
                Message("use p={p} to drop {p_2}, or 0.2 to 0.5", p=f"{1 - p:.2g}", p_2=f"{1 - p:.0%}"),
            ),
            change=case.config_change(dropout=0.3),
        )


def _is_compared(case: Case) -> bool:
    """Return whether the output of the last layer has the shape that the loss compares."""
    pairing = case.pairing
    layer = next((record.layers[-1] for record in case.records if record.layers), None)
    if pairing is None or layer is None or not pairing.loss:
        return False
    compared, shape = (tuple(size for size in s if size != 1) for s in (pairing.shape, layer.shape))
    return compared == shape or compared[1:] == shape[1:]
