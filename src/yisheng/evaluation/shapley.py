"""Shapley values of one row: how much each column's value moves the prediction away from the average one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MAX_BATCH = 4096
"""Rows that are predicted at once."""


@dataclass(frozen=True)
class ShapleyValues:
    """What the columns of a row contribute to each output.

    ``base + values.sum(axis=0)`` is ``output``, exactly.

    Args:
        columns: their names.
        values: contributions ``(G, O)``.
        standard_errors: of the contributions, from the sampling ``(G, O)``.
        base: mean output of the background rows that were drawn ``(O,)``.
        output: the row's output ``(O,)``.
        pairs: number of pairs of orders that were drawn.
    """

    columns: tuple[str, ...]
    values: np.ndarray
    standard_errors: np.ndarray
    base: np.ndarray
    output: np.ndarray
    pairs: int


def sample_shapley_values(
    predict: Callable[[np.ndarray], np.ndarray],
    row: np.ndarray,
    background: np.ndarray,
    columns: Mapping[str, Sequence[int]],
    *,
    pairs: int = 100,
    seed: int = 0,
) -> ShapleyValues:
    """Estimate the Shapley values of a row's columns by sampling.

    In a random order of the columns, starting from a random background row z, one column after the other takes the
    value of the row x; its contribution is the change of the output. φ_j is the mean over orders and background rows:
    φ_j = Σ_S |S|! (D - |S| - 1)! / D! (v(S + j) - v(S)), with v(S) = E_z f(x_S, z_rest). Each order is used together
    with its reverse, which makes the estimate less random.

    The combinations of values may be ones that no real row has: this describes the model, not the world.

    Args:
        predict: raw rows ``(N, D)`` to outputs ``(N, O)``.
        row: the raw row x ``(D,)``.
        background: raw rows ``(B, D)`` that stand for the data; each is used equally often, as far as possible.
        columns: positions of the input columns, by the name of the column that they are made of.
        pairs: pairs of orders; the standard error falls with the square root of their number.
        seed: of the orders.

    Source: Strumbelj and Kononenko, "Explaining prediction models and individual predictions with feature
    contributions", Knowledge and Information Systems 41, 2014; Mitchell, Cooper, Frank and Holmes, "Sampling
    permutations for Shapley value estimation", JMLR 23, 2022 (orders with their reverse).

    >>> background = np.zeros((4, 2))
    >>> result = sample_shapley_values(lambda x: x @ [[2.0], [1.0]], np.ones(2), background, {"a": [0], "b": [1]})
    >>> result.values.tolist(), result.base.tolist(), result.output.tolist()
    ([[2.0], [1.0]], [0.0], [3.0])
    """
    generator = np.random.default_rng(seed)
    groups = [list(positions) for positions in columns.values()]
    starts = np.concatenate([generator.permutation(len(background)) for _ in range(-(-pairs // len(background)))])
    path_rows = 2 * (len(groups) + 1)
    per_batch = max(1, MAX_BATCH // path_rows)
    samples, bases = [], []
    output = np.asarray(predict(row[None]), np.float64)[0]
    for start in range(0, pairs, per_batch):
        chosen = starts[start : min(start + per_batch, pairs)]
        orders = [generator.permutation(len(groups)) for _ in chosen]
        paths = [
            _make_path(row, background[z], groups, order)
            for z, forward in zip(chosen, orders, strict=True)
            for order in (forward, forward[::-1])
        ]
        outputs = np.asarray(predict(np.concatenate(paths)), np.float64).reshape(len(chosen), 2, len(groups) + 1, -1)
        changes = np.diff(outputs, axis=2)
        contributions = np.empty_like(changes)
        for number, forward in enumerate(orders):
            contributions[number, 0, forward] = changes[number, 0]
            contributions[number, 1, forward[::-1]] = changes[number, 1]
        samples.append(contributions.mean(axis=1))
        bases.append(outputs[:, :, 0].mean(axis=1))
    values = np.concatenate(samples)
    errors = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1:], np.nan)
    return ShapleyValues(tuple(columns), values.mean(axis=0), errors, np.concatenate(bases).mean(axis=0), output, pairs)


def _make_path(row: np.ndarray, start: np.ndarray, groups: Sequence[list[int]], order: np.ndarray) -> np.ndarray:
    """Return the rows from a background row to the explained one, where one group after the other changes."""
    path = np.repeat(start[None], len(groups) + 1, axis=0)
    for step, group in enumerate(order.tolist(), 1):
        path[step:, groups[group]] = row[groups[group]]
    return path
