"""The candidates of an ensemble: settings that are good on many tables, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yisheng.core.config import Choice, Config
from yisheng.core.seeds import derive
from yisheng.core.types import Spec

MAX_NEIGHBOR_ROWS = 20_000
MAX_FOREST_ROWS = 100_000
MAX_FOREST_NODES = 400_000
"""Nodes of the trees of a fold's forest at most: with many rows the leaves become larger."""
SMALL_ROWS = 3000
"""Up to so many rows small trees and networks come early, with more rows large trees."""
TREE_PATIENCE, NETWORK_PATIENCE = 4, 20
MAX_EPOCHS = 500
NETWORK_FRACTION = 0.6
"""Fraction of the time that is left which a network may use: what is quicker comes after it."""
ORDER_OF_FEW = (
    *("boosting", "linear", "extra-trees", "boosting-small", "tabm", "random-forest", "boosting-deep", "embedded-mlp"),
    *("neighbors", "tabm-2", "boosting-2"),
)
ORDER_OF_MANY = (
    *("boosting", "linear", "boosting-deep", "extra-trees", "tabm", "boosting-2", "random-forest", "boosting-small"),
    *("embedded-mlp", "tabm-2", "neighbors"),
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
    """

    name: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    min_epochs: int = 1
    max_rows: int | None = None
    max_fraction: float = 1.0

    def make_config(self, base: Config) -> Config:
        """Return the config of its trainings.

        Args:
            base: the config of the ensemble, of which data, loss, device and seed are taken.
        """
        return Config(
            data=base.data,
            model=Choice(name=self.model, options=dict(self.options)),
            loss=base.loss,
            device=base.device,
            seed=derive(base.seed, "candidate", self.name) % 2**31,
            score="loss",
            boosting=False,
            precision="fp32",
            memory_format="contiguous",
            doctor="off",
            ood=False,
            **self.settings,
        )


def order_candidates(names: Sequence[str], rows: int) -> list[str]:
    """Return names in the order of the expected gain for each second.

    >>> order_candidates(("neighbors", "linear", "boosting"), rows=100)
    ['boosting', 'linear', 'neighbors']
    """
    order = ORDER_OF_FEW if rows <= SMALL_ROWS else ORDER_OF_MANY
    return sorted(names, key=order.index)


def make_candidate(name: str, spec: Spec, rows: int) -> Candidate:
    """Return a candidate's settings for some data.

    Args:
        name: one of `yisheng.models.ensemble.CANDIDATES`.
        spec: the contract of the data.
        rows: number of training rows.

    >>> make_candidate("linear", Spec("regression", (3,)), 100).model
    'ridge'
    """
    kind = name.removesuffix("-2")
    if kind.startswith("boosting"):
        return Candidate(name, "boosting", _boosting_options(kind), {"patience": TREE_PATIENCE}, min_epochs=8)
    if kind == "linear":
        model = "ridge" if spec.task == "regression" else "logistic"
        return Candidate(name, model, settings={"patience": 3}, min_epochs=9)  # the strongest penalties come first
    if kind in ("extra-trees", "random-forest"):
        return _make_forest(name, rows)
    if kind == "neighbors":
        return Candidate(name, "neighbors", settings={"patience": TREE_PATIENCE}, max_rows=MAX_NEIGHBOR_ROWS)
    return _make_network(name, kind, rows)


def _boosting_options(kind: str) -> dict[str, Any]:
    if kind == "boosting-small":  # few leaves: hardly more than sums of single columns
        return {"leaves": 5, "leaf_rows": 10, "learning_rate": 0.08, "l2": 1.0}
    if kind == "boosting-deep":
        return {"leaves": 48, "leaf_rows": 8, "learning_rate": 0.04, "column_fraction": 0.4, "l2": 1.0}
    return {}


def _make_forest(name: str, rows: int) -> Candidate:
    trees = 100
    leaf_rows = max(1, round(2 * rows * trees / MAX_FOREST_NODES / 2))
    options = {"method": "extra" if name == "extra-trees" else "random", "trees": trees, "leaf_rows": leaf_rows}
    return Candidate(name, "forest", options, {"patience": 0}, min_epochs=5, max_rows=MAX_FOREST_ROWS)


def _make_network(name: str, kind: str, rows: int) -> Candidate:
    optimizer = Choice(name="adamw", options={"lr": 2e-3 if kind == "tabm" else 1e-3, "weight_decay": 3e-4})
    settings = {
        "optimizer": optimizer,
        "schedule": Choice(name="constant"),
        "batch": 256 if rows > 1000 else 64,
        "epochs": MAX_EPOCHS,
        "patience": NETWORK_PATIENCE,
    }
    options = {"embeddings": "periodic"} if kind == "embedded-mlp" else {}
    return Candidate(name, kind, options, settings, min_epochs=15, max_fraction=NETWORK_FRACTION)
