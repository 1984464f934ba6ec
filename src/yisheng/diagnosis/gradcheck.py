"""Backward passes that someone wrote: are they the derivative of the forward pass?"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import BackwardCFunction

from yisheng.core.types import Finding
from yisheng.diagnosis.loss_graph import graph_nodes

ROWS, DIRECTIONS = 3, 2
"""Samples that a layer is given, and directions that each of its inputs and weights is moved in."""
STEP, OFF = 1e-6, 1e-3
"""How far, relative to the size of what is moved; and how far derivatives may be apart, relative to the larger one."""
FLAT = 1e-9
"""A layer whose output moves less than this in every direction has steps: its gradient is a stand-in, and meant."""
Call = Callable[[], Sequence[torch.Tensor]]


@dataclass(frozen=True)
class WrongDerivative:
    """A derivative that a backward pass gives and that the forward pass has not.

    Args:
        layer: name of the module, empty for the network's own forward.
        function: name of the autograd function.
        of: what was moved: ``input 0`` or a parameter's name.
        backward: derivative along a direction as the backward pass says.
        measured: as central differences of the forward pass say.
        passed: whether the backward pass gives each value of the gradient on as it came, or zero.
    """

    layer: str
    function: str
    of: str
    backward: float
    measured: float
    passed: bool


def check_backward(model: nn.Module, x: torch.Tensor) -> Finding | None:
    """The first layer with a backward pass of someone's own that is not the derivative of its forward pass.

    For a layer f, random u and v: v·f'(θ)u, as autograd says, against v·(f(θ + εu) - f(θ - εu)) / 2ε, in double
    precision. What is meant to be another derivative is left in peace: where the forward pass changes nothing (a
    gradient that is turned round or clipped) or has steps (a rounding whose gradient is passed straight through). A
    gradient that is passed straight through something else, as a clamp, may be meant: it is a note.

    Args:
        model: it is copied; nothing is changed.
        x: some inputs, of which a few are taken.

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
    >>> found = wrong_backward(nn.Sequential(nn.Linear(2, 3), Layer()), torch.randn(8, 2))
    >>> found.evidence["layer"], found.evidence["function"], found.evidence["of"]
    ('1', 'Square', 'input 0')
    """
    if not any(True for _ in model.parameters()):
        return None
    with torch.random.fork_rng([]), torch.enable_grad():
        torch.manual_seed(0)
        try:
            wrong = next(_wrong(copy.deepcopy(model).double(), _doubled(x.detach()[:ROWS].clone())), None)
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, AttributeError):
            return None  # some layers cannot be copied, or do not work in double precision or with few rows
    if wrong is None:
        return None
    where = f"layer {wrong.layer}" if wrong.layer else "the network's forward"
    return Finding(
        "wrong-backward",
        "note" if wrong.passed else "error",
        {
            "layer": wrong.layer,
            "function": wrong.function,
            "of": wrong.of,
            "backward": wrong.backward,
            "measured": wrong.measured,
        },
        f"the backward pass of {wrong.function} in {where} is not the derivative of its forward pass: along "
        f"a direction of {wrong.of} it says {wrong.backward:.4g}, and the output changes by {wrong.measured:.4g}"
        + (" (it passes the gradient straight through)" if wrong.passed else ""),
        "mend its backward, and try it with torch.autograd.gradcheck in double precision",
    )


@dataclass
class _Seen:
    """A module's first call in a forward pass."""

    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    functions: tuple[str, ...]


def _wrong(model: nn.Module, x: torch.Tensor) -> Iterator[WrongDerivative]:
    """Derivatives that are off, of the innermost modules with functions of someone's own."""
    seen = _calls(model, x)
    for name, module in reversed(list(model.named_modules())):  # a part comes after what it is part of
        call = seen.get(name)
        inside = {one for other, found in seen.items() if _is_part(other, name) for one in found.functions}
        if call is None or not (own := [one for one in call.functions if one not in inside]):
            continue
        yield from _off(module, call, name, own[0])


def _is_part(name: str, of: str) -> bool:
    return name != of and (not of or name.startswith(of + "."))


def _calls(model: nn.Module, x: torch.Tensor) -> dict[str, _Seen]:
    """What each module was given in a forward pass, and the functions of someone's own that it used."""
    seen: dict[str, _Seen] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any], output: Any) -> None:
            above = {id(node) for given in _floats((arguments, named)) if given.grad_fn for node in graph_nodes(given)}
            nodes = [node for one in _floats(output) if one.grad_fn for node in graph_nodes(one) if id(node) not in above]
            own = tuple(dict.fromkeys(filter(None, map(_own_function, nodes))))
            if own and name not in seen:
                seen[name] = _Seen(_cut(arguments), _cut(named), own)

        return hook

    handles = [part.register_forward_hook(note(name), with_kwargs=True) for name, part in model.named_modules()]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _own_function(node: Any) -> str:
    """The name of the autograd function behind a node, if torch did not bring it."""
    function = getattr(node, "_forward_cls", None) if isinstance(node, BackwardCFunction) else None
    return "" if function is None or function.__module__.split(".")[0] == "torch" else str(function.__name__)


