"""Find that a loop ends with the weights of an epoch that no validation loss and no score would select."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.recorder.course import Evaluation

TRAINING, EARLIER = "training-loss-selection", "old-checkpoint"
MIN_EPOCHS, MIN_LATER = 5, 3
"""Evaluations before the weights were restored, and those after the epoch whose weights these are."""
MAX_DIFFERENCE = 1e-4
"""Relative difference of two losses of the same weights and rows, so that others hardly agree."""
MIN_EXCESS, MIN_EXCESS_IN_NOISE = 0.25, 4.0
"""Excess of the restored loss over the best one, relative to this and in medians of the change between two epochs: the
epochs with the best loss and the best score are seldom as far from each other."""
MIN_SCORE_LOSS_IN_NOISE = 2.0
"""Likewise of the best score over the restored one: weights that a score selected have the best score."""


@dataclass(frozen=True)
class RestoredEpoch:
    """The epoch whose weights a network has at the end.

    Args:
        epoch: its number, from 0.
        losses: validation losses by epoch.
        scores: validation scores by epoch; NaN without them.
        training: mean training losses by epoch.
    """

    epoch: int
    losses: Sequence[float]
    scores: Sequence[float]
    training: Sequence[float]

    @property
    def best(self) -> int:
        """Return the epoch with the lowest validation loss."""
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    @property
    def is_far_from_best(self) -> bool:
        """Return whether the validation loss is far above the best one."""
        excess = self.losses[self.epoch] - self.losses[self.best]
        return excess > max(MIN_EXCESS * self.losses[self.best], MIN_EXCESS_IN_NOISE * _measure_noise(self.losses))

    @property
    def has_scores(self) -> bool:
        """Return whether each epoch has a score."""
        return all(map(math.isfinite, self.scores))

    @property
    def has_best_score(self) -> bool:
        """Return whether the score is the best one, up to noise."""
        fall = max(self.scores) - self.scores[self.epoch]
        return fall <= MIN_SCORE_LOSS_IN_NOISE * _measure_noise(self.scores)


def find_restored_epoch(case: Case, evaluations: Sequence[Evaluation], restored: float) -> RestoredEpoch | None:
    """Return the epoch whose weights a network has at the end, or None if no loss is that of the restored weights.

    Args:
        case: the finished training.
        evaluations: of its epochs, without that of the restored weights.
        restored: validation loss of the restored weights.
    """
    losses = [e.loss for e in evaluations]
    if len(losses) < MIN_EPOCHS or not all(map(math.isfinite, losses)) or not min(losses) > 0:
        return None
    starts = [0, *(e.losses_before for e in evaluations)]
    parts = [case.losses[start:end] for start, end in itertools.pairwise(starts)]
    training = [statistics.fmean(part) if part else math.nan for part in parts]
    epoch = min(range(len(losses)), key=lambda k: abs(losses[k] - restored))
    if abs(losses[epoch] - restored) > MAX_DIFFERENCE * restored:
        return None
    return RestoredEpoch(epoch, losses, [e.score for e in evaluations], training)


def explain_restored_epoch(case: Case, restored: RestoredEpoch) -> Finding | None:
    """Return that an epoch was selected by its training loss, or is that of an old checkpoint; else None.

    Classes may be predicted best where the loss is not the lowest, so that losses of classes alone do not show how
    the weights were selected.

    Args:
        case: the finished training.
        restored: the epoch whose weights the network has.
    """
    if not restored.is_far_from_best:
        return None
    later = restored.losses[restored.epoch + 1 :]
    if len(later) >= MIN_LATER and max(later) < restored.losses[restored.epoch]:
        is_selected = restored.has_scores and restored.has_best_score
        return None if is_selected else _describe_checkpoint(restored)
    is_error = case.pairing is not None and case.pairing.loss in REGRESSION_LOSSES
    is_selected = restored.has_best_score if restored.has_scores else not is_error
    has_training = all(map(math.isfinite, restored.training))
    if is_selected or not has_training or restored.training[restored.epoch] > min(restored.training):
        return None
    return _describe_training(restored)


def _measure_noise(values: Sequence[float]) -> float:
    """Return the median change from an epoch to the next."""
    return statistics.median(abs(b - a) for a, b in itertools.pairwise(values))


def _describe_training(restored: RestoredEpoch) -> Finding:
    epoch, best = restored.epoch, restored.best
    return Finding(
        TRAINING,
        "warning",
        _collect_evidence(restored) | {"training loss": restored.training[epoch]},
        Message(
            "after the last update the weights of evaluation {epoch} of {count} were loaded, before which the training "
            "loss is lowest ({training}): their validation loss is {restored}, that of evaluation {number} is {best}",
            epoch=epoch + 1,
            count=len(restored.losses),
            training=f"{restored.training[epoch]:.3g}",
            restored=f"{restored.losses[epoch]:.3g}",
            number=best + 1,
            best=f"{restored.losses[best]:.3g}",
        ),
        Message(
            "compare the validation loss, not the training loss, with the best one, and keep a copy of the weights, "
            "copy.deepcopy(model.state_dict()): without the copy they change with every update, and those of the last "
            "one are loaded"
        ),
    )


def _describe_checkpoint(restored: RestoredEpoch) -> Finding:
    epoch, best = restored.epoch, restored.best
    return Finding(
        EARLIER,
        "warning",
        _collect_evidence(restored),
        Message(
            "after the last update the weights of evaluation {epoch} of {count} were loaded: their validation loss is "
            "{restored}, and each later one is lower, that of evaluation {number} is {best}",
            epoch=epoch + 1,
            count=len(restored.losses),
            restored=f"{restored.losses[epoch]:.3g}",
            number=best + 1,
            best=f"{restored.losses[best]:.3g}",
        ),
        Message(
            "look at when the checkpoint is written and which one is loaded: write it whenever the validation loss is "
            "below the best one, and also after the last epoch; if epoch % 10 == 0: ... does not write that of epoch "
            "19, and sorted names put epoch-9 behind epoch-10"
        ),
    )


def _collect_evidence(restored: RestoredEpoch) -> dict[str, float]:
    return {
        "at the end": restored.losses[restored.epoch],
        "best evaluation": restored.losses[restored.best],
        "evaluation at the end": restored.epoch + 1,
        "evaluations": len(restored.losses),
    }
