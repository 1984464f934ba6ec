"""Workshop faults of networks and losses: layers built in `forward`, copied lines, attributes, overflowing losses."""

from __future__ import annotations

import itertools

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, scribbles, split
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.harness import Trial, accuracy, binary_accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import digits, fit, nonlinear
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class DropoutNet(nn.Module):
    """A perceptron with dropout after both hidden layers."""

    def __init__(self, columns: int, built_in_forward: bool) -> None:
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(columns, 96), nn.Linear(96, 96), nn.Linear(96, 1)
        self.dropout, self.built_in_forward = nn.Dropout(0.3), built_in_forward

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.fc1, self.fc2):
            x = F.relu(layer(x))
            x = nn.Dropout(0.3)(x) if self.built_in_forward else self.dropout(x)
        return self.out(x)


# A layer that `forward` builds is in training mode, whatever the mode of the network is.
@faulty("mode", "random-outputs", "evaluated-network")
def workshop_dropout_built_in_forward(t: Trial) -> float:
    """`x = nn.Dropout(0.3)(x)` in `forward`, where a layer of the network was meant."""
    data = nonlinear(t.seed)
    net = DropoutNet(8, built_in_forward=not t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, F.mse_loss, epochs=20)
    return explained(net, data)


class Match(nn.Module):
    """A branch for the team that plays at home, and one for its guest."""

    def __init__(self, columns: int, reads_guest: bool) -> None:
        super().__init__()
        self.columns, self.reads_guest = columns, reads_guest
        self.home_branch, self.guest_branch = mlp(columns, 32, 16), mlp(columns, 32, 16)
        self.head = mlp(32, 32, 2)

    def forward(self, x: Tensor) -> Tensor:
        home, guest = x[:, : self.columns], x[:, self.columns :]
        a = self.home_branch(home)
        b = self.guest_branch(guest if self.reads_guest else home)
        return self.head(F.relu(torch.cat([a, b], 1)))


# The strength of the guest is not read by the network: half of what decides a match is missing.
@faulty("ignored-inputs", "unread-columns", "duplicated-input", "underfitting", "no-signal")
def workshop_home_team_in_both_branches(t: Trial) -> float:
    """`b = self.guest_branch(home)`: the line of the other branch was copied, and its input was not changed."""
    g = generator(t.seed)
    x = torch.randn(1200, 12, generator=g)
    lead = x[:, :6].sum(1) - x[:, 6:].sum(1) + x[:, 0] * x[:, 1] - x[:, 6] * x[:, 7]
    data = split(x, (lead + torch.randn(1200, generator=g) > 0).long())
    net = Match(6, reads_guest=t.fixed)
    optimizer = optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-4)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(10):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)


