"""Columns of numeric targets that other columns outweigh in the loss."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor

SCALES = torch.tensor([300.0, 4.0, 0.1])


def make_rows(seed=0, n=400):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator)
    y = torch.tanh(x @ torch.randn(6, 3, generator=generator)) + 0.1 * torch.randn(n, 3, generator=generator)
    return x, y


def train(x, y, loss=F.mse_loss, steps=240):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, y.shape[1]))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    with doctor(net, optimizer) as observer:
        for step in range(steps):
            rows = torch.arange(32 * step, 32 * step + 32) % len(x)
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return {finding.check: finding for finding in observer.findings}


@pytest.mark.parametrize("loss", [F.mse_loss, lambda output, y: ((output - y) ** 2).mean()])
def test_one_deviation_of_all_columns_leaves_small_ones_unlearned(loss):
    x, y = make_rows()
    y = y * SCALES + torch.tensor([100.0, 2.0, 0.3])
    finding = train(x, (y - y.mean()) / y.std(), loss)["target-scale"]
    assert 3 in finding.evidence["target columns"]
    assert 1 not in finding.evidence["target columns"]
    assert "y.std(0)" in finding.remedy
    assert "target-scale" not in train(x, (y - y.mean(0)) / y.std(0), loss)


def test_columns_of_noise_and_of_equal_size_are_not_reported():
    x, y = make_rows()
    y[:, 2] = torch.randn(400, generator=torch.Generator().manual_seed(1))
    assert "target-scale" not in train(x, y)
    assert "target-scale" not in train(x, y * torch.tensor([1.0, 0.3, 0.15]))


def test_autoencoders_may_leave_out_columns_that_vary_little():
    x = make_rows()[0] * torch.tensor([30.0, 20.0, 10.0, 0.1, 0.05, 0.01])
    assert "target-scale" not in train(x, x)
