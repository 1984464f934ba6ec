"""Grid search."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, iterate_grid, number_trials


@register(ranges=False, counts=False)
def grid(axes: Sequence[Axis], *, n: int = 0, seed: int = 0) -> Generator[list[Trial], list[float | None], None]:
    """Yield every combination of the alternatives, all in one round.

    Args:
        axes: axes with alternatives.
        n: not used.
        seed: not used.

    >>> axes = [Axis("lr", "optimizer.lr", values=(0.1, 0.2)), Axis("batch", "batch", values=(16, 32))]
    >>> [tuple(trial.setting.values()) for trial in next(grid(axes))]
    [(0.1, 16), (0.1, 32), (0.2, 16), (0.2, 32)]
    """
    del n, seed
    yield number_trials(list(iterate_grid(axes)))
