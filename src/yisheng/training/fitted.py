"""Training of models that are fitted to rows by a method of their own: a stage for each epoch, no gradient steps."""

from __future__ import annotations

from typing import Any

import torch

from yisheng.core import nested, registry
from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.events import Batch
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedModel
from yisheng.training.loop import Loss, Step
from yisheng.training.state import State
from yisheng.training.update import mean_loss

GRADIENT_KEYS = (
    "weights",
    "finetune",
    "head_lr",
    "init",
    "init_linear",
    "init_conv",
    "accumulate",
    "shards",
    "exact",
    "sync_bn",
    "l1",
    "clip_norm",
    "clip_value",
    "scratch",
    "decay_bias",
    "augment",
    "optimizer",
    "schedule",
    "batch",
    "precision",
    "memory_format",
    "compile",
)
"""Choices that belong to training by gradient steps."""
FITTED_LOSSES = ("cross-entropy", "binary-cross-entropy", "mse")
"""Losses that such models minimize."""
MAX_LOSS_ROWS = 2048
"""The training loss after a stage is that of all rows, or of so many evenly spaced ones if there are more."""


def is_fitted(config: Config) -> bool:
    """Return whether the model of a config is fitted by a method of its own."""
    name = config.model.name
    return name != AUTO and not is_custom(config.model) and bool(registry.find("models", name).meta.get("fitted"))


def choose_for_fitting(config: Config, spec: Spec, rows: int) -> Config:
    """Return the config with what such a model needs: all rows at once, and an epoch for each stage.

    Args:
        config: of any model; one that is trained by gradient steps is returned as it is.
        spec: the contract of the data.
        rows: number of training rows.

    Raises:
        UsageError: a choice belongs to gradient steps and the model has none, or the reverse.
    """
    if not is_fitted(config):
        if config.optimizer.name == "none":
            raise UsageError(
                Message(
                    "optimizer=none updates nothing, and model={name} is trained by updates", name=config.model.name
                ),
                Message("leave optimizer out"),
            )
        return config
    chosen: dict[str, Any] = {
        "augment": (),
        "optimizer": Choice(name="none"),
        "schedule": Choice(name="constant"),
        "batch": max(1, rows),
        "shards": 1,
        "exact": True,
        "precision": "fp32",
        "memory_format": "contiguous",
        "compile": False,
    }
    _require_applicable(config, chosen)
    if config.model.name in ("boosting", "lightgbm", "catboost", "ensemble") and config.boosting == AUTO:
        chosen["boosting"] = False  # it would be compared with itself
    if registry.find("models", config.model.name).meta.get("composite"):
        _require_own_scaling(config)
        _require_stages(config, spec)
        chosen["target_scale"] = Choice(name="none")
    if config.scale.name == AUTO:
        scale = registry.find("models", config.model.name).meta["fitted"]
        chosen["scale"] = Choice(name=scale, options=config.scale.options)
    if config.epochs == AUTO:
        model: FittedModel = registry.build("models", config.model.name, spec, **config.model.options)
        chosen["epochs"] = model.stages
    return config.model_copy(update=chosen)


def _require_own_scaling(config: Config) -> None:
    """Refuse scalings for a model of models, each of which has its own."""
    for key, allowed in (("scale", (AUTO, "codes")), ("target_scale", (AUTO, "none"))):
        if getattr(config, key).name not in allowed:
            raise UsageError(
                Message(
                    "model={name} is made of models with scalings of their own: {key} does not apply",
                    name=config.model.name,
                    key=key,
                ),
                Message("leave {key} out", key=key),
            )


def _require_stages(config: Config, spec: Spec) -> None:
    """Refuse fewer epochs than the folds of one candidate: there would be no model."""
    model = registry.build("models", config.model.name, spec, **config.model.options)
    if config.epochs != AUTO and 0 < config.epochs < model.folds:
        raise UsageError(
            Message(
                "model={name} trains one fold of a candidate in an epoch, and a candidate has {folds}: "
                "epochs={epochs} trains none",
                name=config.model.name,
                folds=model.folds,
                epochs=config.epochs,
            ),
            Message("leave epochs out, or use budget=1m"),
        )


def _require_applicable(config: Config, chosen: dict[str, Any]) -> None:
    name = config.model.name
    keys = [
        key for key in GRADIENT_KEYS if getattr(config, key) not in (Config.model_fields[key].default, chosen.get(key))
    ]
    if keys:
        keys = [f"{key} or its options" if isinstance(getattr(config, key), Choice) else key for key in keys]
        raise UsageError(
            Message(
                "model={name} is fitted by a method of its own, without gradient steps: {keys} does not apply",
                name=name,
                keys=", ".join(keys),
            ),
            Message("leave it out; `yisheng models {name}` lists the options of the model", name=name),
        )
    further = registry.find("models", name).meta.get("losses", ())
    if config.loss.name not in (AUTO, *FITTED_LOSSES, *further) or (config.loss.name == AUTO and config.loss.options):
        raise UsageError(
            f"model={name} minimizes the log loss{', ' * bool(further)}{', '.join(further)} or the squared error, it "
            "cannot minimize another loss",
            Message("leave loss and its options out, or use a network"),
        )


def make_fit_step(seed: int, quantile: float | None = None) -> Step:
    """Make what takes the place of an update: it fits the next stage to all rows, and returns their mean loss.

    It is the mean over all rows, or over 2,048 evenly spaced ones if there are more.

    Args:
        seed: of the model's random choices.
        quantile: of the pinball loss, or None with another loss.
    """

    def step(state: State, batch: Batch, loss: Loss) -> torch.Tensor:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it comes with scikit-learn

        model = state.model
        if not isinstance(model, FittedModel):
            raise TypeError(f"{type(model).__name__} is not fitted in stages")
        order = batch.index.argsort()  # the order of an epoch's batch is random
        x, y = nested.only(batch.x)[order].cpu().numpy(), batch.y[order].cpu().numpy()
        weight = None if batch.weight is None else batch.weight[order].cpu().numpy()
        with threadpool_limits(torch.get_num_threads()):
            model.fit_stage(state.epoch, FitRows(x, y, weight, derive(seed, "fit"), quantile))
        model.to(batch.y.device)
        with evaluation_mode(model), torch.no_grad():
            return mean_loss(model, _take_evenly(batch, order), loss)

    return step


def _take_evenly(batch: Batch, order: torch.Tensor) -> Batch:
    """Return all rows of a batch, or `MAX_LOSS_ROWS` of them, evenly spaced in their order."""
    if len(batch) <= MAX_LOSS_ROWS:
        return batch
    places = torch.linspace(0, len(batch) - 1, MAX_LOSS_ROWS, dtype=torch.float64, device=order.device).round().long()
    rows = order[places]
    weight = None if batch.weight is None else batch.weight[rows]
    return Batch(nested.only(batch.x)[rows], batch.y[rows], batch.index[rows], weight)
