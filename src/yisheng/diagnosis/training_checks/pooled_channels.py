"""A pooling over the channels of features, where the positions were meant."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.pooled_features import find_pooled_features

MAX_LEARNED_FRACTION = 0.9
"""A training that has learned more than this does not need the single channels."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished:
        return Message("the training is not finished")
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return Message("the network has learned what its loss can show")
    return Message("a pass over the rows could not be repeated") if case.example is None else ""


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "overfitting", "plateau", "missed-classes", "low-learning-rate", "memorization"),
)
def pooled_channels(case: Case) -> Iterator[Finding]:
    """Find features that are pooled over their channels before a layer reads them: one number for each position.

    `x.mean(1)` of the features (B, C, T) of a convolution is the mean of its channels. All channels then get the same
    gradient, and the layer after it reads the position instead of what was detected there.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: Lin, Chen and Yan, "Network in network", 2014, section 3.2 (global average pooling over the positions).
    """
    pooled = find_pooled_features(case.model, case.example)
    if pooled is None:
        return
    axes = [axis for axis in range(len(pooled.shape)) if axis not in (pooled.row_axis, pooled.channel_axis)]
    channels = pooled.shape[pooled.channel_axis]
    shape = [size if axis != pooled.row_axis else "B" for axis, size in enumerate(pooled.shape)]
    yield Finding(
        "pooled-channels",
        "warning",
        {"channels": channels, "positions": pooled.positions, "fraction of the loss gone": case.learned_fraction},
        Message(
            "of features of shape ({shape}) only one number for each of the {positions} positions is read: exchanging "
            "the {channels} channels (axis {axis}) at each position changes nothing, so they are pooled, by a mean, a "
            "sum or a maximum, and not the positions",
            shape=", ".join(map(str, shape)),
            positions=pooled.positions,
            channels=channels,
            axis=pooled.channel_axis,
        ),
        Message(
            "pool over the positions, such as x.mean({axis}), and give the next layer {channels} inputs",
            axis=axes[0] if len(axes) == 1 else tuple(axes),
            channels=channels,
        ),
        source=pooled.source or case.sources.get("forward", ""),
    )
