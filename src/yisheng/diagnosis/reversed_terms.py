"""Find terms of a loss that reward what they are to prevent: a divergence or a penalty with the wrong sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import LEAF_NODE, saved_tensor

MAX_EDGES, MAX_DEPTH = 600, 30
"""Inputs of nodes that are followed from the loss, and nodes from a term down to what it is computed from."""
PASSING = (
    "Squeeze",
    "Unsqueeze",
    "View",
    "UnsafeView",
    "Reshape",
    "Expand",
    "Clone",
    "ToCopy",
    "Select",
    "Alias",
    "Slice",
    "Index",
    "MaskedSelect",
    "Permute",
    "Transpose",
    "TBackward",
)
"""Beginnings of the names of nodes that give values another shape, or leave some out."""
REDUCING = ("Sum", "Mean", "Stack", "Cat")
EXPONENTIALS = ("ExpBackward", "Expm1Backward")
NORMS = ("NormBackward", "LinalgVectorNorm", "Abs")
POSITIVE, LOGARITHMIC, SOFT = 1, 0, -1
"""A number that is positive, a logarithm of one, and a number whose softplus is one."""


@dataclass(frozen=True)
class ReversedTerm:
    """A term of a loss that has no lower bound because its sign is wrong.

    Args:
        kind: ``divergence`` for log v - v of a learned positive v, ``penalty`` for the size of a weight.
        size: mean of v, or root mean square of the weight.
        weight: ``id`` of the weight of a penalty; 0 otherwise.
    """

    kind: str
    size: float
    weight: int = 0


@dataclass(frozen=True)
class _Edge:
    """An output of a node.

    Args:
        node: that computes it.
        output: which of its outputs.
        sign: of its factor in the loss, or in what is computed from it.
    """

    node: Any
    output: int
    sign: int = 1

    @property
    def name(self) -> str:
        return str(self.node.name())

    @property
    def key(self) -> tuple[Any, int]:
        return self.node, self.output

    @property
    def children(self) -> list[tuple[Any, int]]:
        return [(child, output) for child, output in self.node.next_functions if child is not None]

    def follow(self, index: int = 0, sign: int = 1) -> _Edge:
        """Return the edge to an input."""
        node, output = self.children[index]
        return _Edge(node, output, self.sign * sign)


def find_reversed_terms(root: Any) -> tuple[ReversedTerm, ...]:
    """Return the terms of a loss that become ever smaller as a divergence or a penalty grows, before its backward pass.

    The divergence of a normal distribution from the standard one is (v - log v + m^2 - 1) / 2, and the negative
    logarithms of many densities are of this form, too. With the sign of v reversed, no v is small enough.

    Args:
        root: node of the loss.

    >>> log_v = torch.zeros(4, 2, requires_grad=True)
    >>> kl = -0.5 * (1 + log_v - log_v.exp()).sum(1)
    >>> find_reversed_terms(kl.mean().grad_fn)
    ()
    >>> find_reversed_terms((-kl).mean().grad_fn)
    (ReversedTerm(kind='divergence', size=1.0, weight=0),)
    """
    terms = list(_split(_Edge(root, 0)))
    reversed_terms = list(_find_divergences(terms))
    return (*reversed_terms[:1], *_find_penalties(terms))


def _split(root: _Edge) -> Iterator[_Edge]:
    """Yield what a loss is a linear combination of."""
    queue, edges = [root], 0
    while queue and edges < MAX_EDGES:
        edge = queue.pop()
        edges += 1
        inputs = list(_list_inputs(edge)) if edge.name != LEAF_NODE else []
        queue.extend(inputs)
        if not inputs:
            yield edge


def _list_inputs(edge: _Edge) -> Iterator[_Edge]:
    """Yield the inputs of a sum, a difference, a change of shape, or a product with numbers of one sign."""
    name, children = edge.name, edge.children
    if name.startswith(("AddBackward", "CombinedLoss", *REDUCING, *PASSING)):
        alpha = float(getattr(edge.node, "_saved_alpha", 1) or 1)
        yield from (edge.follow(i, -1 if i and alpha < 0 else 1) for i in range(len(children)))
    elif name.startswith(("Neg", "Rsub")):
        yield edge.follow(sign=-1)
    elif name == "SubBackward0":
        is_negative = edge.node.next_functions[0][0] is None
        yield from (edge.follow(i, -1 if i or is_negative else 1) for i in range(len(children)))
    elif name.startswith("Mul") and len(children) == 1:
        sign = _read_sign(edge.node, "self" if edge.node.next_functions[0][0] is None else "other")
        if sign:
            yield edge.follow(sign=sign)
    elif name.startswith("Div") and edge.node.next_functions[0][0] is not None:
        sign = _read_sign(edge.node, "other")
        if sign:
            yield edge.follow(sign=sign)


def _read_sign(node: Any, name: str) -> int:
    """Return the sign of the numbers of a product or quotient: 1 or -1, or 0 if several are not all positive.

    Several numbers are not a factor of the loss: rewards, such as costs, may be negative.
    """
    number = getattr(node, f"_saved_{name}", None) if node.name().endswith("1") else saved_tensor(node, name)
    if number is None:
        return 0
    values = number if isinstance(number, torch.Tensor) else torch.tensor(float(number))
    if values.numel() == 1:
        return -1 if bool(values.signbit()) else 1  # a factor that rises during training may begin with 0 or -0
    return 1 if bool((values >= 0).all()) else 0


def _is_square(edge: _Edge) -> bool:
    """Return whether a node multiplies something with itself."""
    inputs = edge.node.next_functions
    return edge.name == "MulBackward0" and inputs[0][0] is not None and inputs[0] == inputs[1]


def _find_divergences(terms: list[_Edge]) -> Iterator[ReversedTerm]:
    """Yield each term - v with log v next to it, for a v whose own term has this sign everywhere."""
    variances = [(edge, dict(_trace(edge, POSITIVE))) for edge in terms if _is_variance(edge)]
    if all(edge.sign > 0 for edge, _ in variances):
        return
    logarithms = [(edge.sign, dict(_trace(edge, LOGARITHMIC))) for edge in terms if not _is_variance(edge)]
    for edge, sources in variances:
        if edge.sign > 0:
            continue
        is_limited = any(v.sign > 0 and v_sources.keys() & sources.keys() for v, v_sources in variances)
        is_rewarded = any(
            sign * log_sources[key] * sources[key] > 0
            for sign, log_sources in logarithms
            for key in log_sources.keys() & sources.keys()
        )
        if is_rewarded and not is_limited:
            yield ReversedTerm("divergence", _measure(edge))


def _is_variance(edge: _Edge) -> bool:
    """Return whether a term is an exponential or a square."""
    return edge.name.startswith((*EXPONENTIALS, "Pow")) or _is_square(edge)


def _trace(edge: _Edge, domain: int) -> Iterator[tuple[tuple[tuple[Any, int], int], int]]:
    """Yield each source of a number: its key and whether it is a logarithm; and whether the number grows with it."""
    queue = [(_Edge(edge.node, edge.output), domain)]
    for _ in range(MAX_DEPTH):
        if not queue:
            return
        current, domain = queue.pop(0)
        yield (current.key, domain), current.sign
        name = current.name
        if name == LEAF_NODE or domain == SOFT or not current.children:
            continue
        if name.startswith(EXPONENTIALS):
            if domain == POSITIVE:
                queue.append((current.follow(), LOGARITHMIC))
        elif name == "LogBackward0":
            if domain == LOGARITHMIC:
                queue.append((current.follow(), POSITIVE))
        elif name.startswith("Softplus") and domain == POSITIVE:
            queue.append((current.follow(), SOFT))
        elif domain == LOGARITHMIC:
            queue.extend((below, domain) for below in _list_inputs(current) if not name.startswith(REDUCING))
        else:
            queue.extend((below, domain) for below in _list_powers(current))


def _list_powers(edge: _Edge) -> Iterator[_Edge]:
    """Yield what a positive number is a power, a multiple or a quotient of."""
    name, children = edge.name, edge.children
    if name.startswith("Pow"):
        exponent = getattr(edge.node, "_saved_exponent", 0)
        if isinstance(exponent, int | float) and exponent:
            yield edge.follow(sign=1 if exponent > 0 else -1)
    elif name.startswith(("Sqrt", *PASSING)) or _is_square(edge):
        yield edge.follow()
    elif name.startswith(("Rsqrt", "Reciprocal")):
        yield edge.follow(sign=-1)
    elif name.startswith("Mul") or (name.startswith("Add") and len(children) == 1):
        yield from (edge.follow(i) for i in range(len(children)))
    elif name.startswith("Neg"):
        yield edge.follow()
    elif name.startswith("Div"):
        is_first_constant = edge.node.next_functions[0][0] is None
        yield from (edge.follow(i, -1 if i or is_first_constant else 1) for i in range(len(children)))


def _measure(edge: _Edge) -> float:
    """Return the mean of an exponential or a square, or NaN if its node does not keep it."""
    if edge.name.startswith(EXPONENTIALS):
        result = saved_tensor(edge.node, "result")
        return float("nan") if result is None else float(result.float().mean())
    base = saved_tensor(edge.node, "self")
    return float("nan") if base is None else float(base.float().square().mean())


def _find_penalties(terms: list[_Edge]) -> Iterator[ReversedTerm]:
    """Yield each weight whose size the loss rewards and no other term limits."""
    weights = [(edge, weight) for edge in terms if (weight := _find_weight(edge)) is not None]
    limited = {id(weight) for edge, weight in weights if edge.sign > 0}
    for edge, weight in weights:
        if edge.sign < 0 and id(weight) not in limited:
            limited.add(id(weight))
            yield ReversedTerm("penalty", float(weight.detach().float().square().mean().sqrt()), id(weight))


def _find_weight(edge: _Edge) -> torch.Tensor | None:
    """Return the weight of two or more axes whose norm, square or absolute value a term is; None for another term."""
    is_size = False
    for _ in range(MAX_DEPTH):
        if edge.name == LEAF_NODE:
            variable = edge.node.variable
            return variable if is_size and variable.ndim > 1 else None
        if edge.name.startswith((*NORMS, "Pow")) or _is_square(edge):
            is_size = True
        elif edge.name.startswith(("Sum", "Mean", "Sqrt")):
            is_size = False  # the square of a mean is part of a variance
        elif not edge.name.startswith((*PASSING, "Cat")):
            return None
        if not edge.children:
            return None
        edge = edge.follow()
    return None
