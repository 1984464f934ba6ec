"""Forests: averages of trees that are grown on random rows or with random splits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedModel, to_outputs
from yisheng.models._trees import Tree, Trees

MAX_NODES = 3_000_000
"""Nodes of all trees together at most, some 100 MB: with many rows the leaves become larger."""


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
    fitted="codes",
)
def forest(
    spec: Spec,
    *,
    method: Literal["random", "extra"] = "extra",
    trees: Annotated[int, Interval(ge=1, le=10_000)] = 300,
    leaf_rows: Annotated[int, Interval(ge=1, le=10**6)] = 1,
    column_fraction: Annotated[float, Interval(gt=0, le=1)] | None = None,
) -> FittedModel:
    """Build a forest: the average of many deep trees, each different at random.

    The trees of a random forest are grown on rows drawn with replacement, those of extremely randomized trees (extra)
    on all rows with random thresholds. Classes are averaged as probabilities. scikit-learn grows the trees.

    Args:
        method: which chance makes the trees different.
        trees: number of trees in all.
        leaf_rows: fewest training rows in a leaf; more if the forest would have more than three million nodes.
        column_fraction: fraction of the columns, drawn again at each split, that may be split. If not given, all for
            numbers; for classes the square root of the number of columns, as Breiman.

    Source: Breiman, "Random forests", 2001; Geurts, Ernst and Wehenkel, "Extremely randomized trees", 2006.

    >>> model = forest(Spec("regression", (1,)), trees=20)
    >>> x = np.linspace(0, 1, 90, dtype=np.float32)[:, None]
    >>> for stage in range(model.stages):
    ...     model.fit_stage(stage, FitRows(x, (x > 0.5).astype(np.float32), None, seed=0))
    >>> model(torch.tensor([[0.1], [0.9]]))
    tensor([[0.],
            [1.]])
    """
    return Forest(spec, method, trees, leaf_rows, column_fraction)


class Forest(FittedModel):
    """A forest; its outputs are logits of averaged probabilities, or averaged numbers in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        method: see `forest`.
        count: number of trees in all.
        leaf_rows: see `forest`.
        column_fraction: see `forest`.
    """

    stages = 10

    def __init__(self, spec: Spec, method: str, count: int, leaf_rows: int, column_fraction: float | None) -> None:
        super().__init__()
        self.spec, self.method, self.leaf_rows, self.column_fraction = spec, method, leaf_rows, column_fraction
        self.tree_count, self.stages = count, min(type(self).stages, count)
        self.values = max(2, len(spec.classes)) if spec.task == "classification" else spec.outputs
        self.trees = Trees(self.values, self.values)
        self._estimator: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled rows ``(B, D)`` to outputs ``(B, O)``."""
        count = max(1, len(self.trees))
        return to_outputs(self.trees(x) / count, self.spec, votes=count).to(x.dtype)

    def check_buffers(self) -> None:
        """Check what `forward` relies on."""
        self.trees.check(self.spec.shape[0])

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Grow the next trees: as many as there are trees for each stage."""
        count = max(1, round(self.tree_count * (stage + 1) / self.stages))
        if self._estimator is None:
            self._estimator = self._make_estimator(rows)
        y = rows.y if self.spec.task == "classification" else rows.y.reshape(len(rows.y), -1)
        if self.spec.task == "multilabel":
            y = y.astype(np.int64)
        self._estimator.set_params(n_estimators=count)
        self._estimator.fit(rows.x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y, sample_weight=rows.weight)
        self.trees.set_trees([self._convert(tree.tree_) for tree in self._estimator.estimators_])

    def _make_estimator(self, rows: FitRows) -> Any:
        from sklearn import ensemble

        prefix = "ExtraTrees" if self.method == "extra" else "RandomForest"
        is_regression = self.spec.task == "regression"
        make = getattr(ensemble, f"{prefix}{'Regressor' if is_regression else 'Classifier'}")
        smallest_leaf = int(np.ceil(2 * len(rows.x) * self.tree_count / MAX_NODES))
        return make(
            min_samples_leaf=max(self.leaf_rows, smallest_leaf),
            max_features=self.column_fraction or (1.0 if is_regression else "sqrt"),
            warm_start=True,
            n_jobs=torch.get_num_threads(),
            random_state=rows.seed % 2**31,
        )

    def _convert(self, tree: Any) -> Tree:
        n = tree.node_count
        own_number = np.arange(n)
        is_leaf = tree.children_left < 0
        return Tree(
            feature=np.where(is_leaf, 0, tree.feature).astype(np.int64),
            threshold=np.where(is_leaf, 0.0, tree.threshold),
            left_child=np.where(is_leaf, own_number, tree.children_left),
            right_child=np.where(is_leaf, own_number, tree.children_right),
            missing_left=tree.missing_go_to_left.astype(bool),
            category_set=np.full(n, -1),
            left_categories=None,
            value=self._leaf_values(tree.value),
            output=0,
            depth=int(tree.max_depth),
        )

    def _leaf_values(self, value: np.ndarray) -> np.ndarray:
        """Return the values ``(n, V)`` of all nodes: fractions of the classes or labels, or numbers."""
        if self.spec.task == "regression":
            return value[:, :, 0]
        if self.spec.task == "multilabel":
            labels = self._estimator.classes_ if self.spec.outputs > 1 else [self._estimator.classes_]
            columns = [_fraction_of_true(value[:, i], classes) for i, classes in enumerate(labels)]
            return np.stack(columns, axis=1)
        fractions = np.zeros((len(value), self.values))
        fractions[:, self._estimator.classes_] = value[:, 0]
        return fractions


def _fraction_of_true(fractions: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the fraction of rows whose label is 1 in each node."""
    values: np.ndarray = fractions[:, : len(classes)] @ classes.astype(np.float64)
    return values
