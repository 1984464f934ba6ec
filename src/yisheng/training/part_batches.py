"""The data as the loop takes it: transforms that are fitted on the training part, and batches of every part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng import transforms
from yisheng.core.components import build_component
from yisheng.core.dataset import Dataset, Split
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches, make_batches
from yisheng.training.word_relevance import choose_unused_words
from yisheng.transforms._row_chunks import RowSubset, require_finite, split_inputs

MAX_EVALUATION_BATCH, MAX_EVALUATION_VALUES = 256, 1 << 20
"""Samples per evaluation pass, and input values of them, at most. Measured on LeNet: 64 and 1,000 samples take more
time per sample."""


@dataclass(frozen=True)
class FittedTransforms:
    """The fitted transforms of a training part; configs with the same scaling can share them.

    Args:
        scale: transform of the inputs.
        target_scale: transform of the targets, or None.
    """

    scale: Any
    target_scale: Any


def fit_transforms(config: ResolvedConfig, dataset: Dataset, split: Split) -> FittedTransforms:
    """Fit the transforms of a config on the training part.

    Raises:
        DataError: a part contains values that are not finite.
    """
    columns, inputs = dataset.spec.columns, dataset.spec.inputs
    scale = transforms.fit(
        config.scale.name,
        dataset.x,
        config.scale.options,
        rows=split.train,
        columns=columns,
        inputs=inputs,
        unused=choose_unused_words(config.model, dataset, split.train),
    )
    if not transforms.takes_columns(config.scale.name):
        for part in ("validation", "test"):
            rows = getattr(split, part)
            if len(rows):
                for values in split_inputs(RowSubset(dataset.x, rows), inputs):
                    require_finite(values, [column.name for column in columns], part)
    if config.target_scale.name == "none":
        return FittedTransforms(scale, None)
    options = config.target_scale.options
    return FittedTransforms(scale, transforms.fit(config.target_scale.name, dataset.y, options, rows=split.train))


def make_part_batches(
    config: ResolvedConfig,
    dataset: Dataset,
    split: Split,
    spec: Spec,
    fitted: FittedTransforms,
    device: torch.device,
) -> tuple[Batches, Batches, Batches]:
    """Return the batches of the training, validation and test part."""
    augment = tuple(build_component("transforms.augment", choice, spec) for choice in config.augment)

    def make(rows: np.ndarray, size: int, augment: tuple[Any, ...] = (), *, training: bool = False) -> Batches:
        return make_batches(
            dataset,
            rows,
            size=size,
            scale=fitted.scale,
            target_scale=fitted.target_scale,
            device=device,
            seed=config.seed,
            augment=augment,
            double=config.precision == "fp64",
            training=training,
            order=config.shuffle if training else "rows",
        )

    evaluated = max(config.batch, min(MAX_EVALUATION_BATCH, MAX_EVALUATION_VALUES // math.prod(spec.shape)))
    train = make(split.train, config.batch * config.accumulate, augment, training=True)
    return train, make(split.validation, evaluated), make(split.test, evaluated)
