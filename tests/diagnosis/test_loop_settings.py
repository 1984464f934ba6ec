"""Settings and masks of a user's own loop: each fault is found first, and without it there is no alarm."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import make_classes, make_mlp

X, Y = make_classes(rows=600, columns=8, classes=2)


def train(net, optimizer, loss, x, y, *, epochs=10, after_step=None, after_epoch=None, batch=32):
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(batch):
                optimizer.zero_grad()
                loss(net(x[index]), y[index]).backward()
                optimizer.step()
                if after_step is not None:
                    after_step()
            if after_epoch is not None:
                after_epoch()
    return dr


def require_first(dr, check):
    assert [finding.check for finding in dr.findings][:1] == [check], dr.findings


def require_silence(dr):
    assert [finding.check for finding in dr.findings if finding.severity != "note"] == []


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_betas_in_the_wrong_order(kind):
    net = make_mlp(8, 32, 2)
    dr = train(net, kind(net.parameters(), 3e-3, betas=(0.999, 0.9)), F.cross_entropy, X, Y)
    require_first(dr, "optimizer-betas")
    assert "betas=(0.9, 0.999)" in dr.findings[0].remedy
    for betas in ((0.9, 0.999), (0.9, 0.95), (0.5, 0.9)):
        net = make_mlp(8, 32, 2)
        require_silence(train(net, kind(net.parameters(), 3e-3, betas=betas), F.cross_entropy, X, Y))


@pytest.mark.parametrize("smoothing", [0.9, 0.6])
def test_smoothing_that_takes_most_of_the_label(smoothing):
    net = make_mlp(8, 32, 2)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    require_first(train(net, torch.optim.Adam(net.parameters(), 3e-3), loss, X, Y), "strong-smoothing")
    net = make_mlp(8, 32, 2)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    require_silence(train(net, torch.optim.Adam(net.parameters(), 3e-3), loss, X, Y))


@pytest.mark.parametrize("bound", [0.01, 0.05])
def test_weights_that_are_cut_off(bound):
    def clamp():
        with torch.no_grad():
            for weight in net.parameters():
                weight.clamp_(-bound, bound)

    net = make_mlp(8, 32, 2)
    dr = train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, X, Y, after_step=clamp)
    require_first(dr, "clamped-weights")
    bound = 3.0  # which no weight reaches
    net = make_mlp(8, 32, 2)
    require_silence(train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, X, Y, after_step=clamp))


@pytest.mark.parametrize("period", [4, 12])
def test_schedule_that_ends_at_its_peak(period):
    net = make_mlp(8, 32, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.2, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=period)
    epochs = 13 if period == 12 else 9  # at the end of the last epoch the rate was low, or at its peak
    dr = train(net, optimizer, F.cross_entropy, X, Y, epochs=epochs, after_epoch=schedule.step)
    if period == 12:
        require_silence(dr)
    else:
        assert "schedule-period" in [finding.check for finding in dr.findings]
        assert "T_max" in next(f for f in dr.findings if f.check == "schedule-period").remedy


@pytest.mark.parametrize("limit", [1.0, 0.5])
def test_gradients_that_are_clipped_with_the_factor_of_a_scaler(limit):
    def run(unscales):
        net = make_mlp(8, 32, 2)
        optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
        scaler = torch.amp.GradScaler("cpu")
        with yisheng.doctor(net, optimizer) as dr:
            for _ in range(8):
                for index in torch.randperm(len(X)).split(32):
                    optimizer.zero_grad()
                    scaler.scale(F.cross_entropy(net(X[index]), Y[index])).backward()
                    if unscales:
                        scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(net.parameters(), limit)
                    scaler.step(optimizer)
                    scaler.update()
        return dr

    dr = run(False)
    require_first(dr, "clipped-scaled-gradients")
    assert "unscale_" in dr.findings[0].remedy
    require_silence(run(True))


def train_rare_class(loss, balances):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 8, generator=generator)
    y = (x[:, 0] + x[:, 1] + 0.7 * torch.randn(3000, generator=generator) > 2.4).long()
    rate = float(y.float().mean())
    chances = torch.where(y > 0, 1 / rate, 1 / (1 - rate)) if balances else torch.ones(len(y))
    outputs = 1 if loss is F.binary_cross_entropy_with_logits else 2
    net = make_mlp(8, 24, outputs)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    weight = torch.tensor((1 - rate) / rate)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(300):
            rows = torch.multinomial(chances, 50, replacement=True)
            optimizer.zero_grad()
            if outputs == 1:
                value = loss(net(x[rows]), y[rows, None].float(), pos_weight=weight)
            else:
                value = loss(net(x[rows]), y[rows], weight=torch.stack([torch.tensor(1.0), weight]))
            value.backward()
            optimizer.step()
    return dr


@pytest.mark.parametrize("loss", [F.binary_cross_entropy_with_logits, F.cross_entropy])
def test_rare_class_that_is_weighted_and_drawn_more_often(loss):
    require_first(train_rare_class(loss, True), "double-weighting")
    assert "double-weighting" not in [finding.check for finding in train_rare_class(loss, False).findings]


class Reader(nn.Module):
    """A transformer over padded tokens that classifies a row by its first token."""

    def __init__(self, inverts):
        super().__init__()
        self.inverts = inverts
        self.embed, self.head = nn.Embedding(20, 16, padding_idx=0), nn.Linear(16, 2)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x):
        mask = (x != 0) if self.inverts else (x == 0)
        return self.head(self.encoder(self.embed(x), src_key_padding_mask=mask)[:, 0])


def make_padded_rows(rows=600, length=12):
    generator = np.random.default_rng(0)
    x = generator.integers(2, 20, (rows, length))
    x[:, 0] = 1
    lengths = generator.integers(4, length - 2, rows)
    y = np.array([int((row[1:n] % 2).mean() > 0.5) for row, n in zip(x, lengths, strict=True)])
    x[np.arange(length) >= lengths[:, None]] = 0
    return torch.tensor(x), torch.tensor(y)


def test_attention_mask_that_hides_the_words():
    x, y = make_padded_rows()
    net = Reader(True)
    dr = train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, x, y)
    require_first(dr, "inverted-mask")
    net = Reader(False)
    dr = train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, x, y)
    assert "inverted-mask" not in [finding.check for finding in dr.findings]


class Tagger(nn.Module):
    """Predicts a class for each token."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(20, 16), nn.Linear(16, 20)
        self.rnn = nn.GRU(16, 24, batch_first=True, bidirectional=True)
        self.out = nn.Linear(48, 20)

    def forward(self, x):
        return self.out(self.rnn(self.embed(x))[0])


