"""The computational graph: the operations of a computation, forward to its value and backward to its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots

Step = tuple[str, str, tuple[str, ...]]
"""Name of the result, operation, and names of its arguments."""
FORWARD: dict[str, Callable[..., Tensor]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b,
    "exp": lambda a: a.exp(),
    "relu": lambda a: a.clamp(min=0),
    "sum": lambda a: a.sum(),
}
BACKWARD: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "add": lambda g, y, a, b: (g, g),  # noqa: ARG005  # g: gradient by the result y
    "subtract": lambda g, y, a, b: (g, -g),  # noqa: ARG005
    "multiply": lambda g, y, a, b: (g * b, g * a),  # noqa: ARG005
    "matmul": lambda g, y, a, b: (g @ b.T, a.T @ g),  # noqa: ARG005
    "exp": lambda g, y, a: (g * y,),  # noqa: ARG005
    "relu": lambda g, y, a: (g * (a > 0),),  # noqa: ARG005
    "sum": lambda g, y, a: (g * torch.ones_like(a),),  # noqa: ARG005
}
EXAMPLE: tuple[Step, ...] = (
    ("u", "multiply", ("x", "w")),
    ("o", "add", ("u", "b")),
    ("e", "subtract", ("o", "y")),
    ("loss", "multiply", ("e", "e")),
)
"""The squared error of x w + b; e is an argument twice, so its gradient is a sum of two."""


def _plot(axes: Any) -> None:
    """Draw the graph of (x w + b − y)² with the values and, below them, the gradients."""
    numbers = {name: torch.tensor(value) for name, value in (("x", 2.0), ("w", 3.0), ("b", 1.0), ("y", 4.0))}
    values, gradients = computational_graph(EXAMPLE, numbers)
    places = {"x": (0, 2), "w": (0, 1), "b": (1, 0.2), "u": (1, 1.5), "y": (2, 0.2), "o": (2, 1.5), "e": (3, 1.5)}
    places["loss"] = (4, 1.5)
    texts = {name: f"{name} = {values[name]:g}\ngradient {gradients[name]:g}" for name in places}
    edges = [(argument, name) for name, _, arguments in EXAMPLE for argument in arguments]
    _plots.draw_diagram(axes, {texts[name]: place for name, place in places.items()}, [
        (texts[start], texts[end]) for start, end in edges
    ])  # fmt: skip
    axes.set(title="loss = (x w + b − y)²")


@register(
    equation="""forward:    y = f(a, b)   for each operation, in order
backward:   ∂L/∂a ← ∂L/∂a + ∂L/∂y · ∂y/∂a   for each operation, in reverse order, from ∂L/∂L = 1""",
    usual="""
import torch
x, w = torch.ones(4, 3), torch.randn(3, 2, requires_grad=True)
loss = (x @ w).relu().sum()
loss.backward()  # walks through the graph that loss.grad_fn holds
gradient = w.grad
""",
    when="""To see what `loss.backward()` does: torch records such a list while it computes. A value that is used twice
gets the sum of both gradients; the values are kept until the backward pass, so training needs far more memory than
prediction.""",
    plot=_plot,
)
def computational_graph(
    steps: Sequence[Step], inputs: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Compute all values of a graph forward, and the gradients of the last one, a single number, backward.

    Args:
        steps: the operations in order: name of the result, one of `FORWARD`, names of its arguments; both arguments
            of an elementwise operation have the same shape.
        inputs: tensors by name.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323, 1986;
    Goodfellow, Bengio and Courville, "Deep learning", 2016, sections 6.5.1 and 6.5.6.

    >>> inputs = {name: torch.tensor(value) for name, value in (("x", 2.0), ("w", 3.0), ("b", 1.0), ("y", 4.0))}
    >>> values, gradients = computational_graph(EXAMPLE, inputs)
    >>> float(values["loss"]), float(gradients["w"]), float(gradients["b"])  # 3², 2 · 3 · 2, 2 · 3
    (9.0, 12.0, 6.0)
    """
    values = dict(inputs)
    for name, operation, arguments in steps:
        values[name] = FORWARD[operation](*(values[argument] for argument in arguments))
    gradients = {name: torch.zeros_like(value) for name, value in values.items()}
    gradients[steps[-1][0]] += 1
    for name, operation, arguments in reversed(steps):
        parts = BACKWARD[operation](gradients[name], values[name], *(values[argument] for argument in arguments))
        for argument, part in zip(arguments, parts, strict=True):
            gradients[argument] = gradients[argument] + part
    return values, gradients
