"""A network that is rebuilt from a saved program, without its code: a small interpreter of operators.

The program is data: a list of nodes, each one allowed operator (`yisheng.inference.program_operators`) with its
arguments. Nothing in the file is executed as code, imported or unpickled.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import INTACT_COPY
from yisheng.inference._ood_features import FeatureSource
from yisheng.inference.program_data import ProgramData, TensorKind
from yisheng.inference.program_json import (
    Reference,
    fill_structure,
    flatten_structure,
)
from yisheng.inference.program_operators import Device

CONSTANTS = "program_constants"
"""Name of the submodule with the tensors that are not in the network's state dict."""

STEP_ERRORS = (RuntimeError, TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError, MemoryError)
"""What torch's operators and functions on sizes raise."""


class Step(NamedTuple):
    """One call: the function, its arguments with references, and where the result goes."""

    name: str
    function: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]
    target: int


@dataclass(frozen=True)
class Plan:
    """The steps that some values need, and which values are no longer needed after each of them."""

    steps: tuple[Step, ...]
    released: tuple[tuple[int, ...], ...]


class ProgramModule(nn.Module):
    """The rebuilt network: called like the original, always in eval mode, with the same state dict.

    Built by `read_program`.

    Args:
        data: the checked contents of ``program.json``.
        steps: the calls, in order.
        numbers: number of each node by its name.
    """

    def __init__(self, data: ProgramData, steps: Sequence[Step], numbers: Mapping[str, int]) -> None:
        super().__init__()
        self.program_data = data
        outputs = [numbers[name] for name in data.outputs]
        self._outputs = outputs
        self._features = {FeatureSource(part.kind, part.layer): numbers[part.node] for part in data.features}
        self._plan = make_plan(steps, outputs)
        self._plan_with_features = make_plan(steps, [*outputs, *self._features.values()])
        self._captures: dict[int, Callable[[Mapping[FeatureSource, torch.Tensor]], None]] = OrderedDict()
        self._slots = len(numbers)
        self._locations: list[tuple[int, nn.Module, str]] = []
        self.training = False

    def train(self, mode: bool = True) -> ProgramModule:  # noqa: ARG002  # the program has one mode
        """Return the module unchanged: a program was recorded in eval mode."""
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the original network returns for these inputs.

        Raises:
            DataError: the inputs do not have the shapes that the network takes.
        """
        inputs = self._read_inputs(args, kwargs)
        plan, numbers = self._plan, self._outputs
        if self._captures:
            plan, numbers = self._plan_with_features, [*self._outputs, *self._features.values()]
        rows = self._count_rows(inputs)
        if self.program_data.batch is None or rows == self.program_data.batch:
            values = self._run(plan, numbers, inputs)
        else:  # it was recorded for one row
            parts = [self._run(plan, numbers, self._take_row(inputs, row)) for row in range(rows)]
            values = [torch.cat(blocks) for blocks in zip(*parts, strict=True)]
        features = dict(zip(self._features, values[len(self._outputs) :], strict=False))
        for capture in self._captures.values():
            capture(features)
        return fill_structure(self.program_data.result, values[: len(self._outputs)])

    @property
    def computes_sizes(self) -> bool:
        """Return whether the program computes with the number of rows, or was recorded for one row."""
        data = self.program_data
        return data.batch is not None or any(node.op.startswith("aten.sym_") for node in data.nodes)

    def hook_features(
        self, sources: Sequence[FeatureSource], capture: Callable[[FeatureSource, torch.Tensor], object]
    ) -> RemovableHandle:
        """Call a function with values inside the network in forward passes, until the handle is removed.

        Args:
            sources: those that the program does not have are left out.
            capture: called with a source and its tensor.
        """

        def capture_all(features: Mapping[FeatureSource, torch.Tensor]) -> None:
            for source in sources:
                if source in features:
                    capture(source, features[source])

        handle = RemovableHandle(self._captures)
        self._captures[handle.id] = capture_all
        return handle

    def _run(self, plan: Plan, numbers: Sequence[int], inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return some values of the program for inputs."""
        values: list[Any] = [None] * self._slots
        values[: len(inputs)] = inputs
        for number, module, name in self._locations:
            values[number] = getattr(module, name)  # names were checked to be tensors of this module
        device = inputs[0].device
        step = None
        try:
            for step, released in zip(plan.steps, plan.released, strict=True):
                args = [_fill(value, values, device) for value in step.args]
                kwargs = {key: _fill(value, values, device) for key, value in step.kwargs.items()}
                values[step.target] = step.function(*args, **kwargs)
                for number in released:
                    values[number] = None
        except STEP_ERRORS as error:
            if torch.compiler.is_exporting():
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise DataError(
                Message("the network's program stops at {step}: {reason}", step=step.name, reason=reason)
                if step
                else Message("the network's program stops at its inputs: {reason}", reason=reason),
                Message("give inputs as in training, or load the run with its code: model=net.py:Net"),
            ) from error
        outputs = [values[number] for number in numbers]
        if not all(isinstance(value, torch.Tensor) for value in outputs):
            raise DataError(Message("the network's program returns something that is not a tensor"), INTACT_COPY)
        return outputs

    def _read_inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
        """Return the input tensors in the program's order, after comparing them with its inputs."""
        inputs: list[torch.Tensor] = []
        x = kwargs or (args[0] if len(args) == 1 else args)
        try:
            structure = flatten_structure(x, inputs)
        except ValueError as error:
            raise DataError(
                Message("the network's program takes tensors, got {received}", received=error), Message("give tensors")
            ) from None
        if structure != self.program_data.arguments:
            raise DataError(
                Message(
                    "the network's program takes {expected} inputs in another form than the {received} that it got",
                    expected=len(self.program_data.inputs),
                    received=len(inputs),
                ),
                Message("give inputs as in training"),
            )
        for node, x in zip(self.program_data.inputs, inputs, strict=True):
            if len(x.shape) != len(node.shape) or any(
                size is not None and size != actual for size, actual in zip(node.shape, x.shape, strict=True)
            ):
                expected = ", ".join("N" if size is None else str(size) for size in node.shape)
                raise DataError(
                    Message(
                        "the network takes inputs of shape ({expected}), got {shape}",
                        expected=expected,
                        shape=tuple(x.shape),
                    ),
                    Message("reshape the inputs"),
                )
        return inputs

    def _count_rows(self, inputs: Sequence[torch.Tensor]) -> int:
        pairs = zip(self.program_data.inputs, inputs, strict=True)
        return next((x.shape[0] for node, x in pairs if node.shape[:1] == [None]), 1)

    def _take_row(self, inputs: Sequence[torch.Tensor], row: int) -> list[torch.Tensor]:
        pairs = zip(self.program_data.inputs, inputs, strict=True)
        return [x[row : row + 1] if node.shape[:1] == [None] else x for node, x in pairs]

    def add_tensor(self, path: Sequence[str], tensor: torch.Tensor, *, kind: TensorKind) -> tuple[nn.Module, str]:
        """Register a tensor under its name in the state dict; return the submodule that holds it, and its name there.

        Raises:
            KeyError: a part of the name is that of a method.
        """
        module: nn.Module = self
        for part in path[:-1]:
            child = dict(module.named_children()).get(part)
            if child is None:
                child = nn.Module()
                module.add_module(part, child)
            module = child
        if kind == "parameter":
            module.register_parameter(path[-1], nn.Parameter(tensor, requires_grad=False))
        else:
            module.register_buffer(path[-1], tensor, persistent=kind == "buffer")
        return module, path[-1]

    def place_tensor(self, number: int, module: nn.Module, name: str) -> None:
        """Make a registered tensor the value of a node."""
        self._locations.append((number, module, name))


def make_plan(steps: Sequence[Step], numbers: Sequence[int]) -> Plan:
    """Return the steps that some values need, in order.

    >>> steps = [Step(name, abs, [Reference(number)], {}, number + 1) for number, name in enumerate("abc")]
    >>> plan = make_plan(steps, [2])
    >>> [step.name for step in plan.steps], plan.released
    (['a', 'b'], ((0,), (1,)))
    """
    required, chosen = set(numbers), []
    released = []
    for step in reversed(steps):
        if step.target in required:
            references = set(_find_references([step.args, list(step.kwargs.values())]))
            chosen.append(step)
            released.append(tuple(sorted(references - required)))
            required |= references
    return Plan(tuple(reversed(chosen)), tuple(reversed(released)))


def _find_references(value: Any) -> list[int]:
    if isinstance(value, Reference):
        return [value.index]
    return [number for item in value for number in _find_references(item)] if isinstance(value, list) else []


def _fill(value: Any, values: Sequence[Any], device: torch.device) -> Any:
    """Return an argument with values in place of references."""
    if isinstance(value, Reference):
        return values[value.index]
    if isinstance(value, list):
        return [_fill(item, values, device) for item in value]
    return device if isinstance(value, Device) else value
