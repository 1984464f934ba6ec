"""Equivalence of from-scratch fits, their regularization, likelihoods, schedules and activations."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.optimize import linprog
from sklearn.linear_model import ElasticNet, LinearRegression
from torch import Generator, nn
from torch.nn import functional as F

from tests.scratch.case import Case, Pair, run_both
from tests.scratch.model_cases import draw_network
from tests.scratch.random_inputs import draw_classes, draw_fraction, draw_int, draw_normal, draw_wide
from yisheng.scratch.activation_functions import activation_functions
from yisheng.scratch.capacity import capacity
from yisheng.scratch.learning_rate_schedule import SHAPES, learning_rate_schedule
from yisheng.scratch.likelihood import likelihood
from yisheng.scratch.overfitting import overfitting
from yisheng.scratch.regularization import regularization
from yisheng.scratch.transfer_learning import transfer_learning
from yisheng.scratch.vc_dimension import vc_dimension
from yisheng.scratch.weight_decay import weight_decay


def make_polynomials(rng: Generator) -> Pair:
    x, y, a, b = (draw_normal(rng, 30).clamp(-1, 1) for _ in range(4))
    errors = []
    for degree in range(6):
        fit = np.polynomial.polynomial.polyfit(x, y, degree)
        for inputs, targets in ((x, y), (a, b)):
            errors.append(np.mean((np.polynomial.polynomial.polyval(inputs.numpy(), fit) - targets.numpy()) ** 2))
    return [overfitting(x, y, a, b, degrees=range(6))], [torch.tensor(errors, dtype=torch.float64).reshape(6, 2)]


def make_capacity(rng: Generator) -> Pair:
    x, y = draw_normal(rng, 30, draw_int(rng, 1, 25)), draw_normal(rng, 30)
    return [capacity(x, y)], [torch.tensor(LinearRegression().fit(x, y).score(x, y), dtype=torch.float64)]


def make_labelings(rng: Generator) -> Pair:
    """Count by linear programs: a labeling is separable if s (x w + b) >= 1 has a solution."""
    points, inputs = draw_int(rng, 2, 5), draw_int(rng, 1, 2)
    x = np.hstack([draw_normal(rng, points, inputs).numpy(), np.ones((points, 1))])
    count = 0
    for signs in itertools.product((-1.0, 1.0), repeat=points):
        constraints = -np.array(signs)[:, None] * x
        result = linprog(np.zeros(inputs + 1), constraints, -np.ones(points), bounds=(None, None))
        count += result.status == 0
    return [torch.tensor(vc_dimension(points, inputs=inputs))], [torch.tensor(count)]


def make_weight_decay(rng: Generator) -> Pair:
    lr, decay, w, target = draw_fraction(rng), draw_fraction(rng), draw_normal(rng, 5), draw_normal(rng, 5)
    parameter = nn.Parameter(w.clone())
    optimizer = torch.optim.SGD([parameter], lr=lr, weight_decay=decay)
    for _ in range(20):
        w = weight_decay(w, w - target, lr=lr, weight_decay=decay)
        parameter.grad = parameter.detach() - target
        optimizer.step()
    return [w], [parameter]


def make_elastic_net(rng: Generator) -> Pair:
    """Use orthonormal columns, on which the problem of each weight is its own."""
    rows = 40
    x = torch.linalg.qr(draw_normal(rng, rows, 6))[0] * rows**0.5
    y, l1, l2 = 3 * draw_normal(rng, rows), draw_fraction(rng), draw_fraction(rng)
    model = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-14, max_iter=100_000)
    return [regularization(x.T @ y / rows, l1=l1, l2=l2)], [torch.from_numpy(model.fit(x, y).coef_)]


def make_likelihoods(rng: Generator) -> Pair:
    o, y, logits = draw_normal(rng, 20), draw_normal(rng, 20), draw_normal(rng, 20, 4)
    d, unit = torch.distributions, torch.ones((), dtype=torch.float64)
    coins, classes = draw_classes(rng, 2, 20).double(), draw_classes(rng, 4, 20)
    scratch = [
        likelihood(o, y, family="normal"),
        likelihood(o, y, family="laplace"),
        likelihood(o, coins, family="bernoulli"),
        likelihood(logits, classes, family="categorical"),
    ]
    library = [
        d.Normal(o, unit).log_prob(y),
        d.Laplace(o, unit).log_prob(y),
        d.Bernoulli(logits=o).log_prob(coins),
        d.Categorical(logits=logits).log_prob(classes),
    ]
    return scratch, [-t for t in library]


def make_transfer(rng: Generator) -> Pair:
    parameters, model = draw_network(rng, 5, 6, 3)
    w1, b1, w2, b2 = (p.clone() for p in parameters)
    x, y = draw_normal(rng, 12, 5), draw_classes(rng, 3, 12)
    lr, factor = 0.1 * draw_fraction(rng), 10 * draw_fraction(rng)
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": factor * lr}]
    optimizer = torch.optim.SGD(groups, lr=lr)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    body, head = transfer_learning(x, y, (w1, b1), (w2, b2), lr=lr, head_lr=factor, steps=20)
    return [*body, *head], list(model.parameters())


def make_schedules(rng: Generator) -> Pair:
    steps = 10 * draw_int(rng, 2, 9)
    lr = draw_fraction(rng) + 0.1
    scratch, library, kinds = [], [], torch.optim.lr_scheduler
    for shape in SHAPES:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        schedule = {
            "constant": lambda o: kinds.ConstantLR(o, factor=1.0),
            "step": lambda o: kinds.StepLR(o, -(-steps // 3), gamma=0.1),
            "exponential": lambda o: kinds.ExponentialLR(o, gamma=0.95),
            "inverse": lambda o: kinds.LambdaLR(o, lambda t: 1 / (1 + t)),
            "cosine": lambda o: kinds.CosineAnnealingLR(o, T_max=steps),
            "one-cycle": lambda o: kinds.OneCycleLR(o, max_lr=lr, total_steps=steps, cycle_momentum=False),
        }[shape](optimizer)
        for step in range(steps):
            scratch.append(lr * learning_rate_schedule(step, steps, shape=shape))
            library.append(schedule.get_last_lr()[0])
            optimizer.step()
            if step + 1 < steps:
                schedule.step()
    return [torch.tensor(scratch, dtype=torch.float64)], [torch.tensor(library, dtype=torch.float64)]


LIBRARY_ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky-relu": F.leaky_relu,
    "elu": F.elu,
    "softplus": lambda x: -F.logsigmoid(-x),
    "gelu": F.gelu,
    "silu": F.silu,
}


def make_activations(rng: Generator) -> Pair:
    return run_both(
        lambda x: torch.stack([activation_functions(x)[name] for name in LIBRARY_ACTIVATIONS]),
        lambda x: torch.stack([f(x) for f in LIBRARY_ACTIVATIONS.values()]),
        draw_wide(rng, 40) + 0.01,
    )


CASES = [
    Case("overfitting", "numpy.polynomial.polynomial.polyfit", "errors of degrees 0 to 5", 1e-10, make_polynomials),
    Case("capacity", "sklearn.linear_model.LinearRegression.score", "R² on random targets", 1e-12, make_capacity),
    Case("vc-dimension", "scipy.optimize.linprog for each labeling", "number of labelings", 0, make_labelings),
    Case("weight-decay", "torch.optim.SGD(weight_decay=λ)", "trajectory of 20 updates", 1e-13, make_weight_decay),
    Case("regularization", "sklearn.linear_model.ElasticNet, orthonormal columns", "weights", 1e-9, make_elastic_net),
    Case("likelihood", "log_prob of torch.distributions", "output of four families", 1e-13, make_likelihoods),
    Case("transfer-learning", "torch.optim.SGD with two groups", "weights after 20 updates", 1e-12, make_transfer),
    Case("learning-rate-schedule", "torch.optim.lr_scheduler, six shapes", "20 to 90 steps", 1e-12, make_schedules),
    Case("activation-functions", "eight of torch.nn.functional", "output, gradient", 1e-12, make_activations),
]
