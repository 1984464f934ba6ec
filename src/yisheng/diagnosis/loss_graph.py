"""What a loss is made of, read from autograd's graph: the loss, what lies between it and the last layer, the target."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

LOSSES = {
    "NllLossBackward0": "nll",
    "NllLoss2DBackward0": "nll",
    "MseLossBackward0": "mse",
    "SmoothL1LossBackward0": "smooth_l1",
    "HuberLossBackward0": "huber",
    "BinaryCrossEntropyBackward0": "binary_cross_entropy",
    "BinaryCrossEntropyWithLogitsBackward0": "binary_cross_entropy_with_logits",
}
OPERATIONS = {
    "LogSoftmaxBackward0": "log_softmax",
    "SoftmaxBackward0": "softmax",
    "SigmoidBackward0": "sigmoid",
    "LogSigmoidBackward0": "log_sigmoid",
    "TanhBackward0": "tanh",
    "ReluBackward0": "relu",
    "LogBackward0": "log",
    "ExpandBackward0": "expand",
    "PowBackward0": "pow",
    "AbsBackward0": "abs",
    "SubBackward0": "sub",
    "AddBackward0": "add",
    "MulBackward0": "mul",
    "DivBackward0": "div",
    "ClampBackward0": "clamp",
    "ClampBackward1": "clamp",
}
LAYERS = ("Addmm", "Mm", "Bmm", "Baddbmm", "Convolution", "NativeBatchNorm", "NativeLayerNorm", "MkldnnConvolution")
"""Where a layer with weights begins: what lies behind it is the network's own business."""
GIVEN = {"Addmm": ("mat1", 1), "Mm": ("self", 0), "Convolution": ("input", 0), "NativeBatchNorm": ("input", 0)}
"""What such a layer keeps of its input, and which of its inputs that is."""
FACTORS = ("MulBackward0", "DivBackward0")
"""What a loss ends in where it has a factor."""
DEPTH, WIDTH, MOST = 40, 200, 5000
REDUCTIONS = ("none", "mean", "sum")


BENDS = {"ReluBackward0": "relu", "SigmoidBackward0": "sigmoid", "TanhBackward0": "tanh"}


@dataclass(frozen=True)
class Activation:
    """What an activation gave, module or function.

    Args:
        name: the parameter nearest below it, as ``after conv1.weight``.
        kind: relu, sigmoid or tanh.
        result: its output, as autograd keeps it.
    """

    name: str
    kind: str
    result: torch.Tensor


@dataclass(frozen=True)
class Pairing:
    """A loss and what it is fed with.

    Args:
        loss: ``nll``, ``mse``, ``smooth_l1``, ``huber``, ``binary_cross_entropy``,
            ``binary_cross_entropy_with_logits``; ``squared`` or ``absolute`` if written out; empty where unknown.
        between: operations from the loss down to the last layer with weights, nearest the loss first.
        softmax_axis: axis of the softmax nearest to the loss, counted from 0; None without one.
        shape: of what the loss compares; of the output before it was expanded, where it was.
        expanded: the shape that the output was expanded to by broadcasting, or None.
        reduction: mean, sum or none; empty where unknown.
        target: what it is compared with, where the graph keeps it.
        output: the other side, where the graph keeps it (log-probabilities of ``nll``).
        difference: of a loss that is written out: what is squared, where the graph keeps it.
        sign: 1 where that is output minus target, else -1.
        whole: whether the loss is this and nothing else, up to a factor.
        weighted: whether classes or labels have weights of their own.
    """

    loss: str
    between: tuple[str, ...]
    softmax_axis: int | None = None
    shape: tuple[int, ...] = ()
    expanded: tuple[int, ...] | None = None
    reduction: str = ""
    target: torch.Tensor | None = None
    output: torch.Tensor | None = None
    difference: torch.Tensor | None = None
    sign: int = 1
    whole: bool = True
    weighted: bool = False


