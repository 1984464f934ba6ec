"""Equivalence of from-scratch gradients: chain rule, graphs, backpropagation, descent and curvatures."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from tests.scratch.case import Case, Pair
from tests.scratch.model_cases import draw_network
from tests.scratch.random_inputs import draw_classes, draw_fraction, draw_int, draw_normal
from yisheng.scratch.autograd import Recorded, autograd
from yisheng.scratch.backpropagation import backpropagation
from yisheng.scratch.chain_rule import chain_rule
from yisheng.scratch.computational_graph import computational_graph
from yisheng.scratch.gradient_descent import gradient_descent
from yisheng.scratch.saddle_point import saddle_point


def make_chain_rule(rng: Generator) -> Pair:
    """Use the Jacobians of y = tanh(w2 sin(w1 x)), each written out."""
    w1, w2, x = draw_normal(rng, 4, 3), draw_normal(rng, 2, 4), draw_normal(rng, 3)
    a = w1 @ x
    jacobians = [w1, a.cos().diag(), w2, (1 - (w2 @ a.sin()).tanh() ** 2).diag()]
    return [chain_rule(jacobians)], [torch.func.jacrev(lambda x: (w2 @ (w1 @ x).sin()).tanh())(x)]


def make_graph(rng: Generator) -> Pair:
    """Use every operation, and one value in several places."""
    steps = [
        ("h", "matmul", ("x", "w")),
        ("r", "relu", ("h",)),
        ("d", "subtract", ("r", "y")),
        ("p", "multiply", ("d", "r")),
        ("e", "exp", ("d",)),
        ("s", "add", ("p", "e")),
        ("loss", "sum", ("s",)),
    ]
    shapes = {"x": (4, 3), "w": (3, 2), "y": (4, 2)}
    inputs = {name: draw_normal(rng, *shape).requires_grad_() for name, shape in shapes.items()}
    values, gradients = computational_graph(steps, {name: x.detach() for name, x in inputs.items()})
    r = (inputs["x"] @ inputs["w"]).relu()
    loss = ((r - inputs["y"]) * r + (r - inputs["y"]).exp()).sum()
    library = torch.autograd.grad(loss, list(inputs.values()))
    return [values["loss"], *(gradients[name] for name in inputs)], [loss, *library]


def make_autograd(rng: Generator) -> Pair:
    """Use every operation with operands that are broadcast, and a value that is used twice."""
    inputs = [draw_normal(rng, *shape).requires_grad_() for shape in ((4, 3), (3, 2), (2,), (4, 1))]

    def scratch(x: Recorded, w: Recorded, b: Recorded, c: Recorded) -> Recorded:
        h = (x @ w + b) * c
        return ((h * h + c.exp()).log() + h).sum()

    def library(x: Tensor, w: Tensor, b: Tensor, c: Tensor) -> Tensor:
        h = (x @ w + b) * c
        return ((h * h + c.exp()).log() + h).sum()

    value, gradients = autograd(scratch, [x.detach() for x in inputs])
    loss = library(*inputs)
    return [value, *gradients], [loss, *torch.autograd.grad(loss, inputs)]


def make_backpropagation(rng: Generator) -> Pair:
    parameters, model = draw_network(rng, 5, *[draw_int(rng, 1, 8) for _ in range(draw_int(rng, 0, 4))], 3)
    x, y = draw_normal(rng, 9, 5), draw_classes(rng, 3, 9)
    expected = F.cross_entropy(model(x), y)
    expected.backward()
    loss, gradients = backpropagation(x, y, list(zip(parameters[::2], parameters[1::2], strict=True)))
    return [loss, *(g for layer in gradients for g in layer)], [expected, *(p.grad for p in model.parameters())]


def make_descent(rng: Generator) -> Pair:
    x, y, w = draw_normal(rng, 30, 4), draw_normal(rng, 30), draw_normal(rng, 4)
    lr, steps = 0.5 * draw_fraction(rng), draw_int(rng, 1, 40)
    path = gradient_descent(lambda w: x.T @ (x @ w - y) / 15, w, lr=lr, steps=steps)
    weights = nn.Parameter(w.clone())
    optimizer = torch.optim.SGD([weights], lr=lr)
    library = [w]
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(x @ weights, y).backward()
        optimizer.step()
        library.append(weights.detach().clone())
    return [path], [torch.stack(library)]


def make_saddle(rng: Generator) -> Pair:
    a = draw_normal(rng, 4, 4)

    def f(w: Tensor) -> Tensor:
        return w @ a @ w + (w**3).sum() + w.sin().prod()

    w = draw_normal(rng, 4)
    curvatures = saddle_point(torch.func.grad(f), w)
    return [curvatures], [torch.linalg.eigvalsh(torch.autograd.functional.hessian(f, w))]


CASES = [
    Case("chain-rule", "torch.func.jacrev", "Jacobian of four functions", 1e-13, make_chain_rule),
    Case("computational-graph", "torch.autograd.grad", "value, gradients", 1e-12, make_graph),
    Case("autograd", "torch.autograd.grad", "value, gradients", 1e-12, make_autograd),
    Case(
        "backpropagation",
        "torch.nn.Sequential, autograd",
        "loss, gradients of 1 to 5 layers",
        1e-12,
        make_backpropagation,
    ),
    Case("gradient-descent", "torch.optim.SGD, all rows", "path of 1 to 40 updates", 1e-12, make_descent),
    Case("saddle-point", "torch.autograd.functional.hessian, torch.linalg.eigvalsh", "curvatures", 1e-8, make_saddle),
]
