"""Padding on another side than in training is named where the network reads it otherwise, and only there."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis.padding_side import move_padding

LENGTH, WORDS = 10, 30


def make_texts(seed, rows=300):
    """Return words (N, T) with zeros at their ends, and whether the last word is one of the first half."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, LENGTH + 1, (rows,), generator=g)
    ids = torch.randint(1, WORDS, (rows, LENGTH), generator=g)
    last = ids.gather(1, lengths[:, None] - 1)[:, 0]
    return ids * (torch.arange(LENGTH) < lengths[:, None]), (last < WORDS // 2).long()


class LastState(nn.Module):
    def __init__(self, *, reads_numbers):
        super().__init__()
        self.embedding = nn.Linear(3, 8) if reads_numbers else nn.Embedding(WORDS, 8, padding_idx=0)
        self.rnn, self.fc = nn.GRU(8, 12, batch_first=True), nn.Linear(12, 2)

    def forward(self, x):
        return self.fc(self.rnn(self.embedding(x))[0][:, -1])


class MeanOfWords(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.fc = nn.Embedding(WORDS, 8, padding_idx=0), nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.embedding(x).sum(1) / (x != 0).sum(1, keepdim=True))


def find_padding(net, x, y, x_test, y_test, updates=40):
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for step in range(updates):
            rows = torch.arange(step * 32, step * 32 + 32) % len(x)
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            F.cross_entropy(net.eval()(x_test), y_test)
    return [finding.cause for finding in dr.findings if "padd" in finding.cause and "evaluation" in finding.cause]


@pytest.mark.parametrize("is_left", [True, False])
@pytest.mark.parametrize("reads_numbers", [True, False])
def test_padding_on_the_other_side(is_left, reads_numbers):
    torch.manual_seed(0)
    x, y = make_texts(0)
    steps = torch.randn(WORDS, 3) * (torch.arange(WORDS) > 0)[:, None]
    padded_left, padded_right = move_padding(x, 0, "right"), x
    if reads_numbers:
        padded_left, padded_right = steps[padded_left], steps[padded_right]
    parts = (padded_left, padded_right)
    training, evaluation = parts if is_left else parts[::-1]
    net = LastState(reads_numbers=reads_numbers)
    (cause,) = find_padding(net, training[:200], y[:200], evaluation[200:], y[200:])
    assert f"padded on the {'right' if is_left else 'left'}" in cause
    net = LastState(reads_numbers=reads_numbers)
    assert find_padding(net, training[:200], y[:200], training[200:], y[200:]) == []


def test_a_mean_of_words_does_not_depend_on_the_side():
    torch.manual_seed(0)
    x, y = make_texts(0)
    assert find_padding(MeanOfWords(), move_padding(x[:200], 0, "right"), y[:200], x[200:], y[200:]) == []


def test_texts_of_one_length_have_no_padding():
    """A word that begins a third of the training rows, and ends as many of the others, was not padded there."""
    torch.manual_seed(0)
    x = torch.randint(1, WORDS, (300, LENGTH))
    x[:100, 0] = x[200:240, -1] = 7
    assert find_padding(LastState(reads_numbers=False), x[:200], x[:200, 1] % 2, x[200:], x[200:, 1] % 2) == []
