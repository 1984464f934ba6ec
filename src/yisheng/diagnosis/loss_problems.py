"""What does not fit in the form of a loss that is written out: overlaps of raw scores, policies of the wrong sign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_forms import LossForm

MIN_LOSSES = 3
"""Recorded losses of the same form: one may be of a warm-up."""
MAX_OVERLAP = 1.01
"""Largest value of 1 - overlap, and largest output, up to rounding, of scores between 0 and 1."""
Problem = tuple[dict[str, Any], str, str]
"""Evidence, cause and remedy."""


def collect_forms(case: Case) -> list[LossForm]:
    """Return what is unusual in the form of each recorded loss; a form without anything for an ordinary one."""
    return [feature.form or LossForm() for feature in case.features]


def find_form_problems(case: Case) -> Iterator[Problem]:
    """Yield an overlap of raw scores, and a policy gradient of the wrong sign.

    Args:
        case: its recorded losses.
    """
    yield from _find_raw_overlap(case)
    yield from _find_wrong_policy_sign(case)


def has_known_form(case: Case) -> bool:
    """Return whether a recorded loss has one of these forms."""
    return any(form.has_raw_overlap for form in collect_forms(case)) or any(f.reward_sign for f in case.features)


def _find_raw_overlap(case: Case) -> Iterator[Problem]:
    raw = [feature for feature in case.features if feature.form is not None and feature.form.has_raw_overlap]
    if len(raw) < MIN_LOSSES or len(raw) < len(case.features):
        return
    values = [feature.value for feature in raw]
    largest = max((record.layers[-1].max_abs for record in case.records if record.layers), default=0.0)
    if min(values) >= 0 and max(values) <= MAX_OVERLAP and largest <= MAX_OVERLAP:
        return
    yield (
        {"lowest loss": min(values), "highest loss": max(values), "largest output": largest},
        Message(
            "the loss is an overlap of the masks and the raw scores of the last layer, which are as large as "
            "{largest}: Dice and IoU are for probabilities, and with other scores they are not between 0 and 1",
            largest=f"{largest:.3g}",
        ),
        Message("apply a sigmoid to the scores (a softmax to those of several classes) before the overlap"),
    )


def _find_wrong_policy_sign(case: Case) -> Iterator[Problem]:
    signs = [feature.reward_sign for feature in case.features if feature.reward_sign]
    if len(signs) < MIN_LOSSES or min(signs) < 0:
        return
    rewards = [feature.reward for feature in case.features if feature.reward_sign]
    yield (
        {"losses": len(signs), "mean reward at first": rewards[0], "mean reward at the end": rewards[-1]},
        Message(
            "the loss falls as the log-probabilities of rewarded actions fall: its sign is reversed, and training "
            "makes the best actions the rarest"
        ),
        Message("minimize -(log_prob * advantage).mean(), with a minus sign"),
    )
