"""Equivalence of from-scratch models."""

from __future__ import annotations

import itertools

import torch
from sklearn import linear_model
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from tests.scratch.case import Case, Pair, run_both
from tests.scratch.random_inputs import draw_classes, draw_int, draw_normal
from yisheng import models
from yisheng.core.spec import Spec
from yisheng.scratch import linear_regression as least_squares
from yisheng.scratch import softmax_regression as softmax_model
from yisheng.scratch.lenet import lenet
from yisheng.scratch.linear import linear
from yisheng.scratch.mlp import gradients, mlp
from yisheng.scratch.perceptron import perceptron


def make_linear(rng: Generator) -> Pair:
    return run_both(linear, F.linear, draw_normal(rng, 7, 5), draw_normal(rng, 3, 5), draw_normal(rng, 3))


def make_closed_form(rng: Generator) -> Pair:
    x, y = draw_normal(rng, 40, 5) + 3, draw_normal(rng, 40, 2) - 7
    model = linear_model.LinearRegression().fit(x, y)
    scratch = list(least_squares.linear_regression(x, y))
    return scratch, [torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)]


def make_regression_gradient(rng: Generator) -> Pair:
    x, y = draw_normal(rng, 9, 5), draw_normal(rng, 9, 2)
    w, b = draw_normal(rng, 2, 5).requires_grad_(), draw_normal(rng, 2).requires_grad_()
    loss = 0.5 * F.mse_loss(F.linear(x, w, b), y, reduction="sum") / 9
    scratch = [least_squares.loss(x, y, w, b), *least_squares.gradient(x, y, w, b)]
    return scratch, [loss, *torch.autograd.grad(loss, (w, b))]


def make_softmax_regression(rng: Generator) -> Pair:
    x, y = draw_normal(rng, 9, 5), draw_classes(rng, 3, 9)
    w, b = draw_normal(rng, 3, 5).requires_grad_(), draw_normal(rng, 3).requires_grad_()
    loss = F.cross_entropy(F.linear(x, w, b), y)
    output = softmax_model.softmax_regression(x, w, b)
    scratch = [output, softmax_model.loss(x, y, w, b), *softmax_model.gradient(x, y, w, b)]
    return scratch, [F.linear(x, w, b).softmax(1), loss, *torch.autograd.grad(loss, (w, b))]


def make_perceptron(rng: Generator) -> Pair:
    """Classes that a line separates, and classes that no line separates."""
    epochs, x = draw_int(rng, 1, 20), draw_normal(rng, 30, 3)
    y = torch.where(x @ draw_normal(rng, 3) + draw_int(rng, 0, 1) * draw_normal(rng, 30) > 0, 1.0, -1.0)
    model = linear_model.Perceptron(shuffle=False, tol=None, max_iter=epochs).fit(x, y)
    library = [torch.from_numpy(model.coef_[0]), torch.tensor(model.intercept_[0], dtype=torch.float64)]
    return list(perceptron(x, y.double(), epochs=epochs)), library


def draw_network(rng: Generator, *widths: int) -> tuple[list[Tensor], nn.Sequential]:
    """Draw weights and biases of each layer, and return torch's network with them."""
    layers = [nn.Linear(i, o).double() for i, o in itertools.pairwise(widths)]
    parameters = [p for layer in layers for p in layer.parameters()]
    for p in parameters:
        p.data = draw_normal(rng, *p.shape)
    return [p.detach() for p in parameters], nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())][:-1])


def make_mlp(rng: Generator) -> Pair:
    parameters, model = draw_network(rng, 5, *[draw_int(rng, 1, 8) for _ in range(draw_int(rng, 0, 3))], 3)
    names = [name for name, _ in model.named_parameters()]
    return run_both(
        lambda x, *p: mlp(x, list(zip(p[::2], p[1::2], strict=True))),
        lambda x, *p: torch.func.functional_call(model, dict(zip(names, p, strict=True)), x),
        draw_normal(rng, 9, 5),
        *parameters,
    )


def make_backpropagation(rng: Generator) -> Pair:
    (w1, b1, w2, b2), model = draw_network(rng, 5, draw_int(rng, 1, 12), 3)
    x, y = draw_normal(rng, 9, 5), draw_classes(rng, 3, 9)
    F.cross_entropy(model(x), y).backward()
    hidden, output = gradients(x, y, (w1, b1), (w2, b2))
    return [*hidden, *output], [p.grad for p in model.parameters()]


def make_lenet(rng: Generator) -> Pair:
    shape = (2, 16, 14) if draw_int(rng, 0, 1) else (2, 32, 33)  # padded, and not
    spec = Spec("classification", shape, classes=tuple("abc"))
    net = models.build("lenet", spec, style="classic").double()
    weights = [draw_normal(rng, *p.shape) / p[0].numel() ** 0.5 for p in net.parameters()]
    names = [name for name, _ in net.named_parameters()]

    def scratch(x: Tensor, *p: Tensor) -> Tensor:
        layers = list(zip(p[::2], p[1::2], strict=True))
        return lenet(x, layers[:2], layers[2:])

    def library(x: Tensor, *p: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(names, p, strict=True)), (x,))

    return run_both(scratch, library, draw_normal(rng, 3, *shape), *weights)


CASES = [
    Case("linear", "torch.nn.functional.linear", "output, gradients", 1e-13, make_linear),
    Case("linear-regression", "sklearn.linear_model.LinearRegression", "weights, biases", 1e-11, make_closed_form),
    Case(
        "linear-regression",
        "torch.nn.functional.mse_loss, autograd",
        "loss, gradient",
        1e-13,
        make_regression_gradient,
    ),
    Case(
        "softmax-regression",
        "torch.nn.functional.linear, softmax, cross_entropy, autograd",
        "output, loss, gradient",
        1e-13,
        make_softmax_regression,
    ),
    Case("perceptron", "sklearn.linear_model.Perceptron", "weights, bias after 1 to 20 epochs", 1e-12, make_perceptron),
    Case("mlp", "torch.nn.Sequential of Linear and ReLU", "output, gradients", 1e-12, make_mlp),
    Case("mlp", "torch.nn.Sequential, autograd", "backpropagation from scratch", 1e-13, make_backpropagation),
    Case(
        "lenet",
        'torch.nn, as in yisheng.models.build("lenet", style="classic")',
        "output, gradients",
        1e-13,
        make_lenet,
    ),
]
