"""Targets far from the initial outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.target_columns import UnlearnedColumns, find_unlearned_columns
from yisheng.diagnosis.wording import join_names

MAX_STD = 10.0
"""A network whose outputs have a standard deviation near 1 must grow its weights by more than this factor."""
MAX_MEAN, MAX_MEAN_IN_STDS = 5.0, 5.0
"""Mean, and mean in standard deviations, that the last bias must travel at a rate for numbers near 1."""
MAX_LEARNED_FRACTION = 0.05
"""A training that has learned more than this is not reported."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.loss not in REGRESSION_LOSSES:
        return Message("the loss is not a regression loss")
    return "" if case.collect_targets() is not None else Message("the loss keeps no targets")


@register(
    needs=explain_skip,
    when="during",
    cause="data",
    explains=(
        "high-learning-rate",
        "low-learning-rate",
        "dead-relu",
        "non-finite-loss",
        "exploding-gradients",
        "oscillation",
        "plateau",
    ),
)
def target_scale(case: Case) -> Iterator[Finding]:
    """Find regression targets far from 0 or with a large standard deviation, while predictions do not beat their mean.

    Of several target columns, also those that have less than a hundredth of the loss, since others have far larger
    numbers, and are predicted worse than by their mean.

    Args:
        case: the outputs and targets of the recorded steps, and its losses.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.5; Bishop, "Neural networks for pattern
    recognition", 1995, section 8.2.
    """
    targets = case.collect_targets()
    assert targets is not None  # ensured by needs
    if len(targets) < 2:
        return
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        columns = find_unlearned_columns(case)
        if columns is not None:
            yield _explain_columns(case, columns)
        return
    mean, std = float(targets.double().mean()), float(targets.double().std())
    is_far = abs(mean) > MAX_MEAN_IN_STDS * std and abs(mean) > MAX_MEAN
    if not math.isfinite(mean + std) or not (std > MAX_STD or is_far):
        return
    yield Finding(
        "target-scale",
        "warning",
        {"mean": mean, "std": std, "loss at the end": case.final_loss, "loss of the mean": case.baseline_loss},
        Message(
            "the targets (mean {mean}, standard deviation {std}) are far from the outputs of an "
            "untrained network, which does not predict better than their mean yet",
            mean=f"{mean:.4g}",
            std=f"{std:.4g}",
        ),
        case.choose_remedy(
            Message("use target_scale=standard"),
            Message(
                "train on (target - mean) / standard deviation of the training rows, and invert this for predictions",
            ),
        ),
        change=case.config_change(target_scale="standard"),
    )


def _explain_columns(case: Case, columns: UnlearnedColumns) -> Finding:
    return Finding(
        "target-scale",
        "warning",
        {
            "target columns": [number + 1 for number in columns.numbers],
            "part of the loss of guessing": columns.part,
            "error over variance": columns.error,
            "error over variance of the largest column": columns.learned_error,
        },
        Message(
            "target column {learned} has a standard deviation up to {ratio} times as large as the others, and is "
            "learned (mean squared error: {learned_error} of its variance): of column {numbers}, whose part of the "
            "loss is {part} or less, the mean is a better prediction than the network's ({error} times the variance or "
            "more)",
            learned=columns.learned + 1,
            ratio=f"{columns.ratio:.3g}",
            numbers=join_names([str(number + 1) for number in columns.numbers]),
            part=f"{columns.part:.2g}",
            error=f"{columns.error:.3g}",
            learned_error=f"{columns.learned_error:.2g}",
        ),
        case.choose_remedy(
            Message("use target_scale=standard"),
            Message(
                "standardize each target column by itself: (y - y.mean(0)) / y.std(0) of the training rows, and invert "
                "this for predictions"
            ),
        ),
        change=case.config_change(target_scale="standard"),
    )
