"""The output of a user's own network: picked, brought to ``(B, O)``, and checked against the data.

What has to be changed is done by a forward hook of the network, a public part of torch: its layers, parameters and
saved weights keep the user's own names.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message, join_messages, plural_message
from yisheng.core.modes import evaluation_mode
from yisheng.core.seeds import isolated_generators
from yisheng.core.spec import Spec
from yisheng.models._custom import describe_parameters, has_lazy_parameters

OUTPUT_NAMES: Final = ("logits", "output", "out", "pred", "prediction", "predictions", "y", "y_hat", "scores")
"""Names under which networks return what the loss gets, the first that is there."""

IMAGE_AXES: Final = 4
"""Axes of a batch of images: rows, channels, height, width."""


@dataclass(frozen=True)
class OutputRule:
    """How the output of a network becomes ``(B, O)``.

    Args:
        path: names and positions that lead to the tensor; empty for a network that returns a tensor.
        adds_axis: whether ``(B,)`` becomes ``(B, 1)``.
        drops_axes: whether axes of size 1 after the second are removed.
    """

    path: tuple[str | int, ...] = ()
    adds_axis: bool = False
    drops_axes: bool = False

    @property
    def is_identity(self) -> bool:
        """Return whether the network's output is used as it is."""
        return not (self.path or self.adds_axis or self.drops_axes)

    def apply(self, output: Any) -> torch.Tensor:
        """Return the tensor ``(B, O)`` of a network's output."""
        for key in self.path:
            output = _get(output, key)
        tensor: torch.Tensor = output
        if self.adds_axis:
            return tensor.unsqueeze(-1)
        return tensor.flatten(1) if self.drops_axes else tensor


class OutputHook:
    """A forward hook that applies an `OutputRule`; it survives a deep copy of the network.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: OutputRule) -> None:
        self.rule = rule

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> torch.Tensor:  # noqa: ARG002  # a hook of torch
        """Return the output that the loss gets."""
        return self.rule.apply(output)


def _spread_inputs(
    network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give a batch of several inputs to ``forward`` as its arguments: a forward pre-hook."""
    return (args, kwargs) if len(args) != 1 or kwargs else nested.arguments_of(network, args[0])


def fit_output(network: nn.Module, x: Any, spec: Spec, *, output: str | None = None) -> tuple[Spec, OutputRule]:
    """Run a network on some rows; make it return ``(B, O)``, and return the contract with its number of outputs.

    The pass runs in eval mode without gradients, on a copy if the network does not need it to create its layers.

    Args:
        network: the network; a hook is registered if its output has to be changed.
        x: scaled inputs of two rows or more, as the network gets them in training.
        spec: the contract of the data.
        output: what to use of several outputs: a name, a position, or several with dots between them.

    Raises:
        UsageError: the network cannot take the inputs, or its output does not fit the target.

    >>> spec = Spec("classification", (4,), classes=("a", "b"))
    >>> fit_output(nn.Linear(4, 2), torch.zeros(2, 4), spec)[1].is_identity
    True
    >>> fit_output(nn.Linear(4, 3), torch.zeros(2, 4), spec)
    Traceback (most recent call last):
    yisheng.core.errors.UsageError: the network returns 3 values for each row, the data has 2 classes
      give its last layer 2 outputs
    """
    rows = len(next(iter(x.values())) if isinstance(x, Mapping) else x[0] if isinstance(x, tuple) else x)
    if isinstance(x, Mapping | tuple):
        network.register_forward_pre_hook(_spread_inputs, with_kwargs=True)
    result = _run(network, x)
    path = _find_path(result, output)
    rule = _fit_axes(OutputRule(path).apply(result), rows, path)
    fitted = _require_outputs(rule.apply(result), spec)
    if not rule.is_identity:
        network.register_forward_hook(OutputHook(rule))
    return fitted, rule


def _run(network: nn.Module, x: Any) -> Any:
    """Return the output for some rows; only a network that creates its layers then is run itself."""
    with isolated_generators():
        if has_lazy_parameters(network):
            return _forward(network, x)
        probe = copy.deepcopy(network)
        initial_parameters = describe_parameters(probe)
        result = _forward(probe, x)
        if describe_parameters(probe) != initial_parameters:
            return _forward(network, x)
    return result


def _forward(network: nn.Module, x: Any) -> Any:
    try:
        with evaluation_mode(network), torch.no_grad():
            return network(x)
    except Exception as error:
        shapes = _describe(x)
        raise UsageError(
            Message(
                "the network cannot take inputs of {shapes}: {type_name}: {reason}",
                shapes=shapes,
                type_name=type(error).__name__,
                reason=" ".join(str(error).split())[:300],
            ),
            _suggest_fix(network, x),
        ) from error


