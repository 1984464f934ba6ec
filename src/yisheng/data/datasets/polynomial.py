"""A cubic with noise, with the powers of x as columns: the lesson on underfitting and overfitting."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec

COEFFICIENTS = (5.0, 1.2, -3.4, 5.6)
"""The coefficients of x^i / i!, i = 0 to 3."""


@register
def polynomial(
    *,
    degree: Annotated[int, Interval(ge=1, le=20)] = 3,
    n: Annotated[int, Interval(ge=2, le=10_000_000)] = 200,
    noise: Annotated[float, Interval(ge=0, lt=1e6)] = 0.1,
    seed: Annotated[int, Interval(ge=0, lt=2**63)] = 0,
) -> Dataset:
    """Generate rows on a cubic with the powers of x as columns: too few underfit, too many overfit.

    ``y = 5 + 1.2 x − 3.4 x²/2! + 5.6 x³/3! + e`` with ``x ~ N(0, 1)`` and ``e ~ N(0, noise)``; column i is
    ``x^i / i!``. There is no column of ones: models have a bias. One half is the training part, the other
    the official test part.

    Args:
        degree: number of columns: 3 is right, 1 underfits, 20 overfits. The rows are the same for all.
        n: rows; half of them for training.
        noise: standard deviation of the noise.
        seed: of the draw; the run's seed does not change the data.

    >>> polynomial(degree=4).spec.shape
    (4,)

    Source: Zhang, Lipton, Li and Smola, Dive into Deep Learning, the lesson on underfitting and overfitting.
    """
    rng = np.random.Generator(np.random.PCG64(derive(seed, "polynomial")))
    x = rng.standard_normal(n)
    powers = np.empty((n, 1 + max(degree, 3)))
    powers[:, 0] = 1
    for i in range(1, powers.shape[1]):
        powers[:, i] = powers[:, i - 1] * x / i  # times x / i: the same bits on every machine, and no large factorial
    y = (powers[:, :4] * COEFFICIENTS).sum(axis=1) + noise * rng.standard_normal(n)
    part = np.zeros(n, np.int8)
    part[n - n // 2 :] = 2
    names = ("x", *(f"x^{i}/{i}!" for i in range(2, degree + 1)))
    return Dataset(
        "polynomial",
        Spec("regression", (degree,), columns=tuple(map(Column, names)), target="y"),
        powers[:, 1 : degree + 1].astype(np.float32),
        y.astype(np.float32)[:, None],
        part,
        about=f"Generated: y = 5 + 1.2x - 3.4x²/2! + 5.6x³/3! + noise of standard deviation {noise}, "
        f"given as x^i/i! up to degree {degree}.",
        source="Zhang, Lipton, Li and Smola, Dive into Deep Learning, the lesson on underfitting and overfitting",
        license="generated here: free of rights",
    )
