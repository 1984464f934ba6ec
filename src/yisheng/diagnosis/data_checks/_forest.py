"""The quick model of the checks that train: randomised trees, judged by rows that each tree has not seen."""

from __future__ import annotations

import numpy as np

from yisheng.core.seeds import derive
from yisheng.core.types import Spec
from yisheng.diagnosis.sample import InconclusiveError, Sample

FEATURES = 2000
"""More features than that would take minutes."""


def single(spec: Spec) -> bool:
    """Whether there is one target."""
    return spec.task == "classification" or (spec.task == "regression" and spec.outputs == 1)


def why_not(sample: Sample, least: int = 60) -> str:
    """Why the quick model cannot be asked; empty where it can."""
    return "" if len(sample.rows("train")) >= least else f"it needs {least} training rows"


def features(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Features of rows, no more than can be looked at quickly.

    Raises:
        UnclearError: there are too many.
    """
    found = sample.features(rows)
    if found.shape[1] > FEATURES:
        raise InconclusiveError(f"{found.shape[1]:,} features are too many for the quick model ({FEATURES:,})")
    return found


def out_of_bag(x: np.ndarray, y: np.ndarray, seed: int, *, trees: int = 100) -> np.ndarray:
    """Probabilities ``(N, C)`` of the classes 0 to C - 1, each row's by the trees that were grown without it.

    Args:
        x: features ``(N, D)``.
        y: class numbers ``(N,)``, each of 0 to C - 1 there.
        seed: of the trees.
        trees: about 37% of them judge a row.

    Source: Geurts, Ernst and Wehenkel, "Extremely randomized trees", 2006; Breiman, "Out-of-bag estimation", 1996.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    options = {"bootstrap": True, "oob_score": True, "random_state": derive(seed, "forest") % 2**31}
    found: np.ndarray = ExtraTreesClassifier(trees, **options).fit(x, y).oob_decision_function_
    return found


def out_of_bag_numbers(x: np.ndarray, y: np.ndarray, seed: int, *, trees: int = 100) -> np.ndarray:
    """The same for numbers: an answer for each row ``(N,)``."""
    from sklearn.ensemble import ExtraTreesRegressor

    options = {"bootstrap": True, "oob_score": True, "random_state": derive(seed, "forest") % 2**31}
    found: np.ndarray = ExtraTreesRegressor(trees, max_features=1 / 3, **options).fit(x, y).oob_prediction_
    return found


def learnable(sample: Sample, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, their features, and their targets: classes numbered from 0 without gaps, or numbers.

    Classes of fewer than two of the rows are left out: no tree could know them when they are judged.
    """
    if sample.spec.task == "regression":
        return rows, features(sample, rows), sample.y[rows, 0].astype(np.float64)
    counts = np.bincount(sample.y[rows], minlength=len(sample.spec.classes))
    rows = rows[counts[sample.y[rows]] > 1]
    _, y = np.unique(sample.y[rows], return_inverse=True)
    if len(rows) < 20 or y.max() < 1:
        raise InconclusiveError("there are too few rows of two classes or more")
    return rows, features(sample, rows), y


def r2(y: np.ndarray, answer: np.ndarray) -> float:
    """Share of the variance that an answer explains.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - answer) ** 2).sum()) / spread if spread else 0.0
