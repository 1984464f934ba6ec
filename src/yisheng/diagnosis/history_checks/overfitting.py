"""A network that fits its training rows but not the validation rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.history_checks._loss_history import (
    Judgment,
    count_rows_and_columns,
    explain_skip,
    judge_memorization,
    judge_overfitting,
    read_loss_history,
)
from yisheng.reporting.run_facts import RunFacts

MAX_PADDING = 4
"""Pixels of padding of random crops, at most an eighth of the image."""
MAX_DROPOUT, MIN_WEIGHT_DECAY = 0.3, 0.01
"""Remedies: dropout between that of inputs (0.2) and of wide layers (0.5), and ten times torch's decay in AdamW
for trainings without any."""


@register(needs=explain_skip, explains=("baseline-not-beaten",))
def overfitting(facts: RunFacts) -> Iterator[Finding]:
    """Find a validation loss that rises far above its best while the training loss falls, or was never close to it.

    See `yisheng.diagnosis.history_checks._loss_history.judge_overfitting`. If nothing holds for validation rows, that
    is another finding: `memorization`.

    Args:
        facts: the losses by epoch.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, sections 5.2 and 7.8.
    """
    history = read_loss_history(facts)
    assert history is not None  # ensured by needs
    judgment, memorization = judge_overfitting(history), judge_memorization(history)
    rows, columns = count_rows_and_columns(facts)
    if memorization is not None and 0 < rows <= columns:
        cause = Message(
            "{cause}; {rows} rows cannot determine {columns} weights",
            cause=memorization.cause,
            rows=f"{rows:,}",
            columns=f"{columns:,}",
        )
        judgment = Judgment(memorization.severity, {**memorization.evidence, "rows": rows, "columns": columns}, cause)
    elif judgment is None or memorization is not None:
        return
    if judgment.severity == "note" and _is_line_on_images(facts):
        return
    regularization, change = _choose_regularization(facts)
    smaller = "" if facts.choice_name("model") == "linear" else "a smaller model, "
    patience = max(5, len(history.validation) // 10)
    yield Finding(
        "overfitting",
        judgment.severity,
        judgment.evidence,
        judgment.cause,
        Message(
            "more rows help most; otherwise use {regularization}, {smaller}or patience={patience} to stop in time",
            regularization=regularization,
            smaller=smaller,
            patience=patience,
        ),
        change=change,
    )


def _is_line_on_images(facts: RunFacts) -> bool:
    """Return whether a linear model reads images: it can fit few of their shapes, and fewer columns are no remedy."""
    return facts.choice_name("model") == "linear" and facts.spec is not None and facts.spec.is_image


def _choose_regularization(facts: RunFacts) -> tuple[str, dict[str, Any]]:
    """Return a stronger regularization, in words and as settings."""
    if facts.spec is not None and facts.spec.is_image and not facts.config.get("augment"):
        names = "flip,crop" if facts.spec.drawing is None else "crop"  # a mirrored digit is not a digit
        pad = max(1, min(MAX_PADDING, min(facts.spec.shape[1:]) // 8))
        return f"augment={names}", {"augment": names, "pad": pad}
    dropout, weight_decay = _option(facts, "model", "dropout"), _option(facts, "optimizer", "weight_decay")
    decay = None if weight_decay is None else max(MIN_WEIGHT_DECAY, 10 * weight_decay)
    if dropout is not None and dropout < MAX_DROPOUT:
        text = (
            f"dropout={MAX_DROPOUT}"
            if decay is None
            else Message("weight_decay={decay}, or dropout={max_dropout}", decay=f"{decay:g}", max_dropout=MAX_DROPOUT)
        )
        return text, {"dropout": MAX_DROPOUT}
    return f"weight_decay={decay or MIN_WEIGHT_DECAY:g}", {} if decay is None else {"weight_decay": decay}


def _option(facts: RunFacts, choice: str, name: str) -> float | None:
    """Return a numeric option of one of the config's choices, or None if there is none."""
    options = facts.config.get(choice)
    value = options.get(name) if isinstance(options, Mapping) else None
    return value if isinstance(value, int | float) else None
