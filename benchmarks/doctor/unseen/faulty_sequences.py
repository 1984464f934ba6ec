"""Faulty trainings on tokens and sequences: padding, masks, positions, axes, recurrent networks."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import fit, generator, split
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


def reviews(seed: int, longest: int = 40) -> Data:
    """Return sentences of 3 to 12 tokens, padded with 0 to `longest`; the last words decide the class."""
    g = generator(seed)
    x = torch.zeros(1300, longest, dtype=torch.long)
    y = torch.zeros(1300, dtype=torch.long)
    for row in range(len(x)):
        length = int(torch.randint(3, 13, (1,), generator=g))
        x[row, :length] = torch.randint(1, 30, (length,), generator=g)
        y[row] = int((x[row, :length] < 11).sum() > (x[row, :length] > 18).sum())
    return split(x, y, 900)


class Reader(nn.Module):
    """An LSTM whose last state is classified."""

    def __init__(self, reads_padding: bool) -> None:
        super().__init__()
        self.reads_padding = reads_padding
        self.embed, self.lstm, self.fc = nn.Embedding(30, 12), nn.LSTM(12, 24, batch_first=True), nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(self.embed(x))
        if self.reads_padding:
            return self.fc(out[:, -1])
        return self.fc(out[torch.arange(len(x)), (x > 0).sum(1) - 1])


@faulty("read-padding", "vanishing-gradients")
def lstm_reads_the_padding(t: Trial) -> float:
    """The state after up to 37 padding tokens is classified, not that of the last word."""
    data = reviews(t.seed)
    net = Reader(not t.fixed)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=5, size=50)
    return accuracy(net, data)


class Mean(nn.Module):
    """Attention to padded tokens, and their mean."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.embed = nn.Embedding(30, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.fc = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pad = (x == 0) if self.masked else None
        e = self.embed(x)
        h = e + self.attention(e, e, e, key_padding_mask=pad, need_weights=False)[0]
        if not self.masked:
            return self.fc(h.mean(1))
        keep = (x > 0).float()[..., None]
        return self.fc((h * keep).sum(1) / keep.sum(1))


@faulty("read-padding")
def attention_to_the_padding(t: Trial) -> float:
    """Padding tokens take part in the attention and in the mean."""
    data = reviews(t.seed, 80)
    net = Mean(t.fixed)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=3, size=50)
    return accuracy(net, data)


def chain(seed: int, length: int = 12) -> torch.Tensor:
    """Return sequences of 10 tokens in which each follows from the one before, with one error in five."""
    g = generator(seed)
    step = torch.randperm(10, generator=g)
    x = torch.randint(0, 10, (800, length), generator=g)
    for position in range(1, length):
        follows = torch.rand(800, generator=g) < 0.8
        x[:, position] = torch.where(follows, step[x[:, position - 1]], x[:, position])
    return x


class Decoder(nn.Module):
    """A small language model."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.embed, self.position = nn.Embedding(10, 24), nn.Parameter(0.1 * torch.randn(12, 24))
        self.block = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.0, batch_first=True)
        self.fc = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return self.fc(self.block(self.embed(x) + self.position[: x.shape[1]], src_mask=mask))


@torch.no_grad()
def next_token_accuracy(net: nn.Module, x: torch.Tensor) -> float:
    """Return how often the token after a prefix is predicted, as a generator would use the network."""
    net.eval()
    return sum(float((net(x[:, :n])[:, -1].argmax(-1) == x[:, n]).float().mean()) for n in range(2, 11)) / 9


def train_language_model(t: Trial, net: nn.Module, x: torch.Tensor, shift: int = 1) -> None:
    """Train on the next token, or with a shift of 0 on the same."""
    optimizer = Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, optimizer, data=(x[:600, :-1], x[:600, shift : 11 + shift])):
        for _ in range(8):
            net.train()
            for rows in torch.randperm(600).split(50):
                optimizer.zero_grad()
                out = net(x[rows, :-1])
                F.cross_entropy(out.transpose(1, 2), x[rows, shift : 11 + shift]).backward()
                optimizer.step()


@faulty("visible-target", "target-in-inputs", "instant-fit")
def mask_of_the_future_forgotten(t: Trial) -> float:
    """Each position sees the token that it must predict."""
    x, net = chain(t.seed), Decoder(t.fixed)
    train_language_model(t, net, x)
    return next_token_accuracy(net, x[600:])


@faulty("copied-targets", "target-in-inputs", "instant-fit")
def language_targets_not_shifted(t: Trial) -> float:
    """The target of each position is its own token."""
    x, net = chain(t.seed), Decoder(True)
    train_language_model(t, net, x, shift=1 if t.fixed else 0)
    return next_token_accuracy(net, x[600:])


class Order(nn.Module):
    """A transformer that may know the positions."""

    def __init__(self, positions: bool) -> None:
        super().__init__()
        self.embed, self.block = nn.Embedding(10, 24), nn.TransformerEncoderLayer(24, 2, 48, 0.0, batch_first=True)
        self.position = nn.Parameter(torch.randn(10, 24) * 0.5) if positions else None
        self.fc = nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        if self.position is not None:
            h = h + self.position
        return self.fc(self.block(h).mean(1))


@faulty("missing-positions", "underfitting")
def transformer_without_positions(t: Trial) -> float:
    """Which of two tokens is first cannot be seen without positions."""
    g = generator(t.seed)
    x = torch.randint(2, 10, (1500, 10), generator=g)
    y = torch.randint(0, 2, (1500,), generator=g)
    places = torch.stack([torch.randperm(10, generator=g)[:2].sort().values for _ in range(1500)])
    rows = torch.arange(1500)
    x[rows, places[:, 0]], x[rows, places[:, 1]] = y, 1 - y
    data = split(x, y, 1100)
    net = Order(t.fixed)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=10, size=50)
    return accuracy(net, data)


class Tags(nn.Module):
    """A sum over token features, from an embedding or from the numbers themselves."""

    def __init__(self, embedded: bool) -> None:
        super().__init__()
        self.first = nn.Embedding(500, 16) if embedded else nn.Linear(1, 16)
        self.fc1, self.fc2 = nn.Linear(16, 32), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x) if isinstance(self.first, nn.Embedding) else self.first(x.float()[..., None])
        return self.fc2(F.relu(self.fc1(F.relu(h).mean(1))))


@faulty("inputs")
def token_numbers_as_amounts(t: Trial) -> float:
    """Numbers of words go into a linear layer as if 400 were twice 200."""
    g = generator(t.seed)
    kind = torch.randint(0, 3, (500,), generator=g)
    x = torch.randint(0, 500, (1500, 9), generator=g)
    data = split(x, F.one_hot(kind[x], 3).sum(1).argmax(1), 1100)
    net = Tags(t.fixed)
    fit(t, net, Adam(net.parameters(), lr=1e-2), data, epochs=8, size=32)
    return accuracy(net, data)


class Rows(nn.Module):
    """A recurrent network over the rows of an image."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.gru, self.fc = nn.GRU(8, 32, batch_first=batch_first), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.gru(x[:, 0])
        return self.fc(out[:, -1])