@dataclass(frozen=True)
class Together:
    """Losses that are propagated back at once: as one loss, their sum, and as one node above their graphs.

    Args:
        losses: each of one value.
        roots: nodes of all that is propagated back.
    """

    losses: tuple[torch.Tensor, ...]
    roots: tuple[Any, ...]

    @property
    def grad_fn(self) -> Together:
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
        first, *others = self._values()
        return first + sum(value.to(first.device) for value in others)

    def _values(self) -> list[torch.Tensor]:
        scales = [(loss.detach().reshape(()), factor(loss)) for loss in self.losses]
        return [value if scale is None else value * scale for value, scale in scales]


Loss = torch.Tensor | Together


def together(tensors: Any, grad_tensors: Any = None, *_: Any, **__: Any) -> Loss | None:
    """What ``torch.autograd.backward`` is given, as one loss; None where there is none among it.

    A tensor in a list that comes with a gradient of its own is in the middle of a backward pass, and no loss.

    >>> w = torch.ones(2, requires_grad=True)
    >>> both = together([w.sum(), (w * w).sum() / 4, w * 2])
    >>> both.item(), [node.name() for node, _ in both.next_functions], together([w * 2])
    (4.0, ['SumBackward0', 'DivBackward0', 'MulBackward0'], None)
    """
    if isinstance(tensors, torch.Tensor):
        return tensors
    if not isinstance(tensors, list | tuple):
        return None
    given = grad_tensors if isinstance(grad_tensors, list | tuple) else [grad_tensors] * len(tensors)
    found = [one for one in tensors if isinstance(one, torch.Tensor) and one.grad_fn is not None]
    losses = tuple(
        one
        for one, gradient in zip(tensors, given, strict=False)
        if gradient is None and isinstance(one, torch.Tensor) and one.grad_fn is not None and one.numel() == 1
    )
    if len(losses) == len(found) == 1:
        return losses[0]
    return Together(losses, tuple(one.grad_fn for one in found)) if losses else None


def pairing(loss: Loss) -> Pairing:
    """Read the graph of a loss before its backward pass.

    Args:
        loss: a scalar that hangs on parameters.

    >>> x, w = torch.ones(4, 3), torch.ones(2, 3, requires_grad=True)
    >>> output = torch.nn.functional.linear(x, w, torch.zeros(2))
    >>> found = pairing(torch.nn.functional.cross_entropy(output.softmax(1), torch.zeros(4, dtype=torch.long)))
    >>> found.loss, found.between, found.softmax_axis, found.reduction
    ('nll', ('log_softmax', 'softmax'), 1, 'mean')
    """
    nodes = list(_walk(loss.grad_fn))
    node = next((node for node in nodes if node.name() in LOSSES), None)
    if node is None:
        return _written_out(nodes)
    between, axis, shape, expanded = _between(node)
    output, target = _saved(node, "self"), _saved(node, "target")
    number = getattr(node, "_saved_reduction", None)
    return Pairing(
        LOSSES[node.name()],
        between,
        axis,
        shape or (() if output is None else tuple(output.shape)),
        expanded,
        REDUCTIONS[number] if isinstance(number, int) and number < len(REDUCTIONS) else "",
        target,
        output,
        whole=_whole(nodes[0], node),
        weighted=any(_saved(node, name) is not None for name in ("weight", "pos_weight")),
    )


def every(loss: Loss) -> list[Any]:
    """Every node of a loss's graph once, breadth first, a bounded number.

    >>> w = torch.ones(2, requires_grad=True)
    >>> [node.name() for node in every((w * 2).sum())]
    ['SumBackward0', 'MulBackward0', 'torch::autograd::AccumulateGrad']
    """
    waiting, kept = deque[Any]([loss.grad_fn]), dict[int, Any]()
    while waiting and len(kept) < MOST:
        node = waiting.popleft()
        if node is None or id(node) in kept:
            continue
        kept[id(node)] = node  # held, so that no other node gets its id
        waiting.extend(below for below, _ in node.next_functions)
    return list(kept.values())


