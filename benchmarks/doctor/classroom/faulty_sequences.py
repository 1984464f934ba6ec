"""Classroom faults of sequences: the side of the padding, stop words, ids, states, start tokens, tied weights."""

from __future__ import annotations

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import fit
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, TensorDataset


class WordsClassifier(nn.Module):
    """An embedding, a GRU and its last output."""

    def __init__(self, words: int, classes: int, width: int = 24) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        self.rnn, self.fc = nn.GRU(width, 32, batch_first=True), nn.Linear(32, classes)

    def forward(self, ids: Tensor) -> Tensor:
        out, _ = self.rnn(self.embedding(ids))
        return self.fc(out[:, -1])


# Training texts are padded on the left, so that the last output is that of the last word. `pad_sequence` pads right.
@faulty("padding-side", "shifted-rows", "evaluated-inputs", "read-padding")
def classroom_validation_padded_on_the_right(t: Trial) -> float:
    """The `collate` function of the validation rows lacks `padding_side="left"`."""
    g = generator(t.seed)
    worth = torch.randint(-2, 3, (40,), generator=g).float()
    texts, labels = [], []
    for _ in range(900):
        ids = torch.randint(1, 40, (int(torch.randint(3, 15, (), generator=g)),), generator=g)
        texts.append(ids)
        labels.append(int(worth[ids[:-1]].mean() + worth[ids[-1]] > 0))
    y = torch.tensor(labels)

    def pad_left(rows: list[Tensor]) -> Tensor:
        return pad_sequence([ids.flip(0) for ids in rows], batch_first=True).flip(1)

    x_test = pad_left(texts[600:]) if t.fixed else pad_sequence(texts[600:], batch_first=True)
    data = Data(pad_left(texts[:600]), y[:600], x_test, y[600:])
    net = WordsClassifier(40, 2)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, epochs=12)
    return accuracy(net, data)


STOP_WORDS = {"the", "was", "a", "it", "this", "and", "not"}


def opinions(seed: int, rows: int = 800) -> tuple[list[list[str]], list[int]]:
    """Return short opinions, of which four in ten are negated."""
    g = generator(seed)
    topics = ["plot", "film", "cast", "music", "ending", "sound", "story", "scene"]
    praise, blames = ["good", "great", "clever", "warm"], ["dull", "weak", "loud", "flat"]
    texts, labels = [], []
    for _ in range(rows):
        pick = torch.randint(0, 8, (4,), generator=g).tolist()
        is_praise, is_negated = (torch.rand(2, generator=g) < torch.tensor([0.5, 0.4])).tolist()
        adjective = (praise if is_praise else blames)[pick[0] % 4]
        negation = ["not"] if is_negated else ["and"]
        texts.append(["the", topics[pick[1]], topics[pick[2]], "was", *negation, adjective, "it", topics[pick[3]]])
        labels.append(int(is_praise != is_negated))
    return texts, labels


# "The film was not good" becomes "film good": the list of stop words was made for search engines.
@faulty("no-signal", "removed-words", "conflicting-rows")
def classroom_not_is_a_stop_word(t: Trial) -> float:
    """`[w for w in text if w not in stop_words]` removes the word that turns the meaning around."""
    texts, labels = opinions(t.seed)
    stop_words = STOP_WORDS - {"not"} if t.fixed else STOP_WORDS
    cleaned = [[word for word in text if word not in stop_words] for text in texts]
    words = sorted({word for text in cleaned[:560] for word in text})
    numbers = {word: k + 1 for k, word in enumerate(words)}
    ids = pad_sequence([torch.tensor([numbers[word] for word in text]) for text in cleaned], batch_first=True)
    data = split(ids.flip(1), torch.tensor(labels))
    net = WordsClassifier(len(words) + 1, 2)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, epochs=10)
    return accuracy(net, data)


