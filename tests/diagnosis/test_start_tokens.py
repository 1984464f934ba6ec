"""A start token that evaluation reads and training does not is named, however the decoder is called."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis.recorder.embedding_lookups import EmbeddingLookups
from yisheng.diagnosis.recorder.guard import Guard

WORDS, LENGTH = 14, 4


class Translator(nn.Module):
    def __init__(self, *, padding_idx=None, masks_padding=False):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 12, padding_idx=padding_idx)
        self.encoder, self.decoder = (nn.GRU(12, 12, batch_first=True) for _ in range(2))
        self.head, self.masks_padding = nn.Linear(12, WORDS), masks_padding

    def encode(self, source):
        return self.encoder(self.embedding(source))[1]

    def decode(self, target, state):
        vectors = self.embedding(target)
        if self.masks_padding:
            vectors = vectors * (target != 0)[..., None]
        out, state = self.decoder(vectors, state)
        return self.head(out), state

    def forward(self, source, target):
        return self.decode(target, self.encode(source))[0]


def decode_by_prefixes(net, source, start):
    words = torch.full((len(source), 1), start)
    for _ in range(LENGTH):
        words = torch.cat([words, net(source, words)[:, -1:].argmax(-1)], 1)


def decode_by_steps(net, source, start):
    word, state = torch.full((len(source), 1), start), net.encode(source)
    for _ in range(LENGTH):
        out, state = net.decode(word, state)
        word = out.argmax(-1)


def find_start(net, decode, start, first=1, epochs=6):
    g = torch.Generator().manual_seed(0)
    source = torch.randint(2, WORDS, (300, LENGTH), generator=g)
    target = source.flip(1)
    inputs = torch.cat([torch.full((300, 1), first), target[:, :-1]], 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(epochs):
            net.train()
            for rows in torch.arange(240).split(24):
                optimizer.zero_grad()
                F.cross_entropy(net(source[rows], inputs[rows]).flatten(0, 1), target[rows].flatten()).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                F.cross_entropy(net(source[240:], inputs[240:]).flatten(0, 1), target[240:].flatten())
                decode(net, source[240:], start)
                best = copy.deepcopy(net)
                best(source[240:], inputs[240:])
    return [finding.evidence["number"] for finding in dr.findings if finding.check == "untrained-vectors"]


@pytest.mark.parametrize("decode", [decode_by_prefixes, decode_by_steps])
def test_start_token_that_training_does_not_have(decode):
    torch.manual_seed(0)
    assert find_start(Translator(), decode, start=0) == [0]
    assert find_start(Translator(), decode, start=1) == []


@pytest.mark.parametrize("options", [{"padding_idx": 0}, {"masks_padding": True}])
def test_padding_that_begins_the_rows_of_both(options):
    """T5 begins with padding, in training, too; its vector is 0 or masked, and has no gradient."""
    torch.manual_seed(0)
    assert find_start(Translator(**options), decode_by_prefixes, start=0, first=0) == []


def test_lookups_are_noted_from_the_first_pass_of_an_evaluation_to_the_next_gradient():
    net = Translator()
    lookups = EmbeddingLookups(net, Guard())
    numbers = torch.arange(8)
    with torch.no_grad():
        net.embedding(numbers)
        lookups.begin_evaluation()
        for network in (net, copy.deepcopy(net)):
            network.embedding(numbers)
        net.embedding(numbers.reshape(2, 4))
    net.embedding(numbers)
    with torch.no_grad():
        net.embedding(numbers)
    assert [tuple(call.shape) for call in lookups.evaluated["embedding"]] == [(8,), (2, 4)]


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.layers = (
            nn.Embedding(100, 8),
            nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2)),
        )

    def forward(self, x, step):
        return self.layers(torch.cat([x, self.embedding(step)], 1))


def test_steps_of_a_diffusion_that_were_not_drawn():
    torch.manual_seed(0)
    net = Denoiser()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            x, step = torch.randn(8, 2), torch.randint(0, 99, (8,))
            optimizer.zero_grad()
            F.mse_loss(net(x, step), x).backward()
            optimizer.step()
        with torch.no_grad():
            x = torch.randn(16, 2)
            for step in reversed(range(100)):
                x = x - 0.01 * net(x, torch.full((16,), step))
    assert "untrained-vectors" not in [finding.check for finding in dr.findings]
