"""Setup of a training: from a config and data to everything that the loop needs."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng import transforms
from yisheng.core import registry
from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import build_component, is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig, resolve_config
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches, make_batches
from yisheng.losses._custom import explain_targets
from yisheng.models import weights as trained
from yisheng.training import finetune, from_scratch
from yisheng.training.compiled import require_compilable
from yisheng.training.data_choices import choose_from_data, choose_full_batches, choose_searched, choose_shuffle
from yisheng.training.distributed import Peers
from yisheng.training.fitted import choose_for_fitting
from yisheng.training.image_preset import choose_for_small_images
from yisheng.training.loop import Loss, Schedule, Step
from yisheng.training.network import build_network, check_loss, read_probe, require_channels_last
from yisheng.training.precision import DEFAULT_FORMAT, MEMORY_FORMATS, search_precision
from yisheng.training.shardable import (
    choose_exact,
    require_rows_for_sync_bn,
    require_shardable,
    synchronize_batch_norm,
)
from yisheng.training.state import State
from yisheng.training.step_setup import build_forward, build_optimizer, build_schedule, build_step
from yisheng.training.table_preset import choose_for_tables
from yisheng.training.update import needs_closure
from yisheng.training.wide_tables import choose_for_wide_tables
from yisheng.training.word_relevance import choose_unused_words
from yisheng.transforms._row_chunks import RowSubset, require_finite, split_inputs

MAX_EVALUATION_BATCH, MAX_EVALUATION_VALUES = 256, 1 << 20
"""Samples per evaluation pass, and input values of them, at most. Measured on LeNet: 64 and 1,000 samples take more
time per sample."""

MIN_UPDATES_WITHOUT_NOTE = 100
"""A training with fewer updates gets a note: it rarely learns."""


@dataclass(frozen=True)
class Pretrained:
    """Pretrained weights to start from.

    Args:
        tensors: by the names of the network's parameters.
        scale: the scaling of the inputs that they were trained with, or None if it is unknown.
    """

    tensors: Mapping[str, torch.Tensor]
    scale: Choice | None = None


@dataclass(frozen=True)
class FittedTransforms:
    """The fitted transforms of a training part; configs with the same scaling can share them.

    Args:
        scale: transform of the inputs.
        target_scale: transform of the targets, or None.
    """

    scale: Any
    target_scale: Any


@dataclass(frozen=True)
class Assembly:
    """All parts of a training, built and on their device.

    Args:
        config: the config, resolved for the data.
        spec: the contract of the data, with the output units that the loss requires.
        state: the initial state.
        train: shuffled batches of the training part.
        validation: batches of the validation part; may be empty.
        test: batches of the test part; may be empty.
        loss: ``(output, y) -> (B,)``.
        schedule: factor of the learning rate by step.
        step: one update.
        transforms: the fitted transforms by role: ``input``, and ``target`` (None if not scaled).
        notes: notes for the user.
        dataset: the data.
    """

    config: ResolvedConfig
    spec: Spec
    state: State
    train: Batches
    validation: Batches
    test: Batches
    loss: Loss
    schedule: Schedule
    step: Step
    transforms: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    dataset: Dataset | None = None

    @property
    def score_key(self) -> str:
        """Return the name, in events, of the score that chooses the best epoch."""
        name = self.config.score
        return name if name == "loss" else self.config.find_metric(name).key

    @property
    def higher_is_better(self) -> bool:
        """Return whether larger values of that score are better."""
        name = self.config.score
        return name != "loss" and bool(self.config.find_metric(name).meta.get("higher", True))

    @property
    def validates_in_bf16(self) -> bool:
        """Return whether to validate in bfloat16, as in training; its 8 bits are too few to score a regression."""
        return self.config.precision == "bf16" and self.spec.task != "regression"


def assemble(
    config: Config,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    pretrained: Pretrained | None = None,
    *,
    fitted: FittedTransforms | None = None,
    peers: Peers | None = None,
) -> Assembly:
    """Build all parts of a training: transforms, batches, model, loss, optimizer, schedule and update.

    Args:
        config: any config; it is resolved for the data.
        dataset: the data.
        split: its parts.
        device: where to train.
        pretrained: weights to start from.
        fitted: the result of `fit_transforms` for the same training part and scaling; fitted here by default.
        peers: the processes of the training, or None for this one alone.

    Raises:
        UsageError: a choice of the config does not fit the data.
        DataError: a part contains values that are not finite, or the weights do not fit the network.
    """
    _require_assemblable(config, device)
    config = choose_for_fitting(config, dataset.spec, len(split.train))
    config, preset_notes = choose_for_wide_tables(config, dataset.spec)
    if pretrained is None:
        config, image_notes = choose_for_small_images(config, dataset, len(split.train))
        config, table_notes = choose_for_tables(config, dataset.spec, len(split.train))
        preset_notes += image_notes + table_notes
    config = choose_full_batches(config, dataset, split, pretrained)
    config = choose_exact(choose_shuffle(config, dataset), device)
    choices = choose_from_data(dataset, split, pretrained, trains=config.epochs != 0)
    resolved = resolve_config(config, dataset.spec, len(split.train), auto=choices)
    fitted = fitted or fit_transforms(resolved, dataset, split)
    input_spec = transforms.transform_spec(fitted.scale, dataset.spec)

    scale = fitted.scale
    network = build_network(config, resolved, dataset.spec, input_spec, lambda: read_probe(dataset, split, scale))
    model, resolved, spec = network.model, network.config, network.spec
    input_spec = input_spec.with_outputs(spec.outputs)
    head_lr, notes = _load_pretrained(model, pretrained, resolved, config.head_lr, fitted)
    notes += preset_notes
    is_divided = resolved.shard_weights and peers is not None  # a device may not hold all weights
    model.to("cpu" if is_divided else device, torch.float64 if resolved.precision == "fp64" else None)
    _require_rows_for_batch_norm(model, resolved.batch, len(split.train))

    train, validation, test = _make_part_batches(resolved, dataset, split, spec, fitted, device)
    build_loss = from_scratch.build_loss if resolved.scratch else functools.partial(build_component, "losses")
    loss = build_loss(resolved.loss, spec, dataset.y[split.train])
    if is_custom(resolved.loss):
        notes += check_loss(loss, model, train)
        notes += explain_targets(resolved.loss.component, spec)

    searched = choose_searched(config, resolved)
    with finetune.frozen_for_good(model, resolved.finetune):
        compute = search_precision(searched, model, input_spec, train, loss, resolved.epochs * len(train))
    if (compute.precision, compute.memory_format) != DEFAULT_FORMAT and compute.seconds:
        notes += (compute.describe(),)
    if resolved.epochs == 0 and pretrained is None and not is_custom(resolved.model):
        notes += (
            Message(
                "the weights are random: with epochs=0 nothing is trained, and neither weights= nor a network is given"
            ),
        )
    if compute.memory_format != "contiguous":
        model.to(memory_format=MEMORY_FORMATS[compute.memory_format])  # type: ignore[call-overload]  # not in the stub
        if is_custom(resolved.model):
            require_channels_last(model, read_probe(dataset, split, fitted.scale))
    if resolved.scratch:
        model = from_scratch.build_network(resolved, model)
    resolved = resolved.model_copy(
        update={"head_lr": head_lr, "precision": compute.precision, "memory_format": compute.memory_format}
    )

    optimizer = build_optimizer(resolved, model)
    require_shardable(resolved, model, optimizer, device, 1 if peers is None else peers.size)
    if resolved.sync_bn:
        last = train.bounds(len(train) - 1)
        require_rows_for_sync_bn(resolved, last.stop - last.start)
        model = synchronize_batch_norm(model)  # the optimizer has its parameters: they are the same tensors
    require_compilable(resolved, device)
    notes += _describe_updates(config, resolved, len(train), len(split.train), optimizer)
    notes += _describe_moved_targets(resolved, spec)
    torch.manual_seed(derive(resolved.seed, "train"))  # what the loop itself draws: dropout masks above all
    return Assembly(
        config=resolved,
        spec=spec,
        state=State(model, optimizer, loss_sum=torch.zeros((), device=device)),
        train=train,
        validation=validation,
        test=test,
        loss=loss,
        schedule=build_schedule(resolved, optimizer),
        step=build_step(
            resolved, model, device, peers, forward=build_forward(resolved, model, device, len(split.train))
        ),
        transforms={"input": fitted.scale, "target": fitted.target_scale},
        notes=notes,
        dataset=dataset,
    )


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


def _require_assemblable(config: Config, device: torch.device) -> None:
    """Check what can be checked before anything is built."""
    if config.budget not in (None, AUTO):
        raise UsageError(
            Message(
                "budget={budget} (seconds) is for one training: here several are trained, or parts of one",
                budget=f"{config.budget:g}",
            ),
            Message("use epochs= instead of budget="),
        )
    if config.precision == "fp64" and device.type == "mps":
        raise UsageError(
            Message("Apple's GPU (device=mps) cannot compute with precision=fp64"), Message("use device=cpu")
        )


def _load_pretrained(
    model: nn.Module,
    pretrained: Pretrained | None,
    config: ResolvedConfig,
    requested_head_lr: float | None,
    fitted: FittedTransforms,
) -> tuple[float | None, tuple[str, ...]]:
    """Load the pretrained weights; return the learning-rate factor of the head, and notes for the user."""
    if pretrained is None:
        return config.head_lr, ()
    result = trained.load_weights(model, pretrained.tensors, name=config.model.name)
    notes = result.notes
    if config.epochs == 0 and result.new_head:
        raise UsageError(
            Message(
                "the weights have no last layer for this data, and epochs=0 would score a random one: {notes}",
                notes="; ".join(notes),
            ),
            Message("use epochs=10 to train it, or give data with the classes of the weights"),
        )
    if pretrained.scale is not None and pretrained.scale.name == "imagenet":
        mismatch = finetune.explain_scale_mismatch(fitted.scale, **pretrained.scale.options)
        notes += () if mismatch is None else (mismatch,)
    if not result.new_head and requested_head_lr is None:  # a pretrained head learns at the rate of the other layers
        return 1.0, notes
    return config.head_lr, notes


def _require_rows_for_batch_norm(model: nn.Module, batch: int, rows: int) -> None:
    """Check that every batch has two rows or more if the model normalizes over rows."""
    if min(batch, rows) == 1 and any(isinstance(module, nn.BatchNorm1d) for module in model.modules()):
        raise UsageError(
            Message(
                "batch norm needs two rows or more in every batch, got batch={batch} and {rows} rows",
                batch=batch,
                rows=rows,
            ),
            Message("use a larger batch=, or remove batch_norm"),
        )


def _make_part_batches(
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


def _describe_updates(
    config: Config, resolved: ResolvedConfig, batches: int, rows: int, optimizer: torch.optim.Optimizer
) -> tuple[str, ...]:
    """Return notes on a batch larger than the training part, and on a training of few updates."""
    notes: tuple[str, ...] = ()
    if isinstance(config.batch, int) and config.batch > rows:
        values = {"batch": f"{config.batch:,}", "rows": f"{rows:,}"}
        notes = (Message("batch={batch} is more than the {rows} training rows: each batch has all of them", **values),)
    updates = batches * resolved.epochs
    takes_steps = config.optimizer.name != "none" and not needs_closure(optimizer)
    if 0 < updates < MIN_UPDATES_WITHOUT_NOTE and takes_steps:
        notes += (
            Message(
                "warning: the weights are updated {updates} times in all, which is rarely enough to learn: "
                "use a smaller batch= (now {batch}) or more epochs= (now {epochs})",
                updates=updates,
                batch=f"{resolved.batch:,}",
                epochs=f"{resolved.epochs:,}",
            ),
        )
    return notes


def _describe_moved_targets(config: ResolvedConfig, spec: Spec) -> tuple[str, ...]:
    """Return a note on augmentations that move what an image shows while its numbers stay the same."""
    names = [choice.name for choice in config.augment if not is_custom(choice)]
    moving = [name for name in names if registry.find("transforms.augment", name).meta.get("moves")]
    if spec.task != "regression" or not moving:
        return ()
    return (
        Message(
            "warning: augment={names} moves what the images show, and leaves {targets} as they are: that is right for "
            "an age or a price, and wrong for a position or an angle",
            names=",".join(moving),
            targets=", ".join(spec.target_names),
        ),
    )
