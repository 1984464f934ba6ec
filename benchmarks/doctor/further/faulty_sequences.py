"""Faulty trainings of sequences: ends, shifts, masks, states, directions, clipping and blanks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.further.shapes import explained, loss_and_accuracy
from benchmarks.doctor.harness import Trial, accuracy, faulty
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Vocabulary:
    """Numbers of the special tokens; letters follow them."""

    pad: int
    bos: int
    eos: int
    letters: int = 8

    def __len__(self) -> int:
        return 3 + self.letters


class TokenModel(nn.Module):
    """A recurrent network that predicts the next token at each position."""

    def __init__(self, tokens: int, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, tokens)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(ids))[0])


def repeated_letters(vocab: Vocabulary, seed: int, rows: int) -> tuple[Tensor, Tensor]:
    """Return texts such as `caaab` (N, 9): a letter repeated as often as its number says; and their lengths."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 4, (rows,), generator=g)
    ids = torch.full((rows, 9), vocab.pad)
    ids[:, 0] = vocab.bos
    for i, k in enumerate(kind.tolist()):
        ids[i, 1 : k + 4] = 3 + k
        ids[i, k + 4] = vocab.eos
    return ids, kind + 3


# The end of a text has the number of the padding, which the loss ignores: the network never learns to stop.
@faulty("ignored-targets", "unused-class", "missed-classes")
def further_end_of_text_as_padding(t: Trial) -> float:
    """`tokenizer.pad_token = tokenizer.eos_token`, and the loss has `ignore_index=pad`."""
    vocab = Vocabulary(pad=0, bos=1, eos=2) if t.fixed else Vocabulary(pad=0, bos=1, eos=0)
    ids, _ = repeated_letters(vocab, t.seed, 480)
    net = TokenModel(len(vocab))
    opt = Adam(net.parameters(), lr=4e-3)
    loss_fn = nn.CrossEntropyLoss(ignore_index=vocab.pad)
    with t.doctor(net, opt) as dr:
        for _ in range(10):
            for (batch,) in DataLoader(TensorDataset(ids[:400]), 20, shuffle=True):
                opt.zero_grad()
                loss_fn(net(batch[:, :-1]).transpose(1, 2), batch[:, 1:]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(loss_fn(net(ids[400:, :-1]).transpose(1, 2), ids[400:, 1:])))
    starts, lengths = repeated_letters(vocab, t.seed + 1, 80)
    written, correct = starts[:, :2], torch.zeros(80, dtype=torch.long)
    for _ in range(7):
        written = torch.cat([written, net(written)[:, -1:].argmax(-1)], 1)
    for i, row in enumerate(written.tolist()):
        correct[i] = vocab.eos in row[1:] and row[1:].index(vocab.eos) == lengths[i]
    return float(correct.float().mean())


class ShiftingModel(TokenModel):
    """Like the models of a hub: it takes labels, moves them by one position itself, and returns its loss."""

    def loss(self, ids: Tensor, labels: Tensor) -> Tensor:
        logits = self(ids)[:, :-1]
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))


def chain(seed: int, rows: int, length: int = 12, tokens: int = 10) -> Tensor:
    """Return sequences whose next token depends on the present one, in 9 of 10 steps."""
    g = torch.Generator().manual_seed(seed)
    follower = torch.randperm(tokens, generator=torch.Generator().manual_seed(7))
    ids = torch.randint(0, tokens, (rows, length), generator=g)
    for i in range(1, length):
        ids[:, i] = torch.where(torch.rand(rows, generator=g) < 0.9, follower[ids[:, i - 1]], ids[:, i])
    return ids


# The labels are shifted in the loop and a second time in the model: it learns the token after the next one.
@faulty("misaligned-targets", "shifted-labels")
def further_labels_shifted_twice(t: Trial) -> float:
    """`inputs, labels = ids[:, :-1], ids[:, 1:]` for a model that shifts its labels itself."""
    ids, test = chain(t.seed, 400), chain(t.seed + 99, 200)
    model = ShiftingModel(10, 32)
    opt = Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, opt) as dr:
        for _ in range(8):
            model.train()
            for batch in ids[torch.randperm(len(ids))].split(20):
                opt.zero_grad()
                loss = model.loss(batch, batch) if t.fixed else model.loss(batch[:, :-1], batch[:, 1:])
                loss.backward()
                opt.step()
            model.eval()
            with torch.no_grad():
                dr.validation(loss=float(model.loss(test, test) if t.fixed else model.loss(test[:, :-1], test[:, 1:])))
    return float((model(test[:, :-1]).argmax(-1) == test[:, 1:]).float().mean())


