"""Faulty trainings in kinds that no other part has, written before their diagnosis was looked at.

The accepted names were written in words where no check had one ("penalty", "few rows"), and became those of the checks
that were made for these kinds.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import ConvNet, Net, balanced_accuracy, digits, fit, generator, loader, split
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("low-learning-rate")
def newest_adam_with_an_eps_of_one(t: Trial) -> float:
    """An eps of 1 was copied from a config with a thousand times the gradient: the updates are tiny."""
    data, net = digits(t.seed), Net(64, 10)
    fit(t, net, Adam(net.parameters(), lr=2e-3, eps=1e-8 if t.fixed else 1.0), data, epochs=5)
    return accuracy(net, data)


class CosineScores(nn.Module):
    """Scores that are cosines between the features and a vector of each class, from -1 to 1."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.features, self.scale = Net(64, 32), scale
        self.vectors = nn.Parameter(torch.randn(10, 32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * F.normalize(self.features(x), dim=1) @ F.normalize(self.vectors, dim=1).T


@torch.no_grad()
def negative_log_loss(net: nn.Module, data: Data) -> float:
    """Return minus the mean cross-entropy of the held-out rows."""
    net.eval()
    return -float(F.cross_entropy(net(data.x_test), data.y_test))


@faulty("bounded-scores", "loss-pairing", "target-range")
def newest_cosines_without_a_scale(t: Trial) -> float:
    """Cosines go into a cross-entropy as they are: no class can get a probability above one half."""
    data, net = digits(t.seed), CosineScores(16.0 if t.fixed else 1.0)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=8)
    return negative_log_loss(net, data)


@faulty("missed-classes")
def newest_padding_number_of_a_class(t: Trial) -> float:
    """`ignore_index=0` is left from a language model, and class 0 exists."""
    data, net = digits(t.seed), Net(64, 10)
    ignored = -100 if t.fixed else 0
    fit(
        t, net, Adam(net.parameters(), lr=3e-3), data,
        lambda out, y: F.cross_entropy(out, y, ignore_index=ignored),
    )  # fmt: skip
    return balanced_accuracy(net, data)


@faulty("outweighed-loss", "strong-decay", "collapsed-outputs")
def newest_penalty_that_outweighs_the_loss(t: Trial) -> float:
    """The absolute values of all weights are added to the loss with a factor of 0.1."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    factor = 1e-5 if t.fixed else 0.1
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                penalty = sum(p.abs().sum() for p in net.parameters())
                loss = F.cross_entropy(net(x), y) + factor * penalty
                loss.backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(data.x_test)
            dr.validation(loss=float(F.cross_entropy(out, data.y_test)))
    return accuracy(net, data)


def arrows(seed: int) -> Data:
    """Return images (1, 8, 8) of arrows that point to the left or to the right, in noise."""
    g = generator(seed)
    y = torch.randint(0, 2, (1200,), generator=g)
    x = 0.5 * torch.randn(1200, 1, 8, 8, generator=g)
    row = torch.randint(2, 6, (1200,), generator=g)
    for i in range(1200):
        tip = 6 if y[i] else 1
        step = -1 if y[i] else 1
        x[i, 0, row[i], 1:7] += 1.0
        for side in (-1, 1):
            x[i, 0, row[i] + side, tip + step] += 1.5
            x[i, 0, row[i] + 2 * side, tip + 2 * step] += 1.5
    return split(x, y, 800)


@faulty("no-signal", "evaluated-inputs", "underfitting", "memorization", "label-changing-augmentation")
def newest_mirrored_arrows(t: Trial) -> float:
    """Half of the images are mirrored, which turns a left arrow into a right one and keeps its label."""
    data, net = arrows(t.seed), ConvNet(classes=2)

    def mirror(x: torch.Tensor) -> torch.Tensor:
        is_mirrored = torch.rand(len(x), 1, 1, 1) < 0.5
        return x if t.fixed else torch.where(is_mirrored, x.flip(-1), x)

    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=8, augment=mirror)
    return accuracy(net, data)


class Counter(nn.Module):
    """A GRU that goes on from the state of the last batch."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(1, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, x: torch.Tensor, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        output, state = self.cell(x, state)
        return self.out(output), state


@faulty("loop-error", "no-gradient")
def newest_state_of_the_last_batch(t: Trial) -> float:
    """The state is carried on without `detach()`: the second backward pass goes through the freed graph."""
    g = generator(t.seed)
    start = 6.28 * torch.rand(64, 1, generator=g)
    wave = torch.sin(start + 0.3 * torch.arange(401))[..., None]
    net = Counter()
    optimizer = Adam(net.parameters(), lr=1e-2)
    try:
        with t.doctor(net, optimizer):
            for _ in range(4):
                state = None
                for i in range(0, 400, 20):
                    optimizer.zero_grad()
                    out, state = net(wave[:, i : i + 20], state)
                    F.mse_loss(out, wave[:, i + 1 : i + 21]).backward()
                    optimizer.step()
                    state = state.detach() if t.fixed else state
    except RuntimeError:
        pass
    with torch.no_grad():
        return -float(F.mse_loss(net(wave[:, :-1], None)[0], wave[:, 1:]))


@faulty("high-learning-rate", "non-finite-loss", "oscillation")
def newest_schedule_that_rises(t: Trial) -> float:
    """`ExponentialLR(gamma=1.9)`: the rate grows by half a decade in two epochs instead of falling."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8 if t.fixed else 1.9)
    fit(t, net, optimizer, data, epochs=10, schedule=schedule)
    return accuracy(net, data)


@faulty("loss-pairing")
def newest_exponent_of_an_exponent(t: Trial) -> float:
    """The network returns rates (softplus), and `poisson_nll_loss` takes them for logarithms."""
    g = generator(t.seed)
    x = torch.randn(1200, 6, generator=g)
    rate = torch.exp(0.8 * x[:, :1] + 0.4 * x[:, 1:2] * x[:, 2:3] - 1.5)
    data, net = split(x, torch.poisson(rate.clamp(max=40), generator=g), 800), Net(6, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.poisson_nll_loss(F.softplus(out) + 1e-6, y, log_input=not t.fixed)

    fit(t, net, Adam(net.parameters(), lr=3e-3), data, loss, epochs=10)
    with torch.no_grad():
        predicted = F.softplus(net(data.x_test)) + 1e-6
        predicted = predicted if t.fixed else predicted.exp()
        return -float(F.poisson_nll_loss(predicted, data.y_test, log_input=False))


@faulty("no-gradient", "target-range", "loss-pairing")
def newest_predictions_cut_off(t: Trial) -> float:
    """Predictions are clamped to 0 and 1 before the loss, where targets reach 3: no gradient comes from outside."""
    g = generator(t.seed)
    x = torch.randn(1000, 8, generator=g)
    data = split(x, F.softplus(x @ torch.randn(8, 1, generator=g)) / 1.5, 700)
    net = Net(8, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(out if t.fixed else out.clamp(0, 1), y)

    fit(t, net, Adam(net.parameters(), lr=3e-3), data, loss, epochs=10)
    return r2(net, data)


@faulty("evaluated-scores", "permuted-classes", "mode")
def newest_argmax_of_one_unit(t: Trial) -> float:
    """The accuracy takes the argmax of a single unit, which is always 0, while the loss falls."""
    original = digits(t.seed)
    data = Data(original.x, (original.y > 4).long(), original.x_test, (original.y_test > 4).long())
    net = Net(64, 1)
    optimizer = Adam(net.parameters(), lr=3e-3)
    score = 0.0
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(8):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(net(x)[:, 0], y.float()).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(data.x_test)
                loss = float(F.binary_cross_entropy_with_logits(out[:, 0], data.y_test.float()))
            predicted = (out[:, 0] > 0).long() if t.fixed else out.argmax(1)
            score = float((predicted == data.y_test).float().mean())
            dr.validation(loss=loss, score=score)
    return score


class TwoTasks(nn.Module):
    """A body with a classifier and a regression on top."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.kind, self.size = nn.Linear(64, 12), nn.Linear(12, 10), nn.Linear(12, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = F.relu(self.body(x))
        return self.kind(hidden), self.size(hidden)


@faulty("outweighed-loss", "target-scale", "missed-targets")
def newest_task_that_outweighs_the_other(t: Trial) -> float:
    """The squared error of sizes in micrometers is added to a cross-entropy of about 2."""
    data, net = digits(t.seed), TwoTasks()
    unit = 1.0 if t.fixed else 3000.0
    size, size_test = (unit * (2 + part.mean(1, keepdim=True)) for part in (data.x, data.x_test))
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(len(data.x)).split(32):
                optimizer.zero_grad()
                kind, predicted = net(data.x[rows])
                (F.cross_entropy(kind, data.y[rows]) + F.mse_loss(predicted, size[rows])).backward()
                optimizer.step()
    with torch.no_grad():
        kind, predicted = net(data.x_test)
        error = F.mse_loss(predicted, size_test) / size_test.var()
        return float((kind.argmax(1) == data.y_test).float().mean()) - min(1.0, float(error))


@faulty("unused-rows", "fixed-batches", "overfitting")
def newest_subset_left_from_debugging(t: Trial) -> float:
    """`Subset(rows, range(60))` is left in the loader, which shuffles, while all rows are meant."""
    data, net = images(t.seed), ConvNet()
    used = data if t.fixed else Data(data.x[:60], data.y[:60], data.x_test, data.y_test)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6 if t.fixed else 60):
            net.train()
            for x, y in loader(used):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(data.x_test)
                loss = float(F.cross_entropy(out, data.y_test))
            dr.validation(loss=loss, score=float((out.argmax(1) == data.y_test).float().mean()))
    return accuracy(net, data)
