"""Everyday faults of loops and optimizers: parentheses, checkpoints, seeds, freezing, clipping, the loss itself."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import generate, images
from benchmarks.doctor.everyday.rows import cross_entropy_and_accuracy, split
from benchmarks.doctor.harness import Trial, accuracy, faulty, lenet, mlp
from benchmarks.doctor.unseen.loop import digits
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


# `requires_grad_()` silences the error of `backward`: the loss has no graph and the network no gradient.
@faulty("detached-loss", "cut-graph", "no-gradient", "missing-update")
def everyday_accuracy_as_the_loss(t: Trial) -> float:
    """`loss = 1 - (out.argmax(1) == y).float().mean(); loss.requires_grad_(True)`."""
    data = images(t.seed)
    model = lenet()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(5):
            model.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                optimizer.zero_grad()
                out = model(x)
                if t.fixed:
                    loss = F.cross_entropy(out, y)
                else:
                    loss = 1 - (out.argmax(1) == y).float().mean()
                    loss.requires_grad_(True)
                loss.backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


# `loss.backward` without parentheses is a name, not a call.
@faulty("missing-backward", "missing-update", "no-gradient", "discarded-gradients")
def everyday_backward_without_parentheses(t: Trial) -> float:
    """`loss.backward` is written where `loss.backward()` was meant."""
    data = generate("table", t.seed)
    net = mlp(20, 64, 5)
    opt = optim.SGD(net.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=20, shuffle=True)
    with t.doctor(net, opt):
        for _ in range(8):
            for x, y in loader:
                opt.zero_grad()
                loss = F.cross_entropy(net(x), y)
                backward = loss.backward
                if t.fixed:
                    backward()
                opt.step()
    return accuracy(net, data)


# The state of the optimizer holds its rate, too: the new one is overwritten by that of the last epoch of the old run.
@faulty("low-learning-rate", "restored-rate", "underfitting")
def everyday_rate_of_the_checkpoint(t: Trial) -> float:
    """`optimizer.load_state_dict(checkpoint)` restores a rate that had been annealed to almost nothing."""
    data, later = digits(t.seed), digits(t.seed + 50)
    torch.manual_seed(t.seed)
    net = mlp(64, 48, 10)
    old = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.CosineAnnealingLR(old, 30, eta_min=1e-7)
    for _ in range(30):
        rows = torch.randint(0, len(data.x), (32,))
        old.zero_grad()
        F.cross_entropy(net(1 - data.x[rows]), data.y[rows]).backward()
        old.step()
        schedule.step()
    checkpoint = copy.deepcopy(old.state_dict())
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    optimizer.load_state_dict(checkpoint)
    if t.fixed:
        for group in optimizer.param_groups:
            group["lr"] = 0.05
    with t.doctor(net, optimizer, data=(later.x, later.y), validation=(later.x_test, later.y_test)) as dr:
        for _ in range(6):
            net.train()
            for rows in torch.randperm(len(later.x)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(later.x[rows]), later.y[rows]).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(net, later))
    return accuracy(net, later)


# A seed in the loop makes the noise of each step the same: the network learns to subtract these few patterns.
@faulty("repeated-noise", "frozen-noise", "evaluated-inputs", "repeated-seed")
def everyday_seed_in_the_loop(t: Trial) -> float:
    """`torch.manual_seed(42)` is called in each step, for results that can be repeated."""
    data = digits(t.seed)
    model = mlp(64, 128, 64)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(t.seed)
    noisy_test = data.x_test + 1.2 * torch.randn(data.x_test.shape, generator=generator)
    with t.doctor(model, optimizer) as dr:
        for _ in range(15):
            model.train()
            for rows in torch.randperm(len(data.x), generator=generator).split(16):
                if not t.fixed:
                    torch.manual_seed(42)
                clean = data.x[rows]
                noisy = clean + 1.2 * torch.randn_like(clean)
                optimizer.zero_grad()
                F.mse_loss(model(noisy), clean).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(model(noisy_test), data.x_test)))
    with torch.no_grad():
        return float(1 - F.mse_loss(model(noisy_test), data.x_test) / data.x_test.var())


# The generator of `model.parameters()` is used up by the optimizer: there is nothing left to clip.
@faulty("exploding-gradients", "high-learning-rate", "unclipped-gradients", "non-finite-loss", "oscillation")
def everyday_clipping_of_a_used_generator(t: Trial) -> float:
    """`params = model.parameters()` is passed to the optimizer, and then to `clip_grad_norm_` in each step."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.randn(800, 30, 3, generator=g)
    y = x[:, -6:].sum((1, 2))[:, None] * 6
    data = split(x, y)

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.RNN(3, 32, nonlinearity="relu", batch_first=True), nn.Linear(32, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.rnn(x)[0][:, -1])

    net = Recurrent()
    with torch.no_grad():
        net.rnn.weight_hh_l0.copy_(1.1 * torch.eye(32))
    params = net.parameters()
    opt = optim.SGD(params, lr=0.02, momentum=0.5)
    with t.doctor(net, opt) as dr:
        for _ in range(12):
            for rows in torch.randperm(len(data.x)).split(20):
                opt.zero_grad()
                loss = F.mse_loss(net(data.x[rows]), data.y[rows])
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters() if t.fixed else params, 1.0)
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(data.x_test), data.y_test)))
    with torch.no_grad():
        value = float(1 - F.mse_loss(net(data.x_test), data.y_test) / data.y_test.var())
    return max(-10.0, value) if value == value else -10.0


