"""One update: the mean loss, accumulation, clipping, and checks for non-finite values."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from yisheng.core.errors import NonFiniteError, UsageError
from yisheng.core.events import Batch
from yisheng.core.registry import find
from yisheng.core.spec import Spec
from yisheng.optim.parameter_groups import list_weights
from yisheng.training.state import State
from yisheng.training.update import make_l1_penalty, make_update, mean_loss

SPEC = Spec("classification", (6,), classes=tuple("abcd"))


def loss():
    return find("losses", "cross-entropy").build(SPEC, np.zeros(1, np.int64))


def state(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    return State(model, optimizer)


def batch(n=21, seed=0, weighted=False):
    torch.manual_seed(seed)
    weight = torch.rand(n).double() if weighted else None
    return Batch(torch.randn(n, 6).double(), torch.randint(0, 4, (n,)), torch.arange(n), weight)


def weights(s):
    return torch.cat([p.detach().flatten() for p in s.model.parameters()])


def plain_update(s, b, *, clip_norm=None, clip_value=None):
    output = s.model(b.x)
    losses = nn.functional.cross_entropy(output, b.y, reduction="none")
    mean = losses.mean() if b.weight is None else (losses * b.weight).sum() / b.weight.sum()
    mean.backward()
    if clip_value:
        nn.utils.clip_grad_value_(s.model.parameters(), clip_value)
    if clip_norm:
        nn.utils.clip_grad_norm_(s.model.parameters(), clip_norm)
    s.optimizer.step()
    s.optimizer.zero_grad()
    return mean.detach()


@pytest.mark.parametrize("micro", [None, 5])
@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_l1_penalty_equals_plain_pytorch(micro, clip_norm):
    updated, expected = state(), state()
    for seed in range(5):
        penalty = make_l1_penalty(list_weights(updated.model).values(), 0.02)
        make_update(micro_batch=micro, clip_norm=clip_norm, penalty=penalty)(updated, batch(seed=seed), loss())
        b = batch(seed=seed)
        mean = nn.functional.cross_entropy(expected.model(b.x), b.y)
        (mean + 0.02 * sum(w.abs().sum() for w in (expected.model[0].weight, expected.model[2].weight))).backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(expected.model.parameters(), clip_norm)
        expected.optimizer.step()
        expected.optimizer.zero_grad()
    torch.testing.assert_close(weights(updated), weights(expected), rtol=1e-12, atol=1e-12)


def test_l1_penalty_leaves_frozen_weights_alone_and_out_of_the_loss():
    s = state()
    s.model[0].weight.requires_grad_(False)
    before, bias = s.model[0].weight.clone(), s.model[2].bias.clone()
    zeros = Batch(torch.zeros(4, 6).double(), torch.zeros(4, dtype=torch.int64), torch.arange(4))
    value = make_update(penalty=make_l1_penalty(list_weights(s.model).values(), 100.0))(s, zeros, loss())
    assert torch.equal(s.model[0].weight, before)
    assert float(value) < 10
    step = make_update(penalty=make_l1_penalty([s.model[0].weight], 1.0))
    step(s, zeros, loss())  # nothing is penalized
    assert not torch.equal(s.model[2].bias, bias)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}, {"clip_norm": 0.02, "clip_value": 0.01}]
)
@pytest.mark.parametrize("micro", [None, 1, 5, 10, 20, 21, 64])
def test_update_equals_a_plain_pytorch_update(options, micro, weighted):
    updated, expected = state(), state()
    for seed in range(3):
        mean = make_update(micro_batch=micro, **options)(updated, batch(seed=seed, weighted=weighted), loss())
        expected_mean = plain_update(expected, batch(seed=seed, weighted=weighted), **options)
        torch.testing.assert_close(mean, expected_mean)
    torch.testing.assert_close(weights(updated), weights(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_observer_sees_the_mean_loss_of_each_micro_batch(weighted):
    s, b = state(), batch(20, weighted=weighted)
    parts = [
        Batch(b.x[i:j], b.y[i:j], b.index[i:j], None if b.weight is None else b.weight[i:j])
        for i, j in ((0, 8), (8, 16), (16, 20))
    ]
    expected = [float(mean_loss(s.model, part, loss()).detach()) for part in parts]
    observed = []
    s.observe_loss = lambda value: observed.append(float(value.detach()))
    make_update(micro_batch=8)(s, b, loss())
    assert observed == pytest.approx(expected)


def test_no_micro_batch_has_a_single_row():
    sizes = []
    s = state()
    s.model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    make_update(micro_batch=10)(s, batch(21), loss())
    assert sizes == [10, 11]


def test_gradients_are_cleared_after_the_update():
    s = state()
    initial = copy.deepcopy(weights(s))
    make_update()(s, batch(), loss())
    assert not torch.equal(weights(s), initial)
    assert all(p.grad is None for p in s.model.parameters())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("micro", [None, 7])
def test_non_finite_input_is_named_and_the_weights_stay(value, micro):
    s, b = state(), batch()
    initial = weights(s).clone()
    b.x[3, 2] = value
    with pytest.raises(NonFiniteError, match=r"step 1 .*rows 0, 1, .*the inputs of row 3 are") as error:
        make_update(micro_batch=micro)(s, b, loss())
    assert error.value.code == 4
    assert torch.equal(weights(s), initial)


def test_first_non_finite_layer_is_named():
    s = state()
    with torch.no_grad():
        s.model[2].weight[1, 1] = math.inf
    initial = weights(s).clone()
    with pytest.raises(NonFiniteError, match="layer 2 is the first whose output is not finite"):
        make_update()(s, batch(), loss())
    assert torch.equal(weights(s), initial)


def test_non_finite_gradient_does_not_change_the_weights():
    class Cliff(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.inf

    s = state()
    s.model[1] = type("Fall", (nn.Module,), {"forward": lambda self, x: Cliff.apply(x.tanh())})()
    initial = weights(s).clone()
    with pytest.raises(NonFiniteError, match="gradient of 0.bias is the first"):
        make_update()(s, batch(), loss())
    assert torch.equal(weights(s), initial)


def test_late_check_reports_the_previous_update():
    s, nan_batch = state(), batch(seed=1)
    nan_batch.x[5, 0] = math.nan
    step = make_update(check_finite="one step late")
    step(s, batch(), loss())
    s.advance(torch.zeros(()), 21)
    step(s, nan_batch, loss())
    s.advance(torch.zeros(()), 21)
    with pytest.raises(NonFiniteError, match=r"at step 2 .*the inputs of row 5 are"):
        step(s, batch(seed=2), loss())


def test_samples_of_weight_zero_change_nothing():
    s, b = state(), batch(weighted=True)
    b.weight[:7] = 0
    initial = weights(s).clone()
    make_update(micro_batch=7)(s, b, loss())
    assert torch.isfinite(weights(s)).all()
    b.weight[:] = 0
    s = state()
    assert make_update()(s, b, loss()) == 0
    assert torch.equal(weights(s), initial)


class Members(nn.Module):
    """Two linear models with outputs ``(B, 2, O)``."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x):
        return torch.stack([self.first(x), self.second(x)], 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("micro", [None, 8])
def test_members_have_separate_losses(micro, weighted):
    torch.manual_seed(0)
    members = Members().double()
    b = batch(weighted=weighted)
    single_models = [copy.deepcopy(members.first), copy.deepcopy(members.second)]
    values = []
    for model in single_models:
        s = State(model, torch.optim.SGD(model.parameters(), lr=0.5))  # the mean of two halves each gradient
        values.append(plain_update(s, b))
    s = State(members, torch.optim.SGD(members.parameters(), lr=1.0))
    value = make_update(micro_batch=micro)(s, b, loss())
    torch.testing.assert_close(value, torch.stack(values).mean())
    torch.testing.assert_close(members.first.weight, single_models[0].weight)
    torch.testing.assert_close(members.second.weight, single_models[1].weight)


def test_bf16_computes_in_bfloat16_with_float32_weights():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    dtypes = []
    model[0].register_forward_hook(lambda _m, _i, output: dtypes.append(output.dtype))
    s = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
    b = batch()
    b = Batch(b.x.float(), b.y, b.index)
    exact = make_update()(State(copy.deepcopy(model), torch.optim.SGD(model.parameters(), lr=0.0)), b, loss())
    value = make_update(precision="bf16")(s, b, loss())
    assert dtypes[-1] == torch.bfloat16
    assert value.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in model.parameters())
    torch.testing.assert_close(value, exact, rtol=0.02, atol=0.02)
    assert not torch.equal(value, exact)


