"""From a settled recipe and data to everything that the loop needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng import transforms
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.recipe import Choice, Recipe
from yisheng.core.seed import derive, seed_everything
from yisheng.core.types import Dataset, Spec, Split
from yisheng.data.batches import Batches, batches
from yisheng.init.apply import apply
from yisheng.optim.groups import groups
from yisheng.train.loop import Factor, Loss, Step
from yisheng.train.state import State
from yisheng.train.update import make_update


@dataclass(frozen=True)
class Assembly:
    """What the loop needs, built and on its device.

    Args:
        recipe: settled: nothing in it is ``auto``.
        spec: the contract, with the output units that the loss wants.
        state: at its beginning.
        train: shuffled batches of the training part.
        validation: batches of the validation part; may be empty.
        test: batches of the test part; may be empty.
        loss: ``(output, y) -> (B,)``.
        schedule: factor of the learning rate by step.
        step: one update.
        transforms: the fitted transforms by role: ``input``, and ``target`` (None if not scaled).
    """

    recipe: Recipe
    spec: Spec
    state: State
    train: Batches
    validation: Batches
    test: Batches
    loss: Loss
    schedule: Factor
    step: Step
    transforms: Mapping[str, Any]


def assemble(recipe: Recipe, dataset: Dataset, split: Split, device: torch.device) -> Assembly:
    """Fit the transforms on the training part, build and initialise the model, and all the rest.

    Args:
        recipe: any recipe; it is settled here.
        dataset: the data.
        split: its parts.
        device: where to train.

    Raises:
        UsageError: a choice of the recipe does not fit the data.
        DataError: the training part cannot be fitted (not finite, say).
    """
    recipe = recipe.settle(dataset.spec, len(split.train))
    loss_entry = registry.find("losses", recipe.loss.name)
    spec = dataset.spec
    if "outputs" in loss_entry.meta:
        spec = spec.with_outputs(loss_entry.meta["outputs"](spec))
    columns = [column.name for column in spec.columns]
    scale = transforms.fit(recipe.scale.name, dataset.x, recipe.scale.options, rows=split.train, columns=columns)
    target_scale = None
    if recipe.target_scale.name != "none":
        options = recipe.target_scale.options
        target_scale = transforms.fit(recipe.target_scale.name, dataset.y, options, rows=split.train)

    def part(rows: Any, size: int) -> Batches:
        return batches(
            dataset, rows, size=size, scale=scale, target_scale=target_scale, device=device, seed=recipe.seed
        )

    assert isinstance(recipe.batch, int)  # settled
    model = build_model(recipe, spec).to(device)
    if min(recipe.batch, len(split.train)) == 1 and any(isinstance(m, nn.BatchNorm1d) for m in model.modules()):
        raise UsageError(
            f"batch norm needs two rows or more in every batch, got batch={recipe.batch} and {len(split.train)} rows",
            "make batch= larger, or leave batch_norm out",
        )
    optimizer = _call("optim", recipe.optimizer, groups(model, decay_bias=recipe.decay_bias))
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    torch.manual_seed(derive(recipe.seed, "train"))  # what the loop itself draws, dropout above all
    state = State(model, optimizer, loss_sum=torch.zeros((), device=device))
    micro = recipe.batch if recipe.accumulate > 1 else None
    return Assembly(
        recipe=recipe,
        spec=spec,
        state=state,
        train=part(split.train, recipe.batch * recipe.accumulate),
        validation=part(split.validation, recipe.batch),
        test=part(split.test, recipe.batch),
        loss=_call("losses", recipe.loss, spec, dataset.y[split.train]),
        schedule=_call("optim.schedules", recipe.schedule),
        step=make_update(
            micro=micro,
            clip_norm=recipe.clip_norm,
            clip_value=recipe.clip_value,
            watch="at once" if device.type == "cpu" else "late",
        ),
        transforms={"input": scale, "target": target_scale},
    )


def build_model(recipe: Recipe, spec: Spec) -> nn.Module:
    """The network of a recipe with its initial weights, the same for the same seed."""
    seed_everything(derive(recipe.seed, "init"))
    model: nn.Module = _call("models", recipe.model, spec)

    def fill(choice: Choice | None) -> Any:
        return None if choice is None else lambda weight: _call("init", choice, weight)

    apply(model, fill(recipe.init), linear=fill(recipe.init_linear), conv=fill(recipe.init_conv))
    return model


def _call(room: str, choice: Choice, *given: Any) -> Any:
    return registry.find(room, choice.name).build(*given, **choice.options)
