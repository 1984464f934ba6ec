"""Values that grow from layer to layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.training_checks.outweighed_loss import find_remaining_fraction
from yisheng.diagnosis.wording import describe_shortage

MIN_LAYERS, MIN_GROWTH, MIN_RISING_FRACTION = 3, 30.0, 0.6
"""Layers with weights; last standard deviation over that of the input; fraction of layers that increase it."""
MAX_LEARNED_FRACTION = 0.8
"""A training that has learned more than this is not reported."""
LAYER_KINDS = ("Linear", "Conv1d", "Conv2d", "Conv3d")


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    record = _first_pass(case)
    count = 0 if record is None else sum(layer.kind in LAYER_KINDS for layer in record.layers)
    return describe_shortage(MIN_LAYERS, count, Message("layers with weights"))


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=(
        "high-learning-rate",
        "non-finite-loss",
        "initial-loss",
        "dead-relu",
        "saturated-activation",
        "constant-outputs",
        "missed-classes",
    ),
)
def exploding_gradients(case: Case) -> Iterator[Finding]:
    """Find values that grow from layer to layer in the first pass, and gradients with them: too large weights.

    Args:
        case: the outputs of its layers in the first pass.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    section 4.2; Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """
    record = _first_pass(case)
    if record is None or record.inputs is None or not _has_learned_little(case):
        return
    stds = [layer.std for layer in record.layers if layer.kind in LAYER_KINDS]
    if len(stds) < MIN_LAYERS or not record.inputs.std > 0:
        return
    growth = stds[-1] / max(record.inputs.std, 1.0)
    rising = sum(current > previous for previous, current in itertools.pairwise(stds)) / (len(stds) - 1)
    if not math.isfinite(growth) or (growth > MIN_GROWTH and rising > MIN_RISING_FRACTION):
        yield Finding(
            "exploding-gradients",
            "error",
            {"std of the input": record.inputs.std, "std of the output": stds[-1], "layers": len(stds)},
            Message(
                "before any training the standard deviation grows from {std} to {stds} over {count} layers, "
                "and the gradients with it: the initial weights are too large",
                std=f"{record.inputs.std:.3g}",
                stds=f"{stds[-1]:.3g}",
                count=len(stds),
            ),
            case.choose_remedy(
                Message("use init=kaiming-normal or init=default"),
                Message("use Kaiming or Xavier initialization, or add batch norm between the layers"),
            ),
            change=case.config_change(init="kaiming-normal"),
        )


def _has_learned_little(case: Case) -> bool:
    """Return whether little was learned; next to a huge first loss of several terms, anything looks like learning."""
    is_unknown = math.isnan(case.baseline_loss)
    return case.learned_less_than(MAX_LEARNED_FRACTION) or (
        is_unknown and find_remaining_fraction(case) > 1 - MAX_LEARNED_FRACTION
    )


def _first_pass(case: Case) -> StepRecord | None:
    return next((record for record in case.records if record.layers and record.inputs), None)
