"""Faulty trainings whose weights are kept, averaged, clamped, smoothed or distilled in a wrong way."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.fresh.loop import TwoConvs, negative_log_loss, train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import Net, digits, generator, loader, split
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("overfitting", "uncopied-weights")
def fresh_best_weights_that_are_a_reference(t: Trial) -> float:
    """`best = net.state_dict()` without a copy: it changes with the network, and restoring it does nothing."""
    g = generator(t.seed)
    x = torch.randn(600, 20, generator=g)
    y = (x[:, :6].sum(1) + 1.5 * torch.randn(600, generator=g) > 0).long()
    data, net = split(x, y, 200), Net(20, 2, hidden=128)
    optimizer = Adam(net.parameters(), lr=4e-3)
    best_loss, best = float("inf"), net.state_dict()
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(60):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            loss = -negative_log_loss(net, data)
            dr.validation(loss=loss, score=accuracy(net, data))
            if loss < best_loss:
                best_loss = loss
                best = copy.deepcopy(net.state_dict()) if t.fixed else net.state_dict()
        net.load_state_dict(best)
        dr.validation(loss=-negative_log_loss(net, data), score=accuracy(net, data))
    return negative_log_loss(net, data)


@faulty("clamped-weights", "weights-reset")
def fresh_weights_clamped_like_a_critic(t: Trial) -> float:
    """The clamp to 0.01 of a Wasserstein critic was copied together with the loop."""
    data, net = images(t.seed), TwoConvs()

    def clamp() -> None:
        if not t.fixed:
            for p in net.parameters():
                p.data.clamp_(-0.01, 0.01)

    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=4, after_step=clamp)
    return accuracy(net, data)


@faulty("strong-smoothing", "label-smoothing")
def fresh_smoothing_of_nine_tenths(t: Trial) -> float:
    """`label_smoothing=0.9` was meant as the probability of the right class."""
    data, net = digits(t.seed), Net(64, 10)
    smoothing = 0.1 if t.fixed else 0.9
    train_epochs(
        t, net, Adam(net.parameters(), lr=3e-3), data,
        lambda out, y: F.cross_entropy(out, y, label_smoothing=smoothing), epochs=6,
    )  # fmt: skip
    return negative_log_loss(net, data)


@faulty("batch-norm-statistics", "evaluated-network")
def fresh_average_without_statistics(t: Trial) -> float:
    """The average of the weights copies parameters, not buffers: its batch norms have their first statistics."""
    data, net = images(t.seed), TwoConvs(norm=True)
    average = copy.deepcopy(net).eval()
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                with torch.no_grad():
                    for a, p in zip(average.parameters(), net.parameters(), strict=True):
                        a.lerp_(p, 0.05)
                    if t.fixed:
                        for a, p in zip(average.buffers(), net.buffers(), strict=True):
                            a.copy_(p)
            dr.validation(loss=-negative_log_loss(average, data), score=accuracy(average, data))
    return accuracy(average, data)


@faulty("outweighed-loss", "distillation-temperature")
def fresh_distilled_without_the_squared_temperature(t: Trial) -> float:
    """The soft loss at a temperature of 10 lacks the factor of 100, next to the loss of 60 labeled rows."""
    data = digits(t.seed)
    teacher = Net(64, 10, hidden=128)
    optimizer = Adam(teacher.parameters(), lr=3e-3)
    for _ in range(6):
        for x, y in loader(data):
            optimizer.zero_grad()
            F.cross_entropy(teacher(x), y).backward()
            optimizer.step()
    with torch.no_grad():
        soft = (teacher(data.x) / 10).softmax(1)
    labeled = Data(data.x[:60], data.y[:60], data.x_test, data.y_test)
    student = Net(64, 10, hidden=32)
    optimizer = Adam(student.parameters(), lr=3e-3)
    factor = 100.0 if t.fixed else 1.0
    with t.doctor(student, optimizer) as dr:
        for _ in range(8):
            student.train()
            for rows in torch.randperm(len(data.x)).split(32):
                picked = torch.randint(0, 60, (32,))
                hard = F.cross_entropy(student(labeled.x[picked]), labeled.y[picked])
                log_soft = (student(data.x[rows]) / 10).log_softmax(1)
                distilled = factor * F.kl_div(log_soft, soft[rows], reduction="batchmean")
                optimizer.zero_grad()
                (hard + distilled).backward()
                optimizer.step()
            dr.validation(loss=-negative_log_loss(student, data), score=accuracy(student, data))
    return accuracy(student, data)
