"""Axes of sequences that are mixed up, steps that are not read, random states: each fault is found, its fix is not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.input_comparison import compare_rows
from yisheng.diagnosis.read_positions import find_read_positions
from yisheng.diagnosis.training_checks.reshaped_heads import find_pieces
from yisheng.diagnosis.training_checks.reshaped_outputs import compute_significance

from .small_trainings import list_alarms, make_classes, make_mlp


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def train(net, x, y, compute_loss, epochs=5, lr=5e-3, size=40, **rows):
    optimizer = torch.optim.Adam(net.parameters(), lr)
    with yisheng.doctor(net, optimizer, **rows) as dr:
        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(size):
                optimizer.zero_grad()
                compute_loss(net(x[index]), y[index]).backward()
                optimizer.step()
    return dr


@pytest.mark.parametrize(("steps", "is_moved"), [(4, False), (4, True), (5, True)])
def test_classes_on_the_last_axis(steps, is_moved):
    tokens = torch.randint(0, 12, (320, steps))
    net = nn.Sequential(nn.Embedding(12, 8), nn.Linear(8, 4))

    def compute_loss(scores, tags):
        return F.cross_entropy(scores.transpose(1, 2) if is_moved else scores, tags)

    dr = train(net, tokens, tokens % 4, compute_loss, epochs=8, lr=2e-2)
    assert list_alarms(dr) == ([] if is_moved else ["class-dimension"])


class Tagger(nn.Module):
    """An LSTM with the time on the first axis."""

    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.out = nn.Embedding(12, 16), nn.LSTM(16, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.out(self.lstm(self.embed(x.t()))[0])


@pytest.mark.parametrize("is_fixed", [False, True])
def test_scores_flattened_with_the_time_first(is_fixed):
    tokens = torch.randint(0, 12, (320, 6))

    def compute_loss(scores, tags):
        return F.cross_entropy((scores.transpose(0, 1) if is_fixed else scores).reshape(-1, 3), tags.reshape(-1))

    dr = train(Tagger(), tokens, tokens % 3, compute_loss, epochs=8, lr=1e-2)
    assert list_alarms(dr)[:1] == ([] if is_fixed else ["reshaped-outputs"])


def test_significance_is_that_of_the_g_test():
    from scipy.stats import chi2_contingency

    a = torch.randint(0, 4, (300,))
    b = (a + torch.randint(0, 3, (300,))) % 4
    table = torch.zeros(4, 4)
    table.index_put_((a, b), torch.ones(300), accumulate=True)
    statistic = chi2_contingency(table.numpy(), lambda_="log-likelihood").statistic
    assert compute_significance(a, b) == pytest.approx((statistic - 9) / 18**0.5)


class Sums(nn.Module):
    """A recurrent network that reads one of its outputs, from a first state of zeros or of random numbers."""

    def __init__(self, step=-1, is_random=False):
        super().__init__()
        self.rnn, self.out = nn.GRU(2, 16, batch_first=True), nn.Linear(16, 2)
        self.step, self.is_random = step, is_random

    def forward(self, x):
        state = torch.randn(1, len(x), 16) if self.is_random else None
        return self.out(self.rnn(x, state)[0][:, self.step])


@pytest.mark.parametrize("step", [0, -1])
def test_output_of_the_first_step(step):
    x = torch.randn(320, 8, 2)
    dr = train(Sums(step), x, (x.sum((1, 2)) > 0).long(), F.cross_entropy, epochs=10, lr=1e-2)
    assert list_alarms(dr) == ([] if step else ["unread-steps"])


@pytest.mark.parametrize("is_random", [True, False])
def test_random_first_state(is_random):
    x = torch.randn(320, 2, 2)
    dr = train(Sums(is_random=is_random), x, (x.sum((1, 2)) > 0).long(), F.cross_entropy, epochs=10, lr=1e-2)
    assert list_alarms(dr) == (["random-outputs"] if is_random else [])


class Heads(nn.Module):
    """Attention with two heads that predicts the token of two positions before."""

    def __init__(self, is_fixed):
        super().__init__()
        self.embed, self.place = nn.Embedding(6, 16), nn.Embedding(8, 16)
        self.qkv, self.out, self.is_fixed = nn.Linear(16, 48), nn.Linear(16, 6), is_fixed

    def forward(self, x):
        h = self.embed(x) + self.place(torch.arange(8))
        shape = (len(x), 8, 2, 8) if self.is_fixed else (len(x), 2, 8, 8)
        q, k, v = (part.contiguous().view(shape) for part in self.qkv(h).chunk(3, -1))
        if self.is_fixed:
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(h + (mixed.transpose(1, 2) if self.is_fixed else mixed).reshape(h.shape))


@pytest.mark.parametrize("is_fixed", [False, True])
def test_heads_by_view(is_fixed):
    tokens = torch.randint(0, 6, (320, 8))
    dr = train(Heads(is_fixed), tokens, tokens.roll(2, 1), lambda s, y: F.cross_entropy(s.transpose(1, 2), y), epochs=8)
    assert ("reshaped-heads" in list_alarms(dr)) is not is_fixed


def test_positions_that_a_network_reads():
    class Window(nn.Module):
        def forward(self, x):
            return x[:, :3].flatten(1)

    positions = find_read_positions(Window(), (torch.randn(6, 5, 2),))
    assert positions.influence.tolist() == [[True, True, True, False, False]]
    convolution = nn.Conv2d(1, 3, (3, 2), padding=(1, 0))  # of images (B, 1, T, 2)
    window = nn.Sequential(nn.Unflatten(1, (1, 8)), convolution, nn.Flatten(2))
    influence = find_read_positions(window, (torch.randn(6, 8, 2),)).influence
    places = torch.arange(8)
    assert torch.equal(influence, (places[:, None] - places[None]).abs() <= 1)
    assert find_pieces(influence) == 1
    assert find_read_positions(Sums(is_random=True), (torch.randn(6, 5, 2),)) is None
    assert find_read_positions(Window(), None) is None


@pytest.mark.parametrize("name", ["attribute", "method"])
def test_module_frozen_by_an_attribute(name):
    x, y = make_classes()
    net = nn.Sequential(make_mlp(8, 16, 16), nn.Linear(16, 3))
    if name == "attribute":
        net[0].requires_grad = False
    else:
        net[0].requires_grad_(False)
    dr = train(net, x, y, F.cross_entropy)
    assert ("ineffective-freezing" in list_alarms(dr)) is (name == "attribute")


class Transposed(nn.Module):
    """One layer with its own weights."""

    def __init__(self, is_parameter):
        super().__init__()
        weight, self.out = torch.randn(16, 8), nn.Linear(16, 3)
        self.w = nn.Parameter(weight.t()) if is_parameter else nn.Parameter(weight).t()

    def forward(self, x):
        return self.out(torch.relu(x @ self.w))


@pytest.mark.parametrize("is_parameter", [False, True])
def test_transposed_parameter(is_parameter):
    dr = train(Transposed(is_parameter), *make_classes(), F.cross_entropy, epochs=10)
    assert list_alarms(dr) == ([] if is_parameter else ["unregistered-parameters"])
    if not is_parameter:
        assert "model.w" in dr.findings[0].cause


@pytest.mark.parametrize("way", ["no call", "accuracy", "loss"])
def test_no_loss_is_propagated_back(way):
    x, y = make_classes()
    net = make_mlp(8, 16, 3)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for rows in torch.randperm(480).split(16) * 3:
            optimizer.zero_grad()
            output = net(x[rows])
            loss = F.cross_entropy(output, y[rows])
            if way == "accuracy":
                loss = (output.argmax(1) != y[rows]).float().mean().requires_grad_()
            if way != "no call":
                loss.backward()
            optimizer.step()
    assert list_alarms(dr) == ([] if way == "loss" else ["no-gradient"])
    if way != "loss":
        assert "loss.backward()" in dr.findings[0].remedy


@pytest.mark.parametrize("is_seeded", [True, False])
def test_noise_from_a_seed_in_the_loop(is_seeded):
    clean = torch.randn(320, 8)
    net, generator = make_mlp(8, 32, 8), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(8):
            for rows in torch.randperm(320, generator=generator).split(40):
                if is_seeded:
                    torch.manual_seed(42)
                optimizer.zero_grad()
                F.mse_loss(net(clean[rows] + torch.randn(len(rows), 8)), clean[rows]).backward()
                optimizer.step()
    assert list_alarms(dr)[:1] == (["repeated-seed"] if is_seeded else [])


@pytest.mark.parametrize("is_ordered", [False, True])
def test_class_numbers_as_amounts(is_ordered):
    x, y = make_classes(rows=600, classes=6)
    y = ((x[:, 0] * 2).round().clamp(-3, 3) + 3).long() if is_ordered else y
    rows = {"data": (x[:400], y[:400]), "validation": (x[400:], y[400:])}
    net = make_mlp(8, 4, 1)
    dr = train(net, x[:400], y[:400], lambda out, y: F.mse_loss(out.squeeze(1), y.float()), 12, 1e-2, **rows)
    kinds = [finding for finding in dr.findings if finding.check == "target-kind" and "as amounts" in finding.cause]
    assert bool(kinds) is not is_ordered
    assert "unused-rows" not in list_alarms(dr)


def test_batches_with_equally_many_rows_of_some_classes_are_not_sorted():
    x, y = make_classes(rows=480, classes=6)
    net = make_mlp(8, 16, 6)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            drawn = [torch.nonzero(y == k)[torch.randperm(80)[:8], 0] for k in torch.randperm(6)[:2]]
            rows = torch.cat(drawn)
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    assert "sorted-batches" not in list_alarms(dr)


def test_windows_of_a_shuffled_series():
    time = torch.arange(400.0)
    series = (time / 6).sin() + 0.2 * torch.randn(400)
    windows, shuffled = (values.unfold(0, 12, 1)[::3] for values in (series, series[torch.randperm(400)]))
    assert "shuffled before it was cut" in compare_rows(shuffled, windows).description
    assert compare_rows(windows, windows + 0.1 * torch.randn(windows.shape)) is None
    assert compare_rows(windows + 2 * torch.randn(windows.shape), windows) is None
