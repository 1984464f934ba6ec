"""Plots that several concepts share: paths of optimizers, functions with their slopes, signals through many layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Curve = Callable[[Tensor], Tensor]
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
CURVATURES = torch.tensor([0.2, 4.0])
START = torch.tensor([-5.0, -2.0])
DEPTH, WIDTH = 20, 128


def compute_path(optimizer: Callable[..., Any], state_tensors: int, *, steps: int, **options: Any) -> Tensor:
    """Return an optimizer's path from `START` on f(x, y) = 0.1 x² + 2 y², ``(steps + 1, 2)``.

    >>> from yisheng.scratch.sgd import sgd
    >>> compute_path(sgd, 0, steps=1, lr=0.5)
    tensor([[-5.0000, -2.0000],
            [-4.5000,  2.0000]])
    """
    w, state = START, (torch.zeros(2),) * state_tensors
    points = [w]
    for t in range(1, steps + 1):
        w, state = optimizer(w, CURVATURES * w, state, t, **options)
        points.append(w)
    return torch.stack(points)


def draw_path(
    axes: Any,
    optimizer: Callable[..., Any],
    state_tensors: int = 0,
    *,
    steps: int,
    label: str,
    color: str,
    **options: Any,
) -> None:
    """Draw an optimizer's path, and the contours of the function if the axes have none."""
    if not axes.collections:
        x, y = torch.linspace(-6, 3, 91), torch.linspace(-3, 3, 61)
        height = 0.1 * x[None, :] ** 2 + 2 * y[:, None] ** 2
        axes.contour(x, y, height, levels=[0.05, 0.3, 1, 2.5, 5, 9, 14], colors="#c8c8c8", linewidths=0.8)
        axes.set(xlabel="x", ylabel="y", title="0.1 x² + 2 y²", xlim=(-6, 3), ylim=(-3, 3))
    points = compute_path(optimizer, state_tensors, steps=steps, **options)
    axes.plot(points[:, 0], points[:, 1], "o-", markersize=3, linewidth=1.2, color=color, label=label)
    axes.legend(loc="upper right")


def compute_slope(curve: Curve, x: Tensor) -> Tensor:
    """Return the derivative of an elementwise function at each x, by autograd.

    >>> compute_slope(lambda x: x * x, torch.tensor([1.0, 3.0]))
    tensor([2., 6.])
    """
    x = x.detach().requires_grad_()
    return torch.autograd.grad(curve(x).sum(), x)[0]


def draw_curves(axes: Any, curves: dict[str, Curve], *, low: float, high: float, xlabel: str, ylabel: str = "") -> None:
    """Draw several functions over one interval."""
    x = torch.linspace(low, high, 301, dtype=torch.float64)
    for (label, curve), color in zip(curves.items(), COLORS, strict=False):
        axes.plot(x, curve(x), color=color, label=label)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()


def draw_with_slope(axes: Any, curve: Curve, *, label: str, low: float = -5, high: float = 5, xlabel: str) -> None:
    """Draw one function, and its derivative as a dashed line."""
    x = torch.linspace(low, high, 301, dtype=torch.float64)
    axes.plot(x, curve(x), color=COLORS[0], label=label)
    axes.plot(x, compute_slope(curve, x), "--", color=COLORS[1], label="its derivative")
    axes.set(xlabel=xlabel)
    axes.legend()


def compute_signal_sizes(init: Curve, activation: Curve, *, generator: torch.Generator) -> Tensor:
    """Return the standard deviation before and after each of 20 layers; ``init`` returns weights of a shape (O, I).

    >>> generator = torch.Generator().manual_seed(0)
    >>> sizes = compute_signal_sizes(lambda w: torch.eye(len(w)) / 2, lambda x: x, generator=generator)
    >>> sizes[1:4] / sizes[0]
    tensor([0.5000, 0.2500, 0.1250])
    """
    x = torch.randn(256, WIDTH, generator=generator)
    sizes = [x.std()]
    for _ in range(DEPTH):
        x = activation(x @ init(torch.empty(WIDTH, WIDTH)).T)
        sizes.append(x.std())
    return torch.stack(sizes)


def draw_signal_sizes(
    axes: Any, initializations: dict[str, Curve], activation: Curve, *, generator: torch.Generator
) -> None:
    """Draw the signal's size over the depth, a line for each initialization."""
    for (label, init), color in zip(initializations.items(), COLORS, strict=False):
        sizes = compute_signal_sizes(init, activation, generator=generator)
        axes.semilogy(sizes, "o-", markersize=3, color=color, label=label)
    axes.set(xlabel="layer", ylabel="standard deviation of the signal", title=f"{activation.__name__}, {WIDTH} units")
    axes.legend()


def draw_diagram(axes: Any, boxes: dict[str, tuple[float, float]], edges: list[tuple[str, str]]) -> None:
    """Draw labeled boxes at places (x, y), and an arrow for each pair of labels."""
    for start, end in edges:
        axes.plot(*zip(boxes[start], boxes[end], strict=True), color="#c8c8c8", linewidth=1.2, zorder=1)
        (x1, y1), (x2, y2) = boxes[start], boxes[end]
        middle = (x1 + 0.45 * (x2 - x1), y1 + 0.45 * (y2 - y1)), (x1 + 0.55 * (x2 - x1), y1 + 0.55 * (y2 - y1))
        axes.annotate("", middle[1], middle[0], arrowprops={"arrowstyle": "->", "color": "#505050"}, zorder=2)
    frame = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": COLORS[0]}
    for label, (x, y) in boxes.items():
        axes.text(x, y, label, ha="center", va="center", fontsize=9, bbox=frame, zorder=3)
    axes.margins(0.2)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
