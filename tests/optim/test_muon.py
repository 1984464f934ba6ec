"""Steps of the same length in every direction."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from yisheng.optim.parameter_groups import make_parameter_groups
from yisheng.optim.muon import NEWTON_SCHULZ_COEFFICIENTS, muon, orthogonalize


def polar(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrix, exactly."""
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_singular_vectors_stay_and_singular_values_come_near_to_one(rows, columns, seed):
    matrix = torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = orthogonalize(matrix, 5)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    values = u.T @ found @ v.T
    torch.testing.assert_close(values, torch.diag(values.diag()), atol=1e-8, rtol=0)
    clear = s / s.norm() > 0.01
    assert ((values.diag()[clear] > 0.5) & (values.diag()[clear] < 1.3)).all()


def test_it_is_the_iteration_of_the_paper_turn_by_turn():
    matrix = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a, b, c = NEWTON_SCHULZ_COEFFICIENTS
    x = matrix / matrix.norm()
    for _ in range(3):
        x = a * x + b * (x @ x.T) @ x + c * (x @ x.T) @ (x @ x.T) @ x
    torch.testing.assert_close(orthogonalize(matrix, 3), x)
    torch.testing.assert_close(orthogonalize(matrix.T, 3), x.T)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has it since 2.9")
def test_its_direction_is_that_of_torchs_muon():
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.randn(6, 10)) for _ in range(2))
    theirs.data.copy_(ours.data)
    before = ours.detach().clone()
    last = nn.Parameter(torch.zeros(2, 2))
    mine = muon([{"params": [ours, last]}], lr=0.1, momentum=0.9, turns=5)
    other = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=True, ns_steps=5)
    gradient = torch.randn(6, 10)
    ours.grad, theirs.grad = gradient.clone(), gradient.clone()
    mine.step(), other.step()
    steps = [(weights.detach() - before).flatten() for weights in (ours, theirs)]
    assert nn.functional.cosine_similarity(*steps, dim=0) > 0.999  # theirs computes in bfloat16


def test_a_step_turns_a_layer_by_its_learning_rate_whatever_the_gradients_size():
    for scale in (1e-6, 1.0, 1e6):
        torch.manual_seed(0)
        w, last = nn.Parameter(torch.randn(8, 3, 3, 3)), nn.Parameter(torch.zeros(2, 2))
        before = w.detach().clone()
        optimizer = muon([{"params": [w, last]}], lr=0.03)
        w.grad = scale * torch.randn(8, 3, 3, 3)
        optimizer.step()
        assert ((w.detach() - before).norm() / before.norm()).item() == pytest.approx(0.03, rel=1e-4)


def test_the_output_layer_biases_and_norms_follow_plain_nesterov():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    twin = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    twin.load_state_dict(net.state_dict())
    optimizer = muon([{"params": list(net.parameters())}], lr=0.1, others=0.5)
    plain = torch.optim.SGD([p for p in twin.parameters() if p is not twin[0].weight], 0.05, 0.9, nesterov=True)
    for _ in range(3):
        for mine, other in zip(net.parameters(), twin.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        optimizer.step(), plain.step()
    for (name, mine), other in zip(net.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(mine, other) == (name != "0.weight"), name


def test_weights_of_zero_can_still_learn():
    w, last = nn.Parameter(torch.zeros(4, 5)), nn.Parameter(torch.zeros(2, 2))
    optimizer = muon([{"params": [w, last]}], lr=0.1)
    w.grad = torch.ones(4, 5)
    optimizer.step()
    assert 0 < w.norm() < math.inf


def test_gradients_and_velocities_that_fade_away_move_no_weight_to_nan():
    w, last = nn.Parameter(torch.ones(4, 5)), nn.Parameter(torch.zeros(2, 2))
    optimizer = muon([{"params": [w, last]}], lr=0.1)
    w.grad = torch.ones(4, 5)
    for _ in range(300):  # the velocity passes through numbers whose squares are 0, and ends as 0 itself
        optimizer.step()
        w.grad = torch.zeros(4, 5)
    assert torch.isfinite(w).all()


def test_a_copy_goes_on_like_the_original():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    optimizer = muon(make_parameter_groups(net), lr=0.1)
    twin, copied = copy.deepcopy((net, optimizer))
    for model, one in ((net, optimizer), (twin, copied)):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        one.step()
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_norm_layer_with_several_axes_is_not_taken_for_the_output_layer():
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 4), nn.Unflatten(1, (2, 2)), nn.LayerNorm((2, 2)))
    turned = [[tuple(g["params"][i].shape) for i in g["turned"]] for g in muon(make_parameter_groups(net)).param_groups]
    assert turned == [[(6, 4)], []]


def test_a_gradient_of_zero_moves_nothing():
    w, last = nn.Parameter(torch.ones(4, 5)), nn.Parameter(torch.zeros(2, 2))
    optimizer = muon([{"params": [w, last]}], lr=0.1)
    w.grad = torch.zeros(4, 5)
    optimizer.step()
    assert torch.equal(w, torch.ones(4, 5))
