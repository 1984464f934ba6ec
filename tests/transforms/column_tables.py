"""Tables of random columns, and their preparation."""

from __future__ import annotations

import numpy as np
import torch

from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.transforms.columns import columns

NUMBERS = ("standard", "robust", "quantile", "power", "none")
TABLE = (
    Column("area"),
    Column("town", "category", ("Aden", "Brest", "Cork", "Delft")),
    Column("pool", "yes/no"),
    Column("year"),
    Column("age"),
)
SPEC = Spec("regression", (5,), columns=TABLE)


def rows(n: int = 600, missing_fraction: float = 0.1, seed: int = 0) -> np.ndarray:
    """Return a skewed number, a column with an infrequent category, a yes/no, complete years, and an age."""
    rng = np.random.Generator(np.random.PCG64(seed))
    table = np.stack(
        [
            rng.lognormal(8, 0.7, n),
            rng.choice(4, n, p=[0.5, 0.3, 0.19, 0.01]),
            rng.integers(0, 2, n),
            rng.integers(1900, 2010, n),
            rng.gamma(2, 10, n).round(),
        ],
        axis=1,
    ).astype(np.float32)
    table[rng.random(table.shape) < missing_fraction * np.array([1, 1, 1, 0, 1])] = np.nan
    return table


def numbers_alone(n: int = 600, seed: int = 0) -> np.ndarray:
    return rows(n, 0.1, seed)[:, [0, 3, 4]]


def prepared(x: np.ndarray, fitted: columns) -> np.ndarray:
    """Return the outputs in float64, so that they can be compared to the last digits."""
    return fitted.apply(torch.from_numpy(x.astype(np.float64))).numpy()
