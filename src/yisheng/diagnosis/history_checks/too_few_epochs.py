"""A training that ended while it was still improving."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.history_checks._loss_history import explain_skip, read_loss_history
from yisheng.reporting.run_facts import RunFacts

MIN_LAST_EPOCHS = 3
"""Epochs that are examined: the last third, but at least this many."""
MIN_GAIN, MIN_FALL_IN_STDS = 0.1, 3.0
"""Gain of these epochs relative to the total gain; and their fall relative to the noise around it."""


@register(needs=explain_skip, follows=True)
def too_few_epochs(facts: RunFacts) -> Iterator[Finding]:
    """Find a validation loss that was still falling at the end, along a line that exceeds its noise.

    Args:
        facts: the losses by epoch.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 11.4.
    """
    history = read_loss_history(facts)
    assert history is not None  # ensured by needs
    epochs = len(history.validation)
    tail = history.validation[-max(MIN_LAST_EPOCHS, epochs // 3) :]
    fall, noise = _fit_line(tail)
    gain = fall / max(history.start - history.validation[-1], 1e-12)
    best_is_late = history.best >= epochs - max(1, len(tail) // 4)
    training_rises = history.training[-1] > history.training[-len(tail)]
    if not best_is_late or gain < MIN_GAIN or fall < MIN_FALL_IN_STDS * noise or training_rises:
        return
    yield Finding(
        "too-few-epochs",
        "warning",
        {"epochs": epochs, "fraction gained in the last": gain, "epochs looked at": len(tail)},
        Message(
            "the validation loss was still falling at the end: the last {count} of {epochs} epochs "
            "contributed {gain} of the total gain",
            count=len(tail),
            epochs=epochs,
            gain=f"{gain:.0%}",
        ),
        Message("use epochs={epochs}, or a larger lr", epochs=2 * epochs),
        change={"epochs": 2 * epochs},
    )


def _fit_line(values: Sequence[float]) -> tuple[float, float]:
    """Return how far the least-squares line falls from end to end, and the standard deviation around it.

    >>> _fit_line([3.0, 2.0, 1.0])
    (2.0, 0.0)
    """
    slope, intercept = statistics.linear_regression(range(len(values)), values)
    residuals = [value - (intercept + slope * i) for i, value in enumerate(values)]
    variance = sum(residual * residual for residual in residuals) / max(1, len(values) - 2)
    return -slope * (len(values) - 1), variance**0.5
