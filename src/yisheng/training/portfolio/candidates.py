"""The candidates of an ensemble: settings that are good on many tables, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from yisheng.core.choice import Choice
from yisheng.core.config import Config
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.models._trees import count_trees_of_round
from yisheng.models.tabicl import MAX_ROWS
from yisheng.training.portfolio.places import find_places

MAX_NEIGHBOR_ROWS = 20_000
MAX_KERNEL_ROWS = 6000
MIN_CHOICE_ROWS = 250
"""With fewer rows, a fold of them is too small to choose among the penalties of a kernel machine."""
MAX_CATEGORIES = 300
"""Indicators of a column for linear models and kernels, which cannot learn an infrequent category otherwise."""
MAX_FOREST_ROWS = 100_000
MAX_FOREST_NODES = 400_000
"""Nodes of the trees of a fold's forest at most: with many rows the leaves become larger."""
SMALL_ROWS = 3000
"""Up to so many rows small trees and networks come early, with more rows large trees."""
INFREQUENT_CATEGORIES = {"cat_smooth": 1.0, "cat_l2": 1.0}
"""Options of LightGBM, whose defaults leave categories of few rows unused."""
RIDGE_PRODUCTS_PER_SECOND = 4e9
LONG_ROUNDS, MIN_LONG_ROUNDS, LONG_TREES = 4000, 150, 8000
"""Rounds of boosting-long, by the number of trees over all outputs."""
SYMMETRIC_ROUNDS = 2000
SYMMETRIC_VALUES_PER_SECOND = 3e5
TABICL_ESTIMATORS = 2
"""Few of them: those of the folds are averaged, too."""
TREE_PATIENCE, NETWORK_PATIENCE = 3, 20
MAX_EPOCHS = 500
MIN_UPDATES, MIN_EPOCHS = 300, 15
"""A network with fewer updates is half trained; that many epochs are enough in any case."""
STAGE_FRACTION = 0.03
"""A stage of a model that is fitted in stages should take at most this fraction of the time."""
MIN_ROWS = 1000
"""A candidate is trained on at least so many rows, however short the time."""
CODES = "-codes"
"""Ending of the name of a candidate that takes columns of whole numbers as categories, too."""
ORDER_OF_FEW = (
    *("boosting", "linear", "lasso", "kernel", "boosting-symmetric"),
    *("boosting-encoded", "boosting-codes", "linear-codes", "kernel-codes"),
    *("boosting-without-texts", "boosting-long", "boosting-extra", "tabm", "tabm-codes", "boosting-small"),
    "extra-trees",
    *("embedded-mlp", "tabicl", "random-forest", "boosting-deep", "tabm-2"),
    "neighbors",
)
ORDER_OF_MANY = (
    *("boosting", "linear", "lasso", "boosting-long", "boosting-encoded", "boosting-codes", "linear-codes"),
    "boosting-symmetric",
    *(
        "boosting-without-texts",
        "boosting-extra",
        "boosting-deep",
        "kernel",
        "kernel-codes",
        "tabm",
        "tabm-codes",
        "extra-trees",
    ),
    *("embedded-mlp", "tabicl", "random-forest", "boosting-small", "tabm-2"),
    "neighbors",
)


@dataclass(frozen=True)
class Candidate:
    """A setting that is tried.

    Args:
        name: its name.
        model: the registered model.
        options: its options.
        settings: other keys of the config.
        min_epochs: epochs that must fit into the time; with fewer the model would be half trained.
        max_rows: rows up to which it is tried, or None.
        max_fraction: fraction of the time that is left that it may use.
        values_per_second: values of the rows that an epoch can take in a second on a slow machine: of more it is
            trained on a random part.
        products_per_second: the same for a closed form of N rows and W inputs, whose time grows with N W min(N, W);
            None for other models.
        encodes_targets: whether it gets the mean targets of categories, out of fold; see `encode_targets`.
        needs_texts: whether it is only for tables that have features of texts, and other columns.
        codes_numbers: whether columns of whole numbers are categories, too; see `find_whole_numbers`.
        places: pairs of columns that it gets along turned axes, too.
    """

    name: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    min_epochs: int = 1
    max_rows: int | None = None
    max_fraction: float = 0.4
    values_per_second: float = 3e6
    products_per_second: float | None = None
    encodes_targets: bool = False
    needs_texts: bool = False
    codes_numbers: bool = False
    places: tuple[tuple[int, int], ...] = ()

    def make_config(self, base: Config) -> Config:
        """Return the config of its trainings.

        Args:
            base: the config of the ensemble, of which data, loss, device and seed are taken.
        """
        return Config(
            data=base.data,
            model=Choice(name=self.model, options=dict(self.options)),
            loss=base.loss,
            budget=None,
            device=base.device,
            seed=derive(base.seed, "candidate", self.name) % 2**31,
            score="loss",
            boosting=False,
            precision="fp32",
            memory_format="contiguous",
            compile=False,
            doctor="off",
            ood=False,
            **self.settings,
        )

    def count_rows(self, columns: int, inputs: int, seconds: float | None) -> int | None:
        """Return the number of rows that it is trained on at most within a time; None for any number.

        Args:
            columns: of the rows.
            inputs: of the model, with an indicator for each category; see `count_inputs`.
            seconds: of the whole ensemble.

        >>> Candidate("linear", "ridge", values_per_second=1e6).count_rows(columns=10, inputs=10, seconds=60)
        180000
        >>> Candidate("linear", "ridge", products_per_second=5e9).count_rows(columns=10, inputs=3000, seconds=60)
        1732
        """
        if seconds is None:
            return None
        count = STAGE_FRACTION * seconds * self.values_per_second / max(1, columns)
        if self.products_per_second is not None:
            products, width = STAGE_FRACTION * seconds * self.products_per_second, max(1, inputs)
            count = min(count, products / width**2 if products >= width**3 else (products / width) ** 0.5)
        return max(MIN_ROWS, round(count))


