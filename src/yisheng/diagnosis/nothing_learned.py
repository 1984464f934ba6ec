"""A finished training whose loss is still that of a constant prediction, for no reason that another check knows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.training_checks.outweighed_loss import find_remaining_fraction

CHECK = "baseline-not-beaten"
MIN_LOSSES, TAIL = 200, 4
"""Shorter trainings may not have begun to learn; and the part of the losses, from the end, whose mean is compared."""
MAX_LEARNED = 0.01
"""Fraction of the loss of a constant prediction that counts as nothing; the entropy of a few hundred targets is too
low by about as much."""
MAX_LEARNED_OF_TRAINING = 0.3
"""The same of the training loss, if evaluated rows show that nothing holds for them; more is `memorization`."""
MAX_REMAINING = 1.1
"""One term of several relative to that of guessing, above which it is not unlearned, but wrong."""
MIN_CLASSES = 3
"""Classes without which a loop that evaluates nothing is not judged: the two classes of a network that learns against
another one stay at guessing when all is well, and so do targets that another network predicts."""


def find_nothing_learned(case: Case) -> Iterator[Finding]:
    """Yield that neither the training loss nor any evaluated loss is below that of the best constant prediction.

    Args:
        case: the finished training.

    Source: Karpathy, https://karpathy.github.io/2019/04/25/recipe (input-independent baseline; overfit one batch).
    """
    tail = case.losses[-max(1, len(case.losses) // TAIL) :]
    if len(case.losses) < MIN_LOSSES or not math.isfinite(sum(tail)):
        return
    guess, loss = case.baseline_loss, statistics.fmean(tail)
    evaluated = [e.loss for series in case.course.series.values() for e in series if math.isfinite(e.loss)]
    has_classes = _count_classes(case) >= MIN_CLASSES
    if math.isnan(guess) and has_classes:  # one term of several: relative to guessing
        guess, loss = 1.0, find_remaining_fraction(case)
        if loss > MAX_REMAINING or (evaluated and min(evaluated) < (1 - MAX_LEARNED_OF_TRAINING) * evaluated[0]):
            return  # the term has other targets than the evaluation, as of mixed rows
        evaluated = []
    best = min(evaluated, default=math.nan)
    max_learned = MAX_LEARNED_OF_TRAINING if evaluated else MAX_LEARNED
    if not guess > 0 or not loss >= (1 - max_learned) * guess or best < (1 - MAX_LEARNED) * guess:
        return
    if not evaluated and not has_classes:
        return
    facts = {"steps": f"{case.steps:,}", "loss": f"{loss:.4g}", "guess": f"{guess:.4g}"}
    yield Finding(
        CHECK,
        "warning",
        {"training loss": loss, "best evaluated loss": best, "guessing": guess, "updates": case.steps},
        Message(
            "after {steps} updates the training loss is {loss}, and that of the best constant prediction is {guess}: "
            "nothing has been learned from the inputs",
            **facts,
        )
        if not evaluated
        else Message(
            "after {steps} updates the training loss is {loss}, that of evaluated rows {best} at best, and that of the "
            "best constant prediction {guess}: nothing has been learned that holds",
            **facts,
            best=f"{best:.4g}",
        ),
        Message(
            "train on one batch alone until its loss is close to 0: if that fails, look for the fault in the network, "
            "in the loss or in the learning rate (try a tenth and ten times of it); if it works, check whether each "
            "label belongs to its row, and whether the inputs determine the labels"
        ),
    )


def _count_classes(case: Case) -> int:
    """Return the number of classes among the recorded targets; 0 for other targets."""
    if case.pairing is None or case.pairing.loss != "nll":
        return 0
    return len({int(c) for r in case.records if r.targets is not None for c in r.targets.flatten().unique()})
