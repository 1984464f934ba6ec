"""What the hooks of light steps read and write: the steps in which only the value of the loss is read.

An update evicts code and data from the processor's caches, so that in a light step each object that is touched and each
function that is called costs ten times as much as in a loop of its own. Therefore each hook of a light step is one
function that calls next to nothing; of anything unusual it calls the function of the other steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import is_grad_enabled, nn
from torch.compiler import is_dynamo_compiling

from yisheng.diagnosis.recorder.foreign_writes import ForeignWrites
from yisheng.diagnosis.recorder.guard import Guard, ProtectedHook


@dataclass(slots=True)
class LightSteps:
    """The counters of a training, and what its light steps share: one small object.

    Args:
        steps: updates made.
        backwards: backward passes.
        backwards_before: backward passes before the last update.
        until: the first step that is not light; 0 in a step that is not light.
        rate: the learning rate of the last update.
        arguments: of the network in a light step.
        learns_in_evaluation: whether updates were made in evaluation mode.
        is_followed: whether a backward pass runs whose loss was followed from the network's output.
    """

    steps: int = 0
    backwards: int = 0
    backwards_before: int = 0
    until: int = 0
    rate: object = None
    arguments: tuple[Any, ...] = field(default=(), repr=False)
    learns_in_evaluation: bool = False
    is_followed: bool = False


class LightForwardHook(ProtectedHook):
    """A forward hook of the network that only keeps the arguments in a light step.

    Args:
        guard: notes errors.
        light: what light steps share.
        after_forward: is called in any other pass.
    """

    def __init__(self, guard: Guard, light: LightSteps, after_forward: Callable[[nn.Module, Any, Any], None]) -> None:
        super().__init__(guard, after_forward)
        self._light = light

    def __call__(self, module: nn.Module, arguments: Any, output: Any) -> None:
        if is_dynamo_compiling():
            return
        light = self._light
        try:
            is_light = light.until and not self._guard.failure and is_grad_enabled()
            if is_light and (module.training or light.learns_in_evaluation):
                light.arguments = arguments
                return
        except Exception as error:
            self._guard.note(error)
        super().__call__(module, arguments, output)


class LightUpdateHook(ProtectedHook):
    """A hook after the updates of the optimizer that only counts those of light steps.

    Args:
        guard: notes errors.
        light: what light steps share.
        model: the network.
        writes: changes of a weight between updates.
        after_update: is called after an update that is not light, or at another rate.
    """

    def __init__(
        self,
        guard: Guard,
        light: LightSteps,
        model: nn.Module,
        writes: ForeignWrites,
        after_update: Callable[[], None],
    ) -> None:
        super().__init__(guard, after_update)
        self._light, self._model, self._writes, self._weight = light, model, writes, writes.weight

    def __call__(self, optimizer: torch.optim.Optimizer, _arguments: Any, _options: Any) -> None:
        if is_dynamo_compiling():
            return
        light = self._light
        try:
            if self._weight is not None:
                self._writes.version = self._weight._version
            if (
                light.backwards > light.backwards_before
                and light.steps + 2 < light.until
                and optimizer.param_groups[0].get("lr") is light.rate
                and self._model.training
            ):
                light.backwards_before = light.backwards
                light.steps += 1
                return
        except Exception as error:
            self._guard.note(error)
        super().__call__()
