"""Choices of a config that depend on the data or on pretrained weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.data.prefetch import make_prefetcher
from yisheng.transforms.log import is_skewed

if TYPE_CHECKING:
    from yisheng.training.pretrained import Pretrained

FINETUNING_LR = 0.001
"""Default learning rate for pretrained weights: small, so that the updates change the features and do not destroy
them."""
MAX_FULL_BATCH_VALUES = 5_000_000
"""Values of the training part up to which a linear model is trained on full batches by default."""
ROWS_PER_READ = 65_536
"""Rows that are read at once from a memory-mapped data set."""


def choose_shuffle(config: Config, dataset: Dataset) -> Config:
    """Return the config with an order of the rows: by blocks if gathers from all of a file would wait for the disk."""
    if config.shuffle != AUTO:
        return config
    is_larger_than_memory = make_prefetcher(dataset.x) is not None
    return config.model_copy(update={"shuffle": "blocks" if is_larger_than_memory else "rows"})


def choose_full_batches(config: Config, dataset: Dataset, split: Split, pretrained: Pretrained | None) -> Config:
    """Return the config with L-BFGS on full batches, if it trains a linear model on few numbers and leaves it open.

    The loss of a linear model is convex: L-BFGS reaches its minimum, whatever the scales and correlations of the
    columns, in a few hundred passes, where a default learning rate would stop far from it.
    """
    is_open = config.optimizer == Choice(name=AUTO) and config.batch == AUTO and config.accumulate == 1
    is_open = is_open and config.shards in (AUTO, 1)
    is_small = dataset.spec.is_row and len(split.train) * dataset.spec.shape[0] <= MAX_FULL_BATCH_VALUES
    is_plain = pretrained is None and not config.scratch and config.precision in (AUTO, "fp32", "fp64")
    if config.model != Choice(name="linear") or not (is_open and is_small and is_plain):
        return config
    changes: dict[str, Any] = {"optimizer": Choice(name="lbfgs"), "batch": max(1, len(split.train))}
    if config.schedule == Config.model_fields["schedule"].default:
        changes["schedule"] = Choice(name="constant")
    return config.model_copy(update=changes)


def choose_from_data(
    dataset: Dataset, split: Split, pretrained: Pretrained | None, *, trains: bool = True
) -> dict[str, Choice]:
    """Return the choices for ``auto`` that depend on the data or on the pretrained weights.

    A network that is not trained (``epochs=0``) gets its inputs as they are, bytes as 0 to 1, and its outputs are
    values in the target's unit: a scaling that is fitted here is not the one that it was trained with.
    """
    choices: dict[str, Choice] = {}
    if not trains:
        choices = {
            "scale": Choice(name="unit" if dataset.x.dtype == np.uint8 and not dataset.spec.inputs else "none"),
            "target_scale": Choice(name="none"),
        }
        if dataset.spec.image_values.stored == "float32":  # pixels from 0 to 255, as bytes are
            choices["scale"] = Choice(name="imagenet", options={"mean": (0.0,), "std": (1.0,)})
        if dataset.spec.dtype == "int64":
            choices.pop("scale")
    if pretrained is not None and dataset.spec.is_image:
        choices["optimizer"] = Choice(name="nesterov", options={"lr": FINETUNING_LR})
    if pretrained is not None and pretrained.scale is not None:
        choices["scale"] = pretrained.scale
    elif dataset.spec.columns and (
        any(column.source or column.kind != "number" for column in dataset.spec.columns) or _has_missing(dataset.x)
    ):
        choices["scale"] = Choice(name="columns")
    if trains and dataset.spec.task == "regression" and is_skewed(dataset.y[split.train]):
        choices["target_scale"] = Choice(name="log")
    return choices


def choose_searched(config: Config, resolved: ResolvedConfig) -> Config:
    """Return the config with what the precision search may choose still ``auto``.

    A user's own network computes in float32 and contiguous memory unless the config says otherwise: its code may rely
    on both, as ``x.view`` does.
    """
    searched = config.model_copy(update={"model": resolved.model})
    if not is_custom(resolved.model):
        return searched
    plain = {"precision": "fp32", "memory_format": "contiguous"}
    return searched.model_copy(update={key: value for key, value in plain.items() if getattr(config, key) == "auto"})


def _has_missing(x: np.ndarray) -> bool:
    """Return whether any value is NaN, reading some rows at a time."""
    return any(bool(np.isnan(x[start : start + ROWS_PER_READ]).any()) for start in range(0, len(x), ROWS_PER_READ))