class ProductValue(nn.Module):
    """A vector for each product, next to the other columns of the row."""

    def __init__(self, products: int, columns: int) -> None:
        super().__init__()
        self.products = nn.Embedding(products, 8)
        self.layers = nn.Sequential(nn.Linear(8 + columns, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, x: Tensor) -> Tensor:
        ids = x[:, 0].long()
        return self.layers(torch.cat([self.products(ids), x[:, 1:].float()], 1))


# bfloat16 has eight bits for the digits: the products 801 to 804 become one.
@faulty("lost-precision", "merged-categories", "rounded-inputs", "half-precision")
def classroom_product_numbers_in_bfloat16(t: Trial) -> float:
    """`batch = batch.to(torch.bfloat16)` to save memory, and the first column of the batch is a number of a product."""
    g = generator(t.seed)
    value = torch.randn(1000, generator=g)
    ids = torch.randint(600, 990, (5000,), generator=g)
    x = torch.cat([ids[:, None].float(), torch.randn(5000, 4, generator=g)], 1)
    y = value[ids] + 0.5 * x[:, 1] - 0.5 * x[:, 2] * x[:, 3] + 0.1 * torch.randn(5000, generator=g)
    data = split(x, y[:, None], 0.8)
    dtype = torch.float32 if t.fixed else torch.bfloat16
    net = ProductValue(1000, 4)
    opt = optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(12):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=64, shuffle=True):
                opt.zero_grad()
                F.mse_loss(net(a.to(dtype)), b).backward()
                opt.step()
            report(dr, net, Data(data.x, data.y, data.x_test.to(dtype), data.y_test))
    return explained(net, Data(data.x, data.y, data.x_test.to(dtype), data.y_test))


class TiedLanguageModel(nn.Module):
    """A GRU whose output layer has the weight of the embedding."""

    def __init__(self, tokens: int, fixed: bool, width: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.rnn, self.norm = nn.GRU(width, width, batch_first=True), nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens, bias=False)
        self.head.weight = self.embedding.weight
        if fixed:
            nn.init.normal_(self.embedding.weight, std=0.05)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.rnn(self.embedding(ids))[0]))


# The embedding of PyTorch has a standard deviation of 1, which is eight times too large for the output layer.
@faulty("initial-loss", "weights-too-large", "tied-initialization")
def classroom_tied_to_an_embedding_of_deviation_one(t: Trial) -> float:
    """`self.head.weight = self.embedding.weight` without a new initialization of the weight that both share."""
    g = generator(t.seed)
    follows = torch.randint(0, 80, (80, 3), generator=g)
    ids = torch.randint(0, 80, (900, 16), generator=g)
    for k in range(1, 16):
        ids[:, k] = follows[ids[:, k - 1], torch.randint(0, 3, (900,), generator=g)]
    train_ids, test_ids = ids[:500], ids[500:]
    net = TiedLanguageModel(80, t.fixed)
    opt = optim.AdamW(net.parameters(), lr=2e-3)

    def loss_of(batch: Tensor) -> Tensor:
        return F.cross_entropy(net(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())

    with t.doctor(net, opt) as dr:
        for _ in range(6):
            net.train()
            for (batch,) in DataLoader(TensorDataset(train_ids), batch_size=25, shuffle=True):
                opt.zero_grad()
                loss_of(batch).backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                validation_loss = float(loss_of(test_ids))
                dr.validation(loss=validation_loss)
    return -validation_loss


class BothDirections(nn.Module):
    """A bidirectional LSTM whose states are classified."""

    def __init__(self, columns: int, fixed: bool) -> None:
        super().__init__()
        self.rnn = nn.LSTM(columns, 16, batch_first=True, bidirectional=True)
        self.fc, self.fixed = nn.Linear(32, 4), fixed

    def forward(self, x: Tensor) -> Tensor:
        out, (h, _) = self.rnn(x)
        return self.fc(torch.cat([h[0], h[1]], 1) if self.fixed else out[:, -1])


# At the last step, the network that runs backward has read that step only.
@faulty("final-states", "unread-steps")
def classroom_last_output_of_both_directions(t: Trial) -> float:
    """`out[:, -1]` of a bidirectional LSTM, and what counts is at the beginning of the sequence."""
    g = generator(t.seed)
    x = torch.randn(800, 40, 3, generator=g)
    y = (x[:, :3, 0].sum(1) > 0).long() + 2 * (x[:, 1:4, 1].sum(1) > 0).long()
    data = split(x, y)
    net = BothDirections(3, t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=5e-3), data, epochs=8)
    return accuracy(net, data)