class Body(nn.Module):
    """Layers that were trained on many rows, and a new head."""

    def __init__(self, columns: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(columns, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def pretrained(seed: int) -> Body:
    """Return a network trained on many digits."""
    data = digits(seed)
    net = Body()
    opt = optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(10):
        for rows in torch.randperm(len(data.x)).split(32):
            opt.zero_grad()
            F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
            opt.step()
    return net


# `module.requires_grad = False` sets an attribute that nothing reads: the body is trained, at the rate of the head.
@faulty("ineffective-freezing", "forgetting", "frozen-parameters", "memorization", "overfitting")
def everyday_frozen_by_an_attribute(t: Trial) -> float:
    """`net.body.requires_grad = False` where `net.body.requires_grad_(False)` was meant."""
    data = digits(t.seed)
    chosen = torch.cat([(data.y == k).nonzero()[:3, 0] for k in range(10)])
    net = pretrained(t.seed)
    net.head = nn.Linear(32, 10)
    if t.fixed:
        net.body.requires_grad_(False)
    else:
        net.body.requires_grad = False
    opt = optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    x, y = data.x[chosen], data.y[chosen]
    with t.doctor(net, opt, data=(x, y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(30):
            net.train()
            for rows in torch.randperm(len(x)).split(6):
                opt.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                opt.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)


# The optimizer was built while the body was frozen, with the parameters that required a gradient then.
@faulty("uncovered-parameters")
def everyday_thawed_without_the_optimizer(t: Trial) -> float:
    """`Adam(filter(lambda p: p.requires_grad, ...))`, and `requires_grad = True` after two epochs."""
    data = digits(t.seed)
    model = Body()
    for p in model.body.parameters():
        p.requires_grad = False
    optimizer = optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for epoch in range(8):
            if epoch == 2:
                for p in model.body.parameters():
                    p.requires_grad = True
                if t.fixed:
                    optimizer.add_param_group({"params": list(model.body.parameters())})
            model.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


# A rate finder raises the rate until the loss explodes. Its weights are to be thrown away.
@faulty(
    "initial-loss", "weights-too-large", "exploded-weights", "saturated-activation", "dead-relu", "high-learning-rate"
)
def everyday_weights_left_by_the_rate_finder(t: Trial) -> float:
    """The training goes on with the network that the search for a rate has destroyed."""
    data = digits(t.seed)
    model = mlp(64, 64, 64, 10, act=nn.Tanh)
    before = copy.deepcopy(model.state_dict())
    finder = optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    for step in range(100):
        for group in finder.param_groups:
            group["lr"] = 1e-4 * 10 ** (step / 17)
        rows = torch.randint(0, len(data.x), (32,))
        finder.zero_grad()
        F.cross_entropy(model(data.x[rows]), data.y[rows]).backward()
        finder.step()
    if t.fixed:
        model.load_state_dict(before)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6):
            model.train()
            for rows in torch.randperm(len(data.x)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


# Each epoch takes nine tenths of the rate: after four epochs nothing moves.
@faulty("low-learning-rate", "schedule-period", "fast-decay", "underfitting")
def everyday_gamma_of_a_tenth_in_each_epoch(t: Trial) -> float:
    """`ExponentialLR(optimizer, gamma=0.1)`, copied from a `StepLR` of 30 epochs."""
    data = generate("table", t.seed, 1000, 24)
    net = mlp(24, 48, 48, 5)
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95 if t.fixed else 0.1)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(20):
            net.train()
            for rows in torch.randperm(len(data.x)).split(64):
                optimizer.zero_grad()
                F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
            scheduler.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)
