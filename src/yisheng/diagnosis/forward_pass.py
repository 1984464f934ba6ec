"""What one forward pass of a copy of a network shows: calls that are cut off from the output, tensors used twice."""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from yisheng.diagnosis.nested_tensors import are_equal, list_float_tensors
from yisheng.diagnosis.probe import MAX_WEIGHTS, REFUSALS, is_compiled
from yisheng.diagnosis.recorder.cuts import CUTS
from yisheng.diagnosis.recorder.source_lines import find_direct_source
from yisheng.diagnosis.recurrent_calls import RecurrentCalls, UnpassedState

MIN_CALLS, MAX_CALLS = 4, 512
"""Calls of one layer in a pass, from which on it is a loop over steps, and up to which their results are kept."""
JOINING = frozenset({"cat", "concat", "concatenate", "hstack"})
SUMMING = frozenset(
    {"add", "__add__", "__radd__", "__iadd__", "add_", "sub", "__sub__", "__rsub__", "__isub__", "sub_"}
)
PASSING = frozenset(
    {"relu", "relu_", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "dropout", "dropout2d", "batch_norm"}
    | {"layer_norm", "group_norm", "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "interpolate", "flatten"}
    | {"contiguous", "clone", "adaptive_avg_pool2d", "adaptive_avg_pool1d"}
)
"""Names of functions that keep equal features equal."""
MATRIX_PRODUCTS = frozenset(
    {"linear", "matmul", "__matmul__", "mm", "lstm", "gru", "rnn_tanh", "lstm_cell", "gru_cell"}
)
"""Names of functions that multiply the last axis of their first argument with weights."""
CONVOLUTIONS = {f"conv{kind}{axes}d": axes for kind in ("", "_transpose") for axes in (1, 2, 3)}
"""By name: axes of the images of a convolution, whose features are on the axis before them."""


@dataclass(frozen=True)
class Duplicate:
    """A tensor that a program combines with itself.

    Args:
        function: name of the function that combines.
        shape: of the tensor.
        source: file and line.
    """

    function: str
    shape: tuple[int, ...]
    source: str


@dataclass(frozen=True)
class CutCalls:
    """Calls of a layer whose results have no gradient, except those of the last one.

    Args:
        parameters: names of the parameters that the calls use.
        calls: how often each was used in one pass.
        source: the line that leaves the graph; empty if it is unknown.
    """

    parameters: tuple[str, ...]
    calls: int
    source: str


@dataclass(frozen=True)
class ForwardPass:
    """What one forward pass showed.

    Args:
        duplicates: tensors that depend on parameters, and are joined with or added to themselves.
        cut_calls: calls that are cut off from the output, or None.
        untracked: names of parameters that are used only while gradients are switched off.
        unpassed: a recurrent cell or layer that begins each step with a state of zeros, or None.
        unused_calls: calls of layers whose results the output does not depend on, except the last one's, or None.
    """

    duplicates: tuple[Duplicate, ...] = ()
    cut_calls: CutCalls | None = None
    untracked: frozenset[str] = frozenset()
    unpassed: UnpassedState | None = None
    unused_calls: CutCalls | None = None


def observe_forward_pass(
    model: nn.Module, example: tuple[torch.Tensor, ...] | None, trained: frozenset[int], *, is_training: bool
) -> ForwardPass | None:
    """Return what one forward pass of a copy shows, or None if the network does not take the rows.

    The network and the random generators stay as they are.

    Args:
        model: the network.
        example: its arguments, each with the same rows ``(B, ...)``.
        trained: ``id`` of each parameter that the optimizer holds.
        is_training: whether the pass is one in training mode.

    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.first, self.last = nn.Linear(2, 3), nn.Linear(6, 1)
    ...     def forward(self, x):
    ...         x = self.first(x)
    ...         return self.last(torch.cat([x, x], 1))
    >>> net = Twice()
    >>> ids = frozenset(map(id, net.parameters()))
    >>> observe_forward_pass(net, (torch.ones(4, 2),), ids, is_training=True).duplicates[0].function
    'cat'
    """
    if example is None or is_compiled(model) or sum(p.numel() for p in model.parameters()) > MAX_WEIGHTS:
        return None
    names = [name for name, p in model.named_parameters() if id(p) in trained and p.requires_grad]
    devices = [example[0].device] if example[0].device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            passes = _Passes(copy.deepcopy(model).train(is_training), example, names)
            first = passes.run()
            untracked = frozenset(first.untracked - first.results.keys())
            cut, unused = _find_cut_calls(passes, first)
            unpassed = first.recurrent_calls.find_unpassed_state()
            return ForwardPass(tuple(first.duplicates), cut, untracked, unpassed, unused)
    except REFUSALS:
        return None


class _Passes:
    """Passes of one network over the same rows, with the same random numbers."""

    def __init__(self, network: nn.Module, example: tuple[torch.Tensor, ...], names: Sequence[str]) -> None:
        self._network, self._example, self._random_state = network, example, torch.get_rng_state()
        parameters = dict(network.named_parameters())
        self._names = {id(parameters[name]): name for name in names if name in parameters}

    def run(self, changed: tuple[str, int] | None = None) -> _PassMode:
        """Run one pass, in which the result of a call is changed: that of a parameter by its number."""
        torch.set_rng_state(self._random_state)
        mode = _PassMode(self._names, changed)
        with mode:
            output = self._network(*self._example)
        mode.outputs = list_float_tensors(output)
        return mode


class _PassMode(TorchFunctionMode):
    """Note the calls that use a parameter, and the tensors that are combined with themselves."""

    def __init__(self, names: Mapping[int, str], changed: tuple[str, int] | None) -> None:
        super().__init__()
        self.results: dict[str, list[list[torch.Tensor]]] = defaultdict(list)
        self.duplicates: list[Duplicate] = []
        self.untracked: set[str] = set()
        self.cut_lines: list[str] = []
        self.outputs: list[torch.Tensor] = []
        self.recurrent_calls = RecurrentCalls()
        self._names, self._changed = names, changed
        self._joined: dict[int, tuple[torch.Tensor, int, Duplicate]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        attribute = getattr(getattr(func, "__self__", None), "__name__", "") if name == "__get__" else name
        if attribute in CUTS:
            self._note_cut(args)
        tensors = [value for value in list_float_tensors(result) if value.requires_grad]
        is_tracked = torch.is_grad_enabled()
        if is_tracked and not tensors:
            return result
        used = {self._names[id(value)] for value in list_float_tensors((args, kwargs)) if id(value) in self._names}
        if not is_tracked:
            if name != "__get__" and list_float_tensors(result):
                self.untracked |= used
            return result
        for parameter in sorted(used):
            calls = self.results[parameter]
            if self._changed == (parameter, len(calls)):
                result = _change(result)
                tensors = list_float_tensors(result)
            calls.append(tensors if len(calls) < MAX_CALLS else [])
        self.recurrent_calls.note(name, args, tuple(sorted(used)))
        self._follow(name, args, kwargs, result)
        return result

    def _note_cut(self, args: Sequence[Any]) -> None:
        if any(isinstance(value, torch.Tensor) and value.requires_grad for value in args):
            line = find_direct_source()
            if line and line not in self.cut_lines:
                self.cut_lines.append(line)

    def _follow(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Follow a tensor joined with itself to the layer that reads it, and note sums of a tensor with itself."""
        first = args[0] if args else None
        if name in JOINING and isinstance(first, tuple | list) and isinstance(result, torch.Tensor):
            self._note_join(name, first, args, kwargs, result)
        elif name in SUMMING and len(args) > 1 and isinstance(first, torch.Tensor) and _share_memory(first, args[1]):
            if first.requires_grad and (line := find_direct_source()):
                self.duplicates.append(Duplicate(name.strip("_"), tuple(first.shape), line))
        elif id(first) in self._joined:
            joined, axis, duplicate = self._joined[id(first)]
            if name in PASSING and isinstance(result, torch.Tensor):
                self._joined[id(result)] = (result, axis, duplicate)
            elif axis == _find_feature_axis(name, joined.ndim) and duplicate not in self.duplicates:
                self.duplicates.append(duplicate)

    def _note_join(
        self, name: str, parts: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: torch.Tensor
    ) -> None:
        axis = 1 if name == "hstack" else kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else 0))
        learned = [part for part in parts if isinstance(part, torch.Tensor) and part.requires_grad]
        pairs = itertools.combinations(learned, 2)
        repeated = next((part for part, second in pairs if _are_same_features(part, second)), None)
        axis = axis % result.ndim if isinstance(axis, int) else 0
        if repeated is not None and axis and (line := find_direct_source()):
            self._joined[id(result)] = (result, axis, Duplicate(name, tuple(repeated.shape), line))


def _share_memory(first: torch.Tensor, second: Any) -> bool:
    """Return whether two tensors are one, or views of the same values."""
    if first is second:
        return True
    is_comparable = isinstance(second, torch.Tensor) and first.shape == second.shape and first.numel() > 1
    return is_comparable and first.data_ptr() == second.data_ptr() and first.stride() == second.stride()


def _are_same_features(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Return whether two tensors are one, or have equal values that differ from row to row."""
    if _share_memory(first, second):
        return True
    return first.shape == second.shape and bool((first != first[:1]).any()) and torch.equal(first, second)


def _change(result: Any) -> Any:
    """Return other values for the numbers of a result."""
    if isinstance(result, torch.Tensor):
        return 2 * result + 1 if result.is_floating_point() else result
    return tuple(map(_change, result)) if isinstance(result, tuple) else result


def _find_feature_axis(name: str, axes: int) -> int:
    """Return the axis of an argument that a function multiplies with weights; -1 if it has none."""
    if name in MATRIX_PRODUCTS:
        return axes - 1
    return axes - 1 - CONVOLUTIONS[name] if name in CONVOLUTIONS else -1


def _find_cut_calls(passes: _Passes, first: _PassMode) -> tuple[CutCalls | None, CutCalls | None]:
    """Return calls whose results the output depends on by their values, but not by gradients, except the last one.

    Calls whose results it does not depend on at all, except the last one, follow. Of outputs for each step it is the
    last step that is to depend on earlier calls.
    """
    cut: dict[int, list[str]] = defaultdict(list)
    unused: dict[int, list[str]] = defaultdict(list)
    used_counts: set[int] = set()
    for name, calls in first.results.items():
        count = len(calls)
        if not MIN_CALLS <= count <= MAX_CALLS:
            continue
        has_gradient = _find_gradients(first.outputs, calls)
        is_last = bool(has_gradient) and has_gradient[-1] and not any(has_gradient[:-1])
        if is_last:
            (cut if _depends_on(passes, first, name, count) else unused)[count].append(name)
        elif has_gradient:
            used_counts.add(count)
    source = " or ".join(first.cut_lines) if len(first.cut_lines) <= 2 else ""
    # A head that is called next to a recurrent cell may well be read at its last step only.
    without_result = {count: names for count, names in unused.items() if count not in used_counts | cut.keys()}
    return _select_most(cut, source), _select_most(without_result, "")


def _select_most(calls: Mapping[int, Sequence[str]], source: str) -> CutCalls | None:
    """Return the calls of the most parameters among those that are used equally often."""
    if not calls:
        return None
    calls_per_pass = max(calls, key=lambda count: len(calls[count]))
    return CutCalls(tuple(calls[calls_per_pass]), calls_per_pass, source)


def _find_gradients(outputs: Sequence[torch.Tensor], calls: Sequence[Sequence[torch.Tensor]]) -> list[bool]:
    """Return for each call whether the outputs have a gradient with respect to its results."""
    selected = [value for value in _select_last(outputs, len(calls)) if value.requires_grad]
    if not selected:
        return []
    flat = torch.cat([value.flatten().float() for value in selected])
    weights = torch.linspace(1, 2, len(flat), device=flat.device)
    tensors = [tensor for results in calls for tensor in results]
    gradients = iter(torch.autograd.grad((flat * weights).sum(), tensors, retain_graph=True, allow_unused=True))
    gradients_of_calls = [[next(gradients) for _ in results] for results in calls]
    return [any(gradient is not None and bool(gradient.any()) for gradient in group) for group in gradients_of_calls]


def _depends_on(passes: _Passes, first: _PassMode, name: str, count: int) -> bool:
    """Return whether the output changes with the result of the last call but one."""
    expected = _select_last(first.outputs, count)
    repeated, changed = (_select_last(passes.run(change).outputs, count) for change in (None, (name, count - 2)))
    return are_equal(expected, repeated) and not are_equal(expected, changed)


def _select_last(outputs: Sequence[torch.Tensor], steps: int) -> list[torch.Tensor]:
    """Return outputs for single steps at the last one, and the others as they are."""
    axes = [next((axis for axis in (1, 0) if value.ndim > 2 and value.shape[axis] == steps), None) for value in outputs]
    return [value if axis is None else value.select(axis, -1) for value, axis in zip(outputs, axes, strict=True)]
