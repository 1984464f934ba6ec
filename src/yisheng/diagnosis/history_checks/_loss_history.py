"""Training and validation losses of a training, and what they show."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yisheng.core.messages import Message
from yisheng.reporting.findings_schema import Severity
from yisheng.reporting.run_facts import RunFacts

MIN_EPOCHS = 3
"""A best value, and one on each side of it."""
LOG_LOSSES = ("cross-entropy", "binary-cross-entropy")
"""Losses whose value is the log-loss, unless an option changes it."""
ERROR_LOSSES = ("mse", "half-mse", "l1", "huber", "pinball")
"""Losses that measure errors: 0 is perfect, and twice the loss is twice the error, whatever guessing has."""
MIN_LOST_NOTE, MIN_LOST_WARNING = 0.2, 0.5
"""Fraction of the gain on validation rows that was lost again after the best epoch."""
MIN_RISE_NOTE, MIN_RISE_WARNING = 0.15, 0.4
"""Rise of the validation loss relative to its best value."""
MIN_VISIBLE_NOTE, MIN_VISIBLE_WARNING = 0.03, 0.1
"""The same rise relative to the initial loss: a rise of a log-loss that is close to zero does no harm."""
MIN_GAP = 2.0
"""Error on validation rows over that on training rows at the end, with which a rise of the error is overfitting: the
network then fits its training rows in a way that does not hold for others."""
MIN_WIDE_GAP, MAX_EARLY_BEST = 4.0, 1 / 3
"""The same ratio with which a smaller rise is a warning, if the best epoch was in the first third of all: most of the
training has made the network worse, and its error on training rows says nothing any more."""
MIN_GAP_OF_LINE, MIN_LOST_BY_LINE = 4.0, 0.05
"""The same ratio for a linear model, and the difference of the two errors relative to guessing's: a line has few
weights, and its two errors are close unless its rows are few; a large ratio of tiny errors does no harm."""
MIN_ERROR, MIN_UNSCALED_ERROR = 1e-3, 1e-6
"""Best error relative to that of guessing, below which a rise is one of the last updates; and if guessing is unknown,
relative to the initial error, which may be any number of times as large: a rise of rounding."""
MIN_RISE_IN_NOISE, MIN_SMOOTH_RISE_IN_NOISE = 3.0, 5.3
"""Rise in standard deviations of the noise of an epoch; and of smoothed losses, in that noise over the root of their
number: the difference of two medians varies by 1.8 of these, and three times that is rare."""
MIN_GENERALIZED = 0.5
"""Gain on validation rows relative to that on training rows, below which it is a warning."""
MIN_TRAINING_GAIN, MAX_UNFITTED = 0.1, 0.6
"""Gain on training rows from which on the two are compared, and the loss on training rows, above which the network has
not fitted them; both relative to the initial loss."""
MIN_MEMORIZED, MAX_USEFUL_GAIN, MAX_GAIN_OVER_GUESS = 0.3, 0.05, 0.02
"""Gain on training rows of a network that memorizes them; and gain on validation rows that shows nothing, over the
initial loss and over that of guessing."""
MIN_LEARNED_TO_OVERFIT = 0.02
"""Gain on training rows over the loss of guessing (if unknown, the initial one) of a network that can overfit, or that
memorizes them while the validation loss rises from that of guessing: one that has learned nothing has nothing that
fails to hold for other rows."""
MIN_UNLEARNED_BY_A_LINE = 0.1
"""Loss of a linear model relative to that of guessing: below it, a line follows nine tenths of the target."""
MAX_FLAT_FALL, MIN_UNLEARNED, MAX_GAP = 0.02, 0.6, 0.15
"""Fall in the last third that is none; loss relative to the initial one, and gap between validation and training loss
relative to the gain, of a network that is too small."""
MAD_TO_STD = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""


@dataclass(frozen=True)
class LossHistory:
    """The losses of a training.

    Args:
        start: loss of an untrained network: that of the baseline, or the first logged one if that is larger.
        training: training losses by epoch.
        validation: validation losses by epoch.
        best: index of the epoch with the smallest validation loss, from 0.
        guess: loss of the best constant prediction; NaN if unknown.
        unit: what the losses are counted in: epochs, or evaluations of a user's own loop.
        is_error: whether the loss is a squared or absolute error.
    """

    start: float
    training: tuple[float, ...]
    validation: tuple[float, ...]
    best: int
    guess: float = math.nan
    unit: str = "epoch"
    is_error: bool = False

    @property
    def end(self) -> float:
        """Return the median validation loss of the last tenth of the epochs, at least three."""
        return statistics.median(self.validation[-self.window :])

    @property
    def window(self) -> int:
        """Return the number of epochs whose losses are smoothed: a tenth, at least three."""
        return max(MIN_EPOCHS, len(self.validation) // 10)

    @property
    def rises_beyond_noise(self) -> bool:
        """Return whether the validation loss at the end is above its best by more than its noise.

        Over many epochs the smoothed losses show a rise that is small compared with the noise of a single one.
        """
        if self.end - self.validation[self.best] > MIN_RISE_IN_NOISE * self.noise:
            return True
        starts = range(len(self.validation) - self.window + 1)
        best = min(statistics.median(self.validation[start : start + self.window]) for start in starts)
        return self.end - best > MIN_SMOOTH_RISE_IN_NOISE * self.noise / math.sqrt(self.window)

    @property
    def training_end(self) -> float:
        """Return the median training loss of the same epochs."""
        return statistics.median(self.training[-self.window :])

    @property
    def reference_loss(self) -> float:
        """Return the loss of guessing, or that of an untrained network: learning what guessing knows does not count."""
        return self.guess if math.isfinite(self.guess) and self.guess > 0 else self.start

    @property
    def gain(self) -> float:
        """Return by how much the best epoch lowered the validation loss of an untrained network."""
        return self.start - self.validation[self.best]

    @property
    def noise(self) -> float:
        """Return the standard deviation of the validation loss around its course, from consecutive differences."""
        differences = [b - a for a, b in itertools.pairwise(self.validation[len(self.validation) // 3 :])]
        if len(differences) < 2:
            return 0.0
        median = statistics.median(differences)
        return MAD_TO_STD * statistics.median(abs(value - median) for value in differences) / math.sqrt(2)


@dataclass(frozen=True)
class Judgment:
    """What the losses show: severity, evidence and cause of a finding."""

    severity: Severity
    evidence: Mapping[str, Any]
    cause: str


def read_loss_history(facts: RunFacts) -> LossHistory | None:
    """Return the losses of the epochs, or None if there are too few."""
    epochs = [e for e in facts.history.epochs if math.isfinite(e.loss + e.scores.get("loss", math.nan))]
    if len(epochs) < MIN_EPOCHS:
        return None
    logged = [step.loss for step in facts.history.steps[:1] if math.isfinite(step.loss)]
    baseline = facts.scores.get("baseline", {}).get("log_loss")
    is_log_loss = baseline is not None and facts.choice_name("loss") in LOG_LOSSES
    guess = baseline.value if baseline is not None and is_log_loss else math.nan
    is_error = facts.choice_name("loss") in ERROR_LOSSES
    validation = [e.scores["loss"] for e in epochs]
    return make_loss_history([e.loss for e in epochs], validation, logged, guess, is_error=is_error)


def make_loss_history(
    training: Sequence[float],
    validation: Sequence[float],
    first_losses: Sequence[float],
    guess: float,
    unit: str = "epoch",
    *,
    is_error: bool = False,
) -> LossHistory:
    """Return the history of losses.

    Args:
        training: by epoch.
        validation: by epoch.
        first_losses: losses of the first update, if they are known.
        guess: loss of the best constant prediction; NaN if unknown.
        unit: what the losses are counted in.
        is_error: whether the loss is a squared or absolute error.
    """
    known_guess = [guess] if math.isfinite(guess) else []
    start = max([*first_losses, *known_guess, training[0], validation[0]])
    best = min(range(len(validation)), key=validation.__getitem__)
    return LossHistory(start, tuple(training), tuple(validation), best, guess, unit, is_error)


def count_rows_and_columns(facts: RunFacts) -> tuple[int, int]:
    """Return the training rows (the last batch counts as a full one) and columns of a linear model; else zeros."""
    batch = facts.config.get("batch")
    is_linear = facts.choice_name("model") == "linear" and facts.spec is not None and facts.spec.is_row
    if not is_linear or facts.spec is None or not facts.history.epochs:
        return 0, 0
    first = facts.history.epochs[0]
    return first.step // max(1, first.epoch) * (batch if isinstance(batch, int) else 0), facts.spec.shape[0]


def explain_skip(facts: RunFacts) -> str:
    """Return why the losses cannot be checked; empty if they can."""
    if facts.choice_name("optimizer") == "none":
        return Message("the model is fitted in stages, without gradient steps")
    if facts.cross_validation is not None:
        return Message("each fold model is checked in its own run folder")
    if read_loss_history(facts) is None:
        return Message("it needs at least {min_epochs} epochs with a validation part", min_epochs=MIN_EPOCHS)
    return ""


def judge_overfitting(history: LossHistory, *, is_linear: bool = False) -> Judgment | None:
    """Return how far the network fits its training rows only, or None.

    With L0 the initial loss, Lv the validation and Lt the training loss: Lv(end) - Lv(best) relative to the gain
    L0 - Lv(best), to Lv(best) and to L0, beyond the noise of Lv, while Lt falls; or (L0 - Lv) / (L0 - Lt) at the best
    epoch, if the network has fitted its training rows and Lt is not below zero. A squared or absolute error is not
    compared with L0, which may be any number of times as large; there Lv must be twice Lt at the end. The errors of a
    line must not be far apart.

    Args:
        history: the losses.
        is_linear: whether the network is a line.
    """
    best_loss = history.validation[history.best]
    rise, scale = history.end - best_loss, max(abs(history.start), 1e-12)
    lost = rise / max(history.gain, 1e-3 * scale)
    relative = rise / max(abs(best_loss), 1e-12 if history.is_error else 1e-3 * scale)
    training_gain = history.start - history.training[history.best]
    # A loss below zero, such as that of a density or of learned weights, has no perfect value: its gain has no measure.
    has_fitted = 0 <= history.training_end < MAX_UNFITTED * scale
    can_compare = training_gain > MIN_TRAINING_GAIN * scale and has_fitted
    generalized = history.gain / training_gain if can_compare else 1.0
    training_falls = history.training_end < history.training[history.best] or history.best == 0
    is_warning = lost > MIN_LOST_WARNING or (
        relative > MIN_RISE_WARNING and _is_visible(history, rise, MIN_VISIBLE_WARNING * scale)
    )
    is_note = lost > MIN_LOST_NOTE or (
        relative > MIN_RISE_NOTE and _is_visible(history, rise, MIN_VISIBLE_NOTE * scale)
    )
    is_wide = history.is_error and history.end > MIN_WIDE_GAP * history.training_end
    is_warning |= is_note and is_wide and history.best < MAX_EARLY_BEST * len(history.validation)
    fits_training_rows = training_falls and history.training_end < history.end
    has_risen = fits_training_rows and history.rises_beyond_noise and (is_warning or is_note)
    is_torn = is_linear and _is_torn(history)
    reference_loss = history.reference_loss
    if reference_loss - history.training_end < MIN_LEARNED_TO_OVERFIT * abs(reference_loss):
        return None
    if not has_risen and generalized >= MIN_GENERALIZED and not is_torn:
        return None
    number, count = history.best + 1, len(history.validation)
    evidence = {
        f"best {history.unit}": number,
        "validation loss": best_loss,
        "at the end": history.end,
        "training loss at the end": history.training_end,
        "fraction lost": lost,
        "fraction that holds": generalized,
    }
    if has_risen and (is_warning or generalized >= MIN_GENERALIZED):
        cause = Message(
            "after {unit} {number} of {count} the network overfits: the validation loss rose from {best_loss} to "
            "{end} while the training loss fell to {training_end}",
            unit=history.unit,
            number=number,
            count=count,
            best_loss=f"{best_loss:.3g}",
            end=f"{history.end:.3g}",
            training_end=f"{history.training_end:.3g}",
        )
    elif is_torn:
        cause = Message(
            "the error of the line is {training_end} on its training rows and {end} on validation rows: it has too "
            "many weights for these rows",
            training_end=f"{history.training_end:.3g}",
            end=f"{history.end:.3g}",
        )
    else:
        cause = Message(
            "only {value} of the gain on training rows holds for validation rows", value=f"{max(0.0, generalized):.0%}"
        )
    is_severe = is_warning or is_torn or generalized < MIN_GENERALIZED
    return Judgment("warning" if is_severe else "note", evidence, cause)


def _is_torn(history: LossHistory) -> bool:
    """Return whether the errors on training and validation rows are far apart, next to that of guessing."""
    difference, guess = history.end - history.training_end, history.guess
    if not math.isfinite(guess):
        return False
    is_far = history.end > MIN_GAP_OF_LINE * history.training_end and difference > MIN_LOST_BY_LINE * guess
    return history.is_error and is_far


def _is_visible(history: LossHistory, rise: float, limit: float) -> bool:
    """Return whether a rise of the validation loss matters: of an error, or of another loss above a limit."""
    if not history.is_error:
        return rise > limit
    is_known = math.isfinite(history.guess)
    min_error = MIN_ERROR * history.guess if is_known else MIN_UNSCALED_ERROR * history.start
    return history.validation[history.best] > min_error and history.end > MIN_GAP * history.training_end


def judge_memorization(history: LossHistory) -> Judgment | None:
    """Return that a network has learned its training rows and nothing that holds for other rows, or None."""
    best = history.validation[history.best]
    is_known = math.isfinite(history.guess) and history.guess > 0
    reference_loss = history.reference_loss
    training_gain = (reference_loss - min(history.training)) / max(abs(reference_loss), 1e-12)
    useful = (history.guess - best) / history.guess if is_known else history.gain / max(abs(history.start), 1e-12)
    min_gain = MIN_MEMORIZED
    if is_known and judge_overfitting(history) is not None:  # both curves show it: less is enough
        min_gain = MIN_LEARNED_TO_OVERFIT
    if training_gain < min_gain or useful > (MAX_GAIN_OVER_GUESS if is_known else MAX_USEFUL_GAIN):
        return None
    reference = (
        Message("guessing has {guess}", guess=f"{history.guess:.3g}")
        if is_known
        else Message("it began at {start}", start=f"{history.start:.3g}")
    )
    return Judgment(
        "warning",
        {"training loss": min(history.training), "best validation loss": best, "guessing": history.guess},
        Message(
            "the network memorizes its training rows (loss {value}), and nothing of it holds for others: their loss "
            "is {best} at best, and {reference}",
            value=f"{min(history.training):.3g}",
            best=f"{best:.3g}",
            reference=reference,
        ),
    )


def judge_capacity(history: LossHistory, *, is_linear: bool = False) -> Judgment | None:
    """Return that both losses have leveled off together with much left, or None.

    Args:
        history: the losses.
        is_linear: whether the network is a line, which can be too small for any target: less must be left.
    """
    is_known = is_linear and math.isfinite(history.guess) and history.guess > 0
    scale = max(abs(history.guess if is_known else history.start), 1e-12)
    min_unlearned = MIN_UNLEARNED_BY_A_LINE if is_known else MIN_UNLEARNED
    tail = history.training[-max(MIN_EPOCHS, len(history.training) // 3) :]
    fall = max(tail[0], statistics.median(tail[:MIN_EPOCHS])) - history.training_end
    gain = history.start - history.training_end
    has_gap = history.end - history.training_end > MAX_GAP * max(history.training_end if is_known else gain, 0.0)
    is_flat = fall < MAX_FLAT_FALL * scale
    if not is_flat or has_gap or history.training_end < min_unlearned * scale or gain <= 0:
        return None
    return Judgment(
        "note",
        {"training loss": history.training_end, "validation loss": history.end, "at first": history.start},
        Message(
            "training and validation loss have leveled off together, at {training_end} and {end} of {start} at "
            "first: the network cannot fit more",
            training_end=f"{history.training_end:.3g}",
            end=f"{history.end:.3g}",
            start=f"{history.start:.3g}",
        ),
    )
