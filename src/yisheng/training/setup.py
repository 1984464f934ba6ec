"""Setup of a training: from a config and data to everything that the loop needs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng import transforms
from yisheng.core.choice import AUTO
from yisheng.core.components import build_component, is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig, resolve_config
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches
from yisheng.losses._custom import explain_targets
from yisheng.training import finetune, from_scratch
from yisheng.training.compiled import require_compilable
from yisheng.training.data_choices import choose_from_data, choose_full_batches, choose_searched, choose_shuffle
from yisheng.training.distributed import Peers
from yisheng.training.fitted import choose_for_fitting
from yisheng.training.image_preset import choose_for_small_images
from yisheng.training.loop import Loss, Schedule, Step
from yisheng.training.network import build_network, check_loss, read_probe, require_channels_last
from yisheng.training.part_batches import FittedTransforms, fit_transforms, make_part_batches
from yisheng.training.precision import DEFAULT_FORMAT, MEMORY_FORMATS, search_precision
from yisheng.training.pretrained import Pretrained, load_into_network
from yisheng.training.setup_notes import describe_moved_targets, describe_random_weights, describe_updates
from yisheng.training.shardable import choose_exact, require_shardable
from yisheng.training.state import State
from yisheng.training.step_setup import build_forward, build_optimizer, build_schedule, build_step
from yisheng.training.sync_bn import require_rows_for_sync_bn, synchronize_batch_norm
from yisheng.training.table_preset import choose_for_tables
from yisheng.training.wide_tables import choose_for_wide_tables


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
    config, preset_notes = _choose_for_data(config, dataset, split, pretrained)
    config = choose_exact(config, device)
    choices = choose_from_data(dataset, split, pretrained, trains=config.epochs != 0)
    resolved = resolve_config(config, dataset.spec, len(split.train), auto=choices)
    fitted = fitted or fit_transforms(resolved, dataset, split)
    input_spec = transforms.transform_spec(fitted.scale, dataset.spec)

    scale = fitted.scale
    network = build_network(config, resolved, dataset.spec, input_spec, lambda: read_probe(dataset, split, scale))
    model, resolved, spec = network.model, network.config, network.spec
    input_spec = input_spec.with_outputs(spec.outputs)
    head_lr, notes = load_into_network(model, pretrained, resolved, config.head_lr, fitted.scale)
    notes += preset_notes
    is_divided = resolved.shard_weights and peers is not None  # a device may not hold all weights
    model.to("cpu" if is_divided else device, torch.float64 if resolved.precision == "fp64" else None)
    _require_rows_for_batch_norm(model, resolved.batch, len(split.train))

    train, validation, test = make_part_batches(resolved, dataset, split, spec, fitted, device)
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
    if pretrained is None:
        notes += describe_random_weights(resolved)
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
    notes += describe_updates(config, resolved, len(train), len(split.train), optimizer)
    notes += describe_moved_targets(resolved, spec)
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


def _choose_for_data(
    config: Config, dataset: Dataset, split: Split, pretrained: Pretrained | None
) -> tuple[Config, tuple[str, ...]]:
    """Return the config with what suits data of this kind and size where it is ``auto``, and notes for the user."""
    config = choose_for_fitting(config, dataset.spec, len(split.train))
    config, notes = choose_for_wide_tables(config, dataset.spec)
    if pretrained is None:
        config, image_notes = choose_for_small_images(config, dataset, len(split.train))
        config, table_notes = choose_for_tables(config, dataset.spec, len(split.train))
        notes += image_notes + table_notes
    config = choose_full_batches(config, dataset, split, pretrained)
    return choose_shuffle(config, dataset), notes


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
