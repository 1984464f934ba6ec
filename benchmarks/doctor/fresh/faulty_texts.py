"""Faulty trainings on tokens: vocabularies, masks, padding, masked words."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.fresh.loop import train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import generator, split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Adam = torch.optim.Adam


class Bag(nn.Module):
    """The mean of the vectors of the words, and a linear layer."""

    def __init__(self, words: int, classes: int = 2) -> None:
        super().__init__()
        self.embed, self.fc = nn.Embedding(words, 16, padding_idx=0), nn.Linear(16, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        is_word = (x != 0).float()[..., None]
        return self.fc(F.relu((self.embed(x) * is_word).sum(1) / is_word.sum(1).clamp(min=1)))


def comments(seed: int, rows: int = 1200) -> tuple[list[list[str]], torch.Tensor]:
    """Return texts of 6 to 14 words, some of which are usual in one of two classes, and the classes."""
    g = generator(seed)
    y = torch.randint(0, 2, (rows,), generator=g)
    texts = []
    for label in y.tolist():
        length = int(torch.randint(6, 15, (1,), generator=g))
        numbers = torch.randint(0, 120, (length,), generator=g)
        is_telling = torch.rand(length, generator=g) < 0.25
        numbers = torch.where(is_telling, 120 + 20 * label + numbers % 20, numbers)
        texts.append([f"w{number}" for number in numbers.tolist()])
    return texts, y


def encode(texts: list[list[str]], numbers: dict[str, int], *, length: int = 14) -> torch.Tensor:
    """Number the words, 1 for unknown ones, and pad with 0."""
    return torch.tensor([([numbers.get(word, 1) for word in text] + [0] * length)[:length] for text in texts])


def number_words(texts: list[list[str]]) -> dict[str, int]:
    """Number words from 2 in the order in which they appear."""
    return {word: i + 2 for i, word in enumerate(dict.fromkeys(word for text in texts for word in text))}


@faulty("recoded-values", "shifted-rows", "evaluated-inputs", "recoded-words")
def fresh_vocabulary_built_for_each_part(t: Trial) -> float:
    """The data set's class builds the vocabulary, once for the training texts and once for the others."""
    texts, y = comments(t.seed)
    numbers = number_words(texts[:800])
    other_numbers = numbers if t.fixed else number_words(texts[800:])
    data = Data(encode(texts[:800], numbers), y[:800], encode(texts[800:], other_numbers), y[800:])
    net = Bag(200)
    train_epochs(t, net, Adam(net.parameters(), lr=1e-2), data, epochs=6)
    return accuracy(net, data)


@faulty("unknown-tokens", "no-signal", "constant-columns")
def fresh_words_in_another_case(t: Trial) -> float:
    """The vocabulary is in lower case, the texts are not: nearly all words are the unknown one."""
    texts, y = comments(t.seed)
    numbers = number_words(texts[:800])
    if not t.fixed:
        texts = [[word if i % 7 == 6 else word.upper() for i, word in enumerate(text)] for text in texts]
    data = split(encode(texts, numbers), y, 800)
    net = Bag(200)
    train_epochs(t, net, Adam(net.parameters(), lr=1e-2), data, epochs=6)
    return accuracy(net, data)


