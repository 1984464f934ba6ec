"""A user's own augmentation: a function of a batch of inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from yisheng.core.callables import build_instance, list_required
from yisheng.core.custom_entry import CustomEntry
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.seeds import isolated_generators, seed_everything
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment

TARGET_NAMES: Final = ("y", "target", "targets", "label", "labels", "generator")
"""Names of parameters that get the targets or the generator even if they have a default."""


def make_entry(component: Callable[..., Any], name: str) -> CustomEntry:
    """Return the entry of a user's own augmentation.

    It is called with a batch ``x (B, ...)`` in the units of the data (0 to 255 for images), or with ``x, y``, or with
    ``x, y, generator``, by the number of its parameters without default; it returns ``x``, or ``x, y``. What it draws
    from the global generators is seeded from (seed, epoch, batch), and these generators are restored, so that a
    resumed run draws the same numbers.

    Args:
        component: the function, or a class of functions without arguments.
        name: its reference.

    >>> augment = make_entry(lambda x: x + torch.rand_like(x), "in-memory:noise").build(None)
    >>> x, y = torch.zeros(2, 3), torch.zeros(2)
    >>> a, b = (augment(x, y, torch.Generator().manual_seed(1))[0] for _ in range(2))
    >>> torch.equal(a, b)
    True
    """
    component = build_instance(component, "augment")
    count = len(list_required(component, counted=TARGET_NAMES))

    def augment(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        arguments = (x, y, generator)[: max(1, min(count, 3))]
        with isolated_generators():
            seed_everything(int(torch.randint(2**31, (), generator=generator)))
            result = component(*arguments)
        changed, target = result if isinstance(result, tuple) else (result, y)
        if not isinstance(changed, torch.Tensor) or changed.shape != x.shape:
            received = tuple(changed.shape) if isinstance(changed, torch.Tensor) else type(changed).__name__
            raise UsageError(
                Message(
                    "augment={name} must return inputs of shape {shape}, got {received}",
                    name=name,
                    shape=tuple(x.shape),
                    received=received,
                ),
                Message("it gets a whole batch and returns a batch of the same shape"),
            )
        return changed, target

    def build(spec: Spec | None) -> Augment:  # noqa: ARG001  # called like every augmentation
        return augment

    return CustomEntry("transforms.augment", name, build, {"custom": True})
