"""Training and validation losses of a run by epoch."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from yisheng.reporting.run_facts import RunFacts

MIN_EPOCHS = 3
LOG_LOSSES = ("cross-entropy", "binary-cross-entropy")
"""Losses whose value is the log-loss, unless an option changes it."""


@dataclass(frozen=True)
class LossHistory:
    """The losses of a run.

    Args:
        start: loss of an untrained network: that of the baseline, or the first logged one if that is larger.
        training: training losses by epoch.
        validation: validation losses by epoch.
        best: index of the epoch with the smallest validation loss, from 0.
    """

    start: float
    training: tuple[float, ...]
    validation: tuple[float, ...]
    best: int

    @property
    def end(self) -> float:
        """Return the median validation loss of the last tenth of the epochs, at least three."""
        return statistics.median(self.validation[-max(MIN_EPOCHS, len(self.validation) // 10) :])

    @property
    def gain(self) -> float:
        """Return by how much the best epoch lowered the validation loss of an untrained network."""
        return self.start - self.validation[self.best]


def read_loss_history(facts: RunFacts) -> LossHistory | None:
    """Return the losses of the epochs, or None if there are too few."""
    epochs = [e for e in facts.history.epochs if math.isfinite(e.loss + e.scores.get("loss", math.nan))]
    if len(epochs) < MIN_EPOCHS:
        return None
    validation = tuple(e.scores["loss"] for e in epochs)
    logged = [step.loss for step in facts.history.steps[:1] if math.isfinite(step.loss)]
    baseline = facts.scores.get("baseline", {}).get("log_loss")
    baseline_loss = [baseline.value] if baseline is not None and facts.choice_name("loss") in LOG_LOSSES else []
    start = max([*logged, *baseline_loss, epochs[0].loss, validation[0]])
    best = min(range(len(validation)), key=validation.__getitem__)
    return LossHistory(start, tuple(e.loss for e in epochs), validation, best)


def explain_skip(facts: RunFacts) -> str:
    """Return why the losses cannot be checked; empty if they can."""
    if facts.cross_validation is not None:
        return "each fold model is checked in its own run folder"
    if read_loss_history(facts) is None:
        return f"it needs at least {MIN_EPOCHS} epochs with a validation part"
    return ""
