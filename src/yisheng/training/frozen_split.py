"""Split a network after its frozen layers: what they compute for an image does not change during a training."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.generator_states import GeneratorStates
from yisheng.core.input_spec import Inputs
from yisheng.core.messages import Message
from yisheng.models.head import find_head

PROBE_ROWS, PART_ROWS = 3, 2
"""Rows of the probe, and of its part: a feature of a row must not depend on the other rows of the batch."""
TOLERANCES = {torch.bfloat16: 0.05, torch.float16: 0.05, torch.float64: 1e-6}
"""Relative difference between the probe and its part, by type; 1e-3 for others. Batches of other sizes round
differently."""
MAX_REASON_LENGTH = 200


@dataclass(frozen=True)
class FrozenSplit:
    """A network in two parts that share its layers: ``tail(*body(x))`` is its output, to the bit.

    Args:
        body: the frozen layers; it returns a tuple of tensors ``(B, ...)``, the *features*, and draws no random number.
        tail: the other layers, which take the features by position.
        features: the features of the probe, for their shapes and the order of their values.
    """

    body: nn.Module
    tail: nn.Module
    features: tuple[torch.Tensor, ...]


class SplitError(Exception):
    """A network cannot be split.

    Args:
        reason: a clause that says why.
    """

    def __init__(self, reason: Message) -> None:
        super().__init__(str(reason))
        self.reason = reason


def split_frozen(model: nn.Module, x: Inputs, *, bf16: bool = False) -> FrozenSplit:
    """Split a network, in the mode that its modules are in, after the layers that are frozen.

    The computation is traced as a graph. A node of it belongs to the body if all that it depends on does, it has no
    parameter that is trained, and the probe shows that it draws no random number, changes no buffer and computes each
    row alone. So a dropout before the head is in the tail during training, and in the body during evaluation. Finally
    the two parts are compared with the network on the probe.

    Args:
        model: the network; its frozen parameters require no gradient. Buffers and generators are left as they were.
        x: the probe: `PROBE_ROWS` rows of the scaled inputs.
        bf16: whether layers compute in bfloat16; see `yisheng.core.autocast.forward`.

    Raises:
        SplitError: no layer with weights is frozen, or the computation is not a fixed graph.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2))
    >>> _ = net[0].requires_grad_(False)
    >>> split, x = split_frozen(net, torch.randn(3, 4)), torch.randn(5, 4)
    >>> features = split.body(x)
    >>> features[0].shape, torch.equal(net.eval()(x), split.tail(*features))
    (torch.Size([5, 8]), True)
    """
    with _preserve_state(model, x), torch.no_grad(), _autocast(x, bf16):
        graph = _trace(model)
        body, tail = _build_parts(model, graph, _Analysis(model, graph, x))
        generators = _Generators(x)
        expected = nested.call(model, x)
        generators.restore()
        features = nested.call(body, x)
        copies = tuple(feature.clone() for feature in features)
        actual = tail(*features)  # it may change its inputs in place
    if not isinstance(expected, torch.Tensor) or not torch.equal(expected, actual):
        raise SplitError(Message("its parts compute something else than the complete network"))
    return FrozenSplit(body, tail, copies)


def compute_features(split: FrozenSplit, x: Inputs, *, bf16: bool) -> tuple[torch.Tensor, ...]:
    """Return the features of some rows, without gradient."""
    with torch.no_grad(), _autocast(x, bf16):
        features: tuple[torch.Tensor, ...] = nested.call(split.body, x)
    return features


def _autocast(x: Inputs, bf16: bool) -> contextlib.AbstractContextManager[Any]:
    if not bf16:
        return contextlib.nullcontext()
    return torch.autocast(nested.tensors(x)[0].device.type, dtype=torch.bfloat16)


class _Generators:
    """The states of the global generators, that of the inputs' GPU included."""

    def __init__(self, x: Inputs) -> None:
        self._device = nested.tensors(x)[0].device
        self._states = GeneratorStates()
        self._gpu = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else torch.empty(0)

    def restore(self) -> None:
        self._states.restore()
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self._gpu, self._device)

    def __eq__(self, value: object) -> bool:
        return isinstance(value, _Generators) and self._states == value._states and torch.equal(self._gpu, value._gpu)

    __hash__ = None  # type: ignore[assignment]  # the states change


