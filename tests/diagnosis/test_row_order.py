"""Rows whose labels, noise, numbers or windows do not belong to them are found, and the fixed programs are clean."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import make_classes, make_mlp


def list_checks(dr):
    assert [reason for reason in dr.diagnose().unchecked.values() if "defect" in reason] == []
    return [finding.check for finding in dr.findings if finding.severity != "note"]


@pytest.mark.parametrize("fault", ["shuffled", "filtered", "fixed"])
def test_labels_in_another_order_than_their_rows(fault):
    torch.manual_seed(0)
    x, y = make_classes(rows=160, columns=8, classes=4)
    net = make_mlp(8, 32, 4)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(12):
            order = torch.randperm(160)
            rows, labels = x[order], y[torch.randperm(160) if fault == "shuffled" else order]
            if fault == "filtered":  # inputs without the largest ones, labels with them
                rows, labels = rows[rows.norm(dim=1) < x.norm(dim=1).quantile(0.9)], labels
            for batch, target in zip(rows.split(16), labels.split(16), strict=False):
                optimizer.zero_grad()
                F.cross_entropy(net(batch), target[: len(batch)]).backward()
                optimizer.step()
    assert list_checks(dr)[:1] == ([] if fault == "fixed" else ["misaligned-targets"])


def test_actions_of_repeated_states_are_no_labels():
    torch.manual_seed(0)
    states = torch.eye(12)
    net = make_mlp(12, 16, 3)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(100):
            batch = states[torch.randint(0, 12, (16,))]
            optimizer.zero_grad()
            F.cross_entropy(net(batch), torch.randint(0, 3, (16,))).backward()
            optimizer.step()
    assert "misaligned-targets" not in list_checks(dr)


@pytest.mark.parametrize("target", ["drawn again", "noise", "velocity"])
def test_noise_that_is_not_in_the_inputs(target):
    torch.manual_seed(0)
    x = torch.randn(200, 1).sin() + torch.linspace(-1, 1, 6)
    net = make_mlp(6, 32, 6)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(200):
            rows = x[torch.randint(0, 200, (32,))]
            noise = torch.randn_like(rows)
            targets = {"drawn again": torch.randn_like(rows), "noise": noise, "velocity": noise - rows}[target]
            optimizer.zero_grad()
            F.mse_loss(net(0.5 * rows + 0.5 * noise), targets).backward()
            optimizer.step()
    assert ("unrelated-noise" in list_checks(dr)) == (target == "drawn again")


class Preferences(nn.Module):
    """The product of a user's vector and an item's."""

    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(60, 4), nn.Embedding(30, 4)

    def forward(self, pairs):
        return (self.users(pairs[:, 0]) * self.items(pairs[:, 1])).sum(1)


@pytest.mark.parametrize("split", ["by user", "random"])
def test_numbers_of_evaluation_that_training_never_had(split):
    torch.manual_seed(0)
    pairs = torch.stack([torch.randint(0, 60, (1500,)), torch.randint(0, 30, (1500,))], 1)
    y = torch.randn(60)[pairs[:, 0]] * torch.randn(30)[pairs[:, 1]]
    is_held_out = pairs[:, 0] >= 45 if split == "by user" else torch.rand(1500) < 0.25
    x, xv = pairs[~is_held_out], pairs[is_held_out]
    net = Preferences()
    optimizer = torch.optim.SGD(net.parameters(), 0.5, momentum=0.9)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(5):
            for index in torch.randperm(len(x)).split(50):
                optimizer.zero_grad()
                F.mse_loss(net(x[index]), y[~is_held_out][index]).backward()
                optimizer.step()
            with torch.no_grad():
                F.mse_loss(net(xv), y[is_held_out])
    assert ("untrained-vectors" in list_checks(dr)) == (split == "by user")


class Words(nn.Module):
    """The mean of the vectors of the words that are not padding, which has the number 0 and an ordinary vector."""

    def __init__(self):
        super().__init__()
        self.vectors, self.head = nn.Embedding(40, 6), nn.Linear(6, 2)

    def forward(self, words):
        is_word = (words > 0)[..., None].float()
        return self.head((self.vectors(words) * is_word).sum(1) / is_word.sum(1))


def test_padding_is_no_untrained_vector():
    torch.manual_seed(0)
    x = torch.randint(1, 40, (400, 10)).masked_fill(torch.arange(10) > torch.randint(0, 10, (400, 1)), 0)
    y = (x[:, 0] > 20).long()
    net = Words()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(6):
            for index in torch.randperm(300).split(25):
                optimizer.zero_grad()
                F.cross_entropy(net(x[index]), y[index]).backward()
                optimizer.step()
            with torch.no_grad():
                F.cross_entropy(net(x[300:]), y[300:])
    assert "untrained-vectors" not in list_checks(dr)


def make_windows(channels):
    """Return windows (N, T) or (N, C, T) of random walks, and the value that follows."""
    walk = np.cumsum(np.random.default_rng(0).normal(size=(channels, 900)), 1).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(walk, 21, axis=1).transpose(1, 0, 2)[::2]
    x = np.ascontiguousarray(windows[:, :, :20] if channels > 1 else windows[:, 0, :20])
    return x, windows[:, 0, 20].copy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("split", ["random", "in time", "of independent rows"])
def test_windows_that_overlap_between_the_parts(split, channels):
    x, y = make_windows(channels)
    generator = np.random.default_rng(1)
    if split == "of independent rows":
        x = generator.normal(size=x.shape).astype(np.float32)
    if split == "random":
        order = generator.permutation(len(x))
        x, y = x[order], y[order]
    findings = yisheng.check_data(x[:300], y[:300], validation=(x[300:], y[300:]), quick=True)
    checks = [finding.check for finding in findings.findings]
    assert ("overlapping-windows" in checks) == (split == "random")


def test_categories_are_no_windows():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 5, (300, 16)).astype(np.float32)
    y = generator.normal(size=300)
    findings = yisheng.check_data(x[:200], y[:200], validation=(x[200:], y[200:]), quick=True)
    assert "overlapping-windows" not in [finding.check for finding in findings.findings]
