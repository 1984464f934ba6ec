"""Networks that pool features over their channels, and those that pool over the positions or have both."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.pooled_features import find_pooled_features

from .small_trainings import list_alarms

CHANNELS, LENGTH = 8, 12


class Pooled(nn.Module):
    """Features of a body, what a function makes of them, and a last layer."""

    def __init__(self, body, pool, size):
        super().__init__()
        self.body, self.pool, self.fc = body, pool, nn.Linear(size, 3)

    def forward(self, x):
        return self.fc(self.pool(self.body(x)).flatten(1))


class Recurrent(nn.Module):
    """The outputs of a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, CHANNELS, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


def conv():
    return nn.Sequential(nn.Conv1d(3, CHANNELS, 3, padding=1), nn.BatchNorm1d(CHANNELS), nn.ReLU())


def images():
    return nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.ReLU())


def halved():
    return nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))


def words():
    return nn.Embedding(20, CHANNELS)


def steps():
    return nn.Sequential(nn.Linear(3, CHANNELS), nn.Tanh())


def encoder():
    return nn.TransformerEncoderLayer(CHANNELS, 2, 16, batch_first=True, dropout=0.0)


def make_input(body, rows=8):
    shape = {conv: (3, LENGTH), images: (3, 9, LENGTH), halved: (3, 8, LENGTH), encoder: (LENGTH, CHANNELS)}.get(
        body, (LENGTH, 3)
    )
    return torch.randint(0, 20, (rows, LENGTH)) if body is words else torch.randn(rows, *shape)


FAULTY = {
    "mean of channels": (conv, lambda z: z.mean(1), LENGTH),
    "maximum of channels": (conv, lambda z: z.amax(1), LENGTH),
    "sum of channels": (conv, lambda z: z.sum(1), LENGTH),
    "adaptive pooling": (conv, lambda z: F.adaptive_avg_pool1d(z.transpose(1, 2), 1), LENGTH),
    "channels of images": (images, lambda z: z.mean(1), 9 * LENGTH),
    "one of two axes": (images, lambda z: z.mean((1, 2)), LENGTH),
    "after a local pooling": (halved, lambda z: z.mean((1, 2)), LENGTH // 2),
    "columns of vectors": (words, lambda z: z.mean(2), LENGTH),
    "features of steps": (steps, lambda z: z.max(-1).values, LENGTH),
    "states": (Recurrent, lambda z: z.mean(-1), LENGTH),
    "encoder": (encoder, lambda z: z.relu().mean(-1), LENGTH),
}
HEALTHY = {
    "mean of positions": (conv, lambda z: z.mean(2), CHANNELS),
    "maximum of positions": (conv, lambda z: z.amax(2), CHANNELS),
    "all axes": (images, lambda z: z.mean((2, 3)), CHANNELS),
    "rows after a local pooling": (halved, lambda z: z.mean((2, 3)), CHANNELS),
    "neighbors of features": (steps, lambda z: F.max_pool1d(z, 2).mean(1), CHANNELS // 2),
    "all features": (conv, lambda z: z, CHANNELS * LENGTH),
    "mean of words": (words, lambda z: z.mean(1), CHANNELS),
    "last state": (Recurrent, lambda z: z[:, -1], CHANNELS),
    "spatial attention": (conv, lambda z: (z * z.mean(1, keepdim=True).sigmoid()).mean(2), CHANNELS),
    "attention": (steps, lambda z: (z.mean(-1, keepdim=True).softmax(1) * z).sum(1), CHANNELS),
    "normalized": (conv, lambda z: (z - z.mean(1, keepdim=True)).mean(2), CHANNELS),
    "pieces": (steps, lambda z: z.unflatten(-1, (2, 4)).amax(-1), 2 * LENGTH),
    "one number": (conv, lambda z: z.mean((1, 2))[:, None], 1),
}


@pytest.mark.parametrize("name", FAULTY | HEALTHY)
def test_what_is_pooled(name):
    torch.manual_seed(0)
    body, pool, size = (FAULTY | HEALTHY)[name]
    net, x = Pooled(body(), pool, size), make_input(body)
    state = torch.get_rng_state()
    pooled = find_pooled_features(net, (x,))
    assert torch.equal(state, torch.get_rng_state())
    assert (pooled is not None) == (name in FAULTY)
    if pooled is not None:
        assert pooled.shape[pooled.channel_axis] == CHANNELS


class Map(nn.Module):
    """A prediction for each position is the mean of the channels there: nothing reads it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, CHANNELS, 3, padding=1)

    def forward(self, x):
        return self.conv(x).relu().mean(1)


class TwoWays(Pooled):
    """The mean of the channels next to the inputs."""

    def forward(self, x):
        return self.fc(self.pool(self.body(x)) + x[:, 0])


def test_other_networks_with_a_mean_of_channels():
    torch.manual_seed(0)
    assert find_pooled_features(Map(), (make_input(conv),)) is None
    assert find_pooled_features(TwoWays(conv(), lambda z: z.mean(1), LENGTH), (make_input(conv),)) is None


@pytest.mark.parametrize("name", ["mean of channels", "mean of positions"])
def test_training_with_pooled_features(name):
    torch.manual_seed(0)
    body, pool, size = (FAULTY | HEALTHY)[name]
    net, x, y = Pooled(body(), pool, size), make_input(body, 90), torch.randint(0, 3, (90,))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(18):
            for index in torch.randperm(90).split(30):
                optimizer.zero_grad()
                F.cross_entropy(net(x[index]), y[index]).backward()
                optimizer.step()
    assert ("pooled-channels" in list_alarms(dr)) == (name in FAULTY)
    if name in FAULTY:
        assert "x.mean(2)" in next(finding.remedy for finding in dr.findings if finding.check == "pooled-channels")
