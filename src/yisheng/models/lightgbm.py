"""Gradient-boosted trees of LightGBM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._boosted_trees import StagedTrees, TreeSeries
from yisheng.models._fitted_model import FitRows, FittedModel
from yisheng.models._lightgbm_text import parse_trees
from yisheng.models._monotone import parse_monotone
from yisheng.models._optional_package import OptionalPackage
from yisheng.models._trees import Tree, count_trees_of_round, list_category_columns

PACKAGE = OptionalPackage(
    "lightgbm",
    Message("model=lightgbm needs LightGBM, which is not installed or cannot be loaded"),
    Message("pip install 'yisheng[trees]', or use model=boosting"),
)
MAX_TREES = 2000
"""Trees at most by default, over all outputs."""
ROWS_PER_LEAF, MIN_LEAVES, MAX_LEAVES = 100, 8, 64
"""By default a tree has a leaf for about so many rows, within these limits."""
ROW_FRACTION = 0.75


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
    fitted="codes",
    losses=("pinball",),
)
def lightgbm(
    spec: Spec,
    *,
    rounds: Annotated[int, Interval(ge=1, le=100_000)] | None = None,
    learning_rate: Annotated[float, Interval(gt=0, le=1)] | None = None,
    leaves: Annotated[int, Interval(ge=2, le=4096)] | None = None,
    depth: Annotated[int, Interval(ge=1, le=100)] | None = None,
    leaf_rows: Annotated[int, Interval(ge=1, le=10**6)] = 20,
    column_fraction: Annotated[float, Interval(gt=0, le=1)] = 0.6,
    row_fraction: Annotated[float, Interval(gt=0, le=1)] = ROW_FRACTION,
    l2: Annotated[float, Interval(ge=0, le=1e9)] = 0.0,
    cat_smooth: Annotated[float, Interval(ge=0, le=1e9)] = 10.0,
    cat_l2: Annotated[float, Interval(ge=0, le=1e9)] = 10.0,
    extra_trees: bool = False,
    monotone: dict[str, str] | tuple[str, ...] = (),
) -> FittedModel:
    """Build gradient-boosted trees by LightGBM: as `boosting`, several times as fast, and with random rows.

    The extra ``trees`` is needed to train them, not to predict: the trees are kept as those of `boosting`, so that
    they are saved without pickle, and exported.

    Args:
        rounds: number of rounds in all; 1000 if not given, fewer for many outputs.
        learning_rate: the factor of each tree; 0.05 if not given, higher for fewer rounds.
        leaves: largest number of leaves of a tree; one for about 100 rows if not given, from 8 to 64.
        depth: largest number of splits on the way to a leaf; no limit if not given. The time of a prediction is
            proportional to the depth of each tree.
        leaf_rows: fewest training rows in a leaf; with few rows at most a tenth of them.
        column_fraction: fraction of the columns, drawn again at each split, that may be split; at least three columns.
        row_fraction: fraction of the rows, drawn for each tree, that it is fitted to.
        l2: penalty λ/2 |value|² of the leaves.
        cat_smooth: categories are ordered by Σ gradient / (Σ hessian + cat_smooth), and one with fewer rows than this
            is not split off: the smaller, the more is learned from infrequent categories.
        cat_l2: further penalty of the leaves of a split by categories.
        extra_trees: one random threshold for each column and node, instead of the best one.
        monotone: columns of numbers that the prediction may only rise or only fall with, as in area:up,age:down.

    Source: Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", 2017. The defaults were chosen by
    cross-validation on ten tables of 442 to 5,000 rows.

    >>> lightgbm(Spec("regression", (1,)), rounds=30).stages, lightgbm(Spec("regression", (1,)), rounds=4000).stages
    (12, 30)
    """
    rounds = rounds or int(np.clip(MAX_TREES // count_trees_of_round(spec), 20, 1000))
    options = {
        "learning_rate": learning_rate or min(0.2, max(0.05, 30 / rounds)),
        "num_leaves": leaves,
        "max_depth": depth or -1,
        "min_data_in_leaf": leaf_rows,
        "feature_fraction_bynode": min(1.0, max(column_fraction, 3 / spec.shape[0])),
        "bagging_fraction": row_fraction,
        "bagging_freq": 1 if row_fraction < 1 else 0,
        "lambda_l2": l2,
        "cat_smooth": cat_smooth,
        "cat_l2": cat_l2,
        "extra_trees": extra_trees,
    }
    directions = parse_monotone(monotone, spec)
    if directions is not None:
        options["monotone_constraints"] = directions.tolist()
    return LightGBM(spec, rounds, options)


@dataclass
class _Series:
    """The trees of one objective; see `yisheng.models._boosted_trees.TreeSeries`.

    Args:
        booster: LightGBM's.
        outputs: the output of each tree of a round.
        categorical: numbers of the columns of categories.
        trees: those of the rounds so far.
        is_finished: whether no tree can be added.
        base: 0; the first trees hold the initial outputs.
    """

    booster: Any
    outputs: list[int]
    categorical: np.ndarray
    trees: list[Tree] = field(default_factory=list)
    is_finished: bool = False
    base: np.ndarray | float = 0.0

    def extend(self, rounds: int) -> None:
        """Add trees up to a number of rounds."""
        start = self.booster.current_iteration()
        while not self.is_finished and self.booster.current_iteration() < rounds:
            self.is_finished = self.booster.update()
        count = self.booster.current_iteration() - start
        if count:
            text = self.booster.model_to_string(num_iteration=count, start_iteration=start)
            self.trees += parse_trees(text, self.outputs, self.categorical)


class LightGBM(StagedTrees):
    """Trees of LightGBM, whose sum is the output: logits, or numbers in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        rounds: number of rounds in all.
        options: parameters of LightGBM; None for what depends on the number of rows.
    """

    def __init__(self, spec: Spec, rounds: int, options: dict[str, Any]) -> None:
        super().__init__(spec, rounds)
        self.options = options
        self._categorical = np.array(list_category_columns(spec), np.int64)

    def require_packages(self) -> None:
        """Check that LightGBM can be imported."""
        PACKAGE.load()

    def start_series(self, rows: FitRows, y: np.ndarray, outputs: list[int]) -> TreeSeries:
        """Return trees without a round."""
        return _Series(self._make_booster(rows, y, len(outputs)), outputs, self._categorical)

    def _make_booster(self, rows: FitRows, y: np.ndarray, classes: int) -> Any:
        library = PACKAGE.load()
        parameters = {**self._choose_parameters(rows), **self._choose_objective(rows, classes)}
        data = library.Dataset(
            rows.x.astype(np.float32),
            y.astype(np.float64),
            weight=rows.weight,
            categorical_feature=self._categorical.tolist(),
            params=parameters,
        )
        try:
            return library.Booster(parameters, data)
        except library.basic.LightGBMError as error:
            reason = " ".join(str(error).split())
            raise DataError(
                Message("LightGBM refuses {count} training rows: {reason}", count=len(rows.x), reason=reason),
                Message("use model=boosting, or more rows"),
            ) from None

    def _choose_objective(self, rows: FitRows, classes: int) -> dict[str, Any]:
        if self.spec.task != "regression":
            return {"objective": "multiclass", "num_class": classes} if classes > 1 else {"objective": "binary"}
        if rows.quantile is not None:
            return {"objective": "quantile", "alpha": rows.quantile}
        return {"objective": "regression"}

    def _choose_parameters(self, rows: FitRows) -> dict[str, Any]:
        """Return the parameters for a number of rows."""
        n = len(rows.x)
        return {
            **self.options,
            "num_leaves": self.options["num_leaves"] or int(np.clip(n // ROWS_PER_LEAF, MIN_LEAVES, MAX_LEAVES)),
            "min_data_in_leaf": max(1, min(self.options["min_data_in_leaf"], n // 10)),
            "min_sum_hessian_in_leaf": 1e-7,
            "min_data_per_group": max(5, min(100, n // 50)),
            "seed": rows.seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": torch.get_num_threads(),
            "verbosity": -1,
        }
