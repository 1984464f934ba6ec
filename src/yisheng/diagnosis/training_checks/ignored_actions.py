"""A loss of the largest output of each row, whatever action was taken."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.ignored_actions import IgnoredActions
from yisheng.diagnosis.wording import describe_shortage

MIN_LOSSES = 3
"""Recorded losses that read only the largest outputs: one could be of a step that explores nothing."""
MIN_DIFFERENT = 0.05
"""Fraction of the rows whose action is another one: an agent that always takes the best action has none."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    noun = Message("losses of the largest output of each row, next to actions")
    return describe_shortage(MIN_LOSSES, len(_list_ignored(case)), noun)


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("plateau", "underfitting", "oscillation", "low-learning-rate", "high-learning-rate"),
)
def ignored_actions(case: Case) -> Iterator[Finding]:
    """Find a loss that reads the largest output of each row where the program has an action for each row.

    What follows from an action a teaches Q(s, a). With max Q(s, a) in its place the reward of every action teaches the
    one that is thought best, and no action is told from another. The maximum belongs into the target.

    Args:
        case: the form of its losses, and variables of the program whose names are those of actions.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015, algorithm 1.
    """
    entries = _list_ignored(case)
    rows, different = sum(entry.rows for entry in entries), sum(entry.different for entry in entries)
    if different < MIN_DIFFERENT * rows:
        return
    last = entries[-1]
    yield Finding(
        "ignored-actions",
        "error",
        {"rows": rows, "rows with another action": different, "outputs": last.outputs},
        Message(
            "the loss reads the largest of the {outputs} outputs of each row, and in {fraction} of the rows {name} is "
            "another one: what follows from an action does not teach its own output",
            outputs=last.outputs,
            fraction=f"{different / rows:.0%}",
            name=last.name,
        ),
        Message(
            "compare the output of the action that was taken: q.gather(1, {name}.view(-1, 1)); the maximum belongs "
            "into the target, without gradient",
            name=last.name,
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )


def _list_ignored(case: Case) -> list[IgnoredActions]:
    return [feature.actions for feature in case.features if feature.actions is not None]
