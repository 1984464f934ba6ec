"""Walk autograd's graph of a loss: its nodes, parameters, inputs and activations, before the backward pass frees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

LAYER_PREFIXES = (
    "Addmm",
    "Mm",
    "Bmm",
    "Baddbmm",
    "Convolution",
    "NativeBatchNorm",
    "NativeLayerNorm",
    "MkldnnConvolution",
)
"""Beginnings of the names of nodes that are layers with weights."""
SAVED_INPUTS = {"Addmm": ("mat1", 1), "Mm": ("self", 0), "Convolution": ("input", 0), "NativeBatchNorm": ("input", 0)}
"""By the beginning of a layer's name: under which name it saves its input, and which of its arguments that is."""
SCALING_NODES = ("MulBackward0", "DivBackward0")
"""Last nodes of a loss that was multiplied by a factor."""
LINEAR_NODES = ("AddBackward0", "SubBackward0", "NegBackward0", "MulBackward0")
"""Nodes that make one number of such numbers: their sum, or a multiple."""
SUM_REDUCTION, MAX_SUMS = 2, 64
"""Torch's number for a loss that is the sum over its rows; and terms of a sum that are looked at."""
LEAF_NODE = "torch::autograd::AccumulateGrad"
"""Name of the nodes that fill the gradient of a tensor."""
ACTIVATION_NODES = {"ReluBackward0": "relu", "SigmoidBackward0": "sigmoid", "TanhBackward0": "tanh"}
MAX_GRAPH_NODES, MAX_NODES_OF_LEAVES = 5000, 2000
"""Nodes of a graph that are visited, and those that are visited for its leaves: those of a deep network are fewer."""
MAX_NEARBY_NODES = 200
"""Nodes that are searched for the parameter nearest to an activation."""


@dataclass(frozen=True)
class Activation:
    """The output of an activation, module or function.

    Args:
        name: the parameter nearest below it, as ``after conv1.weight``.
        kind: relu, sigmoid or tanh.
        result: its output, as autograd saves it.
    """

    name: str
    kind: str
    result: torch.Tensor


@dataclass(frozen=True)
class CombinedLoss:
    """Losses of one backward pass: their sum as a value, and one root node above their graphs.

    Args:
        losses: scalar tensors.
        roots: nodes of all tensors of the backward pass.
    """

    losses: tuple[torch.Tensor, ...]
    roots: tuple[Any, ...]

    @property
    def grad_fn(self) -> CombinedLoss:
        return self

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple((root, 0) for root in self.roots)

    @property
    def is_cpu(self) -> bool:
        return all(loss.is_cpu for loss in self.losses)

    def name(self) -> str:
        return type(self).__name__

    def numel(self) -> int:
        return 1

    def item(self) -> float:
        return sum(map(float, self._values()))

    def detach(self) -> torch.Tensor:
        first_value, *more_values = self._values()
        return first_value + sum(value.to(first_value.device) for value in more_values)

    def _values(self) -> list[torch.Tensor]:
        scales = [(loss.detach().reshape(()), inverse_factor(loss)) for loss in self.losses]
        return [value if scale is None else value * scale for value, scale in scales]


Loss = torch.Tensor | CombinedLoss


def combine_losses(tensors: Any, grad_tensors: Any = None, *_: Any, **__: Any) -> Loss | None:
    """Return the arguments of ``torch.autograd.backward`` as one loss, or None if there is no loss among them.

    A tensor with a gradient of its own is the middle of a backward pass, not a loss.

    >>> w = torch.ones(2, requires_grad=True)
    >>> both = combine_losses([w.sum(), (w * w).mean() / 4, w * 2])
    >>> both.item(), [node.name() for node, _ in both.next_functions], combine_losses([w * 2])
    (3.0, ['SumBackward0', 'DivBackward0', 'MulBackward0'], None)
    """
    if isinstance(tensors, torch.Tensor):
        return tensors
    if not isinstance(tensors, list | tuple):
        return None
    gradients = grad_tensors if isinstance(grad_tensors, list | tuple) else [grad_tensors] * len(tensors)
    with_graph = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor) and tensor.grad_fn is not None]
    losses = tuple(
        tensor
        for tensor, gradient in zip(tensors, gradients, strict=False)
        if gradient is None and isinstance(tensor, torch.Tensor) and tensor.grad_fn is not None and tensor.numel() == 1
    )
    if len(losses) == len(with_graph) == 1:
        return losses[0]
    return CombinedLoss(losses, tuple(tensor.grad_fn for tensor in with_graph)) if losses else None


