"""A network that fits its training rows but not the validation rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.history_checks._loss_history import explain_skip, read_loss_history
from yisheng.reporting.run_facts import RunFacts

MIN_LOST_NOTE, MIN_LOST_WARNING = 0.2, 0.5
"""Fraction of the gain on validation rows that was lost again after the best epoch."""
MIN_GENERALIZED = 0.5
"""Gain on validation rows relative to that on training rows, below which it is a warning."""
MIN_TRAINING_GAIN = 0.1
"""Gain on training rows, relative to the initial loss, from which on the two are compared."""
MAX_PADDING = 4
"""Pixels of padding of random crops, at most an eighth of the image."""


@register(needs=explain_skip, explains=("baseline-not-beaten",))
def overfitting(facts: RunFacts) -> Iterator[Finding]:
    """Find a validation loss that rises far above its best while the training loss falls, or was never close to it.

    With L0 the loss of a constant prediction, Lv the validation and Lt the training loss: the fraction that is lost is
    (Lv(end) - Lv(best)) / (L0 - Lv(best)), and the fraction that generalizes is (L0 - Lv) / (L0 - Lt) at the best
    epoch.

    Args:
        facts: the losses by epoch.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, sections 5.2 and 7.8.
    """
    history = read_loss_history(facts)
    assert history is not None  # ensured by needs
    best_loss = history.validation[history.best]
    lost = (history.end - best_loss) / max(history.gain, 1e-3 * abs(history.start))
    training_gain = history.start - history.training[history.best]
    can_compare = training_gain > MIN_TRAINING_GAIN * abs(history.start)
    generalized = history.gain / training_gain if can_compare else 1.0
    training_falls = history.training[-1] < history.training[history.best]
    if (lost <= MIN_LOST_NOTE or not training_falls) and generalized >= MIN_GENERALIZED:
        return
    epoch, epochs = history.best + 1, len(history.validation)
    evidence = {
        "best epoch": epoch,
        "validation loss": best_loss,
        "at the end": history.end,
        "training loss at the end": history.training[-1],
        "fraction lost": lost,
        "fraction that holds": generalized,
    }
    if generalized < MIN_GENERALIZED:
        cause = f"only {max(0.0, generalized):.0%} of the gain on training rows holds for validation rows"
    else:
        cause = (
            f"after epoch {epoch} of {epochs} the network overfits: the validation loss rose from {best_loss:.3g} to "
            f"{history.end:.3g} while the training loss fell to {history.training[-1]:.3g}"
        )
    regularization, change = _choose_regularization(facts)
    yield Finding(
        "overfitting",
        "warning" if lost > MIN_LOST_WARNING or generalized < MIN_GENERALIZED else "note",
        evidence,
        cause,
        f"more rows help most; otherwise use {regularization}, a smaller model, or patience={max(5, epochs // 10)} to "
        "stop in time",
        change=change,
    )


def _choose_regularization(facts: RunFacts) -> tuple[str, dict[str, Any]]:
    """Return a stronger regularization, in words and as settings."""
    if facts.spec is not None and facts.spec.is_image:
        names = "flip,crop" if facts.spec.drawing is None else "crop"  # a mirrored digit is not a digit
        pad = max(1, min(MAX_PADDING, min(facts.spec.shape[1:]) // 8))
        return f"augment={names}", {} if facts.config.get("augment") else {"augment": names, "pad": pad}
    dropout, weight_decay = _option(facts, "model", "dropout"), _option(facts, "optimizer", "weight_decay")
    stronger = {} if weight_decay is None else {"weight_decay": max(0.01, 10 * weight_decay)}
    uses_dropout = dropout is not None and dropout < 0.3
    return "weight_decay=0.01, or dropout=0.3", {"dropout": 0.3} if uses_dropout else stronger


def _option(facts: RunFacts, choice: str, name: str) -> float | None:
    """Return a numeric option of one of the config's choices, or None if there is none."""
    options = facts.config.get(choice)
    value = options.get(name) if isinstance(options, Mapping) else None
    return value if isinstance(value, int | float) else None