class SelfAttention(nn.Module):
    """One layer of attention over tokens and positions."""

    def __init__(self, tokens: int, length: int, mask: Tensor, width: int = 32) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(tokens, width), nn.Embedding(length, width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, tokens)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.register_buffer("mask", mask)

    def forward(self, ids: Tensor) -> Tensor:
        n = ids.shape[1]
        h = self.tokens(ids) + self.places(torch.arange(n))
        q, k, v = self.qkv(h).chunk(3, -1)
        h = h + F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask[:n, :n])
        return self.out(h + self.mlp(h))


# A mask of float numbers is added to the scores: 1 and 0 hide nothing.
@faulty("visible-target", "target-in-inputs", "instant-fit", "additive-mask")
def further_mask_of_ones_added_to_the_scores(t: Trial) -> float:
    """The causal mask is `torch.tril(torch.ones(n, n))` without `.bool()`."""
    mask = torch.tril(torch.ones(12, 12))
    net = SelfAttention(10, 12, mask.bool() if t.fixed else mask)
    ids, test = chain(t.seed, 500, 13), chain(t.seed + 77, 200, 13)
    opt = Adam(net.parameters(), lr=4e-3)
    with t.doctor(net, opt, data=(ids[:, :-1], ids[:, 1:]), validation=(test[:, :-1], test[:, 1:])) as dr:
        for _epoch in range(12):
            for (b,) in DataLoader(TensorDataset(ids), 25, shuffle=True):
                opt.zero_grad()
                F.cross_entropy(net(b[:, :-1]).flatten(0, 1), b[:, 1:].flatten()).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.cross_entropy(net(test[:, :-1]).flatten(0, 1), test[:, 1:].flatten())))
    hits = [(net(test[:, :n])[:, -1].argmax(-1) == test[:, n]).float().mean() for n in range(1, 13)]
    return float(torch.stack(hits).mean())


