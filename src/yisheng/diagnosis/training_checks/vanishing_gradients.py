"""Gradients that hardly reach the first layers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from typing import Any

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

LAYERS, FADED = 3, 1e-3
WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d")
RATIO, UPDATE, LEAST, LITTLE = 1e-4, 1e-6, 5, 0.1
SMALL, SLOW = 1e-3, 1e-4


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(LEAST, len(_gradients(case)), f"updates of {LAYERS} weights")


def _gradients(case: Case) -> list[tuple[float, float, str, str]]:
    """Ratio of the first weight's gradient to the last one's, relative update of the first, and their names."""
    found = []
    for moment in case.records:
        weights = [one for one in moment.parameters if len(one.shape) > 1 and one.gradient is not None]
        if len(weights) < LAYERS or not weights[-1].gradient or not weights[0].weight:
            continue
        first, last = weights[0], weights[-1]
        ratio = (first.gradient or 0.0) / (last.gradient or 1.0)
        found.append((ratio, first.update / first.weight, first.name, last.name))
    return found


@register(
    needs=why_not,
    when="first",
    cause="structure",
    explains=("low-learning-rate", "high-learning-rate", "no-gradient", "plateau"),
)
def vanishing_gradients(case: Case) -> Iterator[Finding]:
    """The gradient of the first layer is a tiny fraction of the last one's, and it hardly moves or nothing is learned.

    Args:
        case: gradients and updates of its weights in the steps that were looked at.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    section 4.2.
    """
    found = _gradients(case)
    early = found[:LEAST]
    if _faded(case):
        yield _finding(case, "the values hardly get through the layers", {"std of the output": _stds(case)[-1]})
        return
    ratio = max(statistics.median(one[0] for one in found), statistics.median(one[0] for one in early))
    moved = statistics.median(one[1] for one in found)
    small = ratio < RATIO or (ratio < SMALL and moved < SLOW)
    if small and (moved < UPDATE or case.learned_less_than(LITTLE)) and not case.learned_fraction > LITTLE:
        evidence = {"ratio": ratio, "relative update": moved, "first": found[0][2], "last": found[0][3]}
        yield _finding(case, f"the gradient of {found[0][2]} is {ratio:.1g} of that of {found[0][3]}", evidence)


def _stds(case: Case) -> list[float]:
    """Standard deviations of what the weighted layers gave in the first pass."""
    first = next((moment for moment in case.records if moment.layers), None)
    return [] if first is None else [unit.std for unit in first.layers if unit.kind in WEIGHTED]


def _faded(case: Case) -> bool:
    """Whether already the first pass loses nearly all on its way, and nothing is learned."""
    stds = _stds(case)
    first = next((moment.inputs for moment in case.records if moment.inputs), None)
    if first is None or len(stds) < LAYERS or not first.std > 0 or not case.learned_less_than(LITTLE):
        return False
    falling = all(after < before for before, after in itertools.pairwise(stds))
    return 0 < stds[-1] < FADED * min(first.std, 1.0) and falling


def _finding(case: Case, what: str, evidence: dict[str, Any]) -> Finding:
    return Finding(
        "vanishing-gradients",
        "error",
        evidence,
        f"{what}: the first layers do not learn",
        case.choose_remedy(
            "say activation=relu batch_norm=true and init=kaiming-normal, or take a network with short cuts",
            "use relu with Kaiming initialisation, batch norm, or short cuts around the layers",
        ),
        change=case.config_change(activation="relu", batch_norm=True, style="modern", init="kaiming-normal"),
    )