@contextlib.contextmanager
def _preserve_state(model: nn.Module, x: Inputs) -> Iterator[None]:
    """Restore buffers and generators at the end of the block."""
    buffers, generators = {name: buffer.clone() for name, buffer in model.named_buffers()}, _Generators(x)
    try:
        yield
    finally:
        generators.restore()
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers and buffers[name].shape == buffer.shape:
                    buffer.copy_(buffers[name])


def _trace(model: nn.Module) -> Any:
    """Return the graph of a network; a block that does not contain the head is one node."""
    from torch import fx

    head = find_head(model)[1]

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, _name: str) -> bool:
            return m is head or not (isinstance(m, nn.Sequential) or head in m.modules())

    try:
        return Tracer().trace(model)
    except Exception as error:  # the network's own code runs here
        reason = " ".join(str(error).split())[:MAX_REASON_LENGTH]
        raise SplitError(Message("its computation is not a fixed graph ({reason})", reason=reason)) from error


class _Analysis:
    """What is frozen in a graph, found by running the probe and its part node by node.

    Attributes:
        frozen: the nodes that compute the same for an input at any time.
        constant: those of them that do not depend on an input.
        row_wise: those of them whose value is a tensor ``(B, ...)`` whose rows are computed alone.
    """

    def __init__(self, model: nn.Module, graph: Any, x: Inputs) -> None:
        self.frozen: set[Any] = set()
        self.constant: set[Any] = set()
        self.row_wise: set[Any] = set()
        full_run, part_run = _Run(model, x), _Run(model, nested.take(x, slice(PART_ROWS)))
        for node in graph.nodes:
            generators, buffers = _Generators(x), _copy_read_buffers(model, node)
            full = full_run.compute(node)
            has_effects = generators != _Generators(x) or not all(
                map(torch.equal, buffers, _copy_read_buffers(model, node))
            )
            part = part_run.compute(node)
            if node.op == "output" or has_effects or not all(parent in self.frozen for parent in node.all_input_nodes):
                continue
            if any(parameter.requires_grad for parameter in _list_parameters(model, node)):
                continue
            is_constant = node.op != "placeholder" and all(parent in self.constant for parent in node.all_input_nodes)
            is_row_wise = not is_constant and _is_row_wise(full, part)
            if is_constant:
                self.constant.add(node)
            elif is_row_wise:
                self.row_wise.add(node)
            elif isinstance(full, torch.Tensor):
                continue  # its rows depend on each other, as those of a batch norm in training mode do
            self.frozen.add(node)

    def find_cut(self, graph: Any) -> list[Any]:
        """Return the nodes whose values the tail needs; what cannot be kept by row moves from the body to the tail."""
        while True:
            varying = [node for node in graph.nodes if node in self.frozen and node not in self.constant]
            cut = [node for node in varying if any(user not in self.frozen for user in node.users)]
            unfit = [node for node in cut if node not in self.row_wise]
            if not unfit:
                return cut
            self.frozen.difference_update(unfit)


