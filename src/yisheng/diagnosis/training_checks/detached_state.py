"""A layer that is called for each step, and of which only the last call has a gradient."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import join_names

MAX_LEARNED_FRACTION = 0.5
"""A training that has learned more than this may cut its steps on purpose, as a recycled prediction does."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return case.explain_missing_pass(MAX_LEARNED_FRACTION)


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "overfitting", "plateau", "missed-classes", "low-learning-rate", "vanishing-gradients"),
)
def detached_state(case: Case) -> Iterator[Finding]:
    """Find a layer that is called step after step in one pass, while gradients reach its last call only.

    The output depends on the results of earlier calls by their values: the state is passed on, but cut off from the
    graph, by `detach()`, `.data`, `.item()` or a new tensor of its values. What the layer is to remember is never
    learned. Between two batches such a cut is right: truncated backpropagation through time.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", 1990 (truncated backpropagation through time).
    """
    forward_pass = case.forward_pass
    cut = None if forward_pass is None else forward_pass.cut_calls
    if cut is None:
        return
    yield Finding(
        "detached-state",
        "error",
        {"parameters": list(cut.parameters), "calls": cut.calls, "fraction of the loss gone": case.learned_fraction},
        Message(
            "{names}: used {calls} times in one forward pass, and gradients reach the last time only, though the "
            "output depends on all of them: the state is cut off from the graph at each step",
            names=join_names(list(cut.parameters)),
            calls=cut.calls,
        ),
        Message(
            "do not detach the state within forward (detach(), .data, .item(), torch.tensor(h)); detach it between two "
            "batches"
        ),
        source=cut.source or case.sources.get("forward", ""),
    )