class AttentionPool(nn.Module):
    """A weighted mean of the words of a text; its weights are a softmax over the words that are not padding."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.embed, self.score, self.out = nn.Embedding(words, 16), nn.Linear(16, 1), nn.Linear(16, classes)

    def forward(self, ids: Tensor) -> Tensor:
        h = self.embed(ids)
        scores = self.score(h).squeeze(-1).masked_fill(ids == 0, float("-inf"))
        return self.out((scores.softmax(1).unsqueeze(-1) * h).sum(1))


# A softmax over nothing but -inf is nan.
@faulty("non-finite-loss", "fully-masked-rows", "empty-rows")
def further_empty_text_in_an_attention(t: Trial) -> float:
    """One of the texts has no words after the stop words are removed, and all of its scores are masked."""
    g = torch.Generator().manual_seed(t.seed)
    y = torch.randint(0, 2, (600,), generator=g)
    x = torch.randint(1, 60, (600, 10), generator=g)
    x[:, 0] = torch.where(torch.rand(600, generator=g) < 0.95, 60 + y, x[:, 0])
    x[torch.arange(10) >= torch.randint(3, 11, (600, 1), generator=g)] = 0
    x[217] = 0
    is_used = x.ne(0).any(1) if t.fixed else torch.ones(600, dtype=torch.bool)
    x_train, y_train = x[:400][is_used[:400]], y[:400][is_used[:400]]
    net = AttentionPool(62, 2)
    opt = Adam(net.parameters(), lr=1e-2)
    with t.doctor(net, opt, data=(x_train, y_train), validation=(x[400:], y[400:])) as dr:
        for _ in range(8):
            for xb, yb in DataLoader(TensorDataset(x_train, y_train), 32, shuffle=True):
                opt.zero_grad()
                F.cross_entropy(net(xb), yb).backward()
                opt.step()
            dr.validation(**loss_and_accuracy(net, x[400:], y[400:]))
    return accuracy(net, Data(x_train, y_train, x[400:], y[400:]))


class BothDirections(nn.Module):
    """The last states of a recurrent network in both directions."""

    def __init__(self, inputs: int, classes: int, by_view: bool) -> None:
        super().__init__()
        self.rnn = nn.GRU(inputs, 24, batch_first=True, bidirectional=True)
        self.fc, self.by_view = nn.Linear(48, classes), by_view

    def forward(self, x: Tensor) -> Tensor:
        _, h = self.rnn(x)
        return self.fc(h.view(x.shape[0], -1) if self.by_view else torch.cat([h[0], h[1]], dim=1))


def waves(seed: int, rows: int = 900, length: int = 16) -> Data:
    """Return series (N, T, 2) of three shapes at random phases, with noise."""
    g = torch.Generator().manual_seed(seed)
    y, phase = torch.randint(0, 3, (rows,), generator=g), torch.rand(rows, 1, generator=g) * 6.28
    time = torch.arange(length)[None] * (0.4 + 0.35 * y[:, None]) + phase
    x = torch.stack([time.sin(), time.cos()], -1) + 0.5 * torch.randn(rows, length, 2, generator=g)
    return Data(x[:600], y[:600], x[600:], y[600:])


# The states have the shape (2, B, H): a view as (B, 2 * H) puts states of two rows into one.
@faulty("mixed-rows", "reshaped-states")
def further_states_of_both_directions_by_view(t: Trial) -> float:
    """`h.view(batch, -1)` for the states of a bidirectional network, which begin with the direction."""
    data = waves(t.seed)
    net = BothDirections(2, 3, by_view=not t.fixed)
    opt = Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(8):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 24, shuffle=True):
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
            dr.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


class Counter(nn.Module):
    """Sums up a series of ones and zeros; takes and returns its state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.readout = nn.GRU(1, 24, batch_first=True), nn.Linear(24, 1)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        out, state = self.cell(x, state)
        return self.readout(out[:, -1]), state


# The batches are shuffled: the state that is carried over is that of unrelated rows.
@faulty("carried-state", "mixed-rows")
def further_state_carried_to_unrelated_rows(t: Trial) -> float:
    """`state = state.detach()` between shuffled batches, as in a tutorial of one long text."""
    g = torch.Generator().manual_seed(t.seed)
    x = (torch.rand(900, 10, 1, generator=g) < torch.rand(900, 1, 1, generator=g)).float()
    y = x.cumsum(1) / 5 - 1  # after each of the steps
    net, lengths = Counter(), torch.randint(4, 11, (2000,), generator=g).tolist()
    opt = Adam(net.parameters(), lr=1e-2)

    @torch.no_grad()
    def predict(state: Tensor | None) -> Tensor:
        outputs = []
        for i, rows in enumerate(x[600:].split(30)):
            out, state = net(rows[:, : lengths[i]], None if t.fixed else state)
            outputs.append(out)
        return torch.cat(outputs)

    state: Any = None
    targets = torch.cat([rows[:, lengths[i] - 1] for i, rows in enumerate(y[600:].split(30))])
    with t.doctor(net, opt, data=(x[:600], y[:600]), validation=(x[600:], y[600:])) as dr:
        for _ in range(10):
            for rows in torch.randperm(600).split(30):
                n = lengths.pop()
                out, state = net(x[rows, :n], None if t.fixed else state)
                state = state.detach()
                opt.zero_grad()
                F.mse_loss(out, y[rows, n - 1]).backward()
                opt.step()
            dr.validation(loss=float(F.mse_loss(predict(state), targets)))
    return explained(predict(state), targets)


