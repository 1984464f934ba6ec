"""Let recorders see a loss before its backward pass, without patching torch.

The network's output is given the class `TracedTensor`: a subclass of `torch.Tensor` that computes exactly as a tensor
does, passes its class on to what is computed from it, and calls the recorders of this thread when `backward` is called
on the result. After the update all traced tensors are plain tensors again. The class is changed in place, because
`Tensor.as_subclass` would add a node to the graph of the loss.
Source: "Extending torch with a Tensor-like type", https://docs.pytorch.org/docs/stable/notes/extending.html
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from yisheng.diagnosis.recorder.constant_terms import ConstantTerm, ConstantTerms
from yisheng.diagnosis.recorder.loss_calls import LOSS_FUNCTIONS
from yisheng.diagnosis.recorder.number_terms import READS, SUMS, NumberSeries, NumberTerms
from yisheng.diagnosis.recorder.source_lines import find_source

PLAIN_TYPES = (torch.Tensor, nn.Parameter)
CUTS = frozenset({"detach", "detach_", "numpy", "item", "tolist", "argmax", "round", "sign"})
"""Names of functions whose results do not depend on the parameters any more."""
ELEMENTWISE = frozenset(
    f"{prefix}{name}{suffix}"
    for name in ("add", "sub", "mul", "truediv")
    for prefix, suffix in (("", ""), ("__", "__"), ("__r", "__"))
)
"""Names of functions of two tensors that are broadcast to one shape."""
MIN_BROADCAST, MAX_BROADCASTS = 4, 8
"""Rows of a broadcast that is noted, and how many are."""
MIN_VALUE_AXES = 2
"""Axes of the values of a row that is an image; those of a row of one axis may be features compared with centers."""
MAX_REFERENCES = 4096
"""Traced tensors that are remembered in an evaluation before those that are gone are dropped."""


class Listener(Protocol):
    """Calls that a recorder receives around each backward pass of its thread."""

    def observing_backward(self, tensors: Any, grad_tensors: Any) -> contextlib.AbstractContextManager[None]:
        """Return a context that the backward pass of these tensors runs in."""

    def observe_loss_call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, error: BaseException | None
    ) -> None:
        """Note a call of a PyTorch loss function: its result, or what it raised."""

    def note_cut(self) -> None:
        """Note that the graph was left: by ``detach``, ``numpy`` or the like."""

    def note_failure(self, error: Exception) -> None:
        """Note an error of the code that follows the network's output."""


@dataclass(frozen=True)
class Broadcast:
    """Values of the rows of a network's output that were combined with all rows of something else.

    Args:
        output: shape of the output, or of what was computed from it: ``(N,)`` or ``(N, 1)``, of images ``(N, H, W)`` or
            ``(N, 1, H, W)``.
        operand: shape of the other tensor: ``(N, 1)`` or ``(N,)``, of images ``(N, 1, H, W)`` or ``(N, H, W)``.
        source: file and line.
    """

    output: tuple[int, ...]
    operand: tuple[int, ...]
    source: str


class _Local(threading.local):
    """The recorders of one thread, and whether it is inside a backward pass."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.traced: list[weakref.ref[torch.Tensor]] = []
        self.inside = False
        self.evaluating = False
        self.broadcasts: list[Broadcast] = []
        self.constants, self.numbers = ConstantTerms(), NumberTerms()


_local = _Local()


def add_listener(listener: Listener) -> None:
    """Have a recorder called around the backward passes of this thread."""
    if not _local.listeners:
        _local.broadcasts, _local.constants, _local.numbers = [], ConstantTerms(), NumberTerms()
    _local.listeners.append(listener)


def remove_listener(listener: Listener) -> None:
    """Undo `add_listener`."""
    if listener in _local.listeners:
        _local.listeners.remove(listener)


def is_inside_backward() -> bool:
    """Return whether this thread is inside a backward pass that its recorders know of."""
    return _local.inside


class TracedTensor(torch.Tensor):
    """A tensor that recorders follow from the network's output to the loss."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a torch function on the underlying tensors, and trace its floating-point results."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "backward":  # by name: a tool may have wrapped torch's function
            return _propagate(func, args, kwargs)
        if func in (torch.Tensor.__reduce_ex__, torch.Tensor.__deepcopy__):
            untrace(args[0])  # a copy or a file knows nothing of recorders
            return func(*args, **kwargs)
        if not all(issubclass(kind, (cls, *PLAIN_TYPES)) for kind in types):
            untrace((*args, *kwargs.values()))  # a class of the caller's own decides alone
            return func(*args, **kwargs)
        if name in LOSS_FUNCTIONS:
            return _call_loss(func, name, args, kwargs)
        if name in CUTS:
            for listener in _local.listeners:
                listener.note_cut()
        result = torch.Tensor.__torch_function__(func, (torch.Tensor,), args, kwargs)
        try:
            _note_result(func, name, args, kwargs, result)
        except Exception as error:  # not every operation is defined for every tensor
            for listener in _local.listeners:
                listener.note_failure(error)
        return trace(result) if _local.evaluating or torch.is_grad_enabled() else result


def list_broadcasts() -> list[Broadcast]:
    """Return the broadcasts that were seen in this thread since the first present recorder came."""
    return _local.broadcasts


def list_constant_terms() -> list[ConstantTerm]:
    """Return the sums with derivatives without a graph that were seen since the first present recorder came."""
    return _local.constants.terms


def list_number_terms() -> list[NumberSeries]:
    """Return the numbers without a gradient in the losses that were seen since the first present recorder came."""
    return list(_local.numbers.series.values())


