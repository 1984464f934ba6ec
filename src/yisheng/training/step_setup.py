"""The update of a training: optimizer, schedule, shards, and how the network's output is computed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from yisheng.core import autocast
from yisheng.core.components import build_component, is_custom
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.data import hub
from yisheng.models._fitted_model import FittedModel, list_hub_files
from yisheng.models.head import find_head
from yisheng.optim._custom import build_for_network, rebuild, takes_network
from yisheng.optim.parameter_groups import list_weights, make_parameter_groups
from yisheng.training import finetune, from_scratch
from yisheng.training.compiled import CompiledNetwork
from yisheng.training.distributed import Peers
from yisheng.training.fitted import make_fit_step
from yisheng.training.loop import Schedule, Step
from yisheng.training.shards import Sharding
from yisheng.training.update import Forward, Penalty, make_l1_penalty, make_update

if TYPE_CHECKING:  # it imports much of torch.distributed
    from yisheng.training.divided_update import DividedUpdate


def build_optimizer(config: ResolvedConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer with its parameter groups; each holds its ``initial_lr``."""
    component = config.optimizer.component
    if isinstance(component, torch.optim.Optimizer) and isinstance(config.model.component, nn.Module):
        return _add_initial_lr(rebuild(component, config.model.component, model))
    if takes_network(component):
        return _add_initial_lr(build_for_network(component, config.optimizer.name, model))
    if isinstance(model, FittedModel):
        return _add_initial_lr(build_component("optim", config.optimizer, []))
    build = from_scratch.build_optimizer if config.scratch else functools.partial(build_component, "optim")
    head = None if config.head_lr is None else find_head(model)[1]
    make_groups = functools.partial(make_parameter_groups, model, head=head, head_lr=config.head_lr or 1.0)
    optimizer: torch.optim.Optimizer = build(config.optimizer, make_groups(decay_bias=config.decay_bias))
    if _has_equal_groups(optimizer):  # nothing decays: one group gives the same weights in less time
        optimizer = build(config.optimizer, make_groups(decay_bias=True))
    return _add_initial_lr(optimizer)


def build_schedule(config: ResolvedConfig, optimizer: torch.optim.Optimizer) -> Schedule:
    """Build the schedule of a config; one of a user's own may depend on the initial learning rate."""
    schedule: Any = build_component("optim.schedules", config.schedule)
    if is_custom(config.schedule):
        schedule = schedule(float(optimizer.param_groups[0]["initial_lr"]))
    factor: Schedule = schedule
    return factor


def make_sharding(config: ResolvedConfig, peers: Peers | None) -> Sharding:
    """Return how each batch of a training is divided."""
    micro_batch = -(-config.batch // config.shards) if config.accumulate > 1 else None
    return Sharding(config.shards, micro_batch, config.seed, peers, config.exact)


def build_step(
    config: ResolvedConfig,
    model: nn.Module,
    device: torch.device,
    peers: Peers | None,
    divided: DividedUpdate | None = None,
    *,
    forward: Forward = autocast.forward,
) -> Step:
    """Build the update of a config.

    Args:
        config: the resolved config.
        model: the network.
        device: where it computes.
        peers: the processes of the training, or None for this one alone.
        divided: for weights that the processes divide.
        forward: computes the network's output; see `build_forward`.
    """
    if isinstance(model, FittedModel):
        model.require_packages()
        model.require_size(config.batch, device)
        for file in list_hub_files(model):
            hub.fetch_file(*file)
        return make_fit_step(config.seed, config.loss.options.get("quantile"))
    sharding = make_sharding(config, peers)
    step = make_update(
        micro_batch=sharding.micro_batch,
        clip_norm=config.clip_norm,
        clip_value=config.clip_value,
        check_finite="before step" if device.type == "cpu" else "one step late",
        precision=config.precision,
        penalty=_make_penalty(config, model, divided),
        sharding=sharding if config.shards > 1 else None,
        divided=divided,
        forward=forward,
    )
    if config.finetune is None:
        return step
    return finetune.freeze_before_step(step, finetune.plan_finetuning(model, config.finetune, config.epochs))


def build_forward(config: ResolvedConfig, model: nn.Module, device: torch.device, rows: int) -> Forward:
    """Build the forward pass of a network in training, compiled if the config says so.

    Args:
        config: the resolved config.
        model: the network, on its device.
        device: where it computes.
        rows: of the training part.
    """
    if not config.compile:
        return autocast.forward
    uses_graphs = device.type == "cuda" and config.accumulate == 1  # otherwise gradients of several passes are held
    return CompiledNetwork(model, min(config.batch, rows), uses_graphs=uses_graphs).forward


def _add_initial_lr(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Note in each group its learning rate, which the schedule multiplies."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"] * group.get("lr_scale", 1.0))
    return optimizer


def _has_equal_groups(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether there are several parameter groups, all with the same options."""
    options = [{**group, "params": None} for group in optimizer.param_groups]
    return len(options) > 1 and all(values == options[0] for values in options[1:])


def _make_penalty(config: ResolvedConfig, model: nn.Module, divided: DividedUpdate | None) -> Penalty | None:
    """Return the L1 penalty of a config, or None without one."""
    if not config.l1:
        return None
    make = from_scratch.make_l1_penalty if config.scratch else make_l1_penalty
    weights = list_weights(model, decay_bias=config.decay_bias)
    return make(weights.values() if divided is None else [divided.weights.local[name] for name in weights], config.l1)
