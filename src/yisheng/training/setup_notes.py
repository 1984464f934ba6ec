"""Notes for the user on a training that is about to begin: what it is too little for, or likely wrong."""

from __future__ import annotations

import torch

from yisheng.core import registry
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.spec import Spec
from yisheng.training.update import needs_closure

MIN_UPDATES_WITHOUT_NOTE = 100
"""A training with fewer updates gets a note: it rarely learns."""


def describe_random_weights(config: ResolvedConfig) -> tuple[str, ...]:
    """Return a note if a network with random weights is only scored."""
    if config.epochs != 0 or is_custom(config.model):
        return ()
    return (
        Message(
            "the weights are random: with epochs=0 nothing is trained, and neither weights= nor a network is given"
        ),
    )


def describe_updates(
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


def describe_moved_targets(config: ResolvedConfig, spec: Spec) -> tuple[str, ...]:
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
