"""Check whether custom backward passes are the derivative of their forward pass."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import BackwardCFunction

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.loss_graph import graph_nodes
from yisheng.diagnosis.nested_tensors import list_float_tensors

MAX_SAMPLES, DIRECTIONS = 3, 2
"""Samples that a layer is given, and random directions per input and weight."""
RELATIVE_STEP, TOLERANCE = 1e-6, 1e-3
"""Step relative to the size of the tensor; and relative difference between the derivatives that is reported."""
MIN_DERIVATIVE = 1e-9
"""A layer whose output changes by less in every direction is a step function: its gradient differs on purpose."""
ComputeOutputs = Callable[[], Sequence[torch.Tensor]]


@dataclass(frozen=True)
class WrongDerivative:
    """A derivative of a backward pass that is not that of the forward pass.

    Args:
        layer: name of the module, empty for the network's own forward.
        function: name of the autograd function.
        of: the tensor in question: ``input 0`` or the name of a parameter.
        backward: derivative along a direction according to the backward pass.
        measured: the same by central differences of the forward pass.
        is_straight_through: whether the backward pass returns each value of the gradient unchanged, or zero.
    """

    layer: str
    function: str
    of: str
    backward: float
    measured: float
    is_straight_through: bool


@dataclass
class _Call:
    """A module's first call in a forward pass.

    Args:
        arguments: its positional arguments.
        keywords: its keyword arguments.
        functions: names of the custom autograd functions that it used.
    """

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    functions: tuple[str, ...]


def check_backward(model: nn.Module, x: torch.Tensor) -> Finding | None:
    """Return a finding for the first layer with a custom backward pass that is not the derivative of its forward pass.

    For a layer f and random u and v it compares v·f'(θ)u, as autograd computes it, with
    v·(f(θ + εu) - f(θ - εu)) / 2ε, in double precision. A derivative that differs on purpose is not reported: of a
    forward pass that changes nothing (a gradient that is reversed or clipped), or of a step function (a rounding with a
    straight-through gradient). A straight-through gradient of another function, such as a clamp, may be on purpose: it
    is a note.

    Args:
        model: the network; a copy is used.
        x: inputs ``(B, ...)``, of which the first few are used.

    Source: Griewank and Walther, "Evaluating derivatives", 2008, section 1.2; torch.autograd.gradcheck.

    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         return 3 * ctx.saved_tensors[0] * gradient
    >>> class Layer(nn.Module):
    ...     def forward(self, x):
    ...         return Square.apply(x)
    >>> found = check_backward(nn.Sequential(nn.Linear(2, 3), Layer()), torch.randn(8, 2))
    >>> found.evidence["layer"], found.evidence["function"], found.evidence["of"]
    ('1', 'Square', 'input 0')
    """
    if not any(True for _ in model.parameters()):
        return None
    with torch.random.fork_rng([]), torch.enable_grad():
        torch.manual_seed(0)
        try:
            model = copy.deepcopy(model).double()
            wrong = next(_wrong_derivatives(model, _to_double(x.detach()[:MAX_SAMPLES].clone())), None)
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, AttributeError):
            return None  # some layers cannot be copied, or do not work in double precision or with few rows
    return None if wrong is None else _build_finding(wrong)


def _build_finding(wrong: WrongDerivative) -> Finding:
    layer = Message("layer {name}", name=wrong.layer)
    problem = Message(
        "the backward pass of {function} in {place} is not the derivative of its forward pass: along a direction of "
        "{part} it returns {backward}, and the output changes by {measured}",
        function=wrong.function,
        place=layer if wrong.layer else Message("the network's forward"),
        part=wrong.of,
        backward=f"{wrong.backward:.4g}",
        measured=f"{wrong.measured:.4g}",
    )
    return Finding(
        "wrong-backward",
        "note" if wrong.is_straight_through else "error",
        {
            "layer": wrong.layer,
            "function": wrong.function,
            "of": wrong.of,
            "backward": wrong.backward,
            "measured": wrong.measured,
        },
        Message("{problem} (its gradient is straight-through)", problem=problem)
        if wrong.is_straight_through
        else problem,
        Message("fix its backward pass, and test it with torch.autograd.gradcheck in double precision"),
    )


def _wrong_derivatives(model: nn.Module, x: torch.Tensor) -> Iterator[WrongDerivative]:
    """Yield the wrong derivatives of the innermost modules with custom functions."""
    calls = _record_calls(model, x)
    for name, module in reversed(list(model.named_modules())):  # submodules before the module that contains them
        call = calls.get(name)
        in_submodules = {
            function
            for call_name, other_call in calls.items()
            if _is_submodule(call_name, name)
            for function in other_call.functions
        }
        own_functions = [] if call is None else [f for f in call.functions if f not in in_submodules]
        if call is not None and own_functions:
            yield from _compare_derivatives(module, call, name, own_functions[0])


def _is_submodule(name: str, parent: str) -> bool:
    return name != parent and (not parent or name.startswith(parent + "."))


def _record_calls(model: nn.Module, x: torch.Tensor) -> dict[str, _Call]:
    """Return the first call of each module that uses custom functions, by the module's name."""
    calls: dict[str, _Call] = {}

    def make_hook(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> None:
            inputs = list_float_tensors((arguments, keywords))
            input_nodes = {id(node) for tensor in inputs if tensor.grad_fn for node in graph_nodes(tensor)}
            outputs = [tensor for tensor in list_float_tensors(output) if tensor.grad_fn]
            nodes = [node for tensor in outputs for node in graph_nodes(tensor) if id(node) not in input_nodes]
            functions = tuple(dict.fromkeys(filter(None, map(_custom_function, nodes))))
            if functions and name not in calls:
                calls[name] = _Call(_detach(arguments), _detach(keywords), functions)

        return hook

    handles = [
        module.register_forward_hook(make_hook(name), with_kwargs=True) for name, module in model.named_modules()
    ]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _custom_function(node: Any) -> str:
    """Return the name of the autograd function of a node; empty if torch provides it."""
    function = getattr(node, "_forward_cls", None) if isinstance(node, BackwardCFunction) else None
    return "" if function is None or function.__module__.split(".")[0] == "torch" else str(function.__name__)


def _compare_derivatives(module: nn.Module, call: _Call, name: str, function: str) -> Iterator[WrongDerivative]:
    """Yield the derivatives of a module for which backward pass and central differences disagree."""
    inputs = [tensor.requires_grad_(True) for tensor in list_float_tensors((call.arguments, call.keywords))]
    tensors = {f"input {i}": tensor for i, tensor in enumerate(inputs)}
    tensors |= {key: p for key, p in module.named_parameters() if p.requires_grad and p.is_floating_point()}

    def compute_outputs() -> list[torch.Tensor]:
        torch.manual_seed(0)  # dropout draws the same numbers each time
        return [
            tensor for tensor in list_float_tensors(module(*call.arguments, **call.keywords)) if tensor.requires_grad
        ]

    outputs = compute_outputs()
    if any(tensor.dtype != torch.float64 for tensor in outputs) or _are_inputs(outputs, inputs):
        return
    v = [torch.randn_like(tensor) for tensor in outputs]
    gradients = torch.autograd.grad(_dot(outputs, v), list(tensors.values()), allow_unused=True)
    derivatives = []
    for (key, tensor), gradient in zip(tensors.items(), gradients, strict=True):
        for _ in range(DIRECTIONS):
            u = torch.randn_like(tensor)
            backward = 0.0 if gradient is None else float((gradient * u).sum())
            measured = _central_difference(compute_outputs, v, tensor, u)
            derivatives.append(
                WrongDerivative(name, function, key, backward, measured, _is_straight_through(gradient, v))
            )
    if max((abs(derivative.measured) for derivative in derivatives), default=0.0) < MIN_DERIVATIVE:
        return
    yield from filter(_is_wrong, derivatives)


def _is_wrong(derivative: WrongDerivative) -> bool:
    scale = max(abs(derivative.backward), abs(derivative.measured))
    difference = abs(derivative.backward - derivative.measured)
    return math.isfinite(difference) and difference > TOLERANCE * scale and scale > MIN_DERIVATIVE


@torch.no_grad()
def _central_difference(
    compute_outputs: ComputeOutputs, v: Sequence[torch.Tensor], tensor: torch.Tensor, u: torch.Tensor
) -> float:
    """Return the central difference along a direction; NaN if the slopes of both sides differ, as at a kink."""
    original = tensor.clone()
    step = RELATIVE_STEP * max(1.0, float(original.abs().max()) if original.numel() else 1.0)
    values = []
    with torch.enable_grad():  # some layers compute something else if no gradients are required
        for factor in (-1.0, 0.0, 1.0):
            with torch.no_grad():
                tensor.copy_(original + factor * step * u)
            values.append(float(_dot(compute_outputs(), v).detach()))
    tensor.copy_(original)
    below, above = (values[1] - values[0]) / step, (values[2] - values[1]) / step
    has_kink = abs(below - above) > 10 * TOLERANCE * max(abs(below), abs(above), MIN_DERIVATIVE)
    return math.nan if has_kink else (below + above) / 2


def _is_straight_through(gradient: torch.Tensor | None, v: Sequence[torch.Tensor]) -> bool:
    """Return whether a gradient is the incoming one, apart from zeros."""
    if gradient is None or len(v) != 1 or gradient.shape != v[0].shape or not bool(gradient.any()):
        return False
    return bool(((gradient == v[0]) | (gradient == 0)).all())


def _are_inputs(outputs: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]) -> bool:
    """Return whether each output equals one of the inputs."""
    return all(any(x.shape == output.shape and torch.equal(output, x) for x in inputs) for output in outputs)


def _dot(outputs: Sequence[torch.Tensor], v: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([(output * weight).sum() for output, weight in zip(outputs, v, strict=True)]).sum()


def _detach(values: Any) -> Any:
    """Return the same nested tuples, lists and dicts with copies of their tensors, detached from their graphs."""
    if isinstance(values, torch.Tensor):
        return values.detach().clone()
    if isinstance(values, dict):
        return type(values)((key, _detach(item)) for key, item in values.items())
    if isinstance(values, tuple) and hasattr(values, "_fields"):
        return type(values)(*map(_detach, values))
    return type(values)(map(_detach, values)) if isinstance(values, tuple | list) else values


def _to_double(x: torch.Tensor) -> torch.Tensor:
    return x.double() if x.is_floating_point() else x
