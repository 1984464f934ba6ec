"""Gradient-boosted symmetric trees of CatBoost."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.errors import DataError
from yisheng.core.files import explain_write_error
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._boosted_trees import StagedTrees, TreeSeries
from yisheng.models._category_numbers import NumberColumn, list_targets, number_categories
from yisheng.models._fitted_model import CERTAIN_LOGIT, FitRows, FittedModel
from yisheng.models._monotone import parse_monotone
from yisheng.models._optional_package import OptionalPackage
from yisheng.models._symmetric_trees import convert_trees
from yisheng.models._trees import Tree, list_category_columns

PACKAGE = OptionalPackage(
    "catboost",
    Message("model=catboost needs CatBoost, which is not installed or cannot be loaded"),
    Message("pip install 'yisheng[trees]', or use model=boosting"),
)
ROUNDS, MAX_ROUND_VALUES = 1000, 6000
"""Rounds by default, and numbers in the leaves of all rounds, for each leaf of a tree, at most."""


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
    fitted="codes",
    losses=("pinball",),
)
def catboost(
    spec: Spec,
    *,
    rounds: Annotated[int, Interval(ge=1, le=100_000)] | None = None,
    learning_rate: Annotated[float, Interval(gt=0, le=1)] | None = None,
    depth: Annotated[int, Interval(ge=1, le=10)] = 6,
    column_fraction: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    l2: Annotated[float, Interval(ge=0, le=1e9)] = 3.0,
    monotone: dict[str, str] | tuple[str, ...] = (),
) -> FittedModel:
    """Build gradient-boosted symmetric trees by CatBoost: as `boosting`, but all nodes of a level split alike.

    Such trees are smoother functions than others: they often predict better where there are few rows or the target
    depends smoothly on the columns, and take longer to train. Columns of up to 10 categories are split one category
    from the rest, others by the mean target and the number of rows of each category, out of fold. The extra ``trees``
    is needed to train them, not to predict: the trees are kept as those of `boosting`.

    Args:
        rounds: number of rounds in all; 1000 if not given, fewer for many classes.
        learning_rate: the factor of each tree; 0.05 if not given, higher for fewer rounds.
        depth: number of splits on the way to a leaf.
        column_fraction: fraction of the columns, drawn again at each level, that may be split.
        l2: penalty λ/2 |value|² of the leaves.
        monotone: columns of numbers that the prediction may only rise or only fall with, as in area:up,age:down.

    Source: Prokhorenkova et al., "CatBoost: unbiased boosting with categorical features", 2018.

    >>> catboost(Spec("regression", (1,)), rounds=30).stages
    12
    """
    rounds = rounds or int(np.clip(MAX_ROUND_VALUES // _count_values(spec), 100, ROUNDS))
    options = {
        "learning_rate": learning_rate or min(0.3, max(0.05, 30 / rounds)),
        "depth": depth,
        "rsm": column_fraction,
        "l2_leaf_reg": l2,
    }
    return CatBoost(spec, rounds, options, parse_monotone(monotone, spec))


@dataclass
class _Series:
    """The trees of one objective; see `yisheng.models._boosted_trees.TreeSeries`.

    Args:
        pool: the rows, as CatBoost keeps them.
        columns: what their columns are made of.
        options: of CatBoost.
        outputs: what they predict, in one tree for all of them.
        values: numbers in a leaf.
        model: CatBoost's, with the rounds so far.
        trees: those of the rounds so far.
        base: the outputs before the first tree.
    """

    pool: Any
    columns: list[NumberColumn]
    options: dict[str, Any]
    outputs: list[int]
    values: int
    model: Any = None
    trees: list[Tree] = field(default_factory=list)
    base: np.ndarray | float = 0.0

    def extend(self, rounds: int) -> None:
        """Add trees up to a number of rounds.

        Raises:
            DataError: CatBoost refuses the rows.
        """
        count = rounds - len(self.trees)
        if count <= 0:
            return
        library = PACKAGE.load()
        model = library.CatBoost({**self.options, "iterations": count})
        try:
            model.fit(self.pool, init_model=self.model)
        except library.CatBoostError as error:
            reason = " ".join(str(error).rpartition(": ")[2].split())
            raise DataError(
                Message("CatBoost refuses {count} training rows: {reason}", count=self.pool.num_row(), reason=reason),
                Message("use model=boosting, or more rows"),
            ) from None
        added = model.copy()
        added.shrink(ntree_end=model.tree_count_, ntree_start=len(self.trees))
        plain = _read_plain(added)
        if self.model is None:
            self.base = np.array(plain["scale_and_bias"][1], np.float64)
        self.model = model
        self.trees += convert_trees(plain, self.columns, self.outputs, self.values)


def _read_plain(model: Any) -> dict[str, Any]:
    """Return a model of CatBoost in its JSON format, which it writes to files only.

    Raises:
        StorageError: the folder for temporary files cannot be written to.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json")
            plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, PACKAGE.load().CatBoostError) as error:  # a full disk, above all
        cause = error if isinstance(error, OSError) else OSError(str(error))
        raise explain_write_error(cause, Path(tempfile.gettempdir())) from error
    return plain


class CatBoost(StagedTrees):
    """Trees of CatBoost, whose sum is the output: logits, or numbers in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        rounds: number of rounds in all.
        options: parameters of CatBoost.
        directions: of each column 1 if the prediction may only rise with it, -1 if only fall, else 0; or None.
    """

    def __init__(self, spec: Spec, rounds: int, options: dict[str, Any], directions: np.ndarray | None) -> None:
        super().__init__(spec, rounds, values=_count_values(spec))
        self.options, self.directions = options, directions
        self._sizes = {i: len(spec.columns[i].categories) for i in list_category_columns(spec)}

    def require_packages(self) -> None:
        """Check that CatBoost can be imported."""
        PACKAGE.load()

    def start_series(self, rows: FitRows, y: np.ndarray, outputs: list[int]) -> TreeSeries:
        """Return trees without a round."""
        is_classes = self.spec.task != "regression"
        present = np.unique(y).astype(int).tolist() if is_classes else []
        if len(outputs) > 1:
            y, outputs = np.searchsorted(present, y), present  # CatBoost counts the classes that occur
            self.certain[np.setdiff1d(np.arange(self.spec.outputs), present)] = -CERTAIN_LOGIT
        targets = list_targets(y, list(range(len(present))))
        rng = np.random.default_rng(rows.seed)
        x, columns = number_categories(rows.x, targets, self._sizes, rows.weight, rng)
        options = {
            **self.options,
            **self._choose_objective(rows, len(outputs)),
            "boosting_type": "Plain",
            "random_seed": rows.seed % 2**31,
            "thread_count": torch.get_num_threads(),
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
        if self.directions is not None:
            options["monotone_constraints"] = [
                int(self.directions[column.source]) if column.values is None else 0 for column in columns
            ]
        target = y.astype(np.int64) if is_classes else y.astype(np.float64)
        pool = PACKAGE.load().Pool(x, target, weight=rows.weight)
        return _Series(pool, columns, options, outputs, self.trees.values)

    def _choose_objective(self, rows: FitRows, classes: int) -> dict[str, Any]:
        if self.spec.task != "regression":
            return {"loss_function": "MultiClass" if classes > 1 else "Logloss"}
        if rows.quantile is not None:
            return {"loss_function": f"Quantile:alpha={rows.quantile}"}
        return {"loss_function": "RMSE"}


def _count_values(spec: Spec) -> int:
    """Return the numbers in a leaf: one for each of several classes."""
    return len(spec.classes) if spec.task == "classification" and len(spec.classes) > 2 else 1
