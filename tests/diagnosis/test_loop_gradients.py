"""Gradients that are zero, NaN or of other weights: each fault is found, and without it there is no alarm."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.blocked_paths import find_blocked, find_infinite_slopes
from yisheng.diagnosis.loss_graph import graph_nodes

from .small_trainings import list_alarms, make_classes, make_mlp, train

X, Y = make_classes()
STEPS = {
    "round": torch.round,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "sign": torch.sign,
    "sgn": torch.sgn,
    "div": lambda w: torch.div(w, 0.5, rounding_mode="floor"),
}


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", STEPS)
def test_parameters_behind_functions_of_steps(kind):
    w = torch.randn(5, requires_grad=True)
    assert find_blocked(graph_nodes(STEPS[kind](w).sum()), {id(w): "w"}) == {"w": kind}
    assert find_blocked(graph_nodes((STEPS[kind](w) + w).sum()), {id(w): "w"}) == {}
    STEPS[kind](w).sum().backward()
    assert not w.grad.any()


class SteppedLinear(nn.Linear):
    """A linear layer whose weights pass a function of steps, with or without a straight path around it."""

    def __init__(self, inputs, outputs, function, is_straight):
        super().__init__(inputs, outputs)
        self.function, self.is_straight = function, is_straight

    def forward(self, x):
        weight = self.function(self.weight)
        return F.linear(x, self.weight + (weight - self.weight).detach() if self.is_straight else weight, self.bias)


@pytest.mark.parametrize("is_straight", [False, True])
@pytest.mark.parametrize("kind", ["round", "sign"])
def test_stepped_weights(kind, is_straight):
    def function(w):
        return STEPS[kind](4 * w) / 4

    net = nn.Sequential(SteppedLinear(8, 24, function, is_straight), nn.ReLU(), nn.Linear(24, 3))
    dr = train(net, lambda net: F.cross_entropy(net(X[:96]), Y[:96]))
    assert list_alarms(dr) == ([] if is_straight else ["no-gradient"])
    assert is_straight or f"{kind}()" in dr.findings[0].cause


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (torch.log, "log"),
        (torch.sqrt, "sqrt"),
        (lambda a: 1 / a, "reciprocal"),
        (lambda a: a**0.5, "pow"),
        (lambda a: torch.acos(1 - a), "acos"),
    ],
)
def test_infinite_slopes_before_a_selection(function, kind):
    a = torch.tensor([0.0, 0.5], requires_grad=True)
    value = torch.where(a > 0, function(a), torch.zeros(2))
    assert find_infinite_slopes(graph_nodes(value.sum())) == (kind,)
    assert find_infinite_slopes(graph_nodes(function(a + 0.1).sum())) == ()
    value.sum().backward()
    assert not a.grad.isfinite().all()


class Logarithms(nn.Module):
    """Logarithms of mixtures, where these are positive."""

    def __init__(self, is_safe):
        super().__init__()
        self.mix, self.is_safe, self.head = nn.Parameter(torch.rand(4, 6)), is_safe, make_mlp(6, 16, 1)

    def forward(self, x):
        amount = x @ self.mix.abs()
        inner = torch.where(amount > 0, amount, torch.ones_like(amount)) if self.is_safe else amount
        return self.head(torch.where(amount > 0, inner.log(), torch.zeros_like(amount)))


@pytest.mark.parametrize("is_safe", [False, True])
def test_weights_that_become_nan_behind_a_finite_loss(is_safe):
    x = torch.rand(64, 4)
    x[::16] = 0
    y = (x.sum(1, keepdim=True) + 1).log()
    dr = train(Logarithms(is_safe), lambda net: F.mse_loss(net(x), y))
    assert list_alarms(dr) == ([] if is_safe else ["non-finite-gradients"])
    assert is_safe or dr.findings[0].evidence["functions"] == ["log"]


def test_a_scaler_may_leave_out_updates_with_infinite_gradients():
    net, scale = make_mlp(8, 24, 3), 1e38
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            optimizer.zero_grad()
            (scale * F.cross_entropy(net(X[:96]), Y[:96]) * 10).backward()
            if all(bool(p.grad.isfinite().all()) for p in net.parameters()):
                for p in net.parameters():
                    p.grad /= 10 * scale
                optimizer.step()
            scale /= 10
            scale = max(scale, 1.0)
    assert "non-finite-gradients" not in list_alarms(dr)


def train_replicas(are_equal, *, exchanges=True, order=1):
    replicas = [make_mlp(8, 16, 16, 3) for _ in range(3)]
    if are_equal:
        replicas = [copy.deepcopy(replicas[0]) for _ in range(3)]
    optimizers = [torch.optim.SGD(net.parameters(), 0.1) for net in replicas]
    watched = replicas[::order][0]
    with yisheng.doctor(watched, optimizers[::order][0]) as dr:
        for _ in range(40):
            for net, optimizer in zip(replicas, optimizers, strict=True):
                rows = torch.randint(0, 480, (24,))
                optimizer.zero_grad()
                F.cross_entropy(net(X[rows]), Y[rows]).backward()
            for group in zip(*(net.parameters() for net in replicas), strict=True) if exchanges else ():
                mean = torch.stack([p.grad for p in group]).mean(0)
                for p in group:
                    p.grad = mean.clone()
            for optimizer in optimizers:
                optimizer.step()
    return list_alarms(dr)


@pytest.mark.parametrize("order", [1, -1])
def test_replicas_that_begin_with_other_weights(order):
    assert train_replicas(False, order=order) == ["unsynchronized-replicas"]
    assert train_replicas(True, order=order) == []


def test_the_members_of_an_ensemble_may_have_other_weights():
    assert train_replicas(False, exchanges=False) == []
