"""Batch norm over very few values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, plural_message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import LayerRecord
from yisheng.diagnosis.wording import describe_shortage, join_names

MAX_VALUES, MAX_USELESS_VALUES = 4, 2
"""Values per channel that are too few; and so few that every output is one of two numbers."""
MIN_STEPS = 3
"""Recorded steps with few values: the last batch of an epoch is often a small one."""
MAX_LEARNED_FRACTION = 0.5
"""In a training that has learned more than this, three or four values are a note."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = sum(any(map(_is_active_batch_norm, record.layers)) for record in case.records)
    if not count:
        return Message("no batch norm was recorded in training mode")
    return describe_shortage(MIN_STEPS, count, Message("recorded steps with batch norm"))


@register(needs=explain_skip, when="first", cause="data", explains=("plateau",))
def small_batch_norm(case: Case) -> Iterator[Finding]:
    """Find batch norm in training mode that computes mean and variance from one to four values per channel.

    With n values they are random (the error of the mean is 1/sqrt(n) standard deviations), and at evaluation, with
    running averages, the network is a different one. Of two values only their order is left.

    Args:
        case: the output shapes of its layers.

    Source: Ioffe, "Batch renormalization", 2017, section 3; Wu and He, "Group normalization", 2018, figure 1.
    """
    counts: dict[str, list[int]] = {}
    for layer in (layer for record in case.records for layer in record.layers if _is_active_batch_norm(layer)):
        counts.setdefault(layer.name, []).append(math.prod((layer.shape[0], *layer.shape[2:])))
    values = {name: statistics.median_low(history) for name, history in counts.items() if len(history) >= MIN_STEPS}
    layers = [name for name, count in values.items() if count <= MAX_VALUES]
    if not layers:
        return
    smallest = min(values[name] for name in layers)
    is_harmful = smallest <= MAX_USELESS_VALUES or case.learned_less_than(MAX_LEARNED_FRACTION)
    yield Finding(
        "small-batch-norm",
        "warning" if is_harmful else "note",
        {"values of a channel": smallest, "error of the mean": 1 / math.sqrt(smallest), "layers": layers},
        plural_message(
            smallest,
            "{layers} computes mean and variance of each channel from {count} value: they are random, and at "
            "evaluation the network is a different one",
            "{layers} computes mean and variance of each channel from {count} values: they are random, and at "
            "evaluation the network is a different one",
            layers=join_names(layers),
            count=smallest,
        ),
        case.choose_remedy(
            Message("use batch=32"),
            Message("use batches of 16 or more, or replace batch norm by nn.GroupNorm or nn.LayerNorm"),
        ),
        change=case.config_change(batch=32),
    )


def _is_active_batch_norm(layer: LayerRecord) -> bool:
    """Return whether a layer is batch norm of one process, in training mode."""
    return layer.training and layer.kind.startswith("BatchNorm")
