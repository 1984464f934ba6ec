"""Targets that do not depend on the inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.diagnosis.data_checks._quick_model import (
    explain_skip,
    has_single_target,
    predict_probabilities,
    predict_values,
    r2,
    select_learnable,
)
from yisheng.diagnosis.sample import Sample

MAX_ROWS, TREES, PERMUTATIONS = 1500, 50, 19
"""Rows and trees that take seconds; 19 permutations give p-values down to 1/20."""
FIRST_PERMUTATIONS, CLEAR_DISTANCE = 5, 10.0
"""After the first permutations the test stops if the true score is this many standard deviations above theirs."""
MAX_P_VALUE = 0.05
"""A larger p-value shows no signal: at least one of 19 permutations has the same score or a better one."""


@register(
    cost="trainings",
    fits=has_single_target,
    needs=explain_skip,
    explains=("baseline-not-beaten", "overfitting", "underfitting"),
)
def no_signal(sample: Sample) -> Iterator[Finding]:
    """Find inputs from which a quick model predicts shuffled targets as well as the true ones.

    With s the score on true targets and s_i on k = 19 permutations, p = (1 + #{s_i >= s}) / (k + 1). The score is the
    mean out-of-bag probability of the true class, with equal weights for all classes, or R² in regression. A run that
    significantly beats its baseline has found a signal, so it is not checked.

    Args:
        sample: its training rows, at most 1,500.

    Source: Ojala and Garriga, "Permutation tests for studying classifier performance", 2010.
    """
    if sample.beats_baseline:
        return
    rows, x, y = select_learnable(sample, sample.draw_rows("train", MAX_ROWS))

    result = compare_with_permutations(sample, x, y)
    if result is None:
        return
    score, shuffled, p_value = result
    mean = float(np.mean(shuffled))
    yield Finding(
        "no-signal",
        "warning",
        {"score": score, "shuffled, at best": max(shuffled), "shuffled, on average": mean, "p": p_value},
        Message(
            "a quick model predicts shuffled targets as well as the true ones (p = {p_value}, {count} "
            "rows): there is no sign that the target depends on these inputs",
            p_value=f"{p_value:.2f}",
            count=f"{len(rows):,}",
        ),
        Message(
            "check whether rows and targets belong together (a wrong join or sort?), or find better inputs",
        ),
    )


def compare_with_permutations(sample: Sample, x: np.ndarray, y: np.ndarray) -> tuple[float, list[float], float] | None:
    """Return the score of a quick model, those on permuted targets and the p-value; None if there is a signal.

    Args:
        sample: with the task and the seed.
        x: features ``(N, D)``.
        y: class numbers from 0 without gaps, or numbers ``(N,)``.
    """

    def compute_score(target: np.ndarray, number: int) -> float:
        seed = derive(sample.seed, "twin", number)
        if sample.spec.task == "regression":
            return r2(target, predict_values(x, target, seed, trees=TREES))
        p_target = predict_probabilities(x, target, seed, trees=TREES)[np.arange(len(target)), target]
        counts = np.bincount(target)
        return float((p_target / counts[target]).sum() / len(counts))

    score = compute_score(y, 0)
    generator = np.random.Generator(np.random.PCG64(derive(sample.seed, "twins")))
    shuffled: list[float] = []
    for number in range(1, PERMUTATIONS + 1):
        shuffled.append(compute_score(generator.permutation(y), number))
        distance = CLEAR_DISTANCE * max(float(np.std(shuffled)), 1e-6)
        if number == FIRST_PERMUTATIONS and score > np.mean(shuffled) + distance:
            return None
    p_value = (1 + sum(permuted >= score for permuted in shuffled)) / (1 + PERMUTATIONS)
    return None if p_value <= MAX_P_VALUE else (score, shuffled, p_value)
