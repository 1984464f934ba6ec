"""Every combination."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, every, number


@register(ranges=False, counts=False)
def grid(axes: Sequence[Axis], *, n: int = 0, seed: int = 0) -> Generator[list[Trial], list[float | None], None]:
    """Every combination of the alternatives, all in one round.

    Args:
        axes: each with alternatives.
        n: has no meaning here.
        seed: has no meaning here.

    >>> axes = [Axis("lr", "optimizer.lr", values=(0.1, 0.2)), Axis("batch", "batch", values=(16, 32))]
    >>> [tuple(trial.setting.values()) for trial in next(grid(axes))]
    [(0.1, 16), (0.1, 32), (0.2, 16), (0.2, 32)]
    """
    del n, seed
    yield number(list(every(axes)))