@pytest.mark.parametrize("flattens", [True, False])
def test_padding_that_counts_in_the_loss(flattens):
    x, _ = make_padded_rows()
    x[:, 0] = 2
    y = torch.where(x > 0, 2 + (x * 7) % 18, 0)

    def run(ignored):
        def loss(out, target):
            if flattens:
                return F.cross_entropy(out.flatten(0, 1), target.flatten(), ignore_index=ignored)
            return F.cross_entropy(out.transpose(1, 2), target, ignore_index=ignored)

        net = Tagger()
        return train(net, torch.optim.Adam(net.parameters(), 3e-3), loss, x, y, epochs=4)

    require_first(run(-100), "padded-targets")
    assert "padded-targets" not in [finding.check for finding in run(0).findings]


def test_padding_of_inputs_is_not_taken_for_the_class_of_a_row():
    x, y = make_padded_rows()
    net = Reader(False)
    dr = train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, x, y)
    assert "padded-targets" not in [finding.check for finding in dr.findings]


@pytest.mark.parametrize("flattens", [True, False])
def test_class_with_the_number_of_the_padding(flattens):
    """Tags 0 to 2 of words; padded places are left out, and 0 is a tag like the others."""
    x, _ = make_padded_rows()
    y = torch.where(x > 0, x % 3, -100)

    def loss(out, target):
        return F.cross_entropy(out.flatten(0, 1), target.flatten()) if flattens else F.cross_entropy(out.mT, target)

    net = Tagger()
    dr = train(net, torch.optim.Adam(net.parameters(), 3e-3), loss, x, y, epochs=4)
    assert "padded-targets" not in [finding.check for finding in dr.findings]