def count_inputs(spec: Spec, numbers: Sequence[int] = ()) -> int:
    """Return the inputs of a linear model: numbers, and an indicator for each category up to a limit.

    Args:
        spec: the contract of the table.
        numbers: different numbers of each column that is a category, too.

    >>> from yisheng.core.columns import Column
    >>> columns = (Column("size"), Column("city", kind="category", categories=("Bern", "Zug")))
    >>> count_inputs(Spec("regression", (2,), columns=columns), [40, 500])
    343
    """
    categories = [len(column.categories) for column in spec.columns if column.kind == "category"]
    numeric = (len(spec.columns) or spec.shape[0]) - len(categories)
    return numeric + sum(min(count, MAX_CATEGORIES) for count in (*categories, *numbers))


def has_texts_and_columns(spec: Spec) -> bool:
    """Return whether a table has features of texts, and columns that are none.

    >>> from yisheng.core.columns import Column
    >>> note, size = Column("note: length", source="note", text_part="length"), Column("size")
    >>> has_texts_and_columns(Spec("regression", (2,), columns=(note, size)))
    True
    """
    return 0 < sum(bool(column.text_part) for column in spec.columns) < len(spec.columns)


def order_candidates(names: Sequence[str], rows: int) -> list[str]:
    """Return names in the order of the expected gain for each second.

    >>> order_candidates(("neighbors", "linear", "boosting"), rows=100)
    ['boosting', 'linear', 'neighbors']
    """
    order = ORDER_OF_FEW if rows <= SMALL_ROWS else ORDER_OF_MANY
    return sorted(names, key=order.index)


def make_candidate(name: str, spec: Spec, rows: int, *, lightgbm: bool = False) -> Candidate:
    """Return a candidate's settings for some data.

    Args:
        name: one of `yisheng.models.ensemble.CANDIDATES`.
        spec: the contract of the data.
        rows: number of training rows.
        lightgbm: whether LightGBM is installed; without it scikit-learn grows the boosted trees.

    >>> make_candidate("linear", Spec("regression", (3,)), 100).model
    'ridge'
    """
    if name.endswith("-encoded"):
        candidate = make_candidate(name.removesuffix("-encoded"), spec, rows, lightgbm=lightgbm)
        return replace(candidate, name=name, encodes_targets=True)
    if name.endswith(CODES):
        candidate = make_candidate(name.removesuffix(CODES), spec, rows, lightgbm=lightgbm)
        return replace(candidate, name=name, codes_numbers=True)
    if name == "boosting-without-texts":
        # With few leaves: what the features of texts crowd out are the few strong columns.
        candidate = make_candidate("boosting-small", spec, rows, lightgbm=lightgbm)
        settings = {**candidate.settings, "scale": Choice(name="codes", options={"texts": False})}
        return replace(candidate, name=name, settings=settings, needs_texts=True)
    kind = name.removesuffix("-2")
    if kind == "boosting-symmetric":
        rounds = {"rounds": SYMMETRIC_ROUNDS} if len(spec.classes) <= 2 else {}
        trees = _make_trees(name, "catboost", rounds, SYMMETRIC_VALUES_PER_SECOND)
        return replace(trees, places=find_places(spec))
    if kind.startswith("boosting"):
        trees = _make_lightgbm(name, spec, rows) if lightgbm else _make_boosting(name)
        return replace(trees, places=find_places(spec))
    if kind == "linear":
        model = "ridge" if spec.task == "regression" else "logistic"
        # The strongest penalties come first.
        settings = {"patience": 3, "scale": _scale_columns()}
        candidate = Candidate(name, model, settings=settings, min_epochs=9, max_fraction=0.15, values_per_second=5e5)
        if model == "ridge":
            return replace(candidate, values_per_second=5e6, products_per_second=RIDGE_PRODUCTS_PER_SECOND)
        return candidate
    if kind == "lasso":
        # Few of many columns matter to it, and skewed ones matter more after a power.
        settings = {"scale": _scale_columns(numbers="power")}
        return Candidate(name, "lasso", settings=settings, max_fraction=0.15, values_per_second=2e6)
    if kind == "kernel":
        settings = {"patience": 2, "scale": _scale_columns()}
        options = {} if rows >= MIN_CHOICE_ROWS else {"l2": 0.1}
        return Candidate(name, "kernel", options, settings=settings, max_rows=MAX_KERNEL_ROWS, max_fraction=0.2)
    if kind in ("extra-trees", "random-forest"):
        return replace(_make_forest(name, rows), places=find_places(spec))
    if kind == "neighbors":
        settings = {"patience": TREE_PATIENCE}
        return Candidate(name, "neighbors", settings=settings, max_rows=MAX_NEIGHBOR_ROWS, max_fraction=0.2)
    if kind == "tabicl":
        return Candidate(name, "tabicl", {"estimators": TABICL_ESTIMATORS}, max_rows=MAX_ROWS, max_fraction=0.5)
    return _make_network(name, kind, rows)


