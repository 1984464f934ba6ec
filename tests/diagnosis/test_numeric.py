"""Backward passes of someone's own are compared with differences; what is meant to be another is left in peace."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis.gradcheck import check_backward


def function(forward, backward, name="Own"):
    def run(ctx, x, *more):
        ctx.save_for_backward(x, *more)
        return forward(x, *more)

    def back(ctx, gradient):
        return backward(gradient, *ctx.saved_tensors)

    return type(name, (torch.autograd.Function,), {"forward": staticmethod(run), "backward": staticmethod(back)})


class Layer(nn.Module):
    def __init__(self, own, weight=None):
        super().__init__()
        self.own, self.weight = own, None if weight is None else nn.Parameter(weight)

    def forward(self, x):
        return self.own.apply(x) if self.weight is None else self.own.apply(x, self.weight)


RIGHT = {
    "square": function(lambda x: x * x, lambda g, x: 2 * x * g),
    "relu": function(lambda x: x.clamp(min=0), lambda g, x: g * (x > 0)),
    "sigmoid": function(torch.sigmoid, lambda g, x: g * x.sigmoid() * (1 - x.sigmoid())),
    "swish": function(lambda x: x * x.sigmoid(), lambda g, x: g * (x.sigmoid() * (1 + x * (1 - x.sigmoid())))),
}
MEANT = {
    "reversal": function(lambda x: x.clone(), lambda g, x: -0.5 * g),
    "clipped": function(lambda x: x.view_as(x), lambda g, x: g.clamp(-0.01, 0.01)),
    "rounding": function(torch.round, lambda g, x: g),
    "sign": function(torch.sign, lambda g, x: g * (x.abs() < 1)),
}
WRONG = {
    "square": function(lambda x: x * x, lambda g, x: x * g),
    "sigmoid": function(torch.sigmoid, lambda g, x: g * x * (1 - x)),
    "swish": function(lambda x: x * x.sigmoid(), lambda g, x: g * x.sigmoid()),
    "sign": function(lambda x: x.abs(), lambda g, x: -g * x.sign()),
    "scale": function(lambda x: 3 * x.exp(), lambda g, x: g * x.exp()),
}


def net(own, weight=None):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), Layer(own, weight), nn.Linear(8, 3))


X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_one_is_left_in_peace(name):
    assert check_backward(net(RIGHT[name]), X) is None


@pytest.mark.parametrize("name", MEANT)
def test_one_that_is_meant_to_be_another_is_left_in_peace(name):
    assert check_backward(net(MEANT[name]), X) is None


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_is_named(name):
    found = check_backward(net(WRONG[name]), X)
    assert (found.check, found.severity) == ("wrong-backward", "error")
    assert (found.evidence["layer"], found.evidence["function"], found.evidence["of"]) == ("1", "Own", "input 0")
    assert found.evidence["backward"] != pytest.approx(found.evidence["measured"], rel=1e-3)


def test_a_gradient_passed_straight_through_a_clamp_is_a_note():
    through = function(lambda x: x.clamp(-0.1, 0.1), lambda g, x: g)
    assert check_backward(net(through), X).severity == "note"


def linear(wrong):
    def back(g, x, w):
        return g @ w, (g.T @ x) * (2 if wrong else 1)

    return function(lambda x, w: x @ w.T, back, "Product")


@pytest.mark.parametrize("wrong", [False, True])
def test_the_derivative_by_a_weight_is_checked_too(wrong):
    found = check_backward(net(linear(wrong), torch.randn(8, 8)), X)
    assert (found and found.evidence["of"]) == ("weight" if wrong else None)


class Inside(nn.Module):
    def __init__(self, own):
        super().__init__()
        self.own, self.first, self.part, self.last = own, nn.Linear(6, 6), Layer(RIGHT["square"]), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.own.apply(self.part(self.first(x))))


@pytest.mark.parametrize("name", [None, *WRONG])
def test_one_in_the_forward_of_a_network_is_found(name):
    own = RIGHT["swish"] if name is None else WRONG[name]
    own = type("Another", (own,), {})
    found = check_backward(Inside(own), X)
    assert (found and (found.evidence["layer"], found.evidence["function"])) == (
        None if name is None else ("", "Another")
    )


def test_nothing_is_changed():
    model = net(WRONG["square"])
    before, drawn = {name: one.clone() for name, one in model.state_dict().items()}, torch.get_rng_state()
    check_backward(model, X)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert torch.equal(drawn, torch.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_what_cannot_be_tried_is_left_out():
    single = function(lambda x: x.float() * 2, lambda g, x: g)
    refuses = function(lambda x: torch.stack([x[9]]), lambda g, x: g)
    assert check_backward(net(refuses), X) is None
    assert check_backward(nn.Sequential(nn.Linear(6, 3), Layer(single)), X) is None
    assert check_backward(nn.Flatten(), X) is None
    assert check_backward(nn.Sequential(Layer(WRONG["square"]), nn.Linear(6, 3)), X) is None  # it is never used
    assert (
        check_backward(nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 2)), torch.ones(4, 2).long())
        is None
    )


def test_torchs_own_functions_are_not_doubted():
    class Saved(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            x = self.a(x)
            return self.b(torch.utils.checkpoint.checkpoint(torch.relu, x, use_reentrant=True))

    assert check_backward(Saved(), X) is None


def test_an_examination_puts_it_first():
    model = net(WRONG["square"])
    y = (X[:, 0] > 0).long()
    x = X.repeat(8, 1)
    found = yisheng.diagnose(
        model, (x, y.repeat(8)), F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.05), steps=20
    )
    assert found.findings[0].check == "wrong-backward"
    found = yisheng.diagnose(
        net(RIGHT["square"]), (x, y.repeat(8)), F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.05), steps=20
    )
    assert all(one.check != "wrong-backward" for one in found.findings)
