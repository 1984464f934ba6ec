"""Custom backward passes are compared with central differences; gradients that differ on purpose are not reported."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis.gradcheck import check_backward


def make_function(forward, backward, name="Custom"):
    """Return an autograd function with this forward pass, and this backward pass of gradient and inputs."""

    def run_forward(ctx, *inputs):
        ctx.save_for_backward(*inputs)
        return forward(*inputs)

    def run_backward(ctx, gradient):
        return backward(gradient, *ctx.saved_tensors)

    methods = {"forward": staticmethod(run_forward), "backward": staticmethod(run_backward)}
    return type(name, (torch.autograd.Function,), methods)


class Layer(nn.Module):
    def __init__(self, function, weight=None):
        super().__init__()
        self.function, self.weight = function, None if weight is None else nn.Parameter(weight)

    def forward(self, x):
        return self.function.apply(x) if self.weight is None else self.function.apply(x, self.weight)


CORRECT = {
    "square": make_function(lambda x: x * x, lambda g, x: 2 * x * g),
    "relu": make_function(lambda x: x.clamp(min=0), lambda g, x: g * (x > 0)),
    "sigmoid": make_function(torch.sigmoid, lambda g, x: g * x.sigmoid() * (1 - x.sigmoid())),
    "swish": make_function(lambda x: x * x.sigmoid(), lambda g, x: g * (x.sigmoid() * (1 + x * (1 - x.sigmoid())))),
}
DIFFERENT_ON_PURPOSE = {
    "reversal": make_function(lambda x: x.clone(), lambda g, x: -0.5 * g),
    "clipped": make_function(lambda x: x.view_as(x), lambda g, x: g.clamp(-0.01, 0.01)),
    "rounding": make_function(torch.round, lambda g, x: g),
    "sign": make_function(torch.sign, lambda g, x: g * (x.abs() < 1)),
}
WRONG = {
    "square": make_function(lambda x: x * x, lambda g, x: x * g),
    "sigmoid": make_function(torch.sigmoid, lambda g, x: g * x * (1 - x)),
    "swish": make_function(lambda x: x * x.sigmoid(), lambda g, x: g * x.sigmoid()),
    "sign": make_function(lambda x: x.abs(), lambda g, x: -g * x.sign()),
    "scale": make_function(lambda x: 3 * x.exp(), lambda g, x: g * x.exp()),
}


def make_network(function, weight=None):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), Layer(function, weight), nn.Linear(8, 3))


X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", CORRECT)
def test_correct_backward_is_not_reported(name):
    assert check_backward(make_network(CORRECT[name]), X) is None


@pytest.mark.parametrize("name", DIFFERENT_ON_PURPOSE)
def test_gradient_that_differs_on_purpose_is_not_reported(name):
    assert check_backward(make_network(DIFFERENT_ON_PURPOSE[name]), X) is None


@pytest.mark.parametrize("name", WRONG)
def test_wrong_backward_is_named(name):
    finding = check_backward(make_network(WRONG[name]), X)
    assert (finding.check, finding.severity) == ("wrong-backward", "error")
    assert (finding.evidence["layer"], finding.evidence["function"], finding.evidence["of"]) == (
        "1",
        "Custom",
        "input 0",
    )
    assert finding.evidence["backward"] != pytest.approx(finding.evidence["measured"], rel=1e-3)


def test_straight_through_gradient_of_a_clamp_is_a_note():
    straight_through = make_function(lambda x: x.clamp(-0.1, 0.1), lambda g, x: g)
    assert check_backward(make_network(straight_through), X).severity == "note"


def make_linear_function(wrong):
    def backward(g, x, w):
        return g @ w, (g.T @ x) * (2 if wrong else 1)

    return make_function(lambda x, w: x @ w.T, backward, "Product")


@pytest.mark.parametrize("wrong", [False, True])
def test_derivative_by_a_weight_is_checked(wrong):
    finding = check_backward(make_network(make_linear_function(wrong), torch.randn(8, 8)), X)
    assert (finding and finding.evidence["of"]) == ("weight" if wrong else None)


class NetworkWithFunction(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.input, self.square, self.output = nn.Linear(6, 6), Layer(CORRECT["square"]), nn.Linear(6, 3)

    def forward(self, x):
        return self.output(self.function.apply(self.square(self.input(x))))


@pytest.mark.parametrize("name", [None, *WRONG])
def test_function_in_the_forward_of_a_network_is_checked(name):
    function = type("Second", (CORRECT["swish"] if name is None else WRONG[name],), {})
    finding = check_backward(NetworkWithFunction(function), X)
    place = finding and (finding.evidence["layer"], finding.evidence["function"])
    assert place == (None if name is None else ("", "Second"))


def test_network_and_generator_are_not_changed():
    model = make_network(WRONG["square"])
    weights, rng_state = {name: p.clone() for name, p in model.state_dict().items()}, torch.get_rng_state()
    check_backward(model, X)
    assert all(torch.equal(p, weights[name]) for name, p in model.state_dict().items())
    assert torch.equal(rng_state, torch.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_layers_that_cannot_be_tested_are_skipped():
    single_precision = make_function(lambda x: x.float() * 2, lambda g, x: g)
    needs_ten_rows = make_function(lambda x: torch.stack([x[9]]), lambda g, x: g)
    input_without_gradient = nn.Sequential(Layer(WRONG["square"]), nn.Linear(6, 3))
    assert check_backward(make_network(needs_ten_rows), X) is None
    assert check_backward(nn.Sequential(nn.Linear(6, 3), Layer(single_precision)), X) is None
    assert check_backward(nn.Flatten(), X) is None
    assert check_backward(input_without_gradient, X) is None
    embedding = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 2))
    assert check_backward(embedding, torch.ones(4, 2).long()) is None


def test_functions_of_torch_are_not_reported():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            x = self.a(x)
            return self.b(torch.utils.checkpoint.checkpoint(torch.relu, x, use_reentrant=True))

    assert check_backward(Checkpointed(), X) is None


def test_examination_reports_a_wrong_backward_first():
    y = (X[:, 0] > 0).long()
    data = (X.repeat(8, 1), y.repeat(8))
    model = make_network(WRONG["square"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    diagnosis = yisheng.diagnose(model, data, F.cross_entropy, optimizer, steps=20)
    assert diagnosis.findings[0].check == "wrong-backward"
    model = make_network(CORRECT["square"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    diagnosis = yisheng.diagnose(model, data, F.cross_entropy, optimizer, steps=20)
    assert all(finding.check != "wrong-backward" for finding in diagnosis.findings)
