"""From a settled config and data to everything that the loop needs."""

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
from yisheng.core.config import Choice, Config
from yisheng.core.errors import UsageError
from yisheng.core.seeds import derive, seed_everything
from yisheng.core.types import Dataset, Spec, Split
from yisheng.data.batches import Batches, batches
from yisheng.init.apply import apply
from yisheng.models import weights as trained
from yisheng.models.head import head
from yisheng.optim import light
from yisheng.optim.groups import groups
from yisheng.training import finetune, from_scratch
from yisheng.training.loop import Factor, Loss, Step
from yisheng.training.precision import FORMATS, PLAIN, pace
from yisheng.training.state import State
from yisheng.training.update import make_update
from yisheng.transforms._chunks import Gather, require_finite
from yisheng.transforms.log import skewed

FINE = 0.001
"""Learning rate after trained weights: what they know is to be bent, not thrown away."""

LOOKED_AT, VALUES = 256, 1 << 20
"""Samples per pass where nothing is learnt, and input values of them at most: measured on LeNet, 64 and 1,000 samples
take longer for each."""


@dataclass(frozen=True)
class Pretrained:
    """Trained weights to begin with.

    Args:
        tensors: by the names of the network's parameters.
        scale: the scaling of the inputs that they were trained with, where it is known.
    """

    tensors: Mapping[str, torch.Tensor]
    scale: Choice | None = None


@dataclass(frozen=True)
class Prepared:
    """The transforms of a training part: they are the same for all configs that scale alike.

    Args:
        scale: of the inputs, fitted.
        target_scale: of the targets, fitted, or None.
    """

    scale: Any
    target_scale: Any


@dataclass(frozen=True)
class Assembly:
    """What the loop needs, built and on its device.

    Args:
        config: settled: nothing in it is ``auto``.
        spec: the contract of the data, with the output units that the loss wants.
        state: at its beginning.
        train: shuffled batches of the training part.
        validation: batches of the validation part; may be empty.
        test: batches of the test part; may be empty.
        loss: ``(output, y) -> (B,)``.
        schedule: factor of the learning rate by step.
        step: one update.
        transforms: the fitted transforms by role: ``input``, and ``target`` (None if not scaled).
        remarks: what the user should know of it.
    """

    config: Config
    spec: Spec
    state: State
    train: Batches
    validation: Batches
    test: Batches
    loss: Loss
    schedule: Factor
    step: Step
    transforms: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def half(self) -> bool:
        """Whether to validate in bfloat16: as it is trained, but for numbers, which eight bits are too few to score."""
        return self.config.precision == "bf16" and self.spec.task != "regression"