class Pretrained(nn.Module):
    """A network whose last layer is called `fc`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body, self.fc = mlp(64, 64, 48), nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.body(x)))


# `forward` calls `fc`, the layer of the old classes; the optimizer has a layer that is never called.
@faulty("no-gradient", "unused-layers", "unused-parameters", "uncovered-parameters", "missing-update")
def workshop_head_under_another_name(t: Trial) -> float:
    """`net.classifier = nn.Linear(48, 5)` for a network whose last layer is `net.fc`, and only the head is trained."""
    data = digits(t.seed)
    is_old, is_old_test = data.y < 5, data.y_test < 5
    net = Pretrained(5)
    pretraining = optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(5):
        for x, y in DataLoader(TensorDataset(data.x[is_old], data.y[is_old]), batch_size=32, shuffle=True):
            pretraining.zero_grad()
            F.cross_entropy(net(x), y).backward()
            pretraining.step()
    new = Data(data.x[~is_old], data.y[~is_old] - 5, data.x_test[~is_old_test], data.y_test[~is_old_test] - 5)
    if t.fixed:
        net.fc = nn.Linear(48, 5)
        optimizer = optim.Adam(net.fc.parameters(), lr=5e-3)
    else:
        net.classifier = nn.Linear(48, 5)
        optimizer = optim.Adam(net.classifier.parameters(), lr=5e-3)
    fit(t, net, optimizer, new, epochs=12)
    return accuracy(net, new)


class LogCosh(nn.Module):
    """The mean logarithm of the hyperbolic cosine of the errors."""

    def __init__(self, stable: bool) -> None:
        super().__init__()
        self.stable = stable

    def forward(self, out: Tensor, y: Tensor) -> Tensor:
        error = out - y
        if self.stable:
            return (error + F.softplus(-2 * error) - 0.6931).mean()
        return torch.log(torch.cosh(error)).mean()


# In float32 the cosine of an error above 89 is infinite, and the gradient of its logarithm not a number.
@faulty("non-finite-loss", "non-finite-gradients", "overflowing-loss", "target-scale", "target-outliers")
def workshop_logarithm_of_a_huge_cosine(t: Trial) -> float:
    """`torch.log(torch.cosh(error)).mean()` for yields that are up to 100 above or below their mean."""
    g = generator(t.seed)
    x = torch.randn(1000, 6, generator=g)
    y = 18 * x[:, 0] + 14 * x[:, 1] + 9 * x[:, 2] * x[:, 3] + 3 * torch.randn(1000, generator=g)
    y = torch.where(torch.rand(1000, generator=g) < 0.02, y.sign() * 100, y)
    data = split(x, y[:, None])
    net = mlp(6, 64, 1)
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    fit(t, net, optimizer, data, LogCosh(stable=t.fixed), epochs=20)
    return explained(net, data)


# The gradient contains the logarithm of the labels, log(0): the weights are nan after one step, and torch stops then.
@faulty("swapped-arguments", "loss-pairing", "refused-loss", "non-finite-loss", "non-finite-gradients")
def workshop_labels_before_probabilities(t: Trial) -> float:
    """`F.binary_cross_entropy(y, p)` where the probabilities come first: `F.binary_cross_entropy(p, y)`."""
    data = generate("binary", t.seed)
    y, y_test = (part.float()[:, None] for part in (data.y, data.y_test))
    data = Data(data.x, y, data.x_test, y_test)
    net = nn.Sequential(mlp(20, 32, 1), nn.Sigmoid())
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    try:
        with t.doctor(net, optimizer, **rows_of(data)) as dr:
            for _ in range(12):
                net.train()
                for x, label in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                    p = net(x)
                    loss = F.binary_cross_entropy(p, label) if t.fixed else F.binary_cross_entropy(label, p)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                report(dr, net, data)
    except RuntimeError:
        pass
    return binary_accuracy(net, Data(data.x, data.y, data.x_test, y_test[:, 0]), 0.5)


def build_blocks(*widths: int, slope: float) -> nn.Sequential:
    """Return linear layers with leaky relus between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1])


# The first argument of `LeakyReLU` is its slope: `True` is a slope of 1, and the network is a line.
@faulty("missing-activation", "linear-network", "underfitting", "identity-activation")
def workshop_leaky_relu_in_place(t: Trial) -> float:
    """`nn.LeakyReLU(True)`, changed from `nn.ReLU(True)`, whose first argument is `inplace`."""
    data = nonlinear(t.seed)
    net = build_blocks(8, 64, 64, 1, slope=0.01 if t.fixed else True)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, F.mse_loss, epochs=20)
    return explained(net, data)


class Segmenter(nn.Module):
    """Four convolutions that return a score (N, 1, H, W) for each pixel."""

    def __init__(self, channels: int = 12) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def dice_loss(out: Tensor, mask: Tensor) -> Tensor:
    """Return 1 minus the overlap of the probabilities with the masks."""
    p = torch.sigmoid(out)
    return 1 - (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1)


# The product of (N, 1, H, W) and (N, H, W) is (N, N, H, W): each image is compared with all masks of the batch.
@faulty("broadcast-loss", "broadcast", "loss-pairing", "unbounded-loss", "mixed-rows")
def workshop_masks_without_a_channel(t: Trial) -> float:
    """A Dice loss of scores (N, 1, H, W) and masks (N, H, W), which multiplies all images with all masks."""
    data = scribbles(t.seed, 300)
    net = Segmenter()
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(8):
            net.train()
            for x, mask in DataLoader(TensorDataset(data.x, data.y), batch_size=15, shuffle=True):
                optimizer.zero_grad()
                dice_loss(net(x), mask if t.fixed else mask.squeeze(1)).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(data.x_test)
            dr.validation(loss=float(F.binary_cross_entropy_with_logits(out, data.y_test)))
    is_line = data.y_test > 0.5
    return float(((out > 0) & is_line).sum() / ((out > 0) | is_line).sum())
