"""Inputs that are not finite, or not scaled."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import InputRecord

LAYERS_WITHOUT_WEIGHTS = ("Flatten", "Identity", "Dropout", "Dropout2d")
MAX_STD, MIN_STD = 10.0, 0.02
"""Standard deviation of all values: bytes have 70, and what was divided by 255 twice has 0.001; networks that
are made for 1 bear a factor of 10."""
MAX_MEAN_IN_STDS = 10.0
"""Beyond ten standard deviations, one direction of the loss is a hundred times as steep as the others."""
MAX_COLUMN_RATIO = 1e3
"""Largest over smallest standard deviation of the columns."""
MIN_CONSTANT_BATCHES = 3
"""One batch of equal values may be padding; three are not."""
MAX_LEARNED_FRACTION = 0.7
"""In a training that has learned more than this, the scale did no visible harm."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    nonfinite = case.nonfinite_loss is not None and not case.nonfinite_loss.inputs
    has_inputs = any(record.inputs is not None for record in case.records)
    return "" if nonfinite or has_inputs else Message("the input of the network was not a single tensor")


@register(
    needs=explain_skip,
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
    """Find missing, infinite or constant inputs; or inputs far from mean 0 and standard deviation 1 that do harm.

    Numbers of words that go into an embedding have no scale.

    Args:
        case: the inputs of the recorded steps.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.3.
    """
    step = _first_nonfinite_step(case)
    if step is not None:
        yield Finding(
            "inputs",
            "error",
            {"step": step},
            Message("the inputs of step {step} contain missing or infinite values", step=step),
            Message("before training, fill these values in or drop their rows"),
        )
        return
    batch = next((record.inputs for record in case.records if record.inputs is not None), None)
    if batch is None or not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    if _are_constant(case):
        yield Finding(
            "inputs",
            "error",
            {"value": batch.mean, "batches": sum(record.inputs is not None for record in case.records)},
            Message("every recorded input is {mean}: the network sees nothing of the rows", mean=f"{batch.mean:g}"),
            Message("look at how the inputs are made, such as a cast to whole numbers of values between 0 and 1"),
        )
        return
    if _are_ids(case) or _begins_with_normalization(case):
        return
    if case.example is not None and not case.example[0].is_floating_point() and batch.std > MAX_STD:
        yield Finding(
            "inputs",
            "warning",
            {"mean": batch.mean, "std": batch.std, "largest": batch.max_abs},
            Message(
                "the inputs are whole numbers up to {max_abs} that a layer multiplies, and the loss hardly "
                "falls: numbers of words or categories have no size",
                max_abs=f"{batch.max_abs:g}",
            ),
            Message("use nn.Embedding for numbers that name something; scale the others"),
        )
        return
    evidence: dict[str, float] = {"mean": batch.mean, "std": batch.std}
    problem = _describe_scale(batch, evidence)
    if problem:
        yield Finding(
            "inputs",
            "warning",
            {**evidence, "fraction of the loss gone": case.learned_fraction},
            Message("the inputs are not scaled ({problem}), and the loss hardly falls", problem=problem),
            case.choose_remedy(
                Message("use scale=standard"),
                Message("subtract the mean and divide by the standard deviation of the training rows"),
            ),
            change=case.config_change(scale="standard"),
        )


def _first_nonfinite_step(case: Case) -> int | None:
    """Return the first step with a missing or infinite input, or None."""
    records = [record for record in case.records if record.inputs is not None]
    step = next((r.step for r in records if r.inputs and not math.isfinite(r.inputs.max_abs)), None)
    if step is None and case.nonfinite_loss is not None and not case.nonfinite_loss.inputs:
        return case.nonfinite_loss.step
    return step


def _are_constant(case: Case) -> bool:
    """Return whether all values of at least three recorded batches are equal."""
    batches = [record.inputs for record in case.records if record.inputs is not None]
    return len(batches) >= MIN_CONSTANT_BATCHES and all(b.std == 0 and b.mean == batches[0].mean for b in batches)


def _are_ids(case: Case) -> bool:
    """Return whether the first layer with weights is an embedding: numbers of words have no scale."""
    layers = (layer for record in case.records for layer in record.layers)
    layer = next((layer for layer in layers if layer.kind not in LAYERS_WITHOUT_WEIGHTS), None)
    return layer is not None and "Embedding" in layer.kind


def _begins_with_normalization(case: Case) -> bool:
    layers = (layer for record in case.records for layer in record.layers)
    layer = next((layer for layer in layers if layer.kind not in LAYERS_WITHOUT_WEIGHTS), None)
    return layer is not None and "Norm" in layer.kind


def _describe_scale(batch: InputRecord, evidence: dict[str, float]) -> str:
    """Return what is wrong with the scale of a batch, and add it to the evidence; empty if nothing is."""
    if batch.std > MAX_STD:
        return Message("their standard deviation is {std}", std=f"{batch.std:.3g}")
    if abs(batch.mean) > MAX_MEAN_IN_STDS * max(batch.std, 1e-12):
        return Message(
            "their mean of {mean} is far from zero for a standard deviation of {std}",
            mean=f"{batch.mean:.3g}",
            std=f"{batch.std:.3g}",
        )
    if 0 < batch.std < MIN_STD and abs(batch.mean) < MIN_STD:
        return Message("their standard deviation is only {std}", std=f"{batch.std:.3g}")
    if batch.column_std is None or batch.column_mean is None or len(batch.column_std) < 2:
        return ""
    stds = batch.column_std[batch.column_std > 0]
    if not len(stds):
        return ""
    ratio = float(stds.max() / stds.min())
    evidence["ratio of columns"] = ratio
    if ratio > MAX_COLUMN_RATIO and float(stds.max()) > 1:
        return Message("the standard deviation of one column is {ratio} times that of another", ratio=f"{ratio:.3g}")
    means_in_stds = batch.column_mean.abs() / batch.column_std.clamp(min=1e-12)
    if float(means_in_stds.median()) > MAX_MEAN_IN_STDS and float(batch.column_mean.abs().median()) > 1:
        return Message("the means of the columns are far from zero for their standard deviations")
    return ""
