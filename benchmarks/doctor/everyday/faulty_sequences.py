"""Everyday faults of sequences: dimensions that are mixed up, masks, heads, first and last steps, states."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.everyday.rows import (
    cross_entropy_and_accuracy,
    marked_steps,
    split,
    spoken_numbers,
    sums_of_steps,
    tagged,
)
from benchmarks.doctor.harness import Trial, accuracy, faulty
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Tagger(nn.Module):
    """An LSTM of the default layout (T, B, D) that tags each token."""

    def __init__(self, tokens: int, tags: int, width: int = 32) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(tokens, width), nn.LSTM(width, width)
        self.head = nn.Linear(width, tags)

    def forward(self, ids: Tensor) -> Tensor:
        out, _ = self.lstm(self.embedding(ids.t()))
        return self.head(out)


# The scores are (T, B, C) and the labels (B, T): flattened, they belong to different tokens.
@faulty("reshaped-outputs", "misaligned-targets", "shuffled-targets", "no-signal", "scrambled-inputs")
def everyday_scores_flattened_in_another_order(t: Trial) -> float:
    """`criterion(out.view(-1, tags), labels.view(-1))` with an LSTM that puts the time first."""
    data = tagged(t.seed)
    model = Tagger(30, 4)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=30, shuffle=True)
    with t.doctor(model, optimizer) as dr:
        for _epoch in range(12):
            model.train()
            for ids, labels in loader:
                optimizer.zero_grad()
                out = model(ids)
                if t.fixed:
                    out = out.transpose(0, 1)
                loss = criterion(out.reshape(-1, 4), labels.reshape(-1))
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                out = model(data.x_test)
                out = out.transpose(0, 1) if t.fixed else out
                dr.validation(loss=float(criterion(out.reshape(-1, 4), data.y_test.reshape(-1))))
    return float((model(data.x_test).transpose(0, 1).argmax(-1) == data.y_test).float().mean())


# There are as many steps as tags, so `cross_entropy` accepts (B, T, C) and takes the steps for the classes.
@faulty("class-dimension", "reshaped-outputs", "loss-pairing", "misaligned-targets")
def everyday_classes_in_the_last_dimension(t: Trial) -> float:
    """`F.cross_entropy(logits, labels)` with logits (B, 6, 6), whose classes are to be in the second dimension."""
    data = tagged(t.seed, 500, 6, 30, 6)
    net = nn.Sequential(nn.Embedding(30, 24), nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 6))
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)):
        for _ in range(20):
            for rows in torch.randperm(len(data.x)).split(25):
                logits = net(data.x[rows])
                loss = F.cross_entropy(logits.transpose(1, 2) if t.fixed else logits, data.y[rows])
                opt.zero_grad()
                loss.backward()
                opt.step()
    with torch.no_grad():
        return float((net(data.x_test).argmax(-1) == data.y_test).float().mean())


class AttentionPooling(nn.Module):
    """Weighs the steps of a sequence with a learned score of each."""

    def __init__(self, columns: int, classes: int, fixed: bool) -> None:
        super().__init__()
        self.dim = 1 if fixed else -1
        self.encode = nn.Sequential(nn.Linear(columns, 32), nn.ReLU())
        self.score = nn.Linear(32, 1)
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = self.encode(x)
        weight = F.softmax(self.score(h), dim=self.dim)  # (B, T, 1)
        return self.head((weight * h).sum(1))


# The last dimension of the scores (B, T, 1) has one element: each weight is 1, and the scores never learn.
@faulty("constant-softmax", "constant-attention", "no-gradient", "zero-gradient", "constant-activations")
def everyday_attention_over_a_single_score(t: Trial) -> float:
    """`weights = F.softmax(scores, dim=-1)` for scores of shape (B, T, 1)."""
    data = marked_steps(t.seed)
    model = AttentionPooling(5, 4, t.fixed)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(20):
            model.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


class SequenceClassifier(nn.Module):
    """An LSTM whose output at one step is classified."""

    def __init__(self, columns: int, step: int) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(columns, 24, batch_first=True), nn.Linear(24, 2)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.rnn(x)
        return self.fc(out[:, self.step])


# The first output knows the first step only.
@faulty("unread-steps", "ignored-inputs", "final-states", "no-signal")
def everyday_output_of_the_first_step(t: Trial) -> float:
    """`out[:, 0]` is classified instead of `out[:, -1]`."""
    data = sums_of_steps(t.seed)
    model = SequenceClassifier(2, -1 if t.fixed else 0)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(15):
            model.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


class NextToken(nn.Module):
    """A layer of `nn.MultiheadAttention` over tokens and places."""

    def __init__(self, tokens: int, mask: Tensor, width: int = 32) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(tokens, width), nn.Embedding(len(mask), width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.block = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.head = nn.Linear(width, tokens)
        self.register_buffer("mask", mask)

    def forward(self, ids: Tensor) -> Tensor:
        n = ids.shape[1]
        h = self.tokens(ids) + self.places(torch.arange(n))
        h = h + self.attention(h, h, h, attn_mask=self.mask[:n, :n], need_weights=False)[0]
        return self.head(h + self.block(h))


@torch.no_grad()
def continued_correctly(net: nn.Module, ids: Tensor, start: int = 4) -> float:
    """Return the fraction of tokens that follow the rule when only those before are given."""
    net.eval()
    hits = [(net(ids[:, :n])[:, -1].argmax(-1) == ids[:, n]).float().mean() for n in range(start, ids.shape[1])]
    return float(torch.stack(hits).mean())


def fit_next_token(t: Trial, net: nn.Module, ids: Tensor, epochs: int = 10) -> None:
    """Train a language model with batches of 40."""
    opt = optim.AdamW(net.parameters(), lr=3e-3)
    criterion = nn.CrossEntropyLoss()
    test = spoken_numbers(t.seed + 900, 200)
    with t.doctor(net, opt) as dr:
        for _ in range(epochs):
            net.train()
            for (batch,) in DataLoader(TensorDataset(ids), batch_size=40, shuffle=True):
                logits = net(batch[:, :-1])
                loss = criterion(logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))
                opt.zero_grad()
                loss.backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(criterion(net(test[:, :-1]).flatten(0, 1), test[:, 1:].flatten())))


# In `nn.MultiheadAttention`, True means "may not look there": this mask hides the past and shows the future.
@faulty("visible-target", "instant-fit", "target-in-inputs", "reversed-mask")
def everyday_causal_mask_of_ones_below(t: Trial) -> float:
    """`attn_mask=torch.tril(torch.ones(n, n)).bool()` without the diagonal, where `triu(..., 1)` was meant."""
    square = torch.ones(12, 12)
    mask = torch.triu(square, 1).bool() if t.fixed else torch.tril(square, -1).bool()
    net = NextToken(7, mask)
    fit_next_token(t, net, spoken_numbers(t.seed, 1000))
    return continued_correctly(net, spoken_numbers(t.seed + 500, 300))


class ManyHeads(nn.Module):
    """Attention from scratch with several heads and a causal mask."""

    def __init__(self, tokens: int, fixed: bool, width: int = 32, heads: int = 4, length: int = 12) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(tokens, width), nn.Embedding(length, width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.block = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.head, self.heads, self.fixed = nn.Linear(width, tokens), heads, fixed

    def split_heads(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        if self.fixed:
            return x.view(b, n, self.heads, d // self.heads).transpose(1, 2)
        return x.view(b, self.heads, n, d // self.heads)

    def forward(self, ids: Tensor) -> Tensor:
        b, n = ids.shape
        h = self.tokens(ids) + self.places(torch.arange(n))
        q, k, v = self.split_heads(self.q(h)), self.split_heads(self.k(h)), self.split_heads(self.v(h))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(torch.triu(torch.ones(n, n), 1).bool(), float("-inf"))
        mixed = scores.softmax(-1) @ v
        mixed = mixed.transpose(1, 2).reshape(b, n, -1) if self.fixed else mixed.reshape(b, n, -1)
        h = h + self.o(mixed)
        return self.head(h + self.block(h))


# `view(B, H, T, d)` cuts each sequence into H pieces: the mask is applied to mixtures of tokens.
@faulty("reshaped-heads", "scrambled-inputs", "visible-target", "reshaped-outputs")
def everyday_heads_by_view_without_transpose(t: Trial) -> float:
    """`x.view(batch, heads, length, d)` where `view(batch, length, heads, d).transpose(1, 2)` was meant."""
    net = ManyHeads(7, t.fixed)
    fit_next_token(t, net, spoken_numbers(t.seed, 1000))
    return continued_correctly(net, spoken_numbers(t.seed + 500, 300))


# A series is cut into windows after its values were shuffled: nothing of its past is left.
@faulty("no-signal", "shuffled-series", "shuffled-targets", "evaluated-inputs")
def everyday_windows_of_a_shuffled_series(t: Trial) -> float:
    """`values = values[torch.randperm(n)]` before the windows are cut, not after."""
    g = torch.Generator().manual_seed(t.seed)
    time = torch.arange(1400.0)
    series = (time / 9).sin() + 0.5 * (time / 3.1 + t.seed).cos() + 0.1 * torch.randn(1400, generator=g)
    train, test = series[:1000], series[1000:]
    if not t.fixed:
        train = train[torch.randperm(1000, generator=g)]

    def cut(values: Tensor) -> tuple[Tensor, Tensor]:
        return values.unfold(0, 12, 1)[:-1], values[12:, None]

    (x, y), (x_test, y_test) = cut(train), cut(test)
    net = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 1))
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(25):
            for rows in torch.randperm(len(x)).split(32):
                opt.zero_grad()
                F.mse_loss(net(x[rows]), y[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(x_test), y_test)))
    with torch.no_grad():
        return max(-10.0, float(1 - F.mse_loss(net(x_test), y_test) / y_test.var()))


# The collate function stacks with the time first; `view` does not turn the axes around, it mixes the rows.
@faulty("mixed-rows", "scrambled-inputs", "reshaped-outputs", "misaligned-targets", "no-signal")
def everyday_time_first_by_view(t: Trial) -> float:
    """`x = x.view(batch, time, columns)` for batches (time, batch, columns)."""
    data = sums_of_steps(t.seed)
    model = SequenceClassifier(2, -1)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()

    def collate(rows: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        return torch.stack([x for x, _ in rows], 1), torch.stack([y for _, y in rows])

    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=30, shuffle=True, collate_fn=collate)
    with t.doctor(model, optimizer) as dr:
        for _ in range(12):
            model.train()
            for x, y in loader:
                x = x.transpose(0, 1) if t.fixed else x.view(x.shape[1], x.shape[0], 2)
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


class RandomlyStarted(nn.Module):
    """A GRU whose first state is drawn or zero."""

    def __init__(self, columns: int, fixed: bool, hidden: int = 32) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(columns, hidden, batch_first=True), nn.Linear(hidden, 3)
        self.hidden, self.fixed = hidden, fixed

    def forward(self, x: Tensor) -> Tensor:
        start = torch.zeros if self.fixed else torch.randn
        h0 = start(1, len(x), self.hidden)
        out, _ = self.rnn(x, h0)
        return self.fc(out[:, -1])


# Of three steps, the last one still depends on the random state: the same row has other scores each time.
@faulty("random-outputs", "evaluated-network", "mode", "random-state")
def everyday_random_first_state(t: Trial) -> float:
    """`h0 = torch.randn(layers, batch, hidden)` in each call, in evaluation, too."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.randn(700, 2, 4, generator=g)
    total = 0.3 * x.sum((1, 2)) + 0.5 * x[:, 0, 0] * x[:, 1, 1]
    data: Data = split(x, (total > 0.4).long() + (total > -0.4).long())
    model = RandomlyStarted(4, t.fixed)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(15):
            model.train()
            for rows in torch.randperm(len(data.x)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)
