"""Training rows learnt by heart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.history_checks._losses import losses, why_not
from yisheng.reporting.run_facts import RunFacts

MUCH, SOME = 0.5, 0.2
"""Share of what had been learnt about unseen rows that was lost again: beyond the first it is a warning."""
KEPT = 0.5
"""Share of what was learnt of the training rows that should hold for unseen rows."""


@register(needs=why_not, explains=("baseline-not-beaten",))
def overfitting(facts: RunFacts) -> Iterator[Finding]:
    """The validation loss rises far above its best while the training loss falls on; or it never came near it.

    With L0 the loss of guessing, Lv the validation and Lt the training loss: what is lost again is
    (Lv(end) - Lv(best)) / (L0 - Lv(best)); what holds for unseen rows is (L0 - Lv) / (L0 - Lt) at the best epoch.

    Args:
        facts: the losses by epoch.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, sections 5.2 and 7.8.
    """
    seen = losses(facts)
    assert seen is not None  # asked by needs
    gained = max(seen.learnt, 1e-3 * abs(seen.start))
    lost = (seen.end - seen.validation[seen.best]) / gained
    trained = seen.start - seen.training[seen.best]
    holds = seen.learnt / trained if trained > 0.1 * abs(seen.start) else 1.0
    falls_on = seen.training[-1] < seen.training[seen.best]
    if (lost <= SOME or not falls_on) and holds >= KEPT:
        return
    epoch, epochs = seen.best + 1, len(seen.validation)
    evidence = {
        "best epoch": epoch,
        "validation loss": seen.validation[seen.best],
        "at the end": seen.end,
        "training loss at the end": seen.training[-1],
        "share lost": lost,
        "share that holds": holds,
    }
    more, change = _more(facts)
    if holds < KEPT:
        what = f"of what the network learnt of the training rows only {max(0.0, holds):.0%} holds for validation rows"
    else:
        what = (
            f"after epoch {epoch} of {epochs} the network learnt its training rows by heart: the validation loss rose "
            f"from {seen.validation[seen.best]:.3g} to {seen.end:.3g} while the training loss fell to "
            f"{seen.training[-1]:.3g}"
        )
    yield Finding(
        "overfitting",
        "warning" if lost > MUCH or holds < KEPT else "note",
        evidence,
        what,
        f"more rows help most; else say {more}, a smaller model, or patience={max(5, epochs // 10)} to stop in time",
        change=change,
    )


def _more(facts: RunFacts) -> tuple[str, dict[str, Any]]:
    """What holds a network back from learning rows by heart, in words and as settings."""
    if facts.spec is not None and facts.spec.is_image:
        names = "flip,crop" if facts.spec.drawing is None else "crop"  # a mirrored digit is none
        pad = max(1, min(4, min(facts.spec.shape[1:]) // 8))
        return f"augment={names}", {} if facts.config.get("augment") else {"augment": names, "pad": pad}
    dropout, weight_decay = _option(facts, "model", "dropout"), _option(facts, "optimizer", "weight_decay")
    weaker = {} if weight_decay is None else {"weight_decay": max(0.01, 10 * weight_decay)}
    return "weight_decay=0.01, or dropout=0.3", {"dropout": 0.3} if dropout is not None and dropout < 0.3 else weaker


def _option(facts: RunFacts, choice: str, name: str) -> float | None:
    """A number among the options of one of the config's choices; None where there is none."""
    options = facts.config.get(choice)
    value = options.get(name) if isinstance(options, Mapping) else None
    return value if isinstance(value, int | float) else None