def test_words_that_are_to_be_guessed_and_stay_visible():
    x, _ = make_padded_rows()

    def run(hides):
        net = Tagger()
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        with yisheng.doctor(net, optimizer) as dr:
            for _ in range(40):
                rows = x[torch.randint(0, len(x), (32,))]
                chosen = torch.rand(rows.shape) < 0.3
                optimizer.zero_grad()
                out = net(rows.masked_fill(chosen, 19) if hides else rows)
                labels = rows.masked_fill(~chosen, -100)
                F.cross_entropy(out.flatten(0, 1), labels.flatten()).backward()
                optimizer.step()
        return dr

    require_first(run(False), "copied-targets")
    assert "copied-targets" not in [finding.check for finding in run(True).findings]


class TwoPlaces(nn.Module):
    """Two layers, each normalized by its own batch norm or both by one."""

    def __init__(self, shares):
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(8, 24), nn.Linear(24, 24), nn.Linear(24, 2)
        self.norm1 = nn.BatchNorm1d(24)
        self.norm2 = self.norm1 if shares else nn.BatchNorm1d(24)

    def forward(self, x):
        return self.out(F.relu(self.norm2(self.fc2(F.relu(self.norm1(4 * self.fc1(x)))))))


def test_one_batch_norm_at_two_places():
    net = TwoPlaces(True)
    dr = train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, X, Y)
    assert "shared-normalization" in [finding.check for finding in dr.findings]
    net = TwoPlaces(False)
    require_silence(train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, X, Y))


@pytest.mark.parametrize("copies", [True, False])
def test_overfitting_is_undone_by_the_weights_of_the_best_epoch(copies):
    x = torch.randn(500, 20)
    y = (x[:, :6].sum(1) + 1.5 * torch.randn(500) > 0).long()
    net = make_mlp(20, 128, 2)
    optimizer = torch.optim.Adam(net.parameters(), 4e-3)
    lowest, best = float("inf"), {}

    def measure():
        net.eval()
        with torch.no_grad():
            return float(F.cross_entropy(net(x[200:]), y[200:]))

    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(40):
            net.train()
            for index in torch.randperm(200).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[index]), y[index]).backward()
                optimizer.step()
            loss = measure()
            dr.validation(loss=loss)
            if loss < lowest:
                weights = net.state_dict()
                lowest, best = loss, copy.deepcopy(weights) if copies else weights
        net.load_state_dict(best)
        dr.validation(loss=measure())
    assert ("overfitting" in [finding.check for finding in dr.findings]) != copies


class Products(nn.Module):
    """The product of the vectors of a user and a film."""

    def __init__(self):
        super().__init__()
        self.users, self.films = nn.Embedding(40, 4), nn.Embedding(40, 4)

    def forward(self, pairs):
        return (self.users(pairs[:, 0]) * self.films(pairs[:, 1])).sum(1)


def test_pairs_that_all_have_one_label():
    pairs, labels = torch.randint(0, 40, (600, 2)), torch.ones(600)
    net = Products()
    dr = train(net, torch.optim.Adam(net.parameters(), 1e-2), F.binary_cross_entropy_with_logits, pairs, labels)
    require_first(dr, "constant-targets")
    labels[300:] = 0
    net = Products()
    dr = train(net, torch.optim.Adam(net.parameters(), 1e-2), F.binary_cross_entropy_with_logits, pairs, labels)
    assert "constant-targets" not in [finding.check for finding in dr.findings]
