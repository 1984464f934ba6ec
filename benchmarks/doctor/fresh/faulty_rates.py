"""Faulty trainings whose rate, schedule, momentum or stopping is wrong."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.fresh.loop import TwoConvs, evaluate, negative_log_loss, report, train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import ConvNet, Net, digits, loader
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("high-learning-rate", "oscillation", "schedule-period")
def fresh_cosine_that_ends_at_its_peak(t: Trial) -> float:
    """`CosineAnnealingLR(T_max=3)` in seven epochs: the rate is back at its maximum in the last one."""
    data = generate("friedman", t.seed)
    net = Net(10, 1, hidden=48)
    optimizer = SGD(net.parameters(), lr=0.04, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7 if t.fixed else 3)
    train_epochs(
        t, net, optimizer, data, F.mse_loss, epochs=7, size=16, after_epoch=lambda _: schedule.step()
    )  # fmt: skip
    return r2(net, data)


@faulty("optimizer-betas", "oscillation", "high-learning-rate")
def fresh_betas_swapped(t: Trial) -> float:
    """`Adam(betas=(0.999, 0.9))`: the mean of the gradients is a thousand steps long, their squares ten."""
    data, net = images(t.seed), ConvNet()
    betas = (0.9, 0.999) if t.fixed else (0.999, 0.9)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3, betas=betas), data, epochs=6)
    return accuracy(net, data)


@faulty("too-few-epochs", "underfitting", "low-learning-rate")
def fresh_stopped_by_a_large_delta(t: Trial) -> float:
    """Early stopping demands 0.2 less loss in each epoch, as if the loss were that of another problem."""
    data, net = digits(t.seed), Net(64, 10, hidden=32)
    optimizer = SGD(net.parameters(), lr=0.01)
    train_loader = loader(data)
    valid_loader = loader(Data(data.x_test, data.y_test, data.x, data.y), 128, shuffle=False)
    best, min_delta = float("inf"), 1e-4 if t.fixed else 0.2
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(25):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            loss, score = evaluate(net, valid_loader)
            report(dr, loss, score)
            if loss > best - min_delta:
                break
            best = loss
    return accuracy(net, data)


@faulty("low-learning-rate", "clipped-scaled-gradients")
def fresh_clipped_before_unscaling(t: Trial) -> float:
    """Gradients are clipped while they still carry the scaler's factor of 65,536."""
    data, net = images(t.seed), TwoConvs(norm=True)
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu")
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(4):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = F.cross_entropy(net(x), y)
                scaler.scale(loss).backward()
                if t.fixed:
                    scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()
            score = accuracy(net, data)
            dr.validation(loss=-negative_log_loss(net, data), score=score)
    return accuracy(net, data)


class Tagged(nn.Module):
    """A body that was trained on all digits, and a new head for a question about them."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).flatten(1))


@faulty("high-learning-rate", "dead-relu", "non-finite-loss", "oscillation")
def fresh_one_rate_for_all_groups(t: Trial) -> float:
    """A warm-up writes the head's rate into each group, also into that of the trained body."""
    data = images(t.seed)
    trained = TwoConvs()
    optimizer = Adam(trained.parameters(), lr=5e-3)
    for _ in range(4):
        for x, y in loader(data):
            optimizer.zero_grad()
            F.cross_entropy(trained(x), y).backward()
            optimizer.step()
    parity = Data(data.x[:150], data.y[:150] % 2, data.x_test, data.y_test % 2)
    net = Tagged(trained.body)
    rates = (1e-3, 0.4)
    groups = [{"params": net.body.parameters(), "lr": rates[0]}, {"params": net.head.parameters(), "lr": rates[1]}]
    optimizer = SGD(groups, momentum=0.9)
    step = 0

    def warm_up() -> None:
        nonlocal step
        step += 1
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = min(1.0, step / 20) * (rate if t.fixed else rates[1])

    train_epochs(t, net, optimizer, parity, epochs=12, size=16, after_step=warm_up)
    return accuracy(net, parity)