def assemble(
    config: Config,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    pretrained: Pretrained | None = None,
    *,
    prepared: Prepared | None = None,
) -> Assembly:
    """Fit the transforms on the training part, build and initialise the model, and all the rest.

    Args:
        config: any config; it is settled here.
        dataset: the data.
        split: its parts.
        device: where to train.
        pretrained: weights to begin with.
        prepared: what `prepare` gives for this very part and these scalings; fitted here if not given.

    Raises:
        UsageError: a choice of the config does not fit the data.
        DataError: a part holds values that are not finite, or the weights do not fit the network.
    """
    if config.budget is not None:
        raise UsageError(
            f"budget={config.budget:g} (seconds) is for one training: here many are trained, or parts of one",
            "say epochs= instead",
        )
    if config.precision == "fp64" and device.type == "mps":
        raise UsageError("Apple's GPU (device=mps) cannot compute with precision=fp64", "say device=cpu")
    asked = config.head_lr
    config = config.settle(dataset.spec, len(split.train), auto=_auto(dataset, split, pretrained))
    loss_entry = registry.find("losses", config.loss.name)
    spec = dataset.spec
    if "outputs" in loss_entry.meta:
        spec = spec.with_outputs(loss_entry.meta["outputs"](spec))
    prepared = prepared or prepare(config, dataset, split)
    scale, target_scale = prepared.scale, prepared.target_scale
    augment = tuple(_call("transforms.augment", choice, spec) for choice in config.augment)

    def part(rows: Any, size: int, augment: Any = ()) -> Batches:
        return batches(
            dataset,
            rows,
            size=size,
            scale=scale,
            target_scale=target_scale,
            device=device,
            seed=config.seed,
            augment=augment,
            double=config.precision == "fp64",
        )

    assert isinstance(config.batch, int)  # settled
    model = build_model(config, transforms.after(scale, spec))
    remarks: tuple[str, ...] = ()
    head_lr = config.head_lr
    if pretrained is not None:
        fitted = trained.fit(model, pretrained.tensors, name=config.model.name)
        remarks = fitted.remarks + _unlike(scale, pretrained)
        if not fitted.fresh and asked is None:  # a head that knows its classes already learns as the rest does
            head_lr = 1.0
    model.to(device, torch.float64 if config.precision == "fp64" else None)
    if min(config.batch, len(split.train)) == 1 and any(isinstance(m, nn.BatchNorm1d) for m in model.modules()):
        raise UsageError(
            f"batch norm needs two rows or more in every batch, got batch={config.batch} and {len(split.train)} rows",
            "make batch= larger, or leave batch_norm out",
        )
    train = part(split.train, config.batch * config.accumulate, augment)
    looked_at = max(config.batch, min(LOOKED_AT, VALUES // math.prod(spec.shape)))
    loss = (from_scratch.loss if config.scratch else functools.partial(_call, "losses"))(
        config.loss, spec, dataset.y[split.train]
    )
    assert isinstance(config.epochs, int)  # settled
    found = pace(config, model, transforms.after(scale, spec), train, loss, config.epochs * len(train))
    if (found.precision, found.memory_format) != PLAIN and found.seconds:
        remarks += (str(found),)
    if found.memory_format != "contiguous":
        model.to(memory_format=FORMATS[found.memory_format])  # type: ignore[call-overload]  # no stub has it
    if config.scratch:
        model = from_scratch.network(config, model)
    faster = None if head_lr is None else head(model)[1]
    light.leave_compiler_out()
    make = from_scratch.optimizer if config.scratch else functools.partial(_call, "optim")
    grouped = functools.partial(groups, model, head=faster, head_lr=head_lr or 1.0)
    optimizer = make(config.optimizer, grouped(decay_bias=config.decay_bias))
    if _alike(optimizer):
        optimizer = make(config.optimizer, grouped(decay_bias=True))
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"] * group.get("multiple", 1.0))
    torch.manual_seed(derive(config.seed, "train"))  # what the loop itself draws, dropout above all
    state = State(model, optimizer, loss_sum=torch.zeros((), device=device))
    step = make_update(
        micro=config.batch if config.accumulate > 1 else None,
        clip_norm=config.clip_norm,
        clip_value=config.clip_value,
        watch="at once" if device.type == "cpu" else "late",
        precision=found.precision,
    )
    if config.finetune is not None:
        step = finetune.wrap(step, finetune.plan(model, config.finetune, config.epochs))
    return Assembly(
        config=config.model_copy(
            update={"head_lr": head_lr, "precision": found.precision, "memory_format": found.memory_format}
        ),
        spec=spec,
        state=state,
        train=train,
        validation=part(split.validation, looked_at),
        test=part(split.test, looked_at),
        loss=loss,
        schedule=_call("optim.schedules", config.schedule),
        step=step,
        transforms={"input": scale, "target": target_scale},
        remarks=remarks,
    )


def _alike(optimizer: torch.optim.Optimizer) -> bool:
    """Whether several groups of parameters learn in one way, as where nothing decays: a single one is quicker."""
    first, *others = [{**group, "params": None} for group in optimizer.param_groups]
    return bool(others) and all(other == first for other in others)


def prepare(config: Config, dataset: Dataset, split: Split) -> Prepared:
    """Fit the transforms of a settled config on the training part.

    Raises:
        DataError: a part holds values that are not finite.
    """
    columns = dataset.spec.columns
    scale = transforms.fit(config.scale.name, dataset.x, config.scale.options, rows=split.train, columns=columns)
    if not transforms.takes_columns(config.scale.name):
        for name in ("validation", "test"):
            rows = getattr(split, name)
            if len(rows):
                require_finite(Gather(dataset.x, rows), [column.name for column in columns], name)
    if config.target_scale.name == "none":
        return Prepared(scale, None)
    options = config.target_scale.options
    return Prepared(scale, transforms.fit(config.target_scale.name, dataset.y, options, rows=split.train))


def _auto(dataset: Dataset, split: Split, pretrained: Pretrained | None) -> dict[str, Choice]:
    """What ``auto`` means where only the data or the weights can tell."""
    found: dict[str, Choice] = {}
    if pretrained is not None and dataset.spec.is_image:
        found["optimizer"] = Choice(name="nesterov", options={"lr": FINE})
    if pretrained is not None and pretrained.scale is not None:
        found["scale"] = pretrained.scale
    elif dataset.spec.columns and (
        any(column.source or column.kind != "number" for column in dataset.spec.columns) or _any_missing(dataset.x)
    ):
        found["scale"] = Choice(name="columns")
    if dataset.spec.task == "regression" and skewed(dataset.y[split.train]):
        found["target_scale"] = Choice(name="log")
    return found


def _any_missing(x: np.ndarray) -> bool:
    """Whether any value is NaN, read piece by piece."""
    return any(bool(np.isnan(x[at : at + 65_536]).any()) for at in range(0, len(x), 65_536))


def _unlike(scale: Any, pretrained: Pretrained) -> tuple[str, ...]:
    """A warning where the inputs are scaled otherwise than the weights know them."""
    if pretrained.scale is None or pretrained.scale.name != "imagenet":
        return ()
    remark = finetune.preprocessing_remark(scale, **pretrained.scale.options)
    return () if remark is None else (remark,)


def build_model(config: Config, spec: Spec) -> nn.Module:
    """The network of a config with its initial weights, the same for the same seed."""
    seed_everything(derive(config.seed, "init"))
    model: nn.Module = _call("models", config.model, spec)

    def fill(choice: Choice | None) -> Any:
        return None if choice is None else lambda weight: _call("init", choice, weight)

    apply(model, fill(config.init), linear=fill(config.init_linear), conv=fill(config.init_conv))
    return model


def _call(kind: str, choice: Choice, *given: Any) -> Any:
    return registry.find(kind, choice.name).build(*given, **choice.options)
