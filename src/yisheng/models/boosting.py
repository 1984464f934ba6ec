"""Gradient-boosted trees."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._boosted_trees import BoostedTrees
from yisheng.models._fitted_model import CERTAIN_LOGIT, FitRows, FittedModel, make_certain_logits
from yisheng.models._monotone import parse_monotone
from yisheng.models._trees import Tree, count_trees_of_round

ROWS_PER_LEAF = 150
"""By default a tree has a leaf for about so many rows, within these limits."""
MIN_LEAVES, MAX_LEAVES = 8, 31
MAX_TREES = 1200
"""Trees at most by default, over all outputs."""
MAX_CATEGORIES = 255
"""Of a column, in scikit-learn; more are split as numbers."""


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
    fitted="codes",
    losses=("pinball",),
)
def boosting(
    spec: Spec,
    *,
    rounds: Annotated[int, Interval(ge=1, le=100_000)] | None = None,
    learning_rate: Annotated[float, Interval(gt=0, le=1)] | None = None,
    leaves: Annotated[int, Interval(ge=2, le=4096)] | None = None,
    depth: Annotated[int, Interval(ge=1, le=100)] | None = None,
    leaf_rows: Annotated[int, Interval(ge=1, le=10**6)] = 20,
    column_fraction: Annotated[float, Interval(gt=0, le=1)] | None = None,
    l2: Annotated[float, Interval(ge=0, le=1e9)] = 0.0,
    monotone: dict[str, str] | tuple[str, ...] = (),
) -> FittedModel:
    """Build gradient-boosted trees: F_m(x) = F_{m-1}(x) + η h_m(x), where the tree h_m is fitted to the gradients.

    Each round adds one tree (one for each class of several, each label and each target) that is fitted by Newton's step
    to the negative gradient of the loss at F_{m-1}: the log loss, the squared error, or with ``loss=pinball`` that of a
    quantile. scikit-learn's histogram gradient boosting fits them; missing values and categories are split as they are.
    The rounds are added in stages, the epochs of the training, and the validation score chooses the best stage.

    Args:
        rounds: number of rounds in all; 600 if not given, fewer for many outputs.
        learning_rate: the factor η; 0.05 if not given, higher for fewer rounds.
        leaves: largest number of leaves of a tree; one for about 150 rows if not given, from 8 to 31.
        depth: largest number of splits on the way to a leaf; no limit if not given.
        leaf_rows: fewest training rows in a leaf.
        column_fraction: fraction of the columns, drawn again at each split, that may be split; a third if not given,
            and at least three columns. Columns whose values are all equal do not count.
        l2: penalty λ/2 |value|² of the leaves.
        monotone: columns of numbers that the prediction may only rise or only fall with, as in area:up,age:down; of two
            classes it is the probability of the second one.

    Source: Friedman, "Greedy function approximation: a gradient boosting machine", 2001; Ke et al., "LightGBM: a highly
    efficient gradient boosting decision tree", 2017.

    >>> model = boosting(Spec("regression", (1,)), rounds=30, leaf_rows=5)
    >>> x = np.linspace(0, 1, 90, dtype=np.float32)[:, None]
    >>> for stage in range(model.stages):
    ...     model.fit_stage(stage, FitRows(x, (x > 0.5).astype(np.float32), None, seed=0))
    >>> model(torch.tensor([[0.1], [0.9]])).round(decimals=1)
    tensor([[0.],
            [1.]])
    """
    rounds = rounds or int(np.clip(MAX_TREES // count_trees_of_round(spec), 20, 600))
    options = {
        "learning_rate": learning_rate or min(0.2, max(0.02, 30 / rounds)),
        "max_leaf_nodes": leaves,
        "max_depth": depth,
        "min_samples_leaf": leaf_rows,
        "max_features": column_fraction,
        "l2_regularization": l2,
        "monotonic_cst": parse_monotone(monotone, spec),
    }
    return Boosting(spec, rounds, options)


class Boosting(BoostedTrees):
    """Gradient-boosted trees, whose sum is the output: logits, or numbers in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        rounds: number of rounds in all.
        options: of scikit-learn's estimators.
    """

    stages = 20

    def __init__(self, spec: Spec, rounds: int, options: dict[str, Any]) -> None:
        super().__init__(spec, rounds)
        self.options = options
        self.stages = min(type(self).stages, rounds)
        self._estimators: list[Any] = []
        self._categorical: list[int] = []
        self._order: list[int] = []

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Fit the next rounds: as many as there are rounds for each stage."""
        if not self._estimators:
            self._choose_columns(rows.x)
        codes = self._densify_categories(rows.x)
        x = self._order_columns(rows.x, codes)
        if not self._estimators:
            self._estimators = [self._make_estimator(rows) for _ in self._split_targets(rows.y)]
        rounds = max(1, round(self.rounds * (stage + 1) / self.stages))
        trees: list[Tree] = []
        base = np.zeros(self.spec.outputs)
        for number, (estimator, y) in enumerate(zip(self._estimators, self._split_targets(rows.y), strict=True)):
            classes = np.unique(y) if self._is_classifier else None
            if classes is not None and len(classes) == 1:
                base += make_certain_logits(self.spec, int(classes[0]), number)
                continue
            estimator.set_params(max_iter=rounds).fit(x, y, sample_weight=rows.weight)
            outputs = self._list_outputs(classes, number)
            base += self._initial_outputs(estimator, outputs, classes)
            trees += [
                self._convert(predictor, codes, output)
                for predictors in estimator._predictors  # scikit-learn has no public name for its trees
                for predictor, output in zip(predictors, outputs, strict=True)
            ]
        self.trees.set_trees(trees)
        self.base = torch.from_numpy(base)

    @property
    def _is_classifier(self) -> bool:
        return self.spec.task != "regression"

    def _make_estimator(self, rows: FitRows) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        make = HistGradientBoostingClassifier if self._is_classifier else HistGradientBoostingRegressor
        leaves = self.options["max_leaf_nodes"] or int(np.clip(len(rows.x) // ROWS_PER_LEAF, MIN_LEAVES, MAX_LEAVES))
        constraints = self.options["monotonic_cst"]
        options = {
            **self.options,
            "max_leaf_nodes": leaves,
            "max_features": self.options["max_features"] or max(0.3, min(1.0, 3 / len(self._order))),
            "monotonic_cst": None if constraints is None else constraints[self._order],
        }
        if rows.quantile is not None:
            options |= {"loss": "quantile", "quantile": rows.quantile}
        return make(
            **options,
            categorical_features=list(range(len(self._categorical))) or None,
            early_stopping=False,
            warm_start=True,
            random_state=rows.seed % 2**31,
        )

    def _split_targets(self, y: np.ndarray) -> list[np.ndarray]:
        """Return the target of each estimator: one for all classes, one for each label or number."""
        if self.spec.task == "classification":
            return [y]
        columns = y.reshape(len(y), -1).T
        return [column.astype(np.int64 if self._is_classifier else np.float64) for column in columns]

    def _choose_columns(self, x: np.ndarray) -> None:
        """Choose the columns that vary, the categories first; the others, such as unused words, are no candidates.

        A split draws a fraction of the columns, and would often draw none that tells something.
        """
        varies = np.array([bool((column[1:] != column[:1]).any()) and not np.isnan(column).all() for column in x.T])
        used = np.flatnonzero(varies).tolist() or [0]
        self._categorical = [
            i
            for i in used
            if self.spec.columns
            and self.spec.columns[i].kind == "category"
            and len(self.spec.columns[i].categories) <= MAX_CATEGORIES
        ]
        self._order = [*self._categorical, *(i for i in used if i not in set(self._categorical))]

    def _densify_categories(self, x: np.ndarray) -> list[np.ndarray]:
        """Return the codes of each column of categories that occur in the rows, ascending."""
        columns = [x[:, i] for i in self._categorical]
        return [np.unique(column[~np.isnan(column)]) for column in columns]

    def _order_columns(self, x: np.ndarray, codes: list[np.ndarray]) -> np.ndarray:
        """Return the columns in the estimator's order: categories first, numbered by the codes that occur."""
        ordered = x[:, self._order].astype(np.float64)
        ordered[:, np.isnan(ordered).all(axis=0)] = 0.0  # scikit-learn cannot bin a column without values
        for i, present in enumerate(codes):
            is_known = ~np.isnan(ordered[:, i])
            ordered[is_known, i] = np.searchsorted(present, ordered[is_known, i])
        return ordered

    def _list_outputs(self, classes: np.ndarray | None, number: int) -> list[int]:
        """Return the output of each tree of a round; with two classes there is one tree, for the second."""
        if self.spec.task != "classification" or classes is None:
            return [number]
        if len(classes) > 2:
            return [int(label) for label in classes]
        return [0] if self.spec.outputs == 1 else [int(classes[1])]

    def _initial_outputs(self, estimator: Any, outputs: list[int], classes: np.ndarray | None) -> np.ndarray:
        """Return the outputs before the first tree."""
        base = np.zeros(self.spec.outputs)
        if self.spec.task == "classification" and self.spec.outputs > 1 and classes is not None:
            base[np.setdiff1d(np.arange(self.spec.outputs), classes)] = -CERTAIN_LOGIT
        base[outputs] += np.ravel(estimator._baseline_prediction)
        return base

    def _convert(self, predictor: Any, codes: list[np.ndarray], output: int) -> Tree:
        """Return a tree of scikit-learn with the columns and category codes of the scaled rows."""
        nodes = predictor.nodes
        own_number = np.arange(len(nodes))
        is_leaf = nodes["is_leaf"].astype(bool)
        by_category = nodes["is_categorical"].astype(bool) & ~is_leaf
        feature = np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64)
        missing_left = nodes["missing_go_to_left"].astype(bool)
        splits = np.flatnonzero(by_category)
        sets = np.repeat(missing_left[splits, None], MAX_CATEGORIES + 1, axis=1)
        for number, node in enumerate(splits):
            present = codes[feature[node]].astype(np.int64)
            words = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
            dense = np.arange(len(present))
            sets[number, present] = (words[dense // 32] >> (dense % 32).astype(words.dtype)) & 1
        return Tree(
            feature=np.array(self._order)[feature],
            threshold=np.where(is_leaf | by_category, 0.0, nodes["num_threshold"]),
            left_child=np.where(is_leaf, own_number, nodes["left"]),
            right_child=np.where(is_leaf, own_number, nodes["right"]),
            missing_left=missing_left,
            category_set=np.where(by_category, by_category.cumsum() - 1, -1),
            left_categories=sets if len(sets) else None,
            value=np.where(is_leaf, nodes["value"], 0.0)[:, None],
            output=output,
            depth=int(nodes["depth"].max()),
        )
