"""What the hooks of light steps read and write: the steps in which only the value of the loss is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import is_grad_enabled, nn
from torch.compiler import is_compiling

from yisheng.diagnosis.recorder.foreign_writes import ForeignWrites


@dataclass(slots=True)
class LightSteps:
    """The counters of a training, and what its light steps share: one small object.

    An update evicts code and data from the processor's caches, so that in a light step each object that is touched and
    each function that is called costs ten times as much as in a loop of its own.

    Args:
        steps: updates made.
        backwards: backward passes.
        backwards_before: backward passes before the last update.
        until: the first step that is not light; 0 in a step that is not light.
        rate: the learning rate of the last update.
        arguments: of the network in a light step.
    """

    steps: int = 0
    backwards: int = 0
    backwards_before: int = 0
    until: int = 0
    rate: object = None
    arguments: tuple[Any, ...] = field(default=(), repr=False)

    def make_forward_hook(
        self, after_forward: Callable[[nn.Module, Any, Any], None], learns_in_evaluation: Callable[[], bool]
    ) -> Callable[[nn.Module, Any, Any], None]:
        """Return a forward hook of the network that only keeps the arguments in a light step.

        Args:
            after_forward: is called in any other pass.
            learns_in_evaluation: whether updates were made in evaluation mode.
        """

        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            if is_compiling():
                return
            if self.until and is_grad_enabled() and (module.training or learns_in_evaluation()):
                self.arguments = arguments
                return
            after_forward(module, arguments, output)

        return hook

    def make_update_hook(
        self,
        model: nn.Module,
        writes: ForeignWrites,
        after_update: Callable[[], None],
    ) -> Callable[[torch.optim.Optimizer, Any, Any], None]:
        """Return a hook after the updates of the optimizer that only counts those of light steps.

        Args:
            model: the network.
            writes: changes of a weight between updates.
            after_update: is called after an update that is not light, or at another rate.
        """
        weight = writes.weight

        def hook(optimizer: torch.optim.Optimizer, _arguments: Any, _options: Any) -> None:
            if weight is not None:
                writes.version = weight._version
            if (
                self.backwards > self.backwards_before
                and self.steps + 2 < self.until
                and optimizer.param_groups[0].get("lr") is self.rate
                and model.training
            ):
                self.backwards_before = self.backwards
                self.steps += 1
                return
            after_update()

        return hook
