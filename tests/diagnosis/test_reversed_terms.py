"""Divergences, penalties and entropies with the wrong sign are found, and those with the right one are not."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn import functional as F  # the usual name

from yisheng.diagnosis.reversed_terms import find_reversed_terms

from .small_trainings import list_alarms, make_classes, make_mlp, train

X, Y = make_classes()


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def normal_divergence(mean, raw, sign):
    standard = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    return sign * kl_divergence(Normal(mean, (0.5 * raw).exp()), standard).sum(1).mean()


def learned_prior(mean, raw, sign):
    prior_mean, prior_raw = torch.ones_like(mean).requires_grad_(), torch.zeros_like(mean).requires_grad_()
    ratio = (raw.exp() + (mean - prior_mean) ** 2) / prior_raw.exp()
    return sign * 0.5 * (prior_raw - raw + ratio - 1).sum(1).mean()


def softplus(mean, raw, sign):
    return sign * (0.5 * ((F.softplus(raw) + 1e-4) ** 2 + mean**2 - 1) - (F.softplus(raw) + 1e-4).log()).mean()


DIVERGENCES = {
    "log variance": lambda m, raw, sign: sign * -0.5 * torch.sum(1 + raw - m.pow(2) - raw.exp()),
    "rows": lambda m, raw, sign: (sign * 0.1 * -0.5 * (1 + raw - m * m - raw.exp()).sum(dim=1)).mean(0),
    "log std": lambda m, raw, sign: sign * (-raw + 0.5 * ((2 * raw).exp() + m**2) - 0.5).sum(1).mean(),
    "logarithm": lambda m, raw, sign: sign * (0.5 * (raw.exp() ** 2 + m**2 - 1) - raw.exp().log()).sum(),
    "beta 0": lambda m, raw, sign: 0.0 * (sign * -0.5 * torch.sum(1 + raw - m.pow(2) - raw.exp())),
    "parts": lambda m, raw, sign: torch.stack(
        [sign * (r.exp() - r + n**2).sum() for r, n in zip(raw, m, strict=True)]
    ).mean(),
    "Poisson": lambda m, raw, sign: sign * F.poisson_nll_loss(raw, torch.poisson(torch.full_like(raw, 2.0))),
    "distributions": normal_divergence,
    "learned prior": learned_prior,
    "softplus": softplus,
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergence(name):
    kinds = []
    for sign in (1, -1):
        mean, raw = make_mlp(8, 8, 6)(X[:32]).chunk(2, 1)
        loss = F.mse_loss(mean + raw, X[:32, :3]) + DIVERGENCES[name](mean, raw, sign)
        kinds.append([term.kind for term in find_reversed_terms(loss.grad_fn)])
    assert kinds == [[], ["divergence"]]


def test_losses_that_only_look_like_a_divergence():
    mean, raw = make_mlp(8, 8, 6)(X[:32]).chunk(2, 1)
    log_p = Normal(mean, raw.exp()).log_prob(X[:32, :3]).sum(1)
    weight = torch.randn(4, 4, requires_grad=True)
    for loss in (
        -(log_p * -torch.rand(32)).mean(),  # a policy whose rewards are costs
        (0.5 * raw + 0.5 * (X[:32, :3] - mean) ** 2 * (-raw).exp()).mean(),
        (raw.exp() - raw).mean() - 0.1 * raw.exp().mean() + raw.mean(),
        weight.abs().sum() - weight.norm(),
        (weight**2).mean() - weight.mean() ** 2,
        -torch.pdist(weight).mean(),
    ):
        assert find_reversed_terms(loss.grad_fn) == ()


class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = make_mlp(8, 16, 4), make_mlp(2, 16, 8)

    def forward(self, x):
        mean, log_var = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + (0.5 * log_var).exp() * torch.randn_like(mean)), mean, log_var


@pytest.mark.parametrize("fixed", [False, True])
def test_variational_autoencoder(fixed):
    def elbo(net):
        x = X[torch.randint(0, 480, (32,))]
        output, mean, log_var = net(x)
        kl = (-0.5 if fixed else 0.5) * (1 + log_var - mean.pow(2) - log_var.exp()).sum(1)
        return F.mse_loss(output, x) + 0.01 * kl.mean()

    assert list_alarms(train(Coder(), elbo)) == ([] if fixed else ["reversed-objective"])


@pytest.mark.parametrize("fixed", [False, True])
def test_penalty_of_the_weights(fixed):
    def penalized(net):
        rows = torch.randint(0, 480, (32,))
        size = sum(p.pow(2).sum() for p in net.parameters())
        return F.cross_entropy(net(X[rows]), Y[rows]) + (1e-3 if fixed else -1e-3) * size

    assert list_alarms(train(make_mlp(8, 16, 3), penalized)) == ([] if fixed else ["reversed-objective"])


@pytest.mark.parametrize("fixed", [False, True])
def test_entropy_of_a_policy(fixed):
    def actor(net):
        rows = torch.randint(0, 480, (32,))
        policy = Categorical(logits=net(X[rows]))
        action = policy.sample()
        advantage = (action == Y[rows]).float() - 0.33
        entropy = policy.entropy().mean()
        return -(policy.log_prob(action) * advantage).mean() + (-0.01 if fixed else 0.1) * entropy

    alarms = list_alarms(train(make_mlp(8, 16, 3), actor))
    assert ("reversed-objective" in alarms) != fixed
