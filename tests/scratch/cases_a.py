"""Proofs of the hand-written models, losses, activations, penalties, first weights and scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from case import Case, Pair, both
from sklearn import linear_model, metrics
from sklearn.preprocessing import StandardScaler
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from yisheng.scratch import linear_regression as line
from yisheng.scratch import softmax_regression as softmaxes
from yisheng.scratch.absolute_loss import absolute_loss
from yisheng.scratch.accuracy import accuracy
from yisheng.scratch.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_naive
from yisheng.scratch.confusion_matrix import confusion_matrix
from yisheng.scratch.cross_entropy import cross_entropy, cross_entropy_naive
from yisheng.scratch.dropout import dropout
from yisheng.scratch.f1 import f1
from yisheng.scratch.huber_loss import huber_loss
from yisheng.scratch.kaiming import kaiming, kaiming_normal
from yisheng.scratch.l1_penalty import l1_penalty
from yisheng.scratch.l2_penalty import l2_penalty
from yisheng.scratch.linear import linear
from yisheng.scratch.log_sum_exp import log_sum_exp, log_sum_exp_naive
from yisheng.scratch.mlp import gradients, mlp
from yisheng.scratch.one_hot import one_hot
from yisheng.scratch.perceptron import perceptron
from yisheng.scratch.precision import precision
from yisheng.scratch.recall import recall
from yisheng.scratch.relu import relu
from yisheng.scratch.sigmoid import sigmoid, sigmoid_naive
from yisheng.scratch.softmax import softmax, softmax_naive
from yisheng.scratch.squared_loss import squared_loss
from yisheng.scratch.standardise import standardise
from yisheng.scratch.tanh import tanh
from yisheng.scratch.xavier import xavier, xavier_normal

Make = Callable[[Generator], Pair]
Score = Callable[..., Tensor]


def drawn(rng: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def whole(rng: Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


def wide(rng: Generator, *shape: int) -> Tensor:
    """Numbers of all sizes, up to thousands, some of them zero or equal to one another."""
    x = drawn(rng, *shape) * 10.0 ** torch.randint(-2, 4, shape, generator=rng)
    return torch.where(torch.rand(shape, generator=rng) < 0.2, x.sign().clamp(min=0), x)


def classes(rng: Generator, count: int, *shape: int) -> Tensor:
    return torch.randint(count, shape, generator=rng)


def of_linear(rng: Generator) -> Pair:
    return both(linear, F.linear, drawn(rng, 7, 5), drawn(rng, 3, 5), drawn(rng, 3))


def of_closed_form(rng: Generator) -> Pair:
    x, y = drawn(rng, 40, 5) + 3, drawn(rng, 40, 2) - 7
    model = linear_model.LinearRegression().fit(x, y)
    return list(line.linear_regression(x, y)), [torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)]


def of_line_gradient(rng: Generator) -> Pair:
    x, y, w, b = drawn(rng, 9, 5), drawn(rng, 9, 2), drawn(rng, 2, 5).requires_grad_(), drawn(rng, 2).requires_grad_()
    loss = 0.5 * F.mse_loss(F.linear(x, w, b), y, reduction="sum") / 9
    return [line.loss(x, y, w, b), *line.gradient(x, y, w, b)], [loss, *torch.autograd.grad(loss, (w, b))]


def of_softmaxes_gradient(rng: Generator) -> Pair:
    x, y, w, b = drawn(rng, 9, 5), classes(rng, 3, 9), drawn(rng, 3, 5).requires_grad_(), drawn(rng, 3).requires_grad_()
    loss = F.cross_entropy(F.linear(x, w, b), y)
    ours = [softmaxes.softmax_regression(x, w, b), softmaxes.loss(x, y, w, b), *softmaxes.gradient(x, y, w, b)]
    return ours, [F.linear(x, w, b).softmax(1), loss, *torch.autograd.grad(loss, (w, b))]


def of_errors(ours: Callable[..., Tensor], theirs: Callable[..., Tensor]) -> Make:
    """A loss of regression; some errors are zero."""

    def make(rng: Generator) -> Pair:
        y = drawn(rng, 8, 3)
        return both(ours, lambda o, y: theirs(o, y, reduction="none"), y + wide(rng, 8, 3), y)

    return make


def of_huber(rng: Generator) -> Pair:
    delta, y = 3 * float(torch.rand((), generator=rng)), drawn(rng, 8, 3)
    output = torch.cat([y + wide(rng, 8, 3), y + delta])  # some errors are where the square ends
    y = torch.cat([y, y])
    return both(
        lambda o, y: huber_loss(o, y, delta=delta),
        lambda o, y: F.huber_loss(o, y, reduction="none", delta=delta), output, y,
    )  # fmt: skip


def of_softmax(rng: Generator) -> Pair:
    t = 0.1 + 5 * float(torch.rand((), generator=rng))
    return both(lambda z: softmax(z, temperature=t), lambda z: (z / t).softmax(-1), wide(rng, 2, 6, 5))


def of_one_axis(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], draw: Callable[..., Tensor]) -> Make:
    return lambda rng: both(ours, lambda z: theirs(z, -1), draw(rng, 2, 6, 5))


def of_cross_entropy(ours: Callable[..., Tensor], draw: Callable[..., Tensor]) -> Make:
    def make(rng: Generator) -> Pair:
        y = classes(rng, 5, 12)
        return both(lambda z: ours(z, y), lambda z: F.cross_entropy(z, y, reduction="none"), draw(rng, 12, 5))

    return make


def of_binary(ours: Callable[..., Tensor], draw: Callable[..., Tensor]) -> Make:
    """Targets of all kinds: no, yes, between."""

    def make(rng: Generator) -> Pair:
        y = (2 * torch.rand(12, 4, generator=rng, dtype=torch.float64) - 0.5).clamp(0, 1)
        theirs = F.binary_cross_entropy_with_logits
        return both(lambda z: ours(z, y), lambda z: theirs(z, y, reduction="none"), draw(rng, 12, 4))

    return make


def of_activation(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], draw: Callable[..., Tensor]) -> Make:
    return lambda rng: both(ours, theirs, draw(rng, 10, 6))


def of_perceptron(rng: Generator) -> Pair:
    """Classes that a line parts, and classes that none does."""
    epochs, x = whole(rng, 1, 20), drawn(rng, 30, 3)
    y = torch.where(x @ drawn(rng, 3) + whole(rng, 0, 1) * drawn(rng, 30) > 0, 1.0, -1.0)
    model = linear_model.Perceptron(shuffle=False, tol=None, max_iter=epochs).fit(x, y)
    theirs = [torch.from_numpy(model.coef_[0]), torch.tensor(model.intercept_[0], dtype=torch.float64)]
    return list(perceptron(x, y.double(), epochs=epochs)), theirs


def net(rng: Generator, *widths: int) -> tuple[list[Tensor], nn.Sequential]:
    """Weights and biases of each layer in turn, and torch's network of the same."""
    layers = [nn.Linear(i, o).double() for i, o in itertools.pairwise(widths)]
    parameters = [p for layer in layers for p in layer.parameters()]
    for p in parameters:
        p.data = drawn(rng, *p.shape)
    return [p.detach() for p in parameters], nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())][:-1])


