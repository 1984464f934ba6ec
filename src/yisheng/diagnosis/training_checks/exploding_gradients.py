"""Signals that grow from layer to layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

LAYERS, TIMES, LITTLE = 3, 30.0, 0.8
WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d")


def why_not(case: Case) -> str:
    """What it lacks."""
    first = next((moment for moment in case.records if moment.layers and moment.inputs), None)
    weighted = 0 if first is None else sum(unit.kind in WEIGHTED for unit in first.layers)
    return describe_shortage(LAYERS, weighted, "layers with weights")


@register(
    needs=why_not,
    when="first",
    cause="data",
    explains=("high-learning-rate", "non-finite-loss", "initial-loss", "dead-relu", "saturated-activation"),
)
def exploding_gradients(case: Case) -> Iterator[Finding]:
    """Already in the first pass the values grow from layer to layer, and with them the gradients: too large weights.

    Args:
        case: the layers' outputs in its first pass.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    section 4.2; Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """
    first = next((moment for moment in case.records if moment.layers and moment.inputs), None)
    if first is None or first.inputs is None or not case.learned_less_than(LITTLE):
        return
    stds = [unit.std for unit in first.layers if unit.kind in WEIGHTED]
    if len(stds) < LAYERS or not first.inputs.std > 0:
        return
    grown = stds[-1] / max(first.inputs.std, 1.0)
    rising = sum(after > before for before, after in itertools.pairwise(stds)) / (len(stds) - 1)
    if not math.isfinite(grown) or (grown > TIMES and rising > 0.6):
        yield Finding(
            "exploding-gradients",
            "error",
            {"std of the input": first.inputs.std, "std of the output": stds[-1], "layers": len(stds)},
            f"over {len(stds)} layers the values grow from a standard deviation of {first.inputs.std:.3g} to "
            f"{stds[-1]:.3g} before any training, and the gradients with them: the initial weights are too large",
            case.choose_remedy(
                "say init=kaiming-normal or init=default",
                "initialise by Kaiming or Xavier, or put batch norm in between",
            ),
            change=case.config_change(init="kaiming-normal"),
        )
