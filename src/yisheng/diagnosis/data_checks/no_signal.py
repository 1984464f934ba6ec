"""Labels that the inputs do not tell anything about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._forest import learnable, out_of_bag, out_of_bag_numbers, r2, single, why_not
from yisheng.diagnosis.sample import Sample

ROWS, TREES, TWINS = 1500, 50, 19
FIRST, FAR = 5, 10.0
"""After the first twins it is enough where the true score lies this many of their standard deviations above them."""
LIMIT = 0.05
"""Above this p-value nothing is shown: 19 twins, of which one at least does as well."""


@register(cost="trainings", fits=single, needs=why_not, explains=("baseline-not-beaten", "overfitting", "underfitting"))
def no_signal(sample: Sample) -> Iterator[Finding]:
    """A quick model learns shuffled labels as well as the true ones: the inputs tell nothing of the target.

    With s the score on true labels and s_i on k = 19 shuffled ones, p = (1 + #{s_i >= s}) / (k + 1). The score is the
    mean probability of the true class, each class weighing the same, or R² of numbers; of rows that a tree has not
    seen. It is not said of a run whose network is surely better than its baseline: that has found a signal.

    Args:
        sample: its training rows, 1,500 at most.

    Source: Ojala and Garriga, "Permutation tests for studying classifier performance", 2010.
    """
    if sample.beats_baseline:
        return
    rows, x, y = learnable(sample, sample.draw_rows("train", ROWS))

    def score(target: np.ndarray, number: int) -> float:
        seed = derive(sample.seed, "twin", number)
        if sample.spec.task == "regression":
            return r2(target, out_of_bag_numbers(x, target, seed, trees=TREES))
        given = out_of_bag(x, target, seed, trees=TREES)[np.arange(len(target)), target]
        counts = np.bincount(target)
        return float((given / counts[target]).sum() / len(counts))

    true = score(y, 0)
    draw = np.random.Generator(np.random.PCG64(derive(sample.seed, "twins")))
    twins: list[float] = []
    for number in range(1, TWINS + 1):
        twins.append(score(draw.permutation(y), number))
        if number == FIRST and true > np.mean(twins) + FAR * max(float(np.std(twins)), 1e-6):
            return
    p = (1 + sum(twin >= true for twin in twins)) / (1 + TWINS)
    if p <= LIMIT:
        return
    yield Finding(
        "no-signal",
        "warning",
        {"score": true, "shuffled, at best": max(twins), "shuffled, on average": float(np.mean(twins)), "p": p},
        f"a quick model learns shuffled targets as well as the true ones (p = {p:.2f}, {len(rows):,} rows): nothing "
        "shows that these inputs tell the target",
        "see whether rows and targets belong together (mixed up in a join or a sort?), or find better inputs",
    )
