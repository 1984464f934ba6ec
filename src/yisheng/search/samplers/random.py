"""Random search."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, draw_settings, make_generator, number_trials


@register
def random(axes: Sequence[Axis], *, n: int, seed: int = 0) -> Generator[list[Trial], list[float | None], None]:
    """Yield ``n`` different random settings, with all axes drawn independently, in one round.

    If few of the axes matter, n random settings try n values of each of them, and a grid far fewer.

    Args:
        axes: alternatives are equally likely, ranges are drawn uniformly on their scale.
        n: number of settings; fewer if the space has no more.
        seed: seed of the draws.

    Source: Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.

    >>> axes = [Axis("lr", "optimizer.lr", "log", low=0.001, high=1.0)]
    >>> len(next(random(axes, n=5))), next(random(axes, n=5)) == next(random(axes, n=5))
    (5, True)
    """
    yield number_trials(draw_settings(axes, n, make_generator(seed, "random")))