def _scale_columns(**options: Any) -> Choice:
    """Return the preparation of columns with indicators of many categories."""
    return Choice(name="columns", options={"max_categories": MAX_CATEGORIES, **options})


def _make_boosting(name: str) -> Candidate:
    """Return scikit-learn's boosted trees."""
    options = {
        "boosting": {},
        # Few leaves: hardly more than sums of single columns.
        "boosting-small": {"leaves": 5, "leaf_rows": 10, "learning_rate": 0.08, "l2": 1.0},
        "boosting-deep": {"leaves": 48, "leaf_rows": 8, "learning_rate": 0.04, "column_fraction": 0.4, "l2": 1.0},
        "boosting-extra": {"leaves": 16, "leaf_rows": 20, "learning_rate": 0.05, "column_fraction": 0.2},
        "boosting-long": {"leaves": 12, "leaf_rows": 5, "learning_rate": 0.04, "column_fraction": 0.7, "l2": 1.0},
    }[name]
    return _make_trees(name, "boosting", options, 8e5)


def _make_lightgbm(name: str, spec: Spec, rows: int) -> Candidate:
    """Return LightGBM's boosted trees."""
    long_rounds = min(LONG_ROUNDS, max(MIN_LONG_ROUNDS, LONG_TREES // count_trees_of_round(spec)))
    options = {
        "boosting": {},
        "boosting-small": {
            "leaves": 6,
            "learning_rate": 0.06,
            "leaf_rows": 10,
            "column_fraction": 0.5,
            "l2": 1.0,
            **INFREQUENT_CATEGORIES,
        },
        # Where the columns decide the target nearly without noise, thousands of trees of few leaves go on learning.
        "boosting-long": {
            "leaves": 12,
            "learning_rate": max(0.04, 30 / long_rounds),
            "leaf_rows": 5,
            "column_fraction": 0.7,
            "row_fraction": 1.0 if rows > SMALL_ROWS else 0.75,
            "l2": 1.0,
            "rounds": long_rounds,
            **INFREQUENT_CATEGORIES,
        },
        "boosting-deep": {"leaves": 128, "learning_rate": 0.03, "leaf_rows": 5, "column_fraction": 0.5},
        "boosting-extra": {"leaves": 31, "column_fraction": 1.0, "extra_trees": True},
    }[name]
    return _make_trees(name, "lightgbm", options, 5e6)


def _make_trees(name: str, model: str, options: Mapping[str, Any], values_per_second: float) -> Candidate:
    settings = {"patience": TREE_PATIENCE}
    return Candidate(name, model, options, settings, 3, max_fraction=0.3, values_per_second=values_per_second)


def _make_forest(name: str, rows: int) -> Candidate:
    trees = 100
    leaf_rows = max(1, round(2 * rows * trees / MAX_FOREST_NODES / 2))
    options = {"method": "extra" if name == "extra-trees" else "random", "trees": trees, "leaf_rows": leaf_rows}
    settings = {"patience": 0}
    return Candidate(name, "forest", options, settings, 2, MAX_FOREST_ROWS, values_per_second=4e5)


def _make_network(name: str, kind: str, rows: int) -> Candidate:
    optimizer = Choice(name="adamw", options={"lr": 2e-3 if kind == "tabm" else 1e-3, "weight_decay": 3e-4})
    batch = 256 if rows > 1000 else 64
    settings = {
        "optimizer": optimizer,
        "schedule": Choice(name="constant"),
        "batch": batch,
        "epochs": MAX_EPOCHS,
        "patience": NETWORK_PATIENCE,
    }
    options = {"embeddings": "periodic"} if kind == "embedded-mlp" else {}
    min_epochs = max(1, min(MIN_EPOCHS, MIN_UPDATES * batch // max(1, rows)))
    fraction = 0.6 if rows <= SMALL_ROWS else 0.8
    return Candidate(name, kind, options, settings, min_epochs, max_fraction=fraction, values_per_second=3e6)
