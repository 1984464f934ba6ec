"""Losses that are computed and never propagated."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_LOSSES, MAX_FRACTION = 24, 0.34
"""Losses of one place in the recorded steps, and the fraction of them that is propagated: one of three or fewer."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    computed = 0 if case.habits is None else max((use.computed for use in case.habits.losses.values()), default=0)
    return "" if computed >= MIN_LOSSES else Message("few losses were computed by a function of torch")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("underfitting", "plateau", "low-learning-rate", "label-noise", "overfitting", "memorization"),
)
def discarded_batches(case: Case) -> Iterator[Finding]:
    """Find a line whose losses are computed with their graphs, and of which a backward pass uses only a few.

    The backward pass is outside the loop over the batches: each loss replaces the one before. Losses that are added up
    and propagated together all count as used.

    Args:
        case: the losses of its recorded steps, by the line that computes them.

    Source: PyTorch documentation, "Optimizing model parameters" (loss.backward in each iteration).
    """
    assert case.habits is not None  # ensured by needs
    use = max(case.habits.losses.values(), key=lambda use: use.computed - use.propagated)
    if use.computed < MIN_LOSSES or not 0 < use.propagated <= MAX_FRACTION * use.computed:
        return
    yield Finding(
        "discarded-batches",
        "error",
        {"losses computed": use.computed, "propagated": use.propagated},
        Message(
            "of {computed} losses that this line computed in the recorded steps only {propagated} were propagated "
            "back: the other batches are not trained on",
            computed=use.computed,
            propagated=use.propagated,
        ),
        Message(
            "move zero_grad(), backward() and step() into the loop over the batches; compute what is only measured "
            "under torch.no_grad()"
        ),
        source=use.source,
    )