def of_mlp(rng: Generator) -> Pair:
    parameters, model = net(rng, 5, *[whole(rng, 1, 8) for _ in range(whole(rng, 0, 3))], 3)
    names = [name for name, _ in model.named_parameters()]
    return both(
        lambda x, *p: mlp(x, list(zip(p[::2], p[1::2], strict=True))),
        lambda x, *p: torch.func.functional_call(model, dict(zip(names, p, strict=True)), x),
        drawn(rng, 9, 5), *parameters,
    )  # fmt: skip


def of_back_propagation(rng: Generator) -> Pair:
    (w1, b1, w2, b2), model = net(rng, 5, whole(rng, 1, 12), 3)
    x, y = drawn(rng, 9, 5), classes(rng, 3, 9)
    F.cross_entropy(model(x), y).backward()
    hidden, output = gradients(x, y, (w1, b1), (w2, b2))
    return [*hidden, *output], [p.grad for p in model.parameters()]


def of_weight_decay(rng: Generator) -> Pair:
    """Gradient descent on loss plus penalty, and torch's on the loss with its weight decay."""
    x, start, weight_decay = drawn(rng, 9, 4), drawn(rng, 4), float(torch.rand((), generator=rng))
    ours, theirs = start.clone(), start.clone().requires_grad_()
    optimizer = torch.optim.SGD([theirs], lr=0.1, weight_decay=weight_decay)
    for _ in range(20):
        w = ours.clone().requires_grad_()
        (g,) = torch.autograd.grad((x @ w).tanh().mean() + l2_penalty(w, weight_decay=weight_decay), w)
        ours = ours - 0.1 * g
        optimizer.zero_grad()
        (x @ theirs).tanh().mean().backward()
        optimizer.step()
    return [ours], [theirs]