def _note_result(
    func: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
) -> None:
    """Note what the result of a function says about the loss that it is on the way to."""
    if name == "grad" and func is torch.autograd.grad:
        _local.constants.note_derivative(args, kwargs, result)
    elif _local.constants.is_active:
        _local.constants.follow(name, args, result, find_source)
    if name in ELEMENTWISE:
        _note_broadcast(args, result)
    if args and (name in SUMS or name in READS) and torch.is_grad_enabled():
        _note_number(name, args, result)


def _note_number(name: str, args: Sequence[Any], result: Any) -> None:
    """Note that a number was added to a value with a gradient, or made of one."""
    traced = _make_plain((*args[:2], result))
    try:
        if name in SUMS:
            _local.numbers.note_sum(args, result, find_source)
        else:
            _local.numbers.note_read(args[0])
    finally:
        trace(traced)


def _note_broadcast(args: Sequence[Any], result: Any) -> None:
    """Note that rows were combined with all rows: ``(N, ...)`` and ``(N, 1, ...)`` give ``(N, N, ...)``."""
    if len(args) < 2 or not isinstance(result, torch.Tensor) or not torch.is_grad_enabled():
        return
    if result.ndim < 2 or not MIN_BROADCAST <= result.shape[0] == result.shape[1]:
        return
    first, second = args[:2]
    if type(first) is type(second) or not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)):
        return  # two outputs may be compared pair by pair
    rows, values = int(result.shape[0]), tuple(result.shape[2:])
    shapes = {tuple(first.shape), tuple(second.shape)}
    if shapes != {(rows, *values), (rows, 1, *values)} or len(_local.broadcasts) >= MAX_BROADCASTS:
        return
    output, operand = (first, second) if type(first) is TracedTensor else (second, first)
    if values and (len(values) < MIN_VALUE_AXES or isinstance(operand, nn.Parameter) or _is_unsqueezed(output)):
        return  # rows of features may be compared with as many centers
    _local.broadcasts.append(Broadcast(tuple(output.shape), tuple(operand.shape), find_source()))


def _is_unsqueezed(output: torch.Tensor) -> bool:
    """Return whether an axis was added to values on purpose, as to compare them pair by pair."""
    node = output.grad_fn
    return node is not None and node.name() == "UnsqueezeBackward0"


def trace_evaluation(output: Any) -> None:
    """Trace an output without a graph, so that the loss of an evaluation is seen."""
    _local.evaluating = True
    if len(_local.traced) > MAX_REFERENCES:
        _local.traced[:] = [reference for reference in _local.traced if reference() is not None]
    trace(output)


def end_evaluation() -> None:
    """Undo the mode of `trace_evaluation`; training goes on."""
    _local.evaluating = False


def trace(value: Any) -> Any:
    """Make plain floating-point tensors `TracedTensor`, also within tuples, lists and dicts; return the value."""
    if type(value) is torch.Tensor:
        if value.is_floating_point():
            _set_class(value, TracedTensor)
            _local.traced.append(weakref.ref(value))
    elif isinstance(value, tuple | list):
        for item in value:
            trace(item)
    elif isinstance(value, dict):
        for item in value.values():
            trace(item)
    return value


def untrace(value: Any) -> None:
    """Undo `trace`."""
    if type(value) is TracedTensor:
        _set_class(value, torch.Tensor)
    elif isinstance(value, tuple | list):
        for item in value:
            untrace(item)


def _set_class(value: torch.Tensor, kind: type[torch.Tensor]) -> None:
    value.__class__ = kind


def untrace_all() -> None:
    """Make every traced tensor of this thread a plain tensor again."""
    for reference in _local.traced:
        untrace(reference())
    _local.traced.clear()
    _local.constants.forget()
    _local.numbers.forget()


def _call_loss(func: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a loss function, and have the recorders note its result or what it raises."""
    traced = _make_plain((*args, *kwargs.values()))
    try:
        try:
            result = torch.Tensor.__torch_function__(func, (torch.Tensor,), args, kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            for listener in _local.listeners:
                listener.observe_loss_call(name, args, kwargs, None, error)
            raise
        for listener in _local.listeners:
            listener.observe_loss_call(name, args, kwargs, result, None)
    finally:
        trace(traced)
    return trace(result) if torch.is_grad_enabled() else result


def _propagate(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a backward pass inside the recorders' contexts; passes within it (checkpointing) belong to it."""
    if _local.inside:
        return torch.Tensor.__torch_function__(func, (torch.Tensor,), args, kwargs)
    tensors = args[0] if args else kwargs.get("tensors", kwargs.get("self"))
    gradients = args[1] if len(args) > 1 else kwargs.get("grad_tensors", kwargs.get("gradient"))
    traced = _make_plain(tensors if isinstance(tensors, tuple | list) else (tensors,))
    try:
        _confirm_numbers(tensors)
        contexts = [listener.observing_backward(tensors, gradients) for listener in _local.listeners]
        if len(contexts) == 1:
            with contexts[0]:
                return _run_inside(func, args, kwargs)
        with contextlib.ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            return _run_inside(func, args, kwargs)
    finally:
        trace(traced)


def _confirm_numbers(tensors: Any) -> None:
    try:
        _local.numbers.confirm(tensors)
    except Exception as error:
        for listener in _local.listeners:
            listener.note_failure(error)


def _run_inside(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    _local.inside = True
    try:
        return torch.Tensor.__torch_function__(func, (torch.Tensor,), args, kwargs)
    finally:
        _local.inside = False


def _make_plain(values: Sequence[Any]) -> list[Any]:
    """Make traced tensors plain and return them: every look at a traced one costs as much as a small operation."""
    traced = [value for value in values if type(value) is TracedTensor]
    for value in traced:
        _set_class(value, torch.Tensor)
    return traced
