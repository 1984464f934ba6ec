"""Targets that add the value of a next state where the episode has ended."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_ROWS = 10
"""Rows at which an episode ends."""
MIN_RESIDUAL = 0.05
"""Standard deviation of the targets that the reward does not determine, relative to that of all their differences from
the reward and of the rewards themselves: without a next state the target is the reward, or a scaled or bounded one."""

DEVIATIONS_OF_MEDIAN = 1.48
"""Standard deviation of a normal distribution over the median of its absolute values."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    finals = [f.finals for f in case.features if f.finals is not None]
    if sum(map(len, finals)) >= MIN_ROWS and len(finals) > 1:
        return ""
    return Message("no variables of rewards and ends of episodes go with the targets")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("oscillation", "plateau", "high-learning-rate", "opposed-score", "exploding-gradients", "stale-target"),
)
def final_states(case: Case) -> Iterator[Finding]:
    """Find targets of a value network that the reward does not determine at the end of an episode.

    The value of a state after the end is 0: there the target is the reward. A target r + γ v(s') differs from it, and
    it differs from update to update for the same reward.

    Args:
        case: rewards and targets of rows at which the program says that an episode ends.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015, algorithm 1 (the target of
    terminal states); Sutton and Barto, "Reinforcement learning", 2018, section 6.1.
    """
    rewards, targets = torch.cat([f.finals for f in case.features if f.finals is not None]).unbind(1)
    difference = targets - rewards
    size = float(torch.stack([difference.square().mean().sqrt(), rewards.square().mean().sqrt()]).max())
    if float(difference.abs().max()) < MIN_RESIDUAL * size or _measure_residual(rewards, targets) < MIN_RESIDUAL * size:
        return
    yield Finding(
        "final-states",
        "error",
        {"rows": len(rewards), "mean difference": float(difference.mean()), "largest": float(difference.abs().max())},
        Message(
            "at {rows} rows at which an episode ends, the target differs from the reward by {difference} on average, "
            "and from update to update: the value of a state after the end is added",
            rows=len(rewards),
            difference=f"{float(difference.abs().mean()):.3g}",
        ),
        Message("multiply the value of the next state with (1 - done): target = reward + gamma * (1 - done) * value"),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )


def _measure_residual(rewards: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the standard deviation of the targets of equal rewards.

    If hardly any are equal it is that of the distance to the line between the targets of the next smaller and the next
    larger reward, by its median: a bounded reward has a corner.
    """
    values, group, counts = rewards.unique(return_inverse=True, return_counts=True)
    if len(values) <= len(rewards) / 2:
        means = torch.zeros_like(values).index_add(0, group, targets) / counts
        return float((targets - means[group]).square().mean().sqrt())
    rewards, order = rewards.sort()
    targets = targets[order]
    fraction = (rewards[1:-1] - rewards[:-2]) / (rewards[2:] - rewards[:-2]).clamp(min=1e-12)
    between = targets[:-2] + fraction * (targets[2:] - targets[:-2])
    return DEVIATIONS_OF_MEDIAN * float((targets[1:-1] - between).abs().median())
