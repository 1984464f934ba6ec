"""Images that a loss combines with all masks, and attention from row to row."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.attention_axes import find_attention_over_rows
from yisheng.diagnosis.doctor import doctor


def dice(out, mask):
    p = out.sigmoid()
    return 1 - 2 * (p * mask).sum() / (p.sum() + mask.sum())


def squared(out, mask):
    return (out.sigmoid() - mask).square().mean()


def centered(out, mask):
    return (out.flatten(1)[:, None] - mask.flatten(1)).square().mean()


def pairwise(out, mask):
    return (out - mask).square().mean()


def train(net, x, y, loss, updates=60):
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with doctor(net, optimizer) as dr:
        for _ in range(updates):
            rows = torch.randperm(len(x))[:8]
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return {finding.check for finding in dr.diagnose().findings}


@pytest.mark.parametrize(
    ("loss", "shape", "is_broadcast"),
    [
        (dice, (64, 6, 6), True),
        (squared, (64, 6, 6), True),
        (dice, (64, 1, 6, 6), False),
        (squared, (64, 1, 6, 6), False),
        (centered, (64, 36), False),
    ],
)
def test_masks_without_the_channel_of_the_scores(loss, shape, is_broadcast):
    torch.manual_seed(0)
    x = torch.randn(64, 1, 6, 6)
    y = (F.avg_pool2d(x, 3, 1, 1) > 0).float().reshape(shape)
    net = nn.Conv2d(1, 1, 3, padding=1)
    assert ("broadcast-loss" in train(net, x, y, loss)) == is_broadcast


@pytest.mark.parametrize("has_channel", [False, True])
def test_scores_without_the_channel_of_volumes(has_channel):
    torch.manual_seed(0)
    x = torch.randn(32, 1, 4, 4, 4)
    y = (x > 0).float() if has_channel else (x > 0).float()[:, 0]
    net = nn.Conv3d(1, 1, 3, padding=1)
    assert ("broadcast-loss" in train(net, x, y, pairwise)) == (not has_channel)


class ClassToken(nn.Module):
    """The class is read at the first of several positions."""

    def __init__(self, batch_first, permutes=False):
        super().__init__()
        self.permutes, self.word, self.token = permutes, nn.Embedding(12, 8), nn.Parameter(torch.zeros(1, 1, 8))
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
        self.head = nn.Linear(8, 2)

    def forward(self, ids):
        x = torch.cat([self.token.expand(len(ids), -1, -1), self.word(ids)], 1)
        x = self.encoder(x.transpose(0, 1)).transpose(0, 1) if self.permutes else self.encoder(x)
        return self.head(x[:, 0])


class CrossAttention(nn.Module):
    """Queries ask the steps of a series, and their answers are averaged."""

    def __init__(self, batch_first):
        super().__init__()
        self.project, self.head = nn.Linear(3, 8), nn.Linear(8, 2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)

    def forward(self, x):
        x = self.project(x)
        return self.head(self.attention(query=x, key=x, value=x)[0][:, -1])


@pytest.mark.parametrize(
    ("build", "is_mixed"),
    [
        (lambda: ClassToken(False), True),
        (lambda: ClassToken(True), False),
        (lambda: ClassToken(False, permutes=True), False),
    ],
)
def test_class_token_that_attends_to_other_rows(build, is_mixed):
    torch.manual_seed(0)
    ids = torch.randint(0, 12, (128, 6))
    mood = torch.randn(12)
    total = mood[ids].sum(1)
    checks = train(build(), ids, (total > total.median()).long(), F.cross_entropy)
    assert ("mixed-rows" in checks) == is_mixed
    assert not is_mixed or not checks & {"missing-positions", "untrained-vectors", "constant-outputs"}


@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_without_an_encoder(batch_first):
    name = find_attention_over_rows(CrossAttention(batch_first), (torch.randn(6, 5, 3),))
    assert name == ("" if batch_first else "attention")


def test_one_set_whose_elements_are_rows():
    net = nn.Sequential(nn.Linear(3, 8), nn.Unflatten(1, (1, 8)), nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0))
    assert not find_attention_over_rows(net, (torch.randn(6, 3),))
