"""Workshop faults of loops: returns, running losses, schedules, second losses, second optimizers, weights of rows."""

from __future__ import annotations

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import digits, nonlinear
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset


def train_epoch(net: nn.Module, loader: DataLoader, optimizer: optim.Optimizer, returns_at_once: bool) -> float:
    """Train for one epoch, and return the mean loss."""
    net.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
        if returns_at_once:
            return total / len(loader)
    return total / len(loader)


# The function returns after the first batch: an epoch of 40 batches is one update.
@faulty("unused-rows", "too-few-epochs", "underfitting", "low-learning-rate", "discarded-batches")
def workshop_return_inside_the_loop(t: Trial) -> float:
    """`return total / len(loader)` is indented by one level too much, into the loop over the batches."""
    data = digits(t.seed)
    net = mlp(64, 48, 10)
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(12):
            train_epoch(net, loader, optimizer, returns_at_once=not t.fixed)
            report(dr, net, data)
    return accuracy(net, data)


# The gradients of all batches since the beginning of the epoch are added, most of them of old weights.
@faulty("carried-gradients", "high-learning-rate", "oscillation", "non-finite-loss", "repeated-backward")
def workshop_running_loss_propagated(t: Trial) -> float:
    """`running_loss += loss; running_loss.backward(retain_graph=True)` where `loss.backward()` was meant."""
    data = generate("regression", t.seed)
    net = nn.Linear(20, 1)
    optimizer = optim.SGD(net.parameters(), lr=0.02)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=16, shuffle=True)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(8):
            running_loss = torch.zeros(())
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.mse_loss(net(x), y)
                if t.fixed:
                    loss.backward()
                    running_loss += loss.item()
                else:
                    running_loss = running_loss + loss
                    running_loss.backward(retain_graph=True)
                optimizer.step()
            report(dr, net, data)
    return explained(net, data)


# The number of the epoch never falls below 0, so that every third epoch divides the rate by ten.
@faulty("low-learning-rate", "schedule-period", "fast-decay", "opposed-score", "underfitting")
def workshop_plateau_of_the_epoch_number(t: Trial) -> float:
    """`scheduler.step(epoch)`, as for schedules of former versions, with `ReduceLROnPlateau`."""
    data = nonlinear(t.seed)
    net = mlp(8, 64, 64, 1)
    optimizer = optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for epoch in range(24):
            net.train()
            total = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.mse_loss(net(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item() / len(loader)
            report(dr, net, data)
            scheduler.step(total if t.fixed else epoch)
    return explained(net, data)


# Each new schedule begins at a hundredth of the rate that the one before has reached.
@faulty("low-learning-rate", "repeated-warm-up", "schedule-period", "underfitting")
def workshop_warm_up_built_in_each_epoch(t: Trial) -> float:
    """`LinearLR(optimizer, 0.01, total_iters=100)` is built in the loop over the epochs, which have 18 batches."""
    data = generate("table", t.seed)
    net = mlp(20, 64, 64, 5)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True)
    warm_up = lr_scheduler.LinearLR(optimizer, 0.01, total_iters=100) if t.fixed else None
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(20):
            net.train()
            scheduler = warm_up or lr_scheduler.LinearLR(optimizer, 0.01, total_iters=100)
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                scheduler.step()
            report(dr, net, data)
    return accuracy(net, data)


class DigitAndInk(nn.Module):
    """A body with a head for the digit and one for how much ink it has."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.digit, self.ink = nn.Linear(64, 48), nn.Linear(48, 10), nn.Linear(48, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(self.body(x))
        return self.digit(h), self.ink(h)


# `zero_grad` at the top of the next step throws away the gradients of the second loss: no update has them.
@faulty("discarded-gradients", "missing-update", "untrained-head", "no-gradient")
def workshop_second_loss_after_the_update(t: Trial) -> float:
    """`optimizer.step()` is between the backward passes of both losses, and not again after the second one."""
    data = digits(t.seed)
    ink, ink_test = (x.square().sum(1, keepdim=True) for x in (data.x, data.x_test))
    ink, ink_test = (ink - ink.mean()) / ink.std(), (ink_test - ink.mean()) / ink.std()
    net = DigitAndInk()
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    loader = DataLoader(TensorDataset(data.x, data.y, ink), batch_size=32, shuffle=True)
    with t.doctor(net, optimizer) as dr:
        for _ in range(10):
            net.train()
            for x, digit, amount in loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x)[0], digit).backward()
                optimizer.step()
                if t.fixed:
                    optimizer.zero_grad()
                F.mse_loss(net(x)[1], amount).backward()
                if t.fixed:
                    optimizer.step()
            net.eval()
            with torch.no_grad():
                scores, out = net(data.x_test)
            dr.validation(loss=float(F.cross_entropy(scores, data.y_test) + F.mse_loss(out, ink_test)))
    return float(1 - F.mse_loss(out, ink_test) / ink_test.var())


# The gradients of the decoder are computed in each step, and nothing uses them.
@faulty("missing-update", "uncovered-parameters", "untrained-decoder", "discarded-gradients", "frozen-parameters")
def workshop_decoder_optimizer_without_its_step(t: Trial) -> float:
    """`encoder_optimizer.step()` without `decoder_optimizer.step()`, although both are cleared."""
    data = digits(t.seed)
    net = nn.ModuleDict({"encoder": mlp(64, 64, 12), "decoder": mlp(12, 64, 64)})
    encoder_optimizer = optim.Adam(net["encoder"].parameters(), lr=2e-3)
    decoder_optimizer = optim.Adam(net["decoder"].parameters(), lr=2e-3)
    with t.doctor(net, encoder_optimizer) as dr:
        for _ in range(12):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                encoder_optimizer.zero_grad()
                decoder_optimizer.zero_grad()
                loss = F.mse_loss(net["decoder"](net["encoder"](data.x[rows])), data.x[rows])
                loss.backward()
                encoder_optimizer.step()
                if t.fixed:
                    decoder_optimizer.step()
            net.eval()
            with torch.no_grad():
                error = F.mse_loss(net["decoder"](net["encoder"](data.x_test)), data.x_test)
            dr.validation(loss=float(error))
    return float(1 - error / data.x_test.var())


# The mean over a batch of weights that add up to 1 over 800 rows divides the gradients by 800.
@faulty("low-learning-rate", "underfitting", "scaled-loss", "vanishing-gradients", "ineffective-weights")
def workshop_weights_of_rows_that_sum_to_one(t: Trial) -> float:
    """`weight = weight / weight.sum()` for the rows of a survey, and `(weight * error).mean()` in the loop of SGD."""
    g = generator(t.seed)
    x = torch.randn(1200, 6, generator=g)
    weight = 0.5 + torch.rand(1200, generator=g)
    y = torch.tanh(x[:, 0] + x[:, 1]) + 0.5 * x[:, 2] + 0.2 * torch.randn(1200, generator=g) / weight
    data: Data = split(x, y[:, None], 2 / 3)
    weight = weight[: len(data.x)]
    weight = weight / (weight.mean() if t.fixed else weight.sum())
    net = mlp(6, 32, 1)
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    loader = DataLoader(TensorDataset(data.x, data.y, weight), batch_size=32, shuffle=True)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(20):
            net.train()
            for a, b, w in loader:
                error = (net(a) - b).square()[:, 0]
                optimizer.zero_grad()
                (w * error).mean().backward()
                optimizer.step()
            report(dr, net, data)
    return explained(net, data)