@pytest.mark.parametrize("reduce", [lambda losses: losses[:, None], lambda losses: losses[:-1]])
def test_loss_of_another_shape_is_refused(reduce):
    s, initial = state(), weights(state())
    with pytest.raises(UsageError, match="one value for each of 21 outputs"):
        make_update()(s, batch(), lambda output, y: reduce(loss()(output, y)))
    assert torch.equal(weights(s), initial)


def test_loss_that_is_a_mean_makes_the_same_update():
    s, expected = state(), state()
    b = dataclasses.replace(batch(), weight=None)
    make_update()(s, b, lambda output, y: loss()(output, y).mean())
    make_update()(expected, b, loss())
    torch.testing.assert_close(weights(s), weights(expected))


def test_loss_that_is_a_mean_cannot_be_weighted():
    s, initial = state(), weights(state())
    b = dataclasses.replace(batch(), weight=torch.ones(len(batch())))
    with pytest.raises(UsageError, match="cannot have weights"):
        make_update()(s, b, lambda output, y: loss()(output, y).mean())
    assert torch.equal(weights(s), initial)


def test_mean_loss_in_inference_mode_does_not_affect_the_next_update():
    b = batch(n=13)
    s = state()
    with torch.inference_mode():
        mean_loss(s.model, b, loss())
    make_update()(s, b, loss())
    assert not torch.equal(weights(s), weights(state()))


