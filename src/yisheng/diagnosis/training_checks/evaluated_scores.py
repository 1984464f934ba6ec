"""A reported score that does not follow the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.course import REPORTED, Evaluation

MIN_EVALUATIONS = 4
"""Equal scores that are required: on few rows, two or three may agree at random."""
MIN_FALL = 0.3
"""Fraction of the first reported loss that is gone at the best one: predictions of classes have changed by then."""
MAX_SCORE = 0.98
"""A score of 1 that stays 1 follows the loss as far as it can."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = len(_collect_evaluations(case))
    return "" if count >= MIN_EVALUATIONS else f"it needs at least {MIN_EVALUATIONS} reported losses and scores"


@register(needs=explain_skip, when="during", cause="structure")
def evaluated_scores(case: Case) -> Iterator[Finding]:
    """Find a score that is the same in every report while the reported loss falls: it does not read the predictions.

    An argmax over the only unit of a layer, which is always 0, or over another axis, gives such a score.

    Args:
        case: what was reported.

    Source: PyTorch documentation, torch.argmax (``dim``).
    """
    evaluations = _collect_evaluations(case)
    losses, scores = [e.loss for e in evaluations], {e.score for e in evaluations}
    fall = (losses[0] - min(losses)) / max(abs(losses[0]), 1e-12)
    if len(scores) > 1 or fall < MIN_FALL or max(scores) > MAX_SCORE:
        return
    score = evaluations[0].score
    yield Finding(
        "evaluated-scores",
        "warning",
        {"score": score, "reports": len(evaluations), "first loss": losses[0], "best loss": min(losses)},
        f"the reported score is {score:.4g} in all {len(evaluations)} reports, while the loss fell from "
        f"{losses[0]:.3g} to {min(losses):.3g}: the score does not follow the predictions",
        "look at how it is computed: with a single output unit the class is output > 0, since an argmax over one unit "
        "is always 0; the argmax of scores (B, C) is over dim=1",
        source=case.sources.get("validation", ""),
    )


def _collect_evaluations(case: Case) -> list[Evaluation]:
    """Return the reports that have a loss and a score."""
    return [e for e in case.course.series.get(REPORTED, []) if math.isfinite(e.loss) and math.isfinite(e.score)]
