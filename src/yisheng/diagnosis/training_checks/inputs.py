"""Inputs that a network cannot well learn from as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import InputRecord

IDLE = ("Flatten", "Identity", "Dropout", "Dropout2d")
WIDE, FAR, UNEQUAL, TINY = 10.0, 10.0, 1e3, 0.02
LITTLE = 0.7
"""Where more than this share of guessing's loss is gone, the scaling did no harm that can be seen."""


def why_not(case: Case) -> str:
    """What it lacks."""
    seen = any(moment.inputs is not None for moment in case.records) or (case.nonfinite_loss and not case.nonfinite_loss.inputs)
    return "" if seen else "the network was not seen to be given a tensor"


@register(
    needs=why_not,
    when="first",
    cause="data",
    explains=(
        "high-learning-rate",
        "low-learning-rate",
        "dead-relu",
        "saturated-activation",
        "exploding-gradients",
        "non-finite-loss",
        "initial-loss",
        "vanishing-gradients",
        "target-scale",
        "oscillation",
        "plateau",
    ),
)
def inputs(case: Case) -> Iterator[Finding]:
    """Values that are missing or infinite; or far from zero mean and unit spread while the loss hardly falls.

    Args:
        case: the inputs of the steps that were looked at.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.3.
    """
    given = [moment.inputs for moment in case.records if moment.inputs is not None]
    step = next((m.step for m in case.records if m.inputs and not math.isfinite(m.inputs.max_abs)), None)
    if step is None and case.nonfinite_loss is not None and not case.nonfinite_loss.inputs:
        step = case.nonfinite_loss.step
    if step is not None:
        yield Finding(
            "inputs",
            "error",
            {"step": step},
            f"the inputs of step {step} hold missing or infinite values",
            "fill them in or leave those rows out, before training",
        )
        return
    if not given or not case.learned_less_than(LITTLE) or _scaled_inside(case):
        return
    evidence: dict[str, float] = {"mean": given[0].mean, "std": given[0].std}
    what = _unscaled(given[0], evidence)
    if what:
        yield Finding(
            "inputs",
            "warning",
            {**evidence, "share of the loss gone": case.learned_fraction},
            f"the inputs are not scaled ({what}), and the loss hardly falls",
            case.choose_remedy(
                "say scale=standard", "subtract the mean and divide by the standard deviation of the training rows"
            ),
            change=case.config_change(scale="standard"),
        )


def _scaled_inside(case: Case) -> bool:
    """Whether the first layer is one that scales."""
    first = next((unit for moment in case.records for unit in moment.layers if unit.kind not in IDLE), None)
    return first is not None and "Norm" in first.kind


def _unscaled(first: InputRecord, evidence: dict[str, float]) -> str:
    """What is wrong with the scale of a batch; empty where nothing is."""
    if first.std > WIDE:
        return f"their standard deviation is {first.std:.3g}"
    if abs(first.mean) > FAR * max(first.std, 1e-12):
        return f"their mean of {first.mean:.3g} lies far from zero for a standard deviation of {first.std:.3g}"
    if 0 < first.std < TINY and abs(first.mean) < TINY:
        return f"their standard deviation is only {first.std:.3g}"
    if first.column_std is None or first.column_mean is None or len(first.column_std) < 2:
        return ""
    spread = first.column_std[first.column_std > 0]
    if not len(spread):
        return ""
    ratio = float(spread.max() / spread.min())
    evidence["ratio of columns"] = ratio
    if ratio > UNEQUAL and float(spread.max()) > 1:
        return f"one column's standard deviation is {ratio:.3g} times another's"
    if float((first.column_mean.abs() / first.column_std.clamp(min=1e-12)).median()) > FAR and (
        float(first.column_mean.abs().median()) > 1
    ):
        return "the columns' means lie far from zero for their standard deviations"
    return ""
