"""The stable forms are finite where the naive definitions overflow."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from yisheng.scratch.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_naive
from yisheng.scratch.cross_entropy import cross_entropy, overflow
from yisheng.scratch.log_sum_exp import log_sum_exp, log_sum_exp_naive
from yisheng.scratch.relu import relu
from yisheng.scratch.sigmoid import sigmoid, sigmoid_naive
from yisheng.scratch.softmax import softmax, softmax_naive
from yisheng.scratch.tanh import tanh

finite_rows = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=6)


def test_the_naive_cross_entropy_overflows() -> None:
    naive, stable = overflow()
    assert naive[0].isnan()
    assert naive[1] == math.inf
    assert stable.tolist() == [0, 1000]


def test_only_the_stable_form_has_finite_gradients_of_confident_logits() -> None:
    logits, y = torch.tensor([[200.0, -200.0], [-200.0, 0.0]]), torch.tensor([1, 1])
    for form, finite in ((cross_entropy, True), (lambda z, y: -softmax_naive(z).log()[[0, 1], y], False)):
        z = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(form(z, y).sum(), z)
        assert bool(gradient.isfinite().all()) is finite


@pytest.mark.parametrize(
    ("stable", "naive", "library"),
    [
        (sigmoid, sigmoid_naive, torch.sigmoid),
        (
            lambda z: binary_cross_entropy(z, torch.zeros_like(z)),
            lambda z: binary_cross_entropy_naive(z, torch.zeros_like(z)),
            lambda z: F.binary_cross_entropy_with_logits(z, torch.zeros_like(z), reduction="none"),
        ),
    ],
    ids=["sigmoid", "binary cross-entropy"],
)
def test_the_naive_gradient_is_nan_far_from_zero(stable, naive, library) -> None:
    x = torch.tensor([-1000.0, 0.0, 1000.0])
    gradients = []
    for form in (stable, library, naive):
        z = x.clone().requires_grad_()
        gradients.append(torch.autograd.grad(form(z).sum(), z)[0])
    assert torch.equal(gradients[0], gradients[1])
    assert gradients[2].isnan().any()


@given(finite_rows)
def test_every_finite_float_has_a_loss_and_probabilities(row: list[float]) -> None:
    z = torch.tensor(row)
    p = softmax(z)
    assert torch.isclose(p.sum(), torch.tensor(1.0))
    assert ((p >= 0) & (p <= 1)).all()
    torch.testing.assert_close(log_sum_exp(z), torch.logsumexp(z, 0))
    assert not cross_entropy(z[None], torch.tensor([0])).isnan()


@pytest.mark.parametrize(
    "row", [[math.inf, 1.0], [-math.inf, 1.0], [-math.inf, -math.inf], [math.inf, -math.inf], [math.nan, 1.0]]
)
def test_log_sum_exp_of_infinite_numbers_equals_the_librarys(row: list[float]) -> None:
    z = torch.tensor(row)
    assert torch.equal(log_sum_exp(z).nan_to_num(7), torch.logsumexp(z, 0).nan_to_num(7))


def test_the_naive_forms_are_correct_unless_they_overflow() -> None:
    low, high = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([100.0, 200.0, 300.0])
    torch.testing.assert_close(log_sum_exp_naive(low), log_sum_exp(low))
    torch.testing.assert_close(softmax_naive(low), softmax(low))
    assert log_sum_exp_naive(high) == math.inf
    assert log_sum_exp(high) == 300
    assert softmax_naive(high).isnan().any()


def test_the_order_of_the_classes_does_not_depend_on_the_temperature() -> None:
    z = torch.tensor([3.0, -1.0, 0.5, 2.9])
    cold, warm, hot = (softmax(z, temperature=t) for t in (0.1, 1.0, 100.0))
    assert all(torch.equal(p.argsort(), z.argsort()) for p in (cold, warm, hot))
    assert cold.max() > warm.max() > hot.max()
    torch.testing.assert_close(hot, torch.full((4,), 0.25), atol=0.01, rtol=0)


@pytest.mark.parametrize("activation", [relu, sigmoid, tanh, softmax, log_sum_exp])
def test_nan_stays_nan(activation) -> None:
    assert activation(torch.tensor([math.nan, 1.0])).isnan().any()


def test_tanh_is_exact_for_small_numbers() -> None:
    x = torch.tensor([1e-12, -1e-9, 1e-5], dtype=torch.float64)
    torch.testing.assert_close(tanh(x), torch.tanh(x), rtol=1e-15, atol=0)
