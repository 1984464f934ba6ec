"""Healthy trainings on rows of many kinds: rare classes, noise, batches of 1 to 4,096, 16 bits, tables."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, diabetes, generate, images, table
from benchmarks.doctor.harness import Trial, accuracy, healthy, r2
from benchmarks.doctor.unseen.faulty_targets import rare
from benchmarks.doctor.unseen.loop import ConvNet, Net, balanced_accuracy, fit, generator, loader, nonlinear, split
from torch import nn
from torch.nn import functional as F

Adam, AdamW, SGD = torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD


@healthy
def unseen_batches_of_4096(t: Trial) -> float:
    data = generate("table", t.seed, rows=12000)
    net = Net(20, 5, hidden=48)
    fit(t, net, Adam(net.parameters(), lr=1e-2), data, epochs=25, size=4096)
    return accuracy(net, data)


@healthy
def unseen_single_rows(t: Trial) -> float:
    data = table("wine", t.seed)
    net = Net(13, 3, hidden=16)
    fit(t, net, SGD(net.parameters(), lr=5e-3), data, epochs=4, size=1)
    return accuracy(net, data)


@healthy
def unseen_rare_class_with_weights(t: Trial) -> float:
    data, net = rare(t.seed, 0.05), Net(12, 2, hidden=16)
    loss = nn.CrossEntropyLoss(torch.tensor([1.0, 19.0]))
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, loss, epochs=6, size=64)
    return balanced_accuracy(net, data)


@healthy
def unseen_rare_class_that_is_found(t: Trial) -> float:
    """One row in thirty, far from the others: no weights are needed."""
    g = generator(t.seed)
    y = (torch.rand(2400, generator=g) < 0.035).long()
    data = split(torch.randn(2400, 10, generator=g) + 1.5 * y[:, None], y, 1600)
    net = Net(10, 2, hidden=16)
    fit(t, net, Adam(net.parameters(), lr=1e-2), data, epochs=12)
    return balanced_accuracy(net, data)


@healthy
def unseen_noisy_regression(t: Trial) -> float:
    data, net = diabetes(t.seed), Net(10, 1, hidden=16)
    fit(t, net, Adam(net.parameters(), lr=3e-3, weight_decay=1e-3), data, F.mse_loss, epochs=10)
    return r2(net, data)


@healthy
def unseen_smooth_regression(t: Trial) -> float:
    data, net = nonlinear(t.seed), Net(8, 1)
    optimizer = Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    fit(t, net, optimizer, data, F.mse_loss, epochs=12, schedule=schedule)
    return r2(net, data)


@healthy
def unseen_line(t: Trial) -> float:
    """Least squares with few columns, trained to the end."""
    g = generator(t.seed)
    x = torch.randn(800, 5, generator=g)
    data = split(x, x @ torch.randn(5, 1, generator=g) + 2 + 0.1 * torch.randn(800, 1, generator=g), 600)
    net = nn.Linear(5, 1)
    fit(t, net, SGD(net.parameters(), lr=0.03), data, F.mse_loss, epochs=6, size=10)
    return r2(net, data)


@healthy
def unseen_softmax_regression_of_images(t: Trial) -> float:
    data = images(t.seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    fit(t, net, SGD(net.parameters(), lr=0.3), data, epochs=8)
    return accuracy(net, data)


@healthy
def unseen_autocast_of_bfloat16(t: Trial) -> float:
    data, net = images(t.seed), ConvNet()
    optimizer = AdamW(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(4):
            for x, y in loader(data, 64):
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
    return accuracy(net, data)


class Mixed(nn.Module):
    """A table of categories and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.shop, self.day = nn.Embedding(30, 6), nn.Embedding(7, 3)
        self.fc1, self.fc2 = nn.Linear(13, 48), nn.Linear(48, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shop, day = self.shop(x[:, 0].long()), self.day(x[:, 1].long())
        return self.fc2(F.relu(self.fc1(torch.cat([shop, day, x[:, 2:]], 1))))


@healthy
def unseen_table_of_categories(t: Trial) -> float:
    g = generator(t.seed)
    shop, day = torch.randint(0, 30, (2000,), generator=g), torch.randint(0, 7, (2000,), generator=g)
    amount = torch.randn(2000, 4, generator=g)
    y = torch.randn(30, generator=g)[shop] + torch.randn(7, generator=g)[day] * amount[:, 0] + 0.3 * amount[:, 1]
    data = split(torch.cat([shop[:, None], day[:, None], amount], 1), y[:, None], 1400)
    net = Mixed()
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=8)
    return r2(net, data)


@healthy
def unseen_accumulated_batches(t: Trial) -> float:
    data, net = images(t.seed), ConvNet()
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.8)
    step = 0
    with t.doctor(net, optimizer):
        for _ in range(8):
            for x, y in loader(data, 16):
                (F.cross_entropy(net(x), y) / 4).backward()
                step += 1
                if step % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
    return accuracy(net, data)


class Tagger(nn.Module):
    """A tag for each token, of sentences of several lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16, padding_idx=0)
        self.gru, self.fc = nn.GRU(16, 24, batch_first=True, bidirectional=True), nn.Linear(48, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.gru(self.embed(x))[0]).transpose(1, 2)


@healthy
def unseen_tags_of_tokens(t: Trial) -> float:
    g = generator(t.seed)
    x = torch.randint(1, 20, (900, 12), generator=g)
    length = torch.randint(4, 13, (900, 1), generator=g)
    y = (x + F.pad(x[:, :-1], (1, 0))) % 3
    pad = torch.arange(12) >= length
    x[pad], y[pad] = 0, -100
    data, net = split(x, y, 650), Tagger()
    fit(t, net, Adam(net.parameters(), lr=1e-2), data, epochs=6)
    with torch.no_grad():
        keep = data.y_test >= 0
        return float((net(data.x_test).argmax(1) == data.y_test)[keep].float().mean())


@healthy
def unseen_counts(t: Trial) -> float:
    original = nonlinear(t.seed)
    g = generator(t.seed)
    y, y_test = (torch.poisson((0.7 * part + 1).exp(), generator=g) for part in (original.y, original.y_test))
    data, net = Data(original.x, y, original.x_test, y_test), Net(8, 1)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, F.poisson_nll_loss, epochs=8)
    with torch.no_grad():
        return 1 - float(F.mse_loss(net(data.x_test).exp(), y_test) / y_test.var())
