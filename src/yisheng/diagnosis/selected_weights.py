"""Find that a loop ends with the weights of its worst epoch, or with those from before the training.

The comparison that selects the best weights is reversed, or it was never true, or an old checkpoint was loaded.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import has_tensors
from yisheng.diagnosis.recorder.course import REPORTED, Evaluation
from yisheng.diagnosis.restart import Beginning
from yisheng.diagnosis.restored_epochs import explain_restored_epoch, find_restored_epoch
from yisheng.diagnosis.validation_rows import measure_loss

CHECK, CHECK_OF_INITIAL = "reversed-selection", "unreplaced-weights"
MIN_EVALUATIONS, MIN_EVALUATIONS_OF_INITIAL = 4, 2
"""Evaluations before the weights were restored; and if they are known to be those before the first update."""
MIN_RANGE, MAX_DISTANCE, MIN_GAIN = 0.1, 0.05, 0.7
"""Range of the losses relative to the largest one; distance of the restored loss from the largest one, relative to the
range; and fall after that epoch, likewise. Overfitting has its worst losses at the end and not before the
best ones."""
MAX_DIFFERENCE = 1e-3
"""Relative difference of two losses of the same weights and rows."""


def find_reversed_selection(case: Case, validation: Any, beginning: Beginning | None = None) -> Iterator[Finding]:
    """Yield that the weights at the end are those of the epoch with the largest loss, or those of the beginning.

    They may also be those of the lowest training loss, or of a checkpoint that is older than much better weights.

    Args:
        case: the finished training.
        validation: the held-out rows ``(x, y)``, or None.
        beginning: the network before the first update, if a copy was kept.
    """
    if not case.is_restored:
        return
    is_initial = beginning is not None and _are_equal(case.model, beginning.model)
    for key, series in case.course.series.items():
        evaluations = [e for e in series if math.isfinite(_rate(e))]
        is_reported = key == REPORTED and len(evaluations) > 1 and evaluations[-1].step == evaluations[-2].step
        restored = _rate(evaluations.pop()) if is_reported else measure_loss(case, validation)
        losses = [_rate(e) for e in evaluations]
        if len(losses) < (MIN_EVALUATIONS_OF_INITIAL if is_initial else MIN_EVALUATIONS) or not math.isfinite(restored):
            continue
        if is_initial:
            if restored - min(losses) > MIN_RANGE * abs(restored):
                yield _describe_initial(losses, restored)
                return
        elif _is_worst(losses, [e.score for e in evaluations], restored):
            yield _describe(losses, restored)
            return
        elif beginning is None and is_reported and _exceeds_all(losses, restored):
            yield _describe_initial(losses, restored)
            return
        elif case.course.ends_with_loaded_weights and _has_rows(key, evaluations, validation):
            epoch = find_restored_epoch(case, evaluations, restored)
            finding = None if epoch is None else explain_restored_epoch(case, epoch)
            if finding is not None:
                yield finding
                return


def _are_equal(model: nn.Module, initial_model: nn.Module) -> bool:
    """Return whether all parameters of a network have the values of another one."""
    initial = dict(initial_model.named_parameters())
    parameters = dict(model.named_parameters())
    return parameters.keys() == initial.keys() and all(torch.equal(p, initial[name]) for name, p in parameters.items())


def _has_rows(key: object, evaluations: Sequence[Evaluation], validation: Any) -> bool:
    """Return whether evaluations were reported, or have as many rows as the validation rows ``(x, y)``."""
    return key == REPORTED or (has_tensors(validation) and all(e.rows == len(validation[0]) for e in evaluations))


def _rate(evaluation: Evaluation) -> float:
    """Return the loss of an evaluation, or the negative score if it has no loss."""
    return evaluation.loss if math.isfinite(evaluation.loss) else -evaluation.score


def _is_worst(losses: Sequence[float], scores: Sequence[float], restored: float) -> bool:
    """Return whether restored weights have the loss of the worst epoch.

    Args:
        losses: by epoch.
        scores: by epoch; NaN without them.
        restored: loss of the weights at the end.
    """
    low, high = min(losses), max(losses)
    if high - low < MIN_RANGE * abs(high) or restored < high - MAX_DISTANCE * (high - low):
        return False
    epoch = min(range(len(losses)), key=lambda k: abs(losses[k] - restored))
    if abs(losses[epoch] - restored) > MAX_DIFFERENCE * abs(restored):
        return False
    falls = any(loss < high - MIN_GAIN * (high - low) for loss in losses[epoch + 1 :])
    has_scores = all(map(math.isfinite, scores))
    return falls and not (has_scores and scores[epoch] > statistics.median(scores))


def _exceeds_all(losses: Sequence[float], restored: float) -> bool:
    """Return whether the loss of restored weights is larger than that of every epoch: they were never trained."""
    low, high = min(losses), max(losses)
    return high - low >= MIN_RANGE * abs(high) and restored > high + MAX_DIFFERENCE * abs(restored)


def _describe_initial(losses: Sequence[float], restored: float) -> Finding:
    is_score = max(losses) < 0
    values = {"count": len(losses), "best": f"{abs(min(losses)):.3g}", "restored": f"{abs(restored):.3g}"}
    return Finding(
        CHECK_OF_INITIAL,
        "error",
        {"at the end": restored, "best epoch": min(losses), "epochs": len(losses)},
        Message(
            "after the last update the weights from before the training were loaded: their score is {restored}, the "
            "best of {count} evaluations was {best}; the comparison that selects the best weights was never true",
            **values,
        )
        if is_score
        else Message(
            "after the last update the weights from before the training were loaded: their validation loss is "
            "{restored}, the best of {count} evaluations was {best}; the comparison that selects the best weights was "
            "never true",
            **values,
        ),
        Message(
            "let the best loss begin at math.inf and keep the weights if the loss is below it, or the best score at "
            "-math.inf and keep them if the score is above it: 0 is above every negative score, such as minus the loss"
        ),
    )


def _describe(losses: Sequence[float], restored: float) -> Finding:
    is_score = max(losses) < 0
    values = {
        "epoch": min(range(len(losses)), key=lambda k: abs(losses[k] - restored)) + 1,
        "count": len(losses),
        "restored": f"{abs(restored):.3g}",
        "number": losses.index(min(losses)) + 1,
        "best": f"{abs(min(losses)):.3g}",
    }
    return Finding(
        CHECK,
        "error",
        {"at the end": restored, "best epoch": min(losses), "worst epoch": max(losses), "epochs": len(losses)},
        Message(
            "after the last update the weights of evaluation {epoch} of {count} were loaded, the worst of all: their "
            "score is {restored}, the best one is {best} in evaluation {number}",
            **values,
        )
        if is_score
        else Message(
            "after the last update the weights of evaluation {epoch} of {count} were loaded, the worst of all: their "
            "validation loss is {restored}, the best one is {best} in evaluation {number}",
            **values,
        ),
        Message(
            "look at when weights are saved and which ones are loaded: keep them if the loss is below the best one "
            "(which begins at infinity), or if the score is above it (which begins at minus infinity), as a copy "
            "(copy.deepcopy(model.state_dict())); a file that is written in every tenth epoch may be that of the first"
        ),
    )