def leaves(nodes: Sequence[Any]) -> list[torch.Tensor]:
    """The tensors that the backward pass of a loss fills the gradients of.

    Args:
        nodes: every one of its graph.

    >>> w = torch.ones(2, requires_grad=True)
    >>> [found is w for found in leaves(every((w * 2).sum()))]
    [True]
    """
    return [node.variable for node in nodes if hasattr(node, "variable")]


def outside(loss: Loss) -> list[torch.Tensor]:
    """What a loss's layers were given from outside, as far as the graph keeps it.

    >>> x, w = torch.ones(4, 3), torch.ones(2, 3, requires_grad=True)
    >>> [found is not None and tuple(found.shape) for found in outside(torch.nn.functional.linear(x, w).sum())]
    [(4, 3)]
    """
    found = []
    for node in every(loss):
        name, place = next((kept for start, kept in GIVEN.items() if node.name().startswith(start)), ("", 0))
        if name and node.next_functions[place][0] is None:
            found.append(_saved(node, name))
    return [tensor for tensor in found if tensor is not None]


def factor(loss: Loss) -> torch.Tensor | None:
    """What a loss has to be multiplied by to undo a factor, as for accumulation or half precision; None without one.

    >>> w = torch.ones(2, requires_grad=True)
    >>> float(factor(w.mean() / 4)), float(factor(torch.tensor(1024.0) * w.mean())), factor(w.mean())
    (4.0, 0.0009765625, None)
    """
    node = loss.grad_fn
    name = "" if node is None else node.name()
    if node is None or name not in FACTORS:
        return None
    kept = [_saved(node, "other")] if name == "DivBackward0" else [_saved(node, "other"), _saved(node, "self")]
    used = [below for below, _ in node.next_functions if below is not None]
    found = next((one for one in kept if one is not None), None)
    if found is None or found.numel() != 1 or len(used) != 1 or not float(found) > 0:
        return None
    return found if name == "DivBackward0" else 1 / found


def activations(nodes: Sequence[Any], names: Mapping[int, str]) -> list[Activation]:
    """The activations between inputs and loss, from the last to the first.

    Args:
        nodes: every one of the loss's graph, before its backward pass.
        names: of the parameters, by ``id``.

    >>> w = torch.ones(2, 3, requires_grad=True)
    >>> hidden = torch.nn.functional.linear(torch.ones(4, 3), w).relu()
    >>> nodes = every(hidden.sum())
    >>> [(found.name, found.kind, tuple(found.result.shape)) for found in activations(nodes, {id(w): "w"})]
    [('after w', 'relu', (4, 2))]
    """
    found: list[Activation] = []
    for node in nodes:
        kind = BENDS.get(node.name())
        result = None if kind is None else _saved(node, "result")
        if kind is not None and result is not None:
            found.append(Activation(f"after {_nearest(node, names)}", kind, result))
    return found


def _whole(root: Any, node: Any) -> bool:
    """Whether one path leads from the root to a node."""
    for _ in range(DEPTH):
        if root == node:
            return True
        used = [below for below, _ in root.next_functions if below is not None]
        if len(used) != 1:
            return False
        root = used[0]
    return False


def _nearest(node: Any, names: Mapping[int, str]) -> str:
    """The first parameter below a node."""
    waiting = [below for below, _ in node.next_functions]
    for _ in range(WIDTH):
        if not waiting:
            break
        node = waiting.pop(0)
        if node is None:
            continue
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) in names:
            return names[id(variable)]
        waiting += [below for below, _ in node.next_functions]
    return "the input"


def _written_out(nodes: list[Any]) -> Pairing:
    """A loss that someone wrote with plain operations."""
    names = [OPERATIONS.get(node.name(), "") for node in nodes]
    if "sub" in names and ("pow" in names or "abs" in names):
        return _difference(nodes, names)
    if "log" in names and "softmax" in names:
        node = nodes[names.index("softmax")]
        _, axis, shape, _ = _between(_Above(node))
        return Pairing("nll", ("log", "softmax"), axis, shape, whole=_whole(nodes[0], node))
    if "log_softmax" in names:  # cross-entropy with the classes' probabilities as targets
        node = nodes[names.index("log_softmax")]
        between, axis, shape, _ = _between(_Above(node))
        return Pairing("soft_nll", between, axis, shape, whole=_whole(nodes[0], node))
    return Pairing("", tuple(name for name in names if name)[:8], whole=False)


