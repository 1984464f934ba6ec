"""Frozen vectors that lack what the task needs are named, and those that have it are not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms

WORDS, DIMENSION = 60, 8


class Bag(nn.Module):
    def __init__(self, vectors, freeze, table):
        super().__init__()
        self.embedding = table.from_pretrained(vectors, freeze=freeze)
        self.head = nn.Sequential(nn.Linear(DIMENSION, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, words):
        vectors = self.embedding(words)
        return self.head(vectors if vectors.ndim == 2 else vectors.mean(1))


def train_bag(words_in_file, *, freeze=True, fill="random", table=nn.Embedding):
    torch.manual_seed(0)
    mood, vectors = torch.randn(WORDS), 0.3 * torch.randn(WORDS, DIMENSION)
    vectors[:, 0] += mood
    vectors[words_in_file:] = 0.3 * torch.randn(WORDS - words_in_file, DIMENSION) if fill == "random" else 0.0
    x = torch.randint(0, WORDS, (1000, 6))
    y = (mood[x].sum(1) > 0).long()
    net = Bag(vectors, freeze, table)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    with yisheng.doctor(net, optimizer, data=(x[:700], y[:700]), validation=(x[700:], y[700:])) as dr:
        for _ in range(8):
            net.train()
            for rows in torch.randperm(700).split(35):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                F.cross_entropy(net(x[700:]), y[700:])
    return dr, net


@pytest.mark.parametrize(
    ("fill", "table"), [("random", nn.Embedding), ("zero", nn.Embedding), ("zero", nn.EmbeddingBag)]
)
def test_most_words_are_not_in_the_file(fill, table):
    dr, _ = train_bag(10, fill=fill, table=table)
    assert list_alarms(dr) == ["frozen-parameters"]
    evidence = dr.findings[0].evidence
    assert evidence["with vectors that learn"] < 0.6 * evidence["held-out loss"]
    if table is nn.Embedding:  # the lookups of a bag are not noted
        assert evidence["zero vectors among them"] == (50 if fill == "zero" else 0)


@pytest.mark.parametrize(("words_in_file", "freeze"), [(WORDS, True), (10, False)])
def test_vectors_that_suffice_or_learn(words_in_file, freeze):
    dr, _ = train_bag(words_in_file, freeze=freeze)
    assert not list_alarms(dr)


def test_diagnosis_changes_neither_network_nor_generator():
    dr, net = train_bag(10)
    before, state = net.embedding.weight.clone(), torch.get_rng_state()
    assert dr.findings
    assert torch.equal(net.embedding.weight, before)
    assert not net.embedding.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
