"""Muon: steps of equal length in every direction."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from yisheng.optim.muon import NEWTON_SCHULZ_COEFFICIENTS, muon, orthogonalize
from yisheng.optim.parameter_groups import make_parameter_groups


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_singular_vectors_stay_and_singular_values_become_nearly_one(rows, columns, seed):
    matrix = torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    orthogonalized = orthogonalize(matrix, 5)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    values = u.T @ orthogonalized @ v.T
    torch.testing.assert_close(values, torch.diag(values.diag()), atol=1e-8, rtol=0)
    significant = s / s.norm() > 0.01
    assert ((values.diag()[significant] > 0.5) & (values.diag()[significant] < 1.3)).all()


def test_it_equals_the_iteration_of_the_paper():
    matrix = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a, b, c = NEWTON_SCHULZ_COEFFICIENTS
    x = matrix / matrix.norm()
    for _ in range(3):
        x = a * x + b * (x @ x.T) @ x + c * (x @ x.T) @ (x @ x.T) @ x
    torch.testing.assert_close(orthogonalize(matrix, 3), x)
    torch.testing.assert_close(orthogonalize(matrix.T, 3), x.T)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has it since 2.9")
def test_its_direction_equals_that_of_torchs_muon():
    torch.manual_seed(0)
    w, reference_w = (nn.Parameter(torch.randn(6, 10)) for _ in range(2))
    reference_w.data.copy_(w.data)
    initial = w.detach().clone()
    output = nn.Parameter(torch.zeros(2, 2))
    optimizer = muon([{"params": [w, output]}], lr=0.1, momentum=0.9, ns_steps=5)
    reference = torch.optim.Muon([reference_w], lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=True, ns_steps=5)
    gradient = torch.randn(6, 10)
    w.grad, reference_w.grad = gradient.clone(), gradient.clone()
    optimizer.step(), reference.step()
    steps = [(weights.detach() - initial).flatten() for weights in (w, reference_w)]
    assert nn.functional.cosine_similarity(*steps, dim=0) > 0.999  # torch's computes in bfloat16


def test_the_relative_step_is_the_learning_rate_for_gradients_of_any_size():
    for scale in (1e-6, 1.0, 1e6):
        torch.manual_seed(0)
        w, output = nn.Parameter(torch.randn(8, 3, 3, 3)), nn.Parameter(torch.zeros(2, 2))
        initial = w.detach().clone()
        optimizer = muon([{"params": [w, output]}], lr=0.03)
        w.grad = scale * torch.randn(8, 3, 3, 3)
        optimizer.step()
        assert ((w.detach() - initial).norm() / initial.norm()).item() == pytest.approx(0.03, rel=1e-4)


def test_the_output_layer_biases_and_norms_follow_nesterov():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    reference_net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    reference_net.load_state_dict(net.state_dict())
    optimizer = muon([{"params": list(net.parameters())}], lr=0.1, aux_lr=0.5)
    auxiliary = [p for p in reference_net.parameters() if p is not reference_net[0].weight]
    sgd = torch.optim.SGD(auxiliary, 0.05, 0.9, nesterov=True)
    for _ in range(3):
        for p, reference in zip(net.parameters(), reference_net.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            reference.grad = p.grad.clone()
        optimizer.step(), sgd.step()
    for (name, p), reference in zip(net.named_parameters(), reference_net.parameters(), strict=True):
        assert torch.allclose(p, reference) == (name != "0.weight"), name


def test_weights_of_zero_can_learn():
    w, output = nn.Parameter(torch.zeros(4, 5)), nn.Parameter(torch.zeros(2, 2))
    optimizer = muon([{"params": [w, output]}], lr=0.1)
    w.grad = torch.ones(4, 5)
    optimizer.step()
    assert 0 < w.norm() < math.inf


def test_vanishing_gradients_and_velocities_give_no_nan():
    w, output = nn.Parameter(torch.ones(4, 5)), nn.Parameter(torch.zeros(2, 2))
    optimizer = muon([{"params": [w, output]}], lr=0.1)
    w.grad = torch.ones(4, 5)
    for _ in range(300):  # the velocity becomes so small that its squares are 0, and finally 0
        optimizer.step()
        w.grad = torch.zeros(4, 5)
    assert torch.isfinite(w).all()


def test_a_copy_continues_like_the_original():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    optimizer = muon(make_parameter_groups(net), lr=0.1)
    net_copy, optimizer_copy = copy.deepcopy((net, optimizer))
    for model, model_optimizer in ((net, optimizer), (net_copy, optimizer_copy)):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        model_optimizer.step()
    for a, b in zip(net.parameters(), net_copy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_norm_layer_with_several_axes_is_not_taken_for_the_output_layer():
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 4), nn.Unflatten(1, (2, 2)), nn.LayerNorm((2, 2)))
    orthogonalized = [
        [tuple(g["params"][i].shape) for i in g["orthogonalized"]]
        for g in muon(make_parameter_groups(net)).param_groups
    ]
    assert orthogonalized == [[(6, 4)], []]


def test_a_gradient_of_zero_changes_nothing():
    w, output = nn.Parameter(torch.ones(4, 5)), nn.Parameter(torch.zeros(2, 2))
    optimizer = muon([{"params": [w, output]}], lr=0.1)
    w.grad = torch.zeros(4, 5)
    optimizer.step()
    assert torch.equal(w, torch.ones(4, 5))