def _suggest_fix(network: nn.Module, x: Any) -> Message:
    """Return the remedy for a network that cannot take some inputs."""
    dtypes = {parameter.dtype for parameter in network.parameters() if parameter.is_floating_point()}
    if dtypes - {torch.float32}:
        return Message("its weights are not float32: call net.float() first, and use precision= for the training")
    convolves = any(isinstance(module, nn.Conv2d) for module in network.modules())
    if convolves and isinstance(x, torch.Tensor) and x.ndim == IMAGE_AXES - 1:
        return Message("images have an axis for their channels, gray ones too: give x[:, None]")
    return Message("call it on a tensor of that shape to see where; the first axis is the batch")


def _find_path(result: Any, output: str | None) -> tuple[str | int, ...]:
    """Return the path to the tensor that the loss gets."""
    if output is not None:
        path: tuple[str | int, ...] = tuple(int(part) if part.isdecimal() else part for part in output.split("."))
        value = result
        for key in path:
            try:
                value = _get(value, key)
            except (KeyError, IndexError, TypeError, AttributeError):
                raise UsageError(
                    Message("output={output}: the network returns {result}", output=output, result=_describe(result)),
                    Message("use one of {outputs}", outputs=", ".join(_list_outputs(result))),
                ) from None
        if not isinstance(value, torch.Tensor):
            raise UsageError(
                Message("output={output} is {description}, not a tensor", output=output, description=_describe(value)),
                Message("use one of {outputs}", outputs=", ".join(_list_outputs(result))),
            )
        return path
    if isinstance(result, torch.Tensor):
        return ()
    if isinstance(result, tuple | list) and result and not hasattr(result, "_fields"):
        return (0, *_find_path(result[0], None))
    if result is None:
        raise UsageError(
            Message("the network returns None"), Message("end forward with a return: return self.output(x)")
        )
    for name in OUTPUT_NAMES:
        value = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if isinstance(value, torch.Tensor):
            return (name,)
    raise UsageError(
        Message("the network returns {result}, and it is not clear what the loss gets of it", result=_describe(result)),
        Message("name it: output={output}", output=(_list_outputs(result) or ["logits"])[0]),
    )


def _get(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value[key]
    return value[key] if isinstance(key, int) else getattr(value, key)


def _list_outputs(result: Any) -> list[str]:
    if isinstance(result, Mapping):
        return [str(key) for key in result]
    if isinstance(result, tuple | list):
        return [str(index) for index in range(len(result))]
    attributes = getattr(result, "__dict__", {})
    return [name for name, value in attributes.items() if isinstance(value, torch.Tensor)]


def _fit_axes(tensor: torch.Tensor, rows: int, path: tuple[str | int, ...]) -> OutputRule:
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point():
        raise UsageError(
            Message("the network returns {dtype} values, which have no gradient", dtype=tensor.dtype),
            Message("return logits or real numbers"),
        )
    if not shape or shape[0] != rows:
        raise UsageError(
            Message(
                "the network returns a tensor of shape {shape} for a batch of {rows} rows: its batch axis is missing",
                shape=shape,
                rows=rows,
            ),
            Message("return one row for each of the {rows}: the first axis is the batch", rows=rows),
        )
    if len(shape) == 1:
        return OutputRule(path, adds_axis=True)
    if len(shape) > 2:
        if any(size != 1 for size in shape[2:]):
            raise UsageError(
                Message(
                    "the network returns a tensor of shape {shape}, where one row of values for each row is needed",
                    shape=shape,
                ),
                Message("reduce the other axes, as in x.mean(1), x[:, -1] or x.flatten(1)"),
            )
        return OutputRule(path, drops_axes=True)
    return OutputRule(path)


def _require_outputs(tensor: torch.Tensor, spec: Spec) -> Spec:
    """Return the contract with the network's number of outputs."""
    count = tensor.shape[1]
    if torch.isnan(tensor).any():
        raise UsageError(
            Message("the network returns NaN before any training"),
            Message("look for a division by zero, a logarithm or a root in it"),
        )
    required = spec.outputs if spec.task == "regression" else len(spec.classes)
    if count != required and not (spec.task == "classification" and required == 2 and count == 1):
        values = {"count": count, "required": required}
        if spec.task == "regression":
            problem = Message("the network returns {count} values for each row, the target has {required}", **values)
        elif spec.task == "multilabel":
            problem = Message(
                "the network returns {count} values for each row, the data has {required} labels", **values
            )
        else:
            problem = Message(
                "the network returns {count} values for each row, the data has {required} classes", **values
            )
        raise UsageError(
            problem,
            plural_message(
                required, "give its last layer {count} output", "give its last layer {count} outputs", count=required
            ),
        )
    return spec.with_outputs(count)


def _describe(value: Any) -> str:
    """Return type and shapes of a value, for an error."""
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return Message("shape {shape} ({dtype})", shape=tuple(value.shape), dtype=dtype)
    if isinstance(value, Mapping):
        return Message("a dictionary of {names}", names=", ".join(map(str, value)))
    if isinstance(value, tuple | list):
        return Message("{count} values: {values}", count=len(value), values=join_messages(map(_describe, value)))
    return type(value).__name__
