"""Batch norm over next to nothing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage, join_names

FEW, PAIR = 4, 2
"""Values of a channel that are too few; and so few that what comes out is one of two numbers."""
LEAST, LITTLE = 3, 0.5


def why_not(case: Case) -> str:
    """What it lacks."""
    seen = sum(any(_normal(unit.kind, unit.training) for unit in moment.layers) for moment in case.records)
    return describe_shortage(LEAST, seen, "steps with batch norm") if seen else "no batch norm was seen in training mode"


@register(needs=why_not, when="first", cause="data", explains=("plateau",))
def small_batch_norm(case: Case) -> Iterator[Finding]:
    """Batch norm in training mode takes mean and spread from one to four values of each channel.

    With n values they are chance (the mean is off by 1/sqrt(n) of the spread); at evaluation, with running averages,
    the network is another one. Of two values only their order is left.

    Args:
        case: the shapes of what its layers gave.

    Source: Ioffe, "Batch renormalization", 2017, section 3; Wu and He, "Group normalization", 2018, figure 1.
    """
    found: dict[str, list[int]] = {}
    for unit in (unit for moment in case.records for unit in moment.layers if _normal(unit.kind, unit.training)):
        found.setdefault(unit.name, []).append(math.prod((unit.shape[0], *unit.shape[2:])))
    values = {name: statistics.median_low(some) for name, some in found.items() if len(some) >= LEAST}
    few = [name for name, some in values.items() if some <= FEW]
    if not few:
        return
    least = min(values[name] for name in few)
    yield Finding(
        "small-batch-norm",
        "warning" if least <= PAIR or case.learned_less_than(LITTLE) else "note",
        {"values of a channel": least, "error of the mean": 1 / math.sqrt(least), "layers": few},
        f"{join_names(few)} takes mean and spread of each channel from {least} value{'s' if least > 1 else ''}: they are "
        "chance, and at evaluation the network is another one",
        case.choose_remedy("say batch=32", "use batches of 16 or more, or nn.GroupNorm or nn.LayerNorm in its place"),
        change=case.config_change(batch=32),
    )


def _normal(kind: str, training: bool) -> bool:
    """Whether a layer is batch norm within one process, at work."""
    return training and kind.startswith("BatchNorm")