@pytest.mark.parametrize("double_precision", ["weights", "losses"])
def test_weights_and_losses_may_differ_in_dtype(double_precision):
    b, s = batch(weighted=True), state()
    if double_precision == "weights":
        s.model.float()
        b = Batch(b.x.float(), b.y, b.index, b.weight)
    else:
        b = Batch(b.x, b.y, b.index, b.weight.float())
    losses = loss()(s.model(b.x), b.y).detach().double()
    expected = (losses * b.weight).sum() / b.weight.double().sum()
    assert float(make_update()(s, b, loss())) == pytest.approx(float(expected), rel=1e-5)


class TwoInputs(nn.Module):
    """The network of `state`, with its input in two parts."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def forward(self, first, second):
        return self.inner(torch.cat([first, second], 1))


@pytest.mark.parametrize("form", ["tuple", "dict"])
@pytest.mark.parametrize("micro", [None, 5, 20])
def test_several_inputs_give_the_update_of_one(form, micro):
    plain, several = state(), state()
    several.model = TwoInputs(several.model)
    for seed in range(3):
        full_batch = batch(seed=seed, weighted=True)
        parts = {"second": full_batch.x[:, 2:], "first": full_batch.x[:, :2]}
        x = parts if form == "dict" else (parts["first"], parts["second"])
        make_update(micro_batch=micro)(plain, full_batch, loss())
        make_update(micro_batch=micro)(several, Batch(x, full_batch.y, full_batch.index, full_batch.weight), loss())
    torch.testing.assert_close(weights(several), weights(plain), rtol=0, atol=0)


def test_missing_values_of_one_of_several_inputs_are_named():
    s = state()
    s.model = TwoInputs(s.model)
    full_batch = batch()
    second_input = full_batch.x[:, 2:].clone()
    second_input[3, 1] = math.nan
    with pytest.raises(NonFiniteError, match="the inputs of row 3 are not finite"):
        make_update()(s, Batch((full_batch.x[:, :2], second_input), full_batch.y, full_batch.index), loss())