def graph_nodes(loss: Loss) -> list[Any]:
    """Return every node of a loss's graph once, breadth first, at most `MAX_GRAPH_NODES`.

    >>> w = torch.ones(2, requires_grad=True)
    >>> [node.name() for node in graph_nodes((w * 2).sum())]
    ['SumBackward0', 'MulBackward0', 'torch::autograd::AccumulateGrad']
    """
    queue, nodes = deque[Any]([loss.grad_fn]), dict[int, Any]()
    while queue and len(nodes) < MAX_GRAPH_NODES:
        node = queue.popleft()
        if node is None or id(node) in nodes:
            continue
        nodes[id(node)] = node  # holding the node keeps another one from getting its id
        for child, _ in node.next_functions:
            queue.append(child)
    return list(nodes.values())


def leaf_tensors(nodes: Sequence[Any]) -> list[torch.Tensor]:
    """Return the tensors whose gradients the backward pass of a loss fills.

    Args:
        nodes: all nodes of its graph.

    >>> w = torch.ones(2, requires_grad=True)
    >>> [leaf is w for leaf in leaf_tensors(graph_nodes((w * 2).sum()))]
    [True]
    """
    return [node.variable for node in nodes if node.name() == LEAF_NODE]


def layer_inputs(loss: Loss) -> list[torch.Tensor]:
    """Return the inputs of a loss's layers that came from outside the graph, as far as the graph saves them.

    >>> x, w = torch.ones(4, 3), torch.ones(2, 3, requires_grad=True)
    >>> [tuple(inputs.shape) for inputs in layer_inputs(torch.nn.functional.linear(x, w).sum())]
    [(4, 3)]
    """
    inputs = []
    for node in graph_nodes(loss):
        prefix = next((prefix for prefix in SAVED_INPUTS if node.name().startswith(prefix)), "")
        if prefix:
            name, position = SAVED_INPUTS[prefix]
            if node.next_functions[position][0] is None:
                inputs.append(saved_tensor(node, name))
    return [tensor for tensor in inputs if tensor is not None]


def inverse_factor(loss: Loss) -> torch.Tensor | None:
    """Return what undoes the factor of a loss (of gradient accumulation or half precision), or None without a factor.

    >>> w = torch.ones(2, requires_grad=True)
    >>> float(inverse_factor(w.mean() / 4)), float(inverse_factor(torch.tensor(1024.0) * w.mean()))
    (4.0, 0.0009765625)
    >>> inverse_factor(w.mean())

    A sum over rows divided by their number is a mean:

    >>> inverse_factor(w.sum() / 2)
    """
    node = loss.grad_fn
    name = "" if node is None else node.name()
    if node is None or name not in SCALING_NODES:
        return None
    names = ["other"] if name == "DivBackward0" else ["other", "self"]
    saved = (saved_tensor(node, name) for name in names)
    factor = next((tensor for tensor in saved if tensor is not None), None)
    children = [child for child, _ in node.next_functions if child is not None]
    if factor is None or factor.numel() != 1 or len(children) != 1 or not float(factor) > 0:
        return None
    inverse = factor if name == "DivBackward0" else 1 / factor
    return None if float(inverse) > 1 and _is_total(children[0]) else inverse


def _is_total(node: Any, depth: int = 0) -> bool:
    """Return whether a node gives a sum over rows, whose quotient by their number is their mean, or a sum of such."""
    if node.name().startswith("SumBackward") or getattr(node, "_saved_reduction", None) == SUM_REDUCTION:
        return True
    children = [child for child, _ in node.next_functions if child is not None]
    is_sum = node.name() in LINEAR_NODES and bool(children) and depth < MAX_SUMS
    return is_sum and all(_is_total(child, depth + 1) for child in children)


