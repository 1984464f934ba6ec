"""Healthy trainings with unusual updates: simulations, meta-steps, reversed gradients, pruning, private gradients."""

from __future__ import annotations

import copy
import math

import torch
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.fresh.loop import tree_score
from benchmarks.doctor.further.shapes import explained, loaders, loss_and_accuracy
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, mlp
from benchmarks.doctor.unseen.loop import digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam


@healthy_with_bound(lambda _: -0.25)
def further_controller_behind_a_simulation(t: Trial) -> float:
    """Gradients flow through 25 steps of the physics of a pendulum into the network that pushes it."""
    controller = mlp(3, 32, 1, act=nn.Tanh)
    opt = Adam(controller.parameters(), lr=5e-3)
    g = torch.Generator().manual_seed(t.seed)

    def simulate(count: int) -> Tensor:
        angle, speed = 2 * torch.rand(2, count, 1, generator=g) - 1
        cost = torch.zeros(())
        for step in range(25):
            push = 3 * controller(torch.cat([angle.sin(), angle.cos(), speed], 1)).tanh()
            speed = speed + 0.1 * (2 * angle.sin() + push)
            angle = angle + 0.1 * speed
            if step >= 12:
                cost = cost + (angle.square() + 0.1 * speed.square()).mean() / 13
        return cost

    with t.doctor(controller, opt):
        for _ in range(150):
            opt.zero_grad()
            simulate(32).backward()
            nn.utils.clip_grad_norm_(controller.parameters(), 1.0)
            opt.step()
    with torch.no_grad():
        return -float(simulate(300))


@healthy_with_bound(lambda _: 0.5)
def further_initial_weights_learned_from_tasks(t: Trial) -> float:
    """Reptile: after some steps on each task, the weights move a part of the way to the weights of the task."""
    g = torch.Generator().manual_seed(t.seed)
    net = mlp(1, 40, 40, 1, act=nn.Tanh)
    opt = SGD(net.parameters(), lr=0.05)

    def wave() -> tuple[Tensor, Tensor, Tensor]:
        x = torch.rand(40, 1, generator=g) * 6 - 3
        phase = torch.rand(1, generator=g) * 1.5
        return x, torch.sin(x + phase), phase

    def adapt(x: Tensor, y: Tensor, steps: int) -> None:
        for _ in range(steps):
            opt.zero_grad()
            F.mse_loss(net(x), y).backward()
            opt.step()

    with t.doctor(net, opt):
        for task in range(250):
            initial = copy.deepcopy(net.state_dict())
            x, y, _ = wave()
            adapt(x, y, 8)
            rate = 0.6 * (1 - task / 250)
            moved = net.state_dict()
            net.load_state_dict({k: initial[k] + rate * (moved[k] - initial[k]) for k in initial})
    scores, start = [], copy.deepcopy(net.state_dict())
    for _ in range(10):
        net.load_state_dict(start)
        x, y, _ = wave()
        adapt(x[:10], y[:10], 10)
        scores.append(explained(net(x[10:]).detach(), y[10:]))
    return sum(scores) / len(scores)


