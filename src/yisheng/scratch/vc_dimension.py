"""The VC dimension: how many points a class of models can label in every way."""

from __future__ import annotations

import math
from typing import Any

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS


def _plot(axes: Any) -> None:
    """Draw the fraction of all labelings that a hyperplane separates; at D + 1 points it is still 1."""
    for inputs, color in zip((2, 5, 20), COLORS, strict=False):
        points = range(1, 61)
        fractions = [vc_dimension(n, inputs=inputs) / 2**n for n in points]
        axes.plot(points, fractions, color=color, label=f"{inputs} inputs")
        axes.plot([inputs + 1], [1], "o", color=color)
    axes.set(xlabel="points", ylabel="fraction of labelings", title="dots: the VC dimension, inputs + 1")
    axes.legend()


@register(
    equation="""labelings(N, D) = 2 Σ_(k=0…D) binom(N − 1, k)      of N points in D dimensions by a hyperplane
VC dimension = the largest N with labelings(N, D) = 2^N:   D + 1""",
    usual="""
from math import comb
points, inputs = 5, 2
labelings = 2 * sum(comb(points - 1, k) for k in range(inputs + 1))  # of 2**5
""",
    when="""To understand why few rows and many parameters overfit: up to the VC dimension, any labels can be fitted, so
a perfect training score says nothing. Its bounds are far too loose for networks; measure on validation rows
instead.""",
    plot=_plot,
)
def vc_dimension(points: int, *, inputs: int = 2) -> int:
    """Count the labelings of points in general position that a hyperplane separates.

    Args:
        points: number N of points, at least 1.
        inputs: dimension D of the space; a linear classifier with a bias has the VC dimension D + 1.

    Source: Cover, "Geometrical and statistical properties of systems of linear inequalities", 1965, section 2; Vapnik
    and Chervonenkis, "On the uniform convergence of relative frequencies of events to their probabilities", 1971.

    >>> [vc_dimension(n) for n in (1, 2, 3, 4)], [2**n for n in (1, 2, 3, 4)]  # XOR and its opposite: two of 16
    ([2, 4, 8, 14], [2, 4, 8, 16])
    """
    return 2 * sum(math.comb(points - 1, k) for k in range(inputs + 1))