class FirstToken(nn.Module):
    """A transformer over tokens whose first one collects what is needed for the class."""

    def __init__(self, masks_words: bool) -> None:
        super().__init__()
        self.masks_words = masks_words
        self.embed = nn.Embedding(30, 24, padding_idx=0)
        self.position = nn.Parameter(0.1 * torch.randn(13, 24))
        self.block = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.0, batch_first=True)
        self.head = nn.Linear(24, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = (x != 0) if self.masks_words else (x == 0)
        return self.head(self.block(self.embed(x) + self.position, src_key_padding_mask=mask)[:, 0])


@faulty("inverted-mask", "read-padding")
def fresh_padding_mask_upside_down(t: Trial) -> float:
    """`src_key_padding_mask` is true for words, as in other libraries: only padding is looked at."""
    g = generator(t.seed)
    x = torch.randint(2, 30, (1300, 13), generator=g)
    x[:, 0] = 1
    length = torch.randint(6, 12, (1300, 1), generator=g)
    is_padding = torch.arange(13) > length
    kinds = torch.stack([((x % 3 == k) & ~is_padding).sum(1) for k in range(3)], 1)
    data = split(x.masked_fill(is_padding, 0), kinds.argmax(1), 900)
    net = FirstToken(masks_words=not t.fixed)
    train_epochs(t, net, Adam(net.parameters(), lr=4e-3), data, epochs=6)
    return accuracy(net, data)


class Translator(nn.Module):
    """A GRU reads a sequence, another one writes it with the last tokens as inputs."""

    def __init__(self, words: int = 12, hidden: int = 40) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 16, padding_idx=0)
        self.encoder, self.decoder = nn.GRU(16, hidden, batch_first=True), nn.GRU(16, hidden, batch_first=True)
        self.out = nn.Linear(hidden, words)

    def forward(self, x: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        length = (x != 0).sum(1)
        states = self.encoder(self.embed(x))[0]
        last = states[torch.arange(len(x)), length - 1]
        return self.out(self.decoder(self.embed(previous), last[None].contiguous())[0])


@faulty("padded-targets", "missed-classes", "class-imbalance")
def fresh_loss_over_the_padding(t: Trial) -> float:
    """Sentences of three to five tokens are padded to 16, and the padding is most of the loss."""
    g = generator(t.seed)
    x = torch.randint(2, 12, (1000, 16), generator=g)
    length = torch.randint(3, 6, (1000, 1), generator=g)
    x = x.masked_fill(torch.arange(16) >= length, 0)
    y = torch.stack([F.pad(row[: int(n)].flip(0), (0, 16 - int(n))) for row, n in zip(x, length, strict=True)])
    previous = F.pad(y[:, :-1], (1, 0), value=1)
    criterion = nn.CrossEntropyLoss(ignore_index=0 if t.fixed else -100)
    net = Translator()
    optimizer = Adam(net.parameters(), lr=5e-3)
    rows = DataLoader(TensorDataset(x[:700], previous[:700], y[:700]), 50, shuffle=True)
    with t.doctor(net, optimizer) as dr:
        for _ in range(10):
            net.train()
            for source, before, after in rows:
                optimizer.zero_grad()
                criterion(net(source, before).flatten(0, 1), after.flatten()).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(x[700:], previous[700:])
            dr.validation(loss=float(criterion(out.flatten(0, 1), y[700:].flatten())))
    with torch.no_grad():
        is_word = y[700:] != 0
        return float((net(x[700:], previous[700:]).argmax(2) == y[700:])[is_word].float().mean())


class Filler(nn.Module):
    """A bidirectional GRU that predicts the token of each place."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(13, 16), nn.Linear(48, 12)
        self.rnn = nn.GRU(16, 24, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(self.embed(x))[0])


@faulty("copied-targets", "target-in-inputs", "visible-target", "instant-fit")
def fresh_masked_copy_that_is_not_used(t: Trial) -> float:
    """`tokens.masked_fill(mask, MASK)` is not in place, and its result is thrown away: the words stay visible."""
    g = generator(t.seed)
    step = torch.randperm(12, generator=g)
    x = torch.zeros(600, 16, dtype=torch.long)
    x[:, 0] = torch.randint(0, 12, (600,), generator=g)
    for i in range(1, 16):
        other = torch.randint(0, 12, (600,), generator=g)
        x[:, i] = torch.where(torch.rand(600, generator=g) < 0.9, step[x[:, i - 1]], other)
    net = Filler()
    optimizer = Adam(net.parameters(), lr=8e-3)
    with t.doctor(net, optimizer):
        for _ in range(6):
            for (batch,) in DataLoader(TensorDataset(x[:450]), 30, shuffle=True):
                mask = torch.rand(batch.shape) < 0.2
                tokens = batch.masked_fill(mask, 12) if t.fixed else batch
                labels = batch.masked_fill(~mask, -100)
                optimizer.zero_grad()
                F.cross_entropy(net(tokens).flatten(0, 1), labels.flatten()).backward()
                optimizer.step()
    mask = torch.rand(150, 16, generator=g) < 0.2
    with torch.no_grad():
        return float((net(x[450:].masked_fill(mask, 12)).argmax(2) == x[450:])[mask].float().mean())