def find_activations(nodes: Sequence[Any], names: Mapping[int, str]) -> list[Activation]:
    """Return the activations between inputs and loss, from the last to the first.

    Args:
        nodes: all nodes of the loss's graph, before its backward pass.
        names: names of the parameters by ``id``.

    >>> w = torch.ones(2, 3, requires_grad=True)
    >>> hidden = torch.nn.functional.linear(torch.ones(4, 3), w).relu()
    >>> nodes = graph_nodes(hidden.sum())
    >>> [(found.name, found.kind, tuple(found.result.shape)) for found in find_activations(nodes, {id(w): "w"})]
    [('after w', 'relu', (4, 2))]
    """
    activations: list[Activation] = []
    for node in nodes:
        kind = ACTIVATION_NODES.get(node.name())
        result = None if kind is None else saved_tensor(node, "result")
        if kind is not None and result is not None:
            activations.append(Activation(f"after {_nearest_parameter(node, names)}", kind, result))
    return activations


def saved_tensor(node: Any, name: str) -> torch.Tensor | None:
    """Return a tensor that a node saves for the backward pass, or None if it saves none or has freed it."""
    try:
        tensor = getattr(node, f"_saved_{name}", None)
    except RuntimeError:  # freed by a backward pass
        return None
    return tensor.detach() if isinstance(tensor, torch.Tensor) else None


def first_child(node: Any) -> Any:
    """Return the node of a node's first input that depends on parameters."""
    return next((child for child, _ in node.next_functions if child is not None), None)


def read_factor(node: Any, *, min_values: int = 1) -> torch.Tensor | None:
    """Return the numbers that a product multiplies something with, if they depend on no parameter; else None.

    Args:
        node: of the product.
        min_values: how many numbers there must be: 2 leave out a factor of the whole.

    >>> w = torch.ones(2, requires_grad=True)
    >>> read_factor((w * torch.tensor([3.0, 4.0])).grad_fn)
    tensor([3., 4.])
    >>> read_factor((w * w).grad_fn)
    """
    children = [child for child, _ in node.next_functions]
    if len(children) != 2 or (children[0] is None) == (children[1] is None):
        return None
    factor = saved_tensor(node, "self" if children[0] is None else "other")
    if factor is None or factor.numel() < min_values:
        return None
    return factor.float() if factor.dtype == torch.bool else factor  # a mask counts, but has no sign


def read_signed(number: int) -> int:
    """Return a whole number that a node saves; it saves negative ones as unsigned.

    >>> read_signed(torch.ones(2, 3, requires_grad=True).softmax(-1).grad_fn._saved_dim)
    -1
    """
    return int(number) - 2**64 if int(number) >= 2**63 else int(number)


def collect_leaves(node: Any) -> frozenset[int]:
    """Return the ``id`` of each parameter below a node, among at most `MAX_NODES_OF_LEAVES` nodes."""
    queue, visited, leaves = [node], set[Any](), set[int]()
    while queue and len(visited) < MAX_NODES_OF_LEAVES:
        current = queue.pop()
        if current is None or current in visited:
            continue
        visited.add(current)
        if current.name() == LEAF_NODE:
            leaves.add(id(current.variable))
        queue.extend(child for child, _ in current.next_functions)
    return frozenset(leaves)


def has_node_above_layers(node: Any, prefixes: tuple[str, ...], max_nodes: int) -> bool:
    """Return whether a node, or one between it and the last layers with weights, has a name with such a beginning.

    Args:
        node: the first one.
        prefixes: beginnings of names.
        max_nodes: nodes that are looked at.
    """
    queue, visited = [node], set[Any]()
    while queue and len(visited) < max_nodes:
        current = queue.pop()
        if current is None or current in visited or current.name() == LEAF_NODE:
            continue
        visited.add(current)
        if current.name().startswith(prefixes):
            return True
        if not current.name().startswith(LAYER_PREFIXES):
            queue.extend(child for child, _ in current.next_functions)
    return False


def _nearest_parameter(node: Any, names: Mapping[int, str]) -> str:
    """Return the name of the first parameter below a node, breadth first."""
    queue = deque(child for child, _ in node.next_functions)
    for _ in range(MAX_NEARBY_NODES):
        if not queue:
            break
        node = queue.popleft()
        if node is None:
            continue
        if node.name() == LEAF_NODE:
            if id(node.variable) in names:
                return names[id(node.variable)]
            continue
        queue.extend(child for child, _ in node.next_functions)
    return "the input"