class ReversedGradient(torch.autograd.Function):
    """The identity, whose gradient has the other sign."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ARG004
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return -0.3 * gradient


class DomainNet(nn.Module):
    """Features with two heads: the class, and the domain behind a reversed gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.label, self.domain = mlp(20, 64, 32), nn.Linear(32, 5), mlp(32, 16, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(self.body(x))
        return self.label(h), self.domain(ReversedGradient.apply(h))


@healthy_with_bound(lambda seed: tree_score(generate("table", seed), margin=0.08))
def further_reversed_gradient_of_the_domain(t: Trial) -> float:
    """Domain-adversarial training: the second loss is to stay near that of guessing."""
    data = generate("table", t.seed)
    net = DomainNet()
    opt = Adam(net.parameters(), lr=3e-3)
    shift = 0.5 * torch.randn(20, generator=torch.Generator().manual_seed(t.seed))
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(10):
            net.train()
            for x, y in loaders(data)[0]:
                moved = data.x[torch.randint(0, len(data.x), (len(x),))] + shift
                labels, domains = net(torch.cat([x, moved]))
                domain = torch.cat([torch.zeros(len(x)), torch.ones(len(x))]).long()
                opt.zero_grad()
                (F.cross_entropy(labels[: len(x)], y) + F.cross_entropy(domains, domain)).backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                out = net(data.x_test)[0]
            hits = (out.argmax(1) == data.y_test).float().mean()
            dr.validation(loss=float(F.cross_entropy(out, data.y_test)), score=float(hits))
    return float(hits)


@healthy_with_bound(lambda seed: tree_score(digits(seed), margin=0.05))
def further_pruned_to_a_tenth(t: Trial) -> float:
    """Every second epoch more of the smallest weights are set to zero, and stay zero after each update."""
    data, net = digits(t.seed), mlp(64, 96, 10)
    weights = [p for p in net.parameters() if p.ndim == 2]
    masks = [torch.ones_like(w) for w in weights]
    opt = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for epoch in range(14):
            if epoch in (4, 6, 8):
                fraction = {4: 0.6, 6: 0.8, 8: 0.9}[epoch]
                with torch.no_grad():
                    masks = [(w.abs() > w.abs().flatten().quantile(fraction)).float() for w in weights]
            net.train()
            for x, y in loaders(data)[0]:
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
                with torch.no_grad():
                    for w, mask in zip(weights, masks, strict=True):
                        w.mul_(mask)
            dr.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


@healthy_with_bound(lambda _: 0.8)
def further_private_gradients(t: Trial) -> float:
    """Gradients of single rows are clipped and summed up, and noise is added, before each update."""
    data, net = digits(t.seed), mlp(64, 32, 10)
    opt = SGD(net.parameters(), lr=0.5)
    parameters = list(net.parameters())
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(3):
            for rows in torch.randperm(len(data.x)).split(64):
                sums = [torch.zeros_like(p) for p in parameters]
                for i in rows.tolist():
                    opt.zero_grad()
                    F.cross_entropy(net(data.x[i : i + 1]), data.y[i : i + 1]).backward()
                    norm = torch.stack([p.grad.norm() for p in parameters]).norm()
                    for total, p in zip(sums, parameters, strict=True):
                        total.add_(p.grad / norm.clamp(min=1))
                for total, p in zip(sums, parameters, strict=True):
                    p.grad = (total + 0.5 * torch.randn_like(total)) / len(rows)
                opt.step()
            dr.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


class Sine(nn.Module):
    """A layer with sin(30 x)."""

    def __init__(self, inputs: int, outputs: int, is_input: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        bound = 1 / inputs if is_input else math.sqrt(6 / inputs) / 30
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(30 * self.linear(x))


@healthy_with_bound(lambda _: 0.9)
def further_image_as_a_function_of_its_places(t: Trial) -> float:
    """A network of sines learns one image from its coordinates; a quarter of the pixels is held out."""
    g = torch.Generator().manual_seed(t.seed)
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 40))
    frequency = 4 + 4 * torch.rand(3, generator=g)
    y = torch.sin(frequency[0] * grid[:, :1] + 2 * grid[:, 1:]) + torch.cos(frequency[1] * grid[:, 1:])
    order = torch.randperm(1600, generator=g)
    rows = Data(grid[order[:1200]], y[order[:1200]], grid[order[1200:]], y[order[1200:]])
    net = nn.Sequential(Sine(2, 48, is_input=True), Sine(48, 48), nn.Linear(48, 1))
    opt = Adam(net.parameters(), lr=5e-4)
    with t.doctor(net, opt, data=(rows.x, rows.y), validation=(rows.x_test, rows.y_test)) as dr:
        for _ in range(20):
            for x, xy in loaders(rows, 60)[0]:
                opt.zero_grad()
                F.mse_loss(net(x), xy).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(rows.x_test), rows.y_test)))
    return explained(net(rows.x_test).detach(), rows.y_test)
