"""Workshop faults of sequences: positions, padding, unpacked outputs, and attention over the batch."""

from __future__ import annotations

import torch
from benchmarks.doctor.classroom.rows import generator, report, rows_of, split
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import fit
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, TensorDataset


class SentencePair(nn.Module):
    """An encoder of tokens and their positions."""

    def __init__(self, words: int, length: int, width: int, looks_up_places: bool) -> None:
        super().__init__()
        self.looks_up_places = looks_up_places
        self.word, self.position = nn.Embedding(words, width), nn.Embedding(max(words, length), width)
        self.block = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, 2)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1]).expand_as(ids)
        x = self.word(ids) + self.position(places if self.looks_up_places else ids)
        return self.head(self.block(x).mean(1))


# Without positions, "dog bites man" and "man bites dog" are the same to the network.
@faulty("missing-positions", "duplicated-input", "underfitting", "no-signal")
def workshop_positions_looked_up_by_word(t: Trial) -> float:
    """`self.word(ids) + self.position(ids)` where the positions are to be those of `torch.arange(length)`."""
    g = generator(t.seed)
    ids = torch.randint(2, 20, (1200, 8), generator=g)
    order = torch.rand(1200, 8, generator=g).argsort(1)[:, :2]
    row = torch.arange(1200)
    ids[row, order[:, 0]], ids[row, order[:, 1]] = 0, 1
    data = split(ids, (order[:, 0] < order[:, 1]).long())
    net = SentencePair(20, 8, 24, looks_up_places=t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, epochs=10)
    return accuracy(net, data)


class Events(nn.Module):
    """A recurrent network over sequences whose unused steps are zero."""

    def __init__(self, columns: int, takes_state: bool) -> None:
        super().__init__()
        self.takes_state = takes_state
        self.rnn, self.fc = nn.LSTM(columns, 32, batch_first=True), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x.abs().sum(2) > 0).sum(1)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, (state, _) = self.rnn(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.fc(state[-1] if self.takes_state else out[:, -1])


# Unpacked outputs are zero after the end of a sequence: only the longest sequences of a batch have a class.
@faulty("read-padding", "final-states", "unread-steps", "constant-outputs", "ignored-inputs")
def workshop_last_step_after_unpacking(t: Trial) -> float:
    """`out, _ = pad_packed_sequence(out)` and `out[:, -1]`, where the state of the last real step was meant."""
    g = generator(t.seed)
    x = torch.randn(900, 12, 3, generator=g)
    lengths = torch.randint(4, 13, (900,), generator=g)
    x = x * (torch.arange(12) < lengths[:, None])[..., None]
    data = split(x, (x[..., 0].sum(1) + 0.5 * x[..., 1].sum(1) > 0).long())
    net = Events(3, takes_state=t.fixed)
    optimizer = optim.Adam(net.parameters(), lr=4e-3)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(10):
            net.train()
            for a, b in loader:
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)


class BagOfWords(nn.Module):
    """The sum of the vectors of the words, and a linear layer."""

    def __init__(self, words: int, padding: int | None) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(words, 16, mode="sum", padding_idx=padding)
        self.fc = nn.Linear(16, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.fc(self.bag(ids))


# The vector of word 0 is zero and has no gradient, and word 0 is the most frequent one.
@faulty("untrained-vectors", "padding-index", "ignored-inputs", "frozen-parameters", "no-gradient", "unused-class")
def workshop_padding_number_of_a_word(t: Trial) -> float:
    """`padding_idx=0` for texts of equal length, whose words are numbered from 0 by their frequency."""
    g = generator(t.seed)
    frequency = 1 / torch.arange(1, 61)
    frequency[0] = 1.5
    ids = torch.multinomial(frequency.expand(1200, -1), 12, replacement=True, generator=g)
    mood = torch.randn(60, generator=g)
    mood[0] = 1.5
    total = mood[ids].sum(1)
    data = split(ids, (total > total.median()).long())
    net = BagOfWords(60, padding=None if t.fixed else 0)
    fit(t, net, optim.Adam(net.parameters(), lr=5e-3), data, epochs=15)
    return accuracy(net, data)


class ClassToken(nn.Module):
    """A transformer that reads the class from a learned token in front of the others."""

    def __init__(self, words: int, length: int, width: int, batch_first: bool) -> None:
        super().__init__()
        self.word, self.token = nn.Embedding(words, width), nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.position = nn.Parameter(torch.randn(length + 1, width) * 0.1)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(width, 2)

    def forward(self, ids: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(ids), -1, -1), self.word(ids)], 1)
        return self.head(self.encoder(x + self.position)[:, 0])


# The attention is over the rows of the batch at each place, and the first token never sees a word.
@faulty("mixed-rows", "constant-outputs", "collapsed-outputs", "ignored-inputs", "swapped-dimensions")
def workshop_transformer_with_the_length_first(t: Trial) -> float:
    """`nn.TransformerEncoderLayer(width, heads)` without `batch_first=True`, for (B, T, D) with a class token."""
    g = generator(t.seed)
    ids = torch.randint(0, 30, (1200, 10), generator=g)
    mood = torch.randn(30, generator=g)
    total = mood[ids].sum(1)
    data = split(ids, (total > total.median()).long())
    net = ClassToken(30, 10, 24, batch_first=t.fixed)
    optimizer = optim.AdamW(net.parameters(), lr=2e-3)
    fit(t, net, optimizer, data, epochs=10)
    return accuracy(net, data)
