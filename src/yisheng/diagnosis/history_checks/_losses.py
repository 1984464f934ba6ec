"""The losses of a run by epoch, as checks of its course look at them."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from yisheng.reporting.run_facts import RunFacts

LEAST = 3
"""Epochs that a course needs at least."""
PLAIN = ("cross-entropy", "binary-cross-entropy")
"""Losses whose value is the log-loss, where no option changes it."""


@dataclass(frozen=True)
class Losses:
    """What training and validation losses came to.

    Args:
        start: what an untrained network has: of the baseline, or of the first that was logged if that is more.
        training: by epoch.
        validation: by epoch.
        best: where the validation loss is smallest, counted from 0.
    """

    start: float
    training: tuple[float, ...]
    validation: tuple[float, ...]
    best: int

    @property
    def end(self) -> float:
        """Middle validation loss of the last tenth of the epochs, three at least."""
        return statistics.median(self.validation[-max(3, len(self.validation) // 10) :])

    @property
    def learnt(self) -> float:
        """What the best epoch gained on validation rows over an untrained network."""
        return self.start - self.validation[self.best]


def losses(facts: RunFacts) -> Losses | None:
    """The losses of the epochs; None where they cannot tell anything."""
    epochs = [e for e in facts.history.epochs if math.isfinite(e.loss + e.scores.get("loss", math.nan))]
    if len(epochs) < LEAST:
        return None
    validation = tuple(e.scores["loss"] for e in epochs)
    logged = [step.loss for step in facts.history.steps[:1] if math.isfinite(step.loss)]
    guessing = facts.scores.get("baseline", {}).get("log_loss")
    known = [guessing.value] if guessing is not None and facts.choice_name("loss") in PLAIN else []
    start = max([*logged, *known, epochs[0].loss, validation[0]])
    best = min(range(len(validation)), key=validation.__getitem__)
    return Losses(start, tuple(e.loss for e in epochs), validation, best)


def why_not(facts: RunFacts) -> str:
    """Why the losses cannot tell anything; empty where they can."""
    if facts.cross_validation is not None:
        return "the members' own pages tell of it"
    if losses(facts) is None:
        return f"it needs {LEAST} epochs or more with a validation part"
    return ""
