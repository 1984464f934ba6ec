"""A reported score that does not follow the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.course import REPORTED, Evaluation

MIN_EVALUATIONS = 4
"""Equal scores that are required: on few rows, two or three may agree at random."""
MIN_FALL = 0.3
"""Fraction of the first reported loss that is gone at the best one: predictions of classes have changed by then."""
MAX_SCORE = 0.98
"""A score of 1 that stays 1 follows the loss as far as it can."""
MAX_COMMON_FRACTION = 0.5
"""Fraction of the commonest class, above which a score that is averaged over classes may be far below the accuracy."""
MAX_OF_ACCURACY = 0.6
"""Score relative to the accuracy that the loss guarantees: F1 and accuracies of classes differ by less on rows whose
classes are about equally common."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = len(_collect_evaluations(case))
    if count >= MIN_EVALUATIONS:
        return ""
    return Message("it needs at least {required} reported losses and scores", required=MIN_EVALUATIONS)


@register(
    needs=explain_skip, when="during", cause="structure", explains=("overfitting", "underfitting", "opposed-score")
)
def evaluated_scores(case: Case) -> Iterator[Finding]:
    """Find a score that does not follow the predictions: the same in every report, or lower than the loss allows.

    An argmax over the only unit of a layer, which is always 0, or over another axis, gives such scores, and so does a
    sum that is divided by the wrong number. The log-loss of a row whose class is not predicted is log 2 at least, so
    that accuracy >= 1 - loss / log 2.

    Args:
        case: what was reported.

    Source: PyTorch documentation, torch.argmax (``dim``); Bishop, "Pattern recognition and machine learning", 2006,
    section 4.3.4 (the log-loss).
    """
    evaluations = _collect_evaluations(case)
    guaranteed = _find_guaranteed_accuracy(case, evaluations[-1].loss)
    if min(e.score for e in evaluations) >= 0 and evaluations[-1].score < MAX_OF_ACCURACY * guaranteed:
        yield _explain_low_score(case, evaluations[-1], guaranteed)
        return
    losses, scores = [e.loss for e in evaluations], {e.score for e in evaluations}
    fall = (losses[0] - min(losses)) / max(abs(losses[0]), 1e-12)
    if len(scores) > 1 or fall < MIN_FALL or max(scores) > MAX_SCORE:
        return
    score = evaluations[0].score
    yield Finding(
        "evaluated-scores",
        "warning",
        {"score": score, "reports": len(evaluations), "first loss": losses[0], "best loss": min(losses)},
        Message(
            "the reported score is {score} in all {count} reports, while the loss fell from {first} to {lowest}: the "
            "score does not follow the predictions",
            score=f"{score:.4g}",
            count=len(evaluations),
            first=f"{losses[0]:.3g}",
            lowest=f"{min(losses):.3g}",
        ),
        Message(
            "look at how it is computed: with a single output unit the class is output > 0, since an argmax over one "
            "unit is always 0; the argmax of scores (B, C) is over dim=1"
        ),
        source=case.sources.get("validation", ""),
    )


def _find_guaranteed_accuracy(case: Case, loss: float) -> float:
    """Return the accuracy that a mean log-loss guarantees; 0 if the reported loss need not be one."""
    pairing, targets = case.pairing, case.collect_targets()
    is_log_loss = pairing is not None and pairing.loss == "nll" and pairing.operations[:1] == ("log_softmax",)
    if not is_log_loss or pairing is None or pairing.has_weights or not pairing.is_only_term or len(pairing.shape) != 2:
        return 0.0
    if targets is None or targets.is_floating_point() or any(len(call.target_shape) != 1 for call in case.loss_calls):
        return 0.0
    counts = targets.unique(return_counts=True)[1]
    if float(counts.max()) > MAX_COMMON_FRACTION * len(targets):
        return 0.0
    return max(0.0, 1 - loss / math.log(2))


def _explain_low_score(case: Case, last: Evaluation, guaranteed: float) -> Finding:
    return Finding(
        "evaluated-scores",
        "warning",
        {"score": last.score, "loss": last.loss, "least accuracy": guaranteed},
        Message(
            "the reported score is {score}, but with the reported loss of {loss} at least {guaranteed} of the rows are "
            "predicted correctly: the score is computed in another way",
            score=f"{last.score:.3g}",
            loss=f"{last.loss:.3g}",
            guaranteed=f"{guaranteed:.0%}",
        ),
        Message(
            "look at how it is computed: the argmax of scores (B, C) is over dim=1, and the number of correct rows is "
            "divided by the number of rows, not by that of batches"
        ),
        source=case.sources.get("validation", ""),
    )


def _collect_evaluations(case: Case) -> list[Evaluation]:
    """Return the reports that have a loss and a score."""
    return [e for e in case.course.series.get(REPORTED, []) if math.isfinite(e.loss) and math.isfinite(e.score)]