def _off(module: nn.Module, call: _Seen, name: str, function: str) -> Iterator[WrongDerivative]:
    given = [tensor.requires_grad_(True) for tensor in _floats((call.arguments, call.named))]
    moved = {f"input {at}": tensor for at, tensor in enumerate(given)}
    moved |= {key: p for key, p in module.named_parameters() if p.requires_grad and p.is_floating_point()}

    def run() -> list[torch.Tensor]:
        torch.manual_seed(0)  # dropout and the like draw the same
        return [one for one in _floats(module(*call.arguments, **call.named)) if one.requires_grad]

    outputs = run()
    if any(one.dtype != torch.float64 for one in outputs) or _changes_nothing(outputs, given):
        return
    weights = [torch.randn_like(one) for one in outputs]
    total = _dot(outputs, weights)
    gradients = torch.autograd.grad(total, list(moved.values()), allow_unused=True)
    found = []
    for (key, tensor), gradient in zip(moved.items(), gradients, strict=True):
        for _ in range(DIRECTIONS):
            along = torch.randn_like(tensor)
            said = 0.0 if gradient is None else float((gradient * along).sum())
            found.append((key, said, _measured(run, weights, tensor, along), _is_passed(gradient, weights)))
    if max((abs(measured) for _, _, measured, _ in found), default=0.0) < FLAT:
        return
    for key, said, measured, passed in found:
        scale = max(abs(said), abs(measured))
        if math.isfinite(said + measured) and abs(said - measured) > OFF * scale and scale > FLAT:
            yield WrongDerivative(name, function, key, said, measured, passed)


@torch.no_grad()
def _measured(run: Call, weights: Sequence[torch.Tensor], tensor: torch.Tensor, along: torch.Tensor) -> float:
    """The central difference along a direction; NaN where a bend lies in between, so that both sides differ."""
    before = tensor.clone()
    step = STEP * max(1.0, float(before.abs().max()) if before.numel() else 1.0)
    values = []
    with torch.enable_grad():  # as it was run before: some layers ask whether gradients are wanted
        for factor in (-1.0, 0.0, 1.0):
            with torch.no_grad():
                tensor.copy_(before + factor * step * along)
            values.append(float(_dot(run(), weights).detach()))
    tensor.copy_(before)
    left, right = (values[1] - values[0]) / step, (values[2] - values[1]) / step
    bent = abs(left - right) > 10 * OFF * max(abs(left), abs(right), FLAT)
    return math.nan if bent else (left + right) / 2


def _is_passed(gradient: torch.Tensor | None, weights: Sequence[torch.Tensor]) -> bool:
    """Whether a gradient is the one that came in, but for zeros."""
    if gradient is None or len(weights) != 1 or gradient.shape != weights[0].shape or not bool(gradient.any()):
        return False
    return bool(((gradient == weights[0]) | (gradient == 0)).all())


def _changes_nothing(outputs: Sequence[torch.Tensor], given: Sequence[torch.Tensor]) -> bool:
    """Whether each output is one of the inputs."""
    return all(any(one.shape == other.shape and torch.equal(one, other) for other in given) for one in outputs)


def _dot(outputs: Sequence[torch.Tensor], weights: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([(one * weight).sum() for one, weight in zip(outputs, weights, strict=True)]).sum()


def _floats(values: Any) -> list[torch.Tensor]:
    """Return the floating-point tensors in nested tuples, lists and dicts."""
    if isinstance(values, torch.Tensor):
        return [values] if values.is_floating_point() else []
    items = values.values() if isinstance(values, dict) else values if isinstance(values, tuple | list) else ()
    return [tensor for item in items for tensor in _floats(item)]


def _cut(values: Any) -> Any:
    """Return the same nested tuples, lists and dicts with copies of their tensors, detached from their graphs."""
    if isinstance(values, torch.Tensor):
        return values.detach().clone()
    if isinstance(values, dict):
        return type(values)((key, _cut(item)) for key, item in values.items())
    if isinstance(values, tuple) and hasattr(values, "_fields"):
        return type(values)(*map(_cut, values))
    return type(values)(map(_cut, values)) if isinstance(values, tuple | list) else values


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return x.double() if x.is_floating_point() else x
