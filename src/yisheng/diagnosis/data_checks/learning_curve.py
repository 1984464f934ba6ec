"""What would help next: more rows, a larger network, or better inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._forest import learnable, out_of_bag, out_of_bag_numbers, single, why_not
from yisheng.diagnosis.sample import Sample

ROWS, TREES = 4000, 100
PARTS = (8, 4, 2, 1)
"""The rows are cut into so many parts, each learnt by itself: all rows are learnt from at each size."""
GAIN = 0.005
"""What doubling the rows must bring at least, and twice its standard error (by pairs of rows), to be recommended."""


def _why_not(sample: Sample) -> str:
    if len(sample.rows("train")) > ROWS:
        return f"the quick model looks at {ROWS:,} rows at most: what more than all of these bring it cannot tell"
    return why_not(sample, 200)


@register(cost="trainings", fits=single, needs=_why_not)
def learning_curve(sample: Sample) -> Iterator[Finding]:
    """The score of a quick model by the number of rows, and ONE next step: more rows, another network, other inputs.

    Where the run's network is surely worse than the quick model on all rows, bias is what it suffers from: a larger
    network. Else, where the last doubling of the rows still brought something, it is variance: more rows. Else neither:
    what is left is noise, or not in the inputs. The score is accuracy, or R² of numbers, of rows not seen.

    Args:
        sample: its training rows, and what the run reached.

    Source: Perlich, Provost and Simonoff, "Tree induction vs. logistic regression: a learning-curve analysis", 2003;
    Ng, "Machine learning yearning", 2018, chapters 28 to 30.
    """
    rows, x, y = learnable(sample, sample.rows("train"))
    order = np.random.Generator(np.random.PCG64(derive(sample.seed, "curve"))).permutation(len(rows))
    curve: dict[int, float] = {}
    before = now = np.empty(0)
    for count in PARTS:
        before, now = now, np.empty(len(rows))
        for number, some in enumerate(np.array_split(order, count)):
            now[some] = _hits(sample, x[some], y[some], number, float(y.var()))
        curve[len(rows) // count] = float(now.mean())
    whole, gain = float(now.mean()), float((now - before).mean())
    error = float((now - before).std() / math.sqrt(len(rows)))
    name = "R²" if sample.spec.task == "regression" else "accuracy"
    told = f"{name} of a quick model: {', '.join(f'{value:.3g} with {n:,} rows' for n, value in curve.items())}"
    ours = sample.test_score
    if ours is not None and ours.high is not None and ours.high < whole - 2 * float(now.std()) / math.sqrt(len(rows)):
        said = f"the network reaches {ours.value:.3g} ({told}): bias, not the number of rows, is what holds it back"
        step = "a larger network or more epochs (hidden=256,256; yisheng tune), before more rows"
    elif gain > max(GAIN, 2 * error):
        said = f"more rows would help ({told}): the last doubling brought {gain:.3f}"
        step = "collect more rows, before a larger network"
    else:
        said = f"that more rows would help is not shown ({told})"
        step = "look for better inputs, and at the rows that are wrong, before more rows or a larger network"
    evidence = {"score": name, "by rows": {f"{n:,}": value for n, value in curve.items()}, "last doubling": gain}
    reached = {} if ours is None else {"the network": ours.value}
    yield Finding("learning-curve", "note", {**evidence, "standard error": error, **reached}, said, step)


def _hits(sample: Sample, x: np.ndarray, y: np.ndarray, number: int, spread: float) -> np.ndarray:
    """What each row adds to the score, ``(n,)``: their mean is the accuracy, or R² of numbers of that variance."""
    seed = derive(sample.seed, "curve", len(y), number)
    if sample.spec.task == "regression":
        return 1 - (y - out_of_bag_numbers(x, y, seed, trees=TREES)) ** 2 / max(spread, 1e-300)
    classes, at = np.unique(y, return_inverse=True)
    if len(classes) == 1:
        return np.ones(len(y))
    hits: np.ndarray = out_of_bag(x, at, seed, trees=TREES).argmax(1) == at
    return hits.astype(float)
