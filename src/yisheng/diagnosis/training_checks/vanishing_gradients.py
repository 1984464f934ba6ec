"""Gradients that hardly reach the first layers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_LAYERS, MIN_UPDATES = 3, 5
"""Layers over which gradients can shrink by a power, and updates whose median is compared."""
MAX_OUTPUT_STD = 1e-3
"""Standard deviation of the last layer's output relative to that of the input, if it falls from layer to layer."""
MAX_RATIO = 1e-4
"""Gradient of the first weight relative to that of the last one."""
MAX_RATIO_IF_SLOW, SLOW_UPDATE = 1e-3, 1e-4
"""A larger ratio that counts if the relative update of the first weight is below the second number."""
NO_UPDATE = 1e-6
"""Relative update of the first weight that is reported even if the training learns."""
MAX_LEARNED_FRACTION = 0.1
"""A training that has learned more than this is not held up by its first layers."""
LAYER_KINDS = ("Linear", "Conv1d", "Conv2d", "Conv3d")


@dataclass(frozen=True)
class _Comparison:
    """The first and the last weight in one update.

    Args:
        first: name of the first weight.
        last: name of the last weight.
        ratio: gradient of the first relative to that of the last.
        update: update of the first relative to its size.
    """

    first: str
    last: str
    ratio: float
    update: float


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(
        MIN_UPDATES, len(_compare_weights(case)), Message("updates of {MIN_LAYERS} weights", MIN_LAYERS=MIN_LAYERS)
    )


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("low-learning-rate", "high-learning-rate", "no-gradient", "plateau"),
)
def vanishing_gradients(case: Case) -> Iterator[Finding]:
    """Find a gradient of the first layer that is tiny compared with the last one's, while little is learned.

    Args:
        case: gradients and updates of its weights in the recorded steps.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    section 4.2.
    """
    if _outputs_vanish(case):
        yield _build_finding(
            case,
            Message("the outputs shrink to nothing from layer to layer"),
            {"std of the output": _output_stds(case)[-1]},
        )
        return
    comparisons = _compare_weights(case)
    ratios = [comparison.ratio for comparison in comparisons]
    ratio = max(statistics.median(ratios), statistics.median(ratios[:MIN_UPDATES]))
    update = statistics.median(comparison.update for comparison in comparisons)
    is_small = ratio < MAX_RATIO or (ratio < MAX_RATIO_IF_SLOW and update < SLOW_UPDATE)
    does_harm = update < NO_UPDATE or case.learned_less_than(MAX_LEARNED_FRACTION)
    if is_small and does_harm and not case.learned_fraction > MAX_LEARNED_FRACTION:
        first, last = comparisons[0].first, comparisons[0].last
        evidence = {"ratio": ratio, "relative update": update, "first": first, "last": last}
        yield _build_finding(
            case,
            Message(
                "the gradient of {first} is {ratio} times that of {last}", first=first, ratio=f"{ratio:.1g}", last=last
            ),
            evidence,
        )


def _compare_weights(case: Case) -> list[_Comparison]:
    """Return the comparison of the first with the last weight in each recorded update of `MIN_LAYERS` weights."""
    comparisons = []
    for record in case.records:
        weights = [p for p in record.parameters if len(p.shape) > 1 and p.gradient is not None]
        if len(weights) < MIN_LAYERS or not weights[-1].gradient or not weights[0].weight:
            continue
        first, last = weights[0], weights[-1]
        ratio = (first.gradient or 0.0) / (last.gradient or 1.0)
        comparisons.append(_Comparison(first.name, last.name, ratio, first.update / first.weight))
    return comparisons


def _output_stds(case: Case) -> list[float]:
    """Return the standard deviations of the outputs of layers with weights in the first pass."""
    record = next((record for record in case.records if record.layers), None)
    return [] if record is None else [layer.std for layer in record.layers if layer.kind in LAYER_KINDS]


def _outputs_vanish(case: Case) -> bool:
    """Return whether the outputs shrink from layer to layer already in the first pass, and little is learned."""
    stds = _output_stds(case)
    batch = next((record.inputs for record in case.records if record.inputs), None)
    if batch is None or len(stds) < MIN_LAYERS or not batch.std > 0:
        return False
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return False
    is_falling = all(current < previous for previous, current in itertools.pairwise(stds))
    return 0 < stds[-1] < MAX_OUTPUT_STD * min(batch.std, 1.0) and is_falling


def _build_finding(case: Case, symptom: str, evidence: dict[str, Any]) -> Finding:
    return Finding(
        "vanishing-gradients",
        "error",
        evidence,
        Message("{symptom}: the first layers do not learn", symptom=symptom),
        case.choose_remedy(
            Message(
                "use activation=relu batch_norm=true init=kaiming-normal, or a network with residual connections",
            ),
            Message("use relu with Kaiming initialization, batch norm, or residual connections"),
        ),
        change=case.config_change(activation="relu", batch_norm=True, style="modern", init="kaiming-normal"),
    )
