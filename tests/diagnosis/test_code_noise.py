"""Noise of a reparameterization that is uniform where it should be normal."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor


class Autoencoder(nn.Module):
    """A variational autoencoder, or with ``returns_mean=False`` an encoder that keeps its mean for itself."""

    def __init__(self, draw, deviation, returns_mean=True):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(3, 4), nn.Linear(2, 3)
        self.draw, self.deviation, self.returns_mean = draw, deviation, returns_mean

    def forward(self, x):
        mean, width = self.encoder(x).chunk(2, 1)
        code = self.draw(mean) * self.deviation(width) + mean
        return (self.decoder(code), mean, width) if self.returns_mean else (self.decoder(code), x, x)


def find(net):
    torch.manual_seed(0)
    optimizer, x = torch.optim.Adam(net.parameters()), torch.randn(32, 3)
    with doctor(net, optimizer) as observer:
        for _ in range(5):
            output, mean, _ = net(x)
            optimizer.zero_grad()
            (F.mse_loss(output, x) + 0.1 * mean.square().mean()).backward()
            optimizer.step()
    return [finding.check for finding in observer.findings if finding.check == "uniform-noise"]


@pytest.mark.parametrize("deviation", [lambda width: (0.5 * width).exp(), F.softplus, lambda width: width.exp().sqrt()])
def test_uniform_noise_of_codes_is_found(deviation):
    assert find(Autoencoder(torch.rand_like, deviation)) == ["uniform-noise"]
    assert find(Autoencoder(lambda mean: torch.rand(mean.shape), deviation)) == ["uniform-noise"]
    assert find(Autoencoder(torch.randn_like, deviation)) == []


def test_uniform_numbers_with_another_use_are_not_reported():
    assert find(Autoencoder(torch.rand_like, torch.tanh)) == []  # no standard deviation
    assert find(Autoencoder(torch.rand_like, torch.exp, returns_mean=False)) == []  # no mean for a divergence
    assert find(Autoencoder(lambda mean: 2 * torch.rand_like(mean) - 1, torch.exp)) == []  # centered on purpose