# Gradients are clipped when the update has been made.
@faulty("late-clipping", "exploding-gradients", "high-learning-rate", "non-finite-loss")
def further_clipped_after_the_step(t: Trial) -> float:
    """`clip_grad_norm_` is called after `optimizer.step()`: a plain recurrent network leaps at its large gradients."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.randn(900, 30, 2, generator=g)
    y = 4 * x[:, :, 0].mean(1, keepdim=True) + 0.7 * x[:, -1:, 1]
    rnn, head = nn.RNN(2, 32, batch_first=True, nonlinearity="relu"), nn.Linear(32, 1)
    nn.init.eye_(rnn.weight_hh_l0)
    net = nn.ModuleDict({"rnn": rnn, "head": head})
    opt = SGD(net.parameters(), lr=0.01, momentum=0.9)
    with t.doctor(net, opt) as dr:
        for _ in range(8):
            for rows in torch.randperm(600).split(20):
                loss = F.mse_loss(head(rnn(x[rows])[0][:, -1]), y[rows])
                opt.zero_grad()
                loss.backward()
                if t.fixed:
                    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                opt.step()
                if not t.fixed:
                    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(head(rnn(x[600:])[0][:, -1]), y[600:])))
    return explained(head(rnn(x[600:])[0][:, -1]).detach(), y[600:])


def progressions(seed: int, rows: int, length: int = 12) -> Tensor:
    """Return sequences a, a + b, a + 2 b, ... modulo 11, with b from 1 to 4."""
    g = torch.Generator().manual_seed(seed)
    offset, step = torch.randint(0, 11, (rows, 1), generator=g), torch.randint(1, 5, (rows, 1), generator=g)
    return (offset + step * torch.arange(length)) % 11


# `torch.rand(...) < 0.85` masks what was to be kept.
@faulty("strong-masking", "evaluated-inputs")
def further_masked_where_it_was_to_be_kept(t: Trial) -> float:
    """85% of the tokens are masked in training instead of 15%; the use has 15%."""
    g = torch.Generator().manual_seed(t.seed)
    net = SelfAttention(12, 12, torch.zeros(12, 12), width=48)
    ids, test = progressions(t.seed, 1200), progressions(t.seed + 5, 300)
    masked_test = torch.rand(test.shape, generator=g) < 0.15
    opt = Adam(net.parameters(), lr=4e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(12):
            net.train()
            for rows in torch.randperm(1200).split(40):
                masked = torch.rand(len(rows), 12) < (0.15 if t.fixed else 0.85)
                out = net(ids[rows].masked_fill(masked, 11))
                opt.zero_grad()
                F.cross_entropy(out[masked], ids[rows][masked]).backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                out = net(test.masked_fill(masked_test, 11))[masked_test]
            dr.validation(score=float((out.argmax(-1) == test[masked_test]).float().mean()))
    return float((out.argmax(-1) == test[masked_test]).float().mean())


# The number 0 is the blank of the CTC loss and also a letter.
@faulty("blank-class", "missed-classes")
def further_letter_with_the_number_of_the_blank(t: Trial) -> float:
    """Letters are numbered from 0, and `blank` has its default of 0."""
    g, letters = torch.Generator().manual_seed(t.seed), 4
    text = torch.randint(0, letters, (600, 4), generator=g)
    patterns = torch.eye(letters)
    frames = torch.zeros(600, 12, letters)
    for i in range(4):
        frames[:, 3 * i + 1] = 2 * patterns[text[:, i]]
    frames = frames + 0.4 * torch.randn(frames.shape, generator=g)
    shift = 1 if t.fixed else 0
    net = nn.Sequential(nn.Linear(letters, 32), nn.ReLU(), nn.Linear(32, letters + 1))
    opt, ctc = Adam(net.parameters(), lr=1e-2), nn.CTCLoss()
    sizes = torch.full((20,), 12), torch.full((20,), 4)
    with t.doctor(net, opt) as dr:
        for _ in range(10):
            for rows in torch.randperm(500).split(20):
                log_probabilities = net(frames[rows]).log_softmax(-1).transpose(0, 1)
                opt.zero_grad()
                ctc(log_probabilities, text[rows] + shift, *sizes).backward()
                opt.step()
            with torch.no_grad():
                log_probabilities = net(frames[500:520]).log_softmax(-1).transpose(0, 1)
                dr.validation(loss=float(ctc(log_probabilities, text[500:520] + shift, *sizes)))
    correct = 0
    for best, target in zip(net(frames[500:]).argmax(-1), text[500:], strict=True):
        decoded = [int(k) - shift for k in best.unique_consecutive() if int(k) != 0]
        correct += decoded == target.tolist()
    return correct / 100
