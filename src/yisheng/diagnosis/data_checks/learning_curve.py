"""What to do next: more rows, a larger network, or better inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.diagnosis.data_checks import _quick_model
from yisheng.diagnosis.data_checks._quick_model import (
    has_single_target,
    predict_probabilities,
    predict_values,
    select_learnable,
)
from yisheng.diagnosis.sample import Sample

MIN_ROWS, MAX_ROWS, TREES = 200, 4000, 100
"""Rows without which an eighth of them trains nothing, rows that take seconds, and trees."""
SUBSETS = (8, 4, 2, 1)
"""Numbers of subsets that the rows are divided into; a model is trained on each, so all rows count at each size."""
MIN_GAIN, MIN_GAIN_IN_ERRORS = 0.005, 2
"""Gain of the last doubling of the rows for which more rows are recommended, also in standard errors (by pairs)."""


def _explain_skip(sample: Sample) -> str:
    if len(sample.rows("train")) > MAX_ROWS:
        return Message(
            "the quick model uses at most {MAX_ROWS} rows, so it cannot predict the gain of more rows",
            MAX_ROWS=f"{MAX_ROWS:,}",
        )
    return _quick_model.explain_skip(sample, MIN_ROWS)


@register(cost="trainings", fits=has_single_target, needs=_explain_skip)
def learning_curve(sample: Sample) -> Iterator[Finding]:
    """Compute the score of a quick model by the number of rows, and recommend one step.

    If the run's network is significantly worse than the quick model on all rows, it has a bias: a larger network. If
    the last doubling of the rows still helped, it has a variance: more rows. Otherwise the remaining error is noise, or
    not in the inputs: better inputs. The score is out-of-bag accuracy, or R² in regression.

    Args:
        sample: its training rows, and the test score of the run.

    Source: Perlich, Provost and Simonoff, "Tree induction vs. logistic regression: a learning-curve analysis", 2003;
    Ng, "Machine learning yearning", 2018, chapters 28 to 30.
    """
    rows, x, y = select_learnable(sample, sample.rows("train"))
    order = np.random.Generator(np.random.PCG64(derive(sample.seed, "curve"))).permutation(len(rows))
    curve: dict[int, float] = {}
    half_scores = scores = np.empty(0)
    for count in SUBSETS:
        half_scores, scores = scores, np.empty(len(rows))
        for number, subset in enumerate(np.array_split(order, count)):
            scores[subset] = _score_rows(sample, x[subset], y[subset], number, float(y.var()))
        curve[len(rows) // count] = float(scores.mean())
    score, gain = float(scores.mean()), float((scores - half_scores).mean())
    gain_error = float((scores - half_scores).std() / math.sqrt(len(rows)))
    score_error = float(scores.std()) / math.sqrt(len(rows))
    name = "R²" if sample.spec.task == "regression" else "accuracy"
    summary = Message(
        "{name} of a quick model: {names}",
        name=name,
        names=", ".join(f"{value:.3g} with {n:,} rows" for n, value in curve.items()),
    )
    network = sample.test_score
    if network is not None and network.high is not None and network.high < score - 2 * score_error:
        cause = Message(
            "the network reaches {value} ({summary}): it is limited by bias, not by the number of rows",
            value=f"{network.value:.3g}",
            summary=summary,
        )
        remedy = Message(
            "use a larger network or more epochs (hidden=256,256; yisheng tune) before collecting more rows"
        )
    elif gain > max(MIN_GAIN, MIN_GAIN_IN_ERRORS * gain_error):
        cause = Message(
            "more rows would help ({summary}): the last doubling gained {gain}", summary=summary, gain=f"{gain:.3f}"
        )
        remedy = Message("collect more rows before using a larger network")
    else:
        cause = Message("there is no sign that more rows would help ({summary})", summary=summary)
        remedy = Message(
            "look for better inputs, and at the wrong predictions, before collecting rows or enlarging the network"
        )
    evidence = {"score": name, "by rows": {f"{n:,}": value for n, value in curve.items()}, "last doubling": gain}
    network_evidence = {} if network is None else {"the network": network.value}
    evidence = {**evidence, "standard error": gain_error, **network_evidence}
    yield Finding("learning-curve", "note", evidence, cause, remedy)


def _score_rows(sample: Sample, x: np.ndarray, y: np.ndarray, number: int, variance: float) -> np.ndarray:
    """Return the contribution of each row to the score ``(n,)``: its mean is the accuracy, or R² for this variance."""
    seed = derive(sample.seed, "curve", len(y), number)
    if sample.spec.task == "regression":
        return 1 - (y - predict_values(x, y, seed, trees=TREES)) ** 2 / max(variance, 1e-300)
    classes, class_numbers = np.unique(y, return_inverse=True)
    if len(classes) == 1:
        return np.ones(len(y))
    correct: np.ndarray = predict_probabilities(x, class_numbers, seed, trees=TREES).argmax(1) == class_numbers
    return correct.astype(float)