class CellByCell(nn.Module):
    """A GRU cell in a loop over the steps."""

    def __init__(self, columns: int, fixed: bool) -> None:
        super().__init__()
        self.cell, self.fc, self.fixed = nn.GRUCell(columns, 32), nn.Linear(32, 3), fixed

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(len(x), 32)
        for step in x.unbind(1):
            if not self.fixed:
                h = h.detach()
            h = self.cell(step, h)
        return self.fc(h)


# The state is cut off from its past at each step: what the cell is to remember is never learned.
@faulty("cut-graph", "detached-state", "truncated-gradients")
def classroom_state_detached_at_each_step(t: Trial) -> float:
    """`h = h.detach()` inside the loop over the steps, where it was to be between two batches."""
    g = generator(t.seed)
    x = torch.randn(800, 12, 4, generator=g)
    total = x[:, :, 0].cumsum(1)[:, 5] + x[:, 0, 1] * 2
    data = split(x, (total > 1.2).long() + (total > -1.2).long())
    net = CellByCell(4, t.fixed)
    opt = optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(12):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=40, shuffle=True):
                loss = F.cross_entropy(net(a), b)
                opt.zero_grad()
                loss.backward()
                opt.step()
            report(dr, net, data)
    return accuracy(net, data)


class Translator(nn.Module):
    """An encoder and a decoder of GRUs over the same words; 0 is padding, 1 begins a sentence."""

    def __init__(self, words: int = 14, width: int = 48) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.encoder, self.decoder = (nn.GRU(width, width, batch_first=True) for _ in range(2))
        self.head = nn.Linear(width, words)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        _, state = self.encoder(self.embedding(source))
        return self.head(self.decoder(self.embedding(target), state)[0])

    @torch.no_grad()
    def translate(self, source: Tensor, start: int) -> Tensor:
        """Return the most likely words (N, T), one after another."""
        words = torch.full((len(source), 1), start)
        for _ in range(source.shape[1]):
            words = torch.cat([words, self(source, words)[:, -1:].argmax(-1)], 1)
        return words[:, 1:]


# Training sentences begin with 1. The translation begins with 0, a word that the decoder has never read.
@faulty("untrained-vectors", "start-token", "evaluated-inputs")
def classroom_translation_begins_with_padding(t: Trial) -> float:
    """`words = torch.zeros(batch, 1).long()` in `translate`, and the start token has the number 1."""
    g = generator(t.seed)
    source = torch.randint(2, 14, (1200, 4), generator=g)
    target = (source.flip(1) - 2 + 5) % 12 + 2
    net = Translator()
    opt = optim.Adam(net.parameters(), lr=5e-3)
    start = torch.ones(1200, 1, dtype=torch.long)
    decoder_inputs = torch.cat([start, target[:, :-1]], 1)
    with t.doctor(net, opt) as dr:
        for _ in range(14):
            net.train()
            for rows in torch.randperm(900, generator=g).split(45):
                out = net(source[rows], decoder_inputs[rows])
                loss = F.cross_entropy(out.flatten(0, 1), target[rows].flatten())
                opt.zero_grad()
                loss.backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                out = net(source[900:], decoder_inputs[900:])
            words = net.translate(source[900:], 1 if t.fixed else 0)
            score = float((words == target[900:]).float().mean())
            dr.validation(loss=float(F.cross_entropy(out.flatten(0, 1), target[900:].flatten())), score=score)
    return score