class _Run:
    """A graph that is run node by node; values that no later node needs are forgotten."""

    def __init__(self, model: nn.Module, x: Inputs) -> None:
        self._model = model
        args, kwargs = nested.arguments_of(model, x)
        self._args, self._kwargs = iter(args), kwargs
        self._values: dict[Any, Any] = {}
        self._missing_users: dict[Any, int] = {}

    def compute(self, node: Any) -> Any:
        """Compute a node, whose parents are computed."""
        from torch.fx.node import map_arg

        args, kwargs = (map_arg(values, self._values.__getitem__) for values in (node.args, node.kwargs))
        if node.op == "placeholder":
            value = self._take_input(node)
        elif node.op == "get_attr":
            value = _get_attribute(self._model, node.target)
        elif node.op == "call_module":
            value = self._model.get_submodule(node.target)(*args, **kwargs)
        elif node.op == "call_method":
            value = getattr(args[0], node.target)(*args[1:], **kwargs)
        else:
            value = args[0] if node.op == "output" else node.target(*args, **kwargs)
        self._values[node], self._missing_users[node] = value, len(node.users)
        for parent in node.all_input_nodes:
            self._missing_users[parent] -= 1
            if not self._missing_users[parent]:
                del self._values[parent]
        return value

    def _take_input(self, node: Any) -> Any:
        name = str(node.target)
        if name.startswith("*"):
            raise SplitError(Message("its forward takes any number of inputs"))
        if name in self._kwargs:
            return self._kwargs[name]
        return next(self._args, node.args[0] if node.args else None)


def _get_attribute(model: nn.Module, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), model)


def _list_parameters(model: nn.Module, node: Any) -> list[torch.Tensor]:
    if node.op == "call_module":
        return list(model.get_submodule(node.target).parameters())
    value = _get_attribute(model, node.target) if node.op == "get_attr" else None
    return [value] if isinstance(value, torch.Tensor) else []


def _copy_read_buffers(model: nn.Module, node: Any) -> list[torch.Tensor]:
    """Return copies of the tensors that a node could change besides its inputs: a layer's buffers, or named tensors."""
    if node.op == "call_module":
        return [buffer.clone() for buffer in model.get_submodule(node.target).buffers()]
    named = [parent for parent in node.all_input_nodes if parent.op == "get_attr"]
    values = [_get_attribute(model, parent.target) for parent in named]
    return [value.clone() for value in values if isinstance(value, torch.Tensor)]


def _is_row_wise(full: Any, part: Any) -> bool:
    """Return whether a value of the probe is a tensor that has the rows of the part's value."""
    if not isinstance(full, torch.Tensor) or not isinstance(part, torch.Tensor) or not full.ndim or not part.ndim:
        return False
    if full.shape[1:] != part.shape[1:] or (len(full), len(part)) != (PROBE_ROWS, PART_ROWS):
        return False
    expected, actual = full[:PART_ROWS].double(), part.double()
    tolerance = TOLERANCES.get(full.dtype, 1e-3)
    scale = float(expected.abs().nan_to_num(0.0, 0.0).max()) if expected.numel() else 0.0
    return torch.allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _build_parts(model: nn.Module, graph: Any, analysis: _Analysis) -> tuple[nn.Module, nn.Module]:
    """Return the frozen part of a graph and the rest, as modules with the layers of the network.

    Raises:
        SplitError: no layer with weights is frozen.
    """
    from torch import fx

    cut = analysis.find_cut(graph)
    body, tail = fx.Graph(), fx.Graph()
    body_nodes: dict[Any, Any] = {}
    tail_nodes: dict[Any, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder" or node in analysis.frozen:
            body_nodes[node] = body.node_copy(node, body_nodes.__getitem__)
        if node in cut:
            tail_nodes[node] = tail.placeholder(f"feature{cut.index(node)}")
    body.output(tuple(body_nodes[node] for node in cut))
    for node in graph.nodes:
        if node not in analysis.frozen or node in analysis.constant:
            tail_nodes[node] = tail.node_copy(node, tail_nodes.__getitem__)
    if not cut or any(node.op == "placeholder" for node in cut):
        raise SplitError(Message("the layers that are trained need its inputs"))
    parts = fx.GraphModule(model, body), fx.GraphModule(model, tail)
    for part in parts:
        part.graph.eliminate_dead_code()
        part.recompile()
    if not any(_list_parameters(model, node) for node in parts[0].graph.nodes):
        raise SplitError(Message("no layer with weights is frozen"))
    return parts
