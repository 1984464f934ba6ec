"""Targets of a copy of the network that is never updated."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.network_copies import NetworkCopy
from yisheng.diagnosis.wording import describe_shortage

MIN_UPDATES = 100
"""Fewer updates may lie between two updates of the copy."""
MIN_CALLS_PER_UPDATE = 0.5
"""Calls of the copy without gradients for each update: a copy that is only compared with is called now and then."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished:
        return Message("the training is not over")
    if not case.copies:
        return Message("the program holds no copy of the network")
    return describe_shortage(MIN_UPDATES, case.steps, Message("updates"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("plateau", "instant-fit", "constant-outputs", "collapsed-outputs", "underfitting", "target-range"),
)
def stale_target(case: Case) -> Iterator[Finding]:
    """Find a copy of the untrained network that is asked in every step, without gradients, and never changes.

    Such a copy gives the targets of reinforcement learning or of self-supervision, and must follow the network: what it
    was at first is random. A copy of a trained network may stay as it is, as a teacher or a reference.

    Args:
        case: copies of its network that the program holds in variables.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015, algorithm 1; Grill et al.,
    "Bootstrap your own latent", 2020, section 3.1.
    """
    stale = next((copy for copy in case.copies if _is_stale(copy, case)), None)
    if stale is None:
        return
    calls = stale.calls.training + stale.calls.evaluation
    yield Finding(
        "stale-target",
        "error",
        {"calls of the copy": calls, "updates": case.steps},
        Message(
            "a copy of the untrained network was asked {calls} times during {updates} updates and never changed: its "
            "predictions, and the targets made of them, are those of random weights",
            calls=f"{calls:,}",
            updates=f"{case.steps:,}",
        ),
        Message(
            "call target.load_state_dict(net.state_dict()) every few hundred updates, or let the copy follow in each: "
            "p_target.lerp_(p, 0.01)"
        ),
        source=case.sources.get("step", ""),
    )


def _is_stale(copy: NetworkCopy, case: Case) -> bool:
    calls = copy.calls.training + copy.calls.evaluation
    is_asked = calls >= MIN_CALLS_PER_UPDATE * case.steps
    return copy.was_equal and not case.began_trained and is_asked and copy.is_unchanged("parameters")