@faulty("mixed-rows")
def batch_first_forgotten(t: Trial) -> float:
    """The network runs over the rows of the batch instead of those of an image."""
    data = images(t.seed)
    net = Rows(t.fixed)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=5)
    return accuracy(net, data)


class SelfAttention(nn.Module):
    """Attention from scratch over the rows of an image."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.embed, self.qkv = nn.Linear(8, 24), nn.Linear(24, 72)
        self.position, self.fc = nn.Parameter(0.3 * torch.randn(8, 24)), nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.embed(x[:, 0]) + self.position).chunk(3, -1)
        weights = (q @ k.transpose(1, 2) / 24**0.5).softmax(self.axis)
        return self.fc(F.relu(weights @ v * (8 if self.axis == 0 else 1)).mean(1))


@faulty("mixed-rows", "loss-pairing")
def attention_softmax_over_the_batch(t: Trial) -> float:
    """The attention weights sum to 1 over the batch."""
    data = images(t.seed)
    net = SelfAttention(-1 if t.fixed else 0)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=6, size=64)
    return one_by_one(net, data)


@torch.no_grad()
def one_by_one(net: nn.Module, data: Data) -> float:
    """Return the accuracy if the rows come one at a time, as in use."""
    net.eval()
    return float(
        torch.cat([net(x[None]).argmax(1) == y for x, y in zip(data.x_test, data.y_test, strict=True)]).float().mean()
    )


class Adding(nn.Module):
    """A plain recurrent network over a long sequence."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn, self.fc = nn.RNN(2, 32, batch_first=True, nonlinearity="relu"), nn.Linear(32, 1)
        nn.init.orthogonal_(self.rnn.weight_hh_l0, gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x)[0][:, -1])


@faulty("exploding-gradients", "initial-loss", "high-learning-rate", "non-finite-loss")
def recurrent_weights_that_explode(t: Trial) -> float:
    """A relu network over 40 steps whose recurrent weights multiply by 1.6."""
    g = generator(t.seed)
    x = torch.rand(1200, 40, 2, generator=g)
    x[..., 1] = (torch.rand(1200, 40, generator=g) < 0.1).float()
    y = (x[..., 0] * x[..., 1]).sum(1, keepdim=True) - 2
    data = split(x, y, 900)
    net = Adding(0.9 if t.fixed else 1.6)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=6, size=50)
    with torch.no_grad():
        error = F.mse_loss(net(data.x_test), data.y_test) / data.y_test.var()
    return max(-1.0, float(1 - error)) if bool(error == error) else -1.0


class Copy(nn.Module):
    """An encoder and a decoder that reverse a sequence."""

    def __init__(self, sees_encoder: bool) -> None:
        super().__init__()
        self.sees_encoder = sees_encoder
        self.embed = nn.Embedding(9, 24)
        self.encoder, self.decoder = nn.GRU(24, 48, batch_first=True), nn.GRU(24, 48, batch_first=True)
        self.fc = nn.Linear(48, 9)

    def forward(self, x: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        state = self.encoder(self.embed(x))[1]
        return self.fc(self.decoder(self.embed(previous), state if self.sees_encoder else state.detach() * 0)[0])


@faulty("no-gradient")
def decoder_without_the_encoder(t: Trial) -> float:
    """The decoder starts from a cleared state, so that the encoder gets no gradient."""
    x = torch.randint(1, 9, (1000, 4), generator=generator(t.seed))
    y = x.flip(1)
    previous = F.pad(y[:, :-1], (1, 0))
    net = Copy(t.fixed)
    optimizer = Adam(net.parameters(), lr=1e-2)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(800).split(40):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows], previous[rows]).flatten(0, 1), y[rows].flatten()).backward()
                optimizer.step()
    with torch.no_grad():
        return float((net(x[800:], previous[800:]).argmax(-1) == y[800:]).float().mean())
