"""A straight line with noise."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval, Len

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec


@register
def linear(
    *,
    w: Annotated[tuple[float, ...], Len(1, 10_000)] = (2.0, -3.4),
    b: float = 4.2,
    n: Annotated[int, Interval(ge=1, le=10_000_000)] = 1000,
    noise: Annotated[float, Interval(ge=0, lt=1e6)] = 0.01,
    seed: Annotated[int, Interval(ge=0, lt=2**63)] = 0,
) -> Dataset:
    """Generate rows on a plane, which a linear model can learn exactly, up to the noise.

    ``y = x · w + b + e`` with ``x ~ N(0, 1)`` and ``e ~ N(0, noise)``.

    Args:
        w: the true weights, one per column; by default the textbook's.
        b: the true bias.
        n: rows.
        noise: standard deviation of the noise.
        seed: of the draw; the run's seed does not change the data.

    Raises:
        DataError: a value is not finite.

    >>> data = linear(n=5, noise=0.0)
    >>> bool(np.allclose(data.y[:, 0], data.x @ [2.0, -3.4] + 4.2))
    True

    Source: Zhang, Lipton, Li and Smola, Dive into Deep Learning, the lesson on linear regression.
    """
    if not np.isfinite([*w, b, noise]).all():
        raise DataError(
            Message("linear: weights, bias and noise must be finite, got {value}", value=(*w, b, noise)),
            Message("give finite numbers"),
        )
    rng = np.random.Generator(np.random.PCG64(derive(seed, "linear")))
    x = rng.standard_normal((n, len(w))).astype(np.float32)
    y = (x.astype(np.float64) * w).sum(axis=1) + b + noise * rng.standard_normal(n)
    columns = tuple(Column(f"x{i + 1}") for i in range(len(w)))
    return Dataset(
        "linear",
        Spec("regression", (len(w),), columns=columns, target="y"),
        x,
        y.astype(np.float32)[:, None],
        about=f"Generated: y = x · w + b + noise, with w = {list(w)}, b = {b}, noise of standard deviation {noise}.",
        source="Zhang, Lipton, Li and Smola, Dive into Deep Learning, the lesson on linear regression",
        license="generated here: free of rights",
    )