def of_l1(rng: Generator) -> Pair:
    weight_decay = float(torch.rand((), generator=rng))
    return both(
        lambda w: l1_penalty(w, weight_decay=weight_decay),
        lambda w: weight_decay * torch.linalg.vector_norm(w, ord=1),
        wide(rng, 6, 5),
    )


def of_dropout(rng: Generator) -> Pair:
    """The same seed; ours draws from a generator of its own."""
    seed, p = whole(rng, 0, 10**6), float(torch.rand((), generator=rng))

    def theirs(x: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return F.dropout(x, p, training=True)

    return both(
        lambda x: dropout(x, p=p, generator=torch.Generator().manual_seed(seed)),
        theirs,
        drawn(rng, whole(rng, 1, 90), 7),
    )


def of_init(ours: Callable[..., Tensor], theirs: Callable[..., Any]) -> Make:
    """A layer's weights and a convolution's, from the same seed."""

    def make(rng: Generator) -> Pair:
        seed = whole(rng, 0, 10**6)
        weights = [torch.empty(shape, dtype=torch.float64) for shape in ((30, 20), (4, 3, 5, 5))]
        found = [ours(w, generator=torch.Generator().manual_seed(seed)) for w in weights]
        return found, [theirs(w, generator=torch.Generator().manual_seed(seed)) for w in weights]

    return make


def of_accuracy(rng: Generator) -> Pair:
    y, output = classes(rng, 3, 50), drawn(rng, 50, 3)
    known = metrics.accuracy_score(y, output.argmax(1))
    return [accuracy(y, output)], [torch.tensor(known, dtype=torch.float64)]


def of_counts(ours: Score, theirs: Callable[..., Any], **options: Any) -> Make:
    """Five classes, some without a sample, some never predicted."""

    def make(rng: Generator) -> Pair:
        y, predicted = classes(rng, whole(rng, 1, 5), 40), classes(rng, whole(rng, 1, 5), 40)
        return [ours(y, predicted, 5)], [torch.from_numpy(theirs(y, predicted, labels=range(5), **options))]

    return make


def of_one_hot(rng: Generator) -> Pair:
    y = classes(rng, 6, 4, 3)
    return [one_hot(y, 6)], [F.one_hot(y, 6)]


def of_standardise(rng: Generator) -> Pair:
    """One column is constant in the training part."""
    train, x = (drawn(rng, 30, 4) * torch.tensor([1.0, 100.0, 0.01, 0.0]) + drawn(rng, 4) for _ in range(2))
    return [standardise(x, train)], [torch.from_numpy(StandardScaler().fit(train).transform(x))]


def functional(name: str) -> str:
    return f"torch.nn.functional.{name}"


def half_mse(*inputs: Tensor, **options: Any) -> Tensor:
    return F.mse_loss(*inputs, **options) / 2


FORM, NAIVE = "output, gradient", "naive form: output, gradient"
BCE, BCE_NAIVE = of_binary(binary_cross_entropy, wide), of_binary(binary_cross_entropy_naive, drawn)
SCORES = {"average": None, "zero_division": 0}
CASES = [
    Case("linear", functional("linear"), "output, gradients", 1e-13, of_linear),
    Case("linear-regression", "sklearn.linear_model.LinearRegression", "weights, biases", 1e-11, of_closed_form),
    Case("linear-regression", functional("mse_loss, autograd"), "loss, gradient", 1e-13, of_line_gradient),
    Case("squared-loss", functional("mse_loss, halved"), FORM, 1e-14, of_errors(squared_loss, half_mse)),
    Case("absolute-loss", functional("l1_loss"), FORM, 0, of_errors(absolute_loss, F.l1_loss)),
    Case("huber-loss", functional("huber_loss"), FORM, 1e-14, of_huber),
    Case("softmax", "torch.softmax, of logits / temperature", FORM, 1e-14, of_softmax),
    Case("softmax", "torch.softmax", NAIVE, 1e-14, of_one_axis(softmax_naive, torch.softmax, drawn)),
    Case("log-sum-exp", "torch.logsumexp", FORM, 1e-12, of_one_axis(log_sum_exp, torch.logsumexp, wide)),
    Case("log-sum-exp", "torch.logsumexp", NAIVE, 1e-14, of_one_axis(log_sum_exp_naive, torch.logsumexp, drawn)),
    Case("cross-entropy", functional("cross_entropy"), FORM, 1e-13, of_cross_entropy(cross_entropy, wide)),
    Case("cross-entropy", functional("cross_entropy"), NAIVE, 1e-13, of_cross_entropy(cross_entropy_naive, drawn)),
    Case("binary-cross-entropy", functional("binary_cross_entropy_with_logits"), FORM, 1e-13, BCE),
    Case("binary-cross-entropy", functional("binary_cross_entropy_with_logits"), NAIVE, 1e-13, BCE_NAIVE),
    Case(
        "softmax-regression",
        functional("linear, softmax, cross_entropy, autograd"),
        "output, loss, gradient",
        1e-13,
        of_softmaxes_gradient,
    ),
    Case("accuracy", "sklearn.metrics.accuracy_score", "output", 1e-15, of_accuracy),
    Case("perceptron", "sklearn.linear_model.Perceptron", "weights, bias after 1 to 20 epochs", 1e-12, of_perceptron),
    Case("relu", "torch.relu", FORM, 0, of_activation(relu, torch.relu, wide)),
    Case("sigmoid", "torch.sigmoid", FORM, 1e-15, of_activation(sigmoid, torch.sigmoid, wide)),
    Case("sigmoid", "torch.sigmoid", NAIVE, 1e-15, of_activation(sigmoid_naive, torch.sigmoid, drawn)),
    Case("tanh", "torch.tanh", FORM, 1e-15, of_activation(tanh, torch.tanh, wide)),
    Case("mlp", "torch.nn.Sequential of Linear and ReLU", "output, gradients", 1e-12, of_mlp),
    Case("mlp", "torch.nn.Sequential, autograd", "back-propagation by hand", 1e-13, of_back_propagation),
    Case("l2-penalty", "torch.optim.SGD(weight_decay=λ)", "trajectory of 20 updates", 1e-14, of_weight_decay),
    Case("l1-penalty", "λ torch.linalg.vector_norm(w, ord=1)", FORM, 1e-14, of_l1),
    Case("dropout", functional("dropout, same seed"), FORM, 0, of_dropout),
    *[
        Case(name, f"torch.nn.init.{theirs.__name__}, same seed", "weights", 1e-15, of_init(ours, theirs))
        for name, ours, theirs in (
            ("xavier", xavier, nn.init.xavier_uniform_),
            ("xavier", xavier_normal, nn.init.xavier_normal_),
            ("kaiming", kaiming, nn.init.kaiming_uniform_),
            ("kaiming", kaiming_normal, nn.init.kaiming_normal_),
        )
    ],
    *[
        Case(name, f"sklearn.metrics.{theirs.__name__}", "output", tolerance, of_counts(ours, theirs, **options))
        for name, ours, theirs, tolerance, options in (
            ("confusion-matrix", confusion_matrix, metrics.confusion_matrix, 0, {}),
            ("precision", precision, metrics.precision_score, 1e-15, SCORES),
            ("recall", recall, metrics.recall_score, 1e-15, SCORES),
            ("f1", f1, metrics.f1_score, 1e-15, SCORES),
        )
    ],
    Case("one-hot", functional("one_hot"), "output", 0, of_one_hot),
    Case("standardise", "sklearn.preprocessing.StandardScaler", "output", 1e-12, of_standardise),
]
