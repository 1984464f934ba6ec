"""Faulty trainings whose loop is wrong: indentation, accumulation, optimizers, scalers, schedules, folds."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.fresh.loop import evaluate, report, train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.recent.loop import given_rows, held_out
from benchmarks.doctor.unseen.loop import Net, digits, generator, loader
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("unused-rows", "discarded-batches", "missing-update")
def recent_backward_outside_the_inner_loop(t: Trial) -> float:
    """`loss.backward()` and `step()` are indented by one level too little: only the last batch of an epoch counts."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(6):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                if t.fixed:
                    loss.backward()
                    optimizer.step()
            if not t.fixed:
                loss.backward()
                optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


@faulty("discarded-gradients", "unused-rows", "missing-update")
def recent_cleared_before_each_small_batch(t: Trial) -> float:
    """Gradients of 16 small batches are to be added up, but `zero_grad` remains at the top of the loop."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = SGD(net.parameters(), lr=0.2)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(3):
            net.train()
            for step, (x, y) in enumerate(loader(data, 4)):
                if not t.fixed or step % 16 == 0:
                    optimizer.zero_grad()
                (F.cross_entropy(net(x), y) / 16).backward()
                if step % 16 == 15:
                    optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


@faulty("reset-optimizer", "missing-update")
def recent_optimizer_built_in_each_epoch(t: Trial) -> float:
    """The optimizer is built inside the loop over epochs, each of which has two batches: momentum never builds up."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = SGD(net.parameters(), lr=0.02, momentum=0.95)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for epoch in range(30):
            net.train()
            if epoch > 0 and not t.fixed:
                optimizer = SGD(net.parameters(), lr=0.02, momentum=0.95)
            for x, y in loader(data, 640):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


@faulty("scaled-gradients", "half-precision", "exploding-gradients", "clipped-scaled-gradients")
def recent_step_of_the_optimizer_not_the_scaler(t: Trial) -> float:
    """The loss is scaled for float16, but `optimizer.step()` takes the gradients that are 4096 times too large."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(4):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                with torch.autocast("cpu", torch.float16):
                    loss = F.cross_entropy(net(x), y)
                scaler.scale(loss).backward()
                if t.fixed:
                    scaler.step(optimizer)
                    scaler.update()
                else:
                    optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


@faulty("low-learning-rate")
def recent_schedule_that_returns_a_rate(t: Trial) -> float:
    """The function of `LambdaLR` returns the rate, where a factor of the rate is expected."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch if t.fixed else 3e-3 * 0.9**epoch)
    train_epochs(t, net, optimizer, data, epochs=6, after_epoch=lambda _: schedule.step())
    return accuracy(net, data)


@faulty("opposed-score", "reversed-selection", "evaluated-network", "weights-reset")
def recent_best_weights_by_the_wrong_comparison(t: Trial) -> float:
    """The weights are kept when the validation loss is above the best one, as if it were an accuracy."""
    data, net = digits(t.seed), Net(64, 10)
    optimizer = Adam(net.parameters(), lr=2e-3)
    best, best_weights = (float("inf") if t.fixed else 0.0), copy.deepcopy(net.state_dict())
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(8):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            loss, score = evaluate(net, held_out(data))
            report(dr, loss, score)
            if loss < best if t.fixed else loss > best:
                best, best_weights = loss, copy.deepcopy(net.state_dict())
        net.load_state_dict(best_weights)
        report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


@faulty("leaking-rows", "seen-validation-rows")
def recent_network_kept_between_folds(t: Trial) -> float:
    """Cross-validation goes on with the same network: it has learned the rows of each later fold."""
    data, g = generate("binary", t.seed, 700, 20), generator(t.seed)
    is_wrong = torch.rand(len(data.y), generator=g) < 0.2
    x, y = data.x, torch.where(is_wrong, 1 - data.y, data.y)
    net, scores = Net(20, 2, hidden=96), []
    for fold in range(4):
        if t.fixed:
            net = Net(20, 2, hidden=96)
        is_held_out = torch.arange(len(x)) % 4 == fold
        rows = Data(x[~is_held_out], y[~is_held_out], x[is_held_out], y[is_held_out])
        optimizer = Adam(net.parameters(), lr=2e-3)
        train_epochs(t, net, optimizer, rows, epochs=8)
        scores.append(accuracy(net, rows))
    honest = 0.2 + 0.6 * accuracy(net, data)
    return -abs(sum(scores) / 4 - honest)


class Adapted(nn.Module):
    """A body that is not trained, an adapter of low rank and a new head."""

    def __init__(self, body: nn.Linear) -> None:
        super().__init__()
        self.body = copy.deepcopy(body).requires_grad_(False)
        self.adapter_in, self.adapter_out = nn.Linear(64, 4, bias=False), nn.Linear(4, 64, bias=False)
        nn.init.zeros_(self.adapter_out.weight)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.body(x) + self.adapter_out(self.adapter_in(x))))


@faulty("evaluated-network", "unsaved-head")
def recent_adapters_saved_without_the_head(t: Trial) -> float:
    """Validation loads the adapters into a new network with `strict=False`; its head is never trained."""
    data = digits(t.seed)
    body = nn.Linear(64, 64)
    net = Adapted(body)
    optimizer = Adam([p for p in net.parameters() if p.requires_grad], lr=4e-3)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(6):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            saved = {
                name: value
                for name, value in net.state_dict().items()
                if "adapter" in name or (t.fixed and "head" in name)
            }
            restored = Adapted(body)
            restored.load_state_dict(saved, strict=False)
            report(dr, *evaluate(restored, held_out(data)))
    return accuracy(restored, data)
