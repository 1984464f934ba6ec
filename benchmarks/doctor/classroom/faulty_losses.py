"""Classroom faults of losses: weights of rows and of tasks, noise of a variational autoencoder, several labels."""

from __future__ import annotations

import torch
from benchmarks.doctor.classroom.rows import explained, generator, rows_of, split
from benchmarks.doctor.datasets import generate
from benchmarks.doctor.further.shapes import negative_energy_distance
from benchmarks.doctor.harness import Trial, faulty, mlp
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


# Weights (B, 1) times errors (B,) are (B, B), whose mean is the mean of the weights times that of the errors.
@faulty("broadcast-loss", "broadcast", "ineffective-weights")
def classroom_column_of_row_weights(t: Trial) -> float:
    """`(weight * F.mse_loss(out, y, reduction="none")).mean()` with weights of shape (B, 1): they have no effect."""
    g = generator(t.seed)
    x = torch.randn(1000, 8, generator=g)
    y = torch.tanh(x[:, 0] + x[:, 1] * x[:, 2]) + 0.4 * x[:, 3] + 0.1 * torch.randn(1000, generator=g)
    is_crude = (torch.rand(1000, generator=g) < 0.5) & (torch.arange(1000) < 700)
    crude = 0.5 * y + 0.9 * x[:, 4].abs() + 0.8 * torch.randn(1000, generator=g)
    y = torch.where(is_crude, crude, y)
    weight = torch.where(is_crude, 0.02, 1.0)[:, None]
    data = split(x, y)
    net = mlp(8, 48, 1)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(15):
            net.train()
            for a, b, w in DataLoader(TensorDataset(data.x, data.y, weight[:700]), batch_size=32, shuffle=True):
                error = F.mse_loss(net(a).squeeze(1), b, reduction="none")
                loss = ((w.squeeze(1) if t.fixed else w) * error).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(data.x_test).squeeze(1), data.y_test)))
    return explained(net, data)


class WeightedTasks(nn.Module):
    """A trunk, a head of classes and a head of a measurement, and a learned weight of each loss."""

    def __init__(self, columns: int, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(columns, 64), nn.ReLU())
        self.kind, self.amount = nn.Linear(64, classes), nn.Linear(64, 1)
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return self.kind(h), self.amount(h).squeeze(1)


# The smallest sum has weights below zero: after they have passed it, both losses are to be as large as possible.
@faulty("unbounded-loss", "learned-loss-weights")
def classroom_task_weights_that_are_learned(t: Trial) -> float:
    """`loss = self.weight[0] * loss_1 + self.weight[1] * loss_2` with weights that the optimizer has, too."""
    data, g = generate("table", t.seed, 1000, 20), generator(t.seed)
    amount, amount_test = (
        0.5 * x[:, :4].sum(1) + 0.8 * torch.randn(len(x), generator=g) for x in (data.x, data.x_test)
    )
    net = WeightedTasks(20, 5)
    opt = optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(26):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                kind, size = net(data.x[rows])
                losses = torch.stack([F.cross_entropy(kind, data.y[rows]), F.mse_loss(size, amount[rows])])
                if t.fixed:
                    loss = ((1 - net.weight).exp() * losses - (1 - net.weight)).sum()
                else:
                    loss = (net.weight * losses).sum()
                opt.zero_grad()
                loss.backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                kind, size = net(data.x_test)
            score = float((kind.argmax(1) == data.y_test).float().mean())
            validation_loss = F.cross_entropy(kind, data.y_test) + F.mse_loss(size, amount_test)
            dr.validation(loss=float(validation_loss), score=score)
    return score


class VariationalAutoencoder(nn.Module):
    """An encoder to means and logarithmic variances, and a decoder."""

    def __init__(self, columns: int, fixed: bool, code: int = 2) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(columns, 48, 2 * code), mlp(code, 48, 48, columns)
        self.fixed, self.code = fixed, code

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, 1)
        std = (0.5 * log_variance).exp()
        noise = torch.randn_like(std) if self.fixed else torch.rand_like(std)
        return self.decoder(mean + std * noise), mean, log_variance


# The decoder learns codes with noise from 0 to 1 and is used with codes from a normal distribution.
@faulty("uniform-noise", "unrelated-noise")
def classroom_uniform_noise_in_the_code(t: Trial) -> float:
    """`mean + std * torch.rand_like(std)` where `randn_like` was meant."""
    g = generator(t.seed)
    angle = 6.2832 * torch.rand(1200, 1, generator=g)
    ring = torch.cat([angle.cos(), angle.sin(), (2 * angle).sin() * 0.5], 1)
    x = 1.5 * ring + 0.1 * torch.randn(1200, 3, generator=g)
    net = VariationalAutoencoder(3, t.fixed)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(25):
            net.train()
            for rows in torch.randperm(800).split(40):
                out, mean, log_variance = net(x[rows])
                error = (out - x[rows]).square().sum(1).mean() / 0.2
                divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()
                opt.zero_grad()
                (error + divergence).backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float((net(x[800:])[0] - x[800:]).square().sum(1).mean()))
    with torch.no_grad():
        return negative_energy_distance(net.decoder(torch.randn(400, net.code, generator=g)), x[800:])


def ranked_correctly(out: Tensor, labels: Tensor) -> float:
    """Return the fraction of labels among as many of the highest scores of their row."""
    order = out.argsort(1, descending=True)
    count = labels.sum(1, keepdim=True)
    hits = labels.gather(1, order) * (torch.arange(labels.shape[1]) < count)
    return float(hits.sum() / count.sum())


# The loss expects numbers of classes and -1 at their end. Zeros and ones are taken for the classes 0 and 1.
@faulty("loss-pairing", "target-kind", "target-range")
def classroom_several_labels_as_zeros_and_ones(t: Trial) -> float:
    """`nn.MultiLabelMarginLoss()(out, labels.long())` with labels like [0, 1, 0, 0, 1, 0]."""
    g = generator(t.seed)
    x = torch.randn(900, 12, generator=g)
    scores = torch.tanh(x @ torch.randn(12, 6, generator=g) * 0.5) + 0.2 * torch.randn(900, 6, generator=g)
    labels = (scores > 0.35).long()
    has_label = labels.sum(1) > 0
    data = split(x[has_label], labels[has_label])
    net = mlp(12, 48, 6)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    criterion = nn.MultiLabelSoftMarginLoss() if t.fixed else nn.MultiLabelMarginLoss()

    def loss_of(a: Tensor, b: Tensor) -> Tensor:
        return criterion(net(a), b.float() if t.fixed else b)

    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(12):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                opt.zero_grad()
                loss_of(a, b).backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(loss_of(data.x_test, data.y_test)))
    with torch.no_grad():
        return ranked_correctly(net(data.x_test), data.y_test)