@dataclass(frozen=True)
class _Above:
    """Something whose first input is a node."""

    node: Any

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return ((self.node, 0),)


def _difference(nodes: list[Any], names: list[str]) -> Pairing:
    """A squared or absolute error written out."""
    kind = "pow" if "pow" in names else "abs"
    power, start = nodes[names.index(kind)], nodes[names.index("sub")]
    between, axis, shape, _ = _between(start)
    compared = _saved(power, "self")
    output = _layer_shape(start)
    wide = None if compared is None else tuple(compared.shape)
    expanded = wide if output and wide and math.prod(wide) > math.prod(output) else None
    return Pairing(
        "squared" if kind == "pow" else "absolute",
        between,
        axis,
        output if expanded else shape or wide or (),
        expanded,
        difference=None if start not in [below for below, _ in power.next_functions] else compared,
        sign=1 if start.next_functions[0][0] is not None else -1,
        whole=_whole(nodes[0], start),
    )


def _layer_shape(node: Any) -> tuple[int, ...]:
    """Shape of what the linear layer below a node gives; empty where that cannot be read."""
    for _ in range(DEPTH):
        if node is None:
            break
        if node.name().startswith("Addmm"):
            return (int(node._saved_mat1_sym_sizes[0]), int(node._saved_mat2_sym_sizes[1]))
        if node.name() == "MmBackward0":
            return (int(node._saved_self_sym_sizes[0]), int(node._saved_mat2_sym_sizes[1]))
        node = _first(node)
    return ()


def _between(node: Any) -> tuple[tuple[str, ...], int | None, tuple[int, ...], tuple[int, ...] | None]:
    """Operations from a loss down its first input to a layer; a softmax's axis; shapes before and after expanding."""
    names: list[str] = []
    axis: int | None = None
    shape: tuple[int, ...] = ()
    expanded: tuple[int, ...] | None = None
    below = _first(node)
    for _ in range(DEPTH):
        if below is None or below.name().startswith(LAYERS) or "AccumulateGrad" in below.name():
            break
        name = OPERATIONS.get(below.name())
        if name == "expand":
            shape, wide = tuple(below._saved_self_sym_sizes), _saved(node, "self")
            expanded = None if wide is None else tuple(wide.shape)
        elif name is not None:
            names.append(name)
            if name in ("softmax", "log_softmax") and axis is None:
                result = _saved(below, "result")
                dim = int(below._saved_dim)
                dim = dim - 2**64 if dim >= 2**63 else dim
                axis = dim % result.ndim if result is not None else dim
                shape = shape or (() if result is None else tuple(result.shape))
        below = _first(below)
    return tuple(names), axis, shape, expanded


def _first(node: Any) -> Any:
    """The node of the first input that hangs on parameters."""
    return next((below for below, _ in node.next_functions if below is not None), None)


def _walk(node: Any) -> Iterator[Any]:
    """Nodes from the root on, breadth first, not into layers, a bounded number."""
    waiting, seen = [node], 0
    while waiting and seen < WIDTH:
        node = waiting.pop(0)
        if node is None:
            continue
        seen += 1
        yield node
        if not node.name().startswith(LAYERS):
            waiting += [below for below, _ in node.next_functions]


def _saved(node: Any, name: str) -> torch.Tensor | None:
    """A tensor that a node keeps for the backward pass; None where it keeps none, or no longer."""
    try:
        found = getattr(node, f"_saved_{name}", None)
    except RuntimeError:  # freed by a backward pass
        return None
    return found.detach() if isinstance(found, torch.Tensor) else None
