"""Settings by chance."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, chance, draw, number


@register
def random(axes: Sequence[Axis], *, n: int, seed: int = 0) -> Generator[list[Trial], list[float | None], None]:
    """``n`` different settings, every axis drawn by itself, all in one round.

    Where few of the axes matter, n random settings try n values of each that does, and a grid far fewer.

    Args:
        axes: alternatives are drawn with equal chances, ranges evenly on their scale.
        n: how many; fewer come where there are no more.
        seed: of the draw.

    Source: Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.

    >>> axes = [Axis("lr", "optimizer.lr", "log", low=0.001, high=1.0)]
    >>> len(next(random(axes, n=5))), next(random(axes, n=5)) == next(random(axes, n=5))
    (5, True)
    """
    yield number(draw(axes, n, chance(seed, "random")))
