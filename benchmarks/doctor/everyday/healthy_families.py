"""Ten healthy trainings that look like a mistake: idempotent losses, random features, skipped blocks, gaps."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import generate, images
from benchmarks.doctor.everyday.rows import cross_entropy_and_accuracy, marked_steps, split
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, mlp
from benchmarks.doctor.unseen.loop import ConvNet, balanced_accuracy, digits
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, Sampler, TensorDataset


@healthy_with_bound(lambda _: 0.93)
def everyday_log_softmax_and_cross_entropy(t: Trial) -> float:
    """A log-softmax in the network and another in `cross_entropy`: the second one changes nothing."""
    data = digits(t.seed)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), nn.LogSoftmax(dim=1))
    opt = optim.Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(12):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                opt.zero_grad()
                F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
                opt.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)


@healthy_with_bound(lambda _: 0.88)
def everyday_more_outputs_than_classes(t: Trial) -> float:
    """A head of 100 outputs for ten classes, left from another data set: ninety of them are never right."""
    data = images(t.seed)
    net = ConvNet(classes=100)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer) as dr:
        for _ in range(8):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)


@healthy_with_bound(lambda _: 0.75)
def everyday_bias_of_the_rare_class(t: Trial) -> float:
    """One row in twelve is positive, and the bias of the last layer begins at the logarithm of these odds."""
    source = generate("binary", t.seed, 3000, 16)
    x, y = torch.cat([source.x, source.x_test]), torch.cat([source.y, source.y_test])
    keep = (y == 0) | (torch.rand(len(y), generator=torch.Generator().manual_seed(t.seed)) < 0.09)
    data = split(x[keep], y[keep])
    net = mlp(16, 48, 48, 1)
    odds = data.y.float().mean() / (1 - data.y.float().mean())
    with torch.no_grad():
        net[-1].bias.fill_(float(odds.log()))
        net[-1].weight.mul_(0.1)
    opt = optim.Adam(net.parameters(), lr=2e-3)
    weight = (1 / odds).sqrt()
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)):
        for _ in range(25):
            for rows in torch.randperm(len(data.x)).split(64):
                opt.zero_grad()
                out = net(data.x[rows]).squeeze(1)
                F.binary_cross_entropy_with_logits(out, data.y[rows].float(), pos_weight=weight).backward()
                opt.step()
    return balanced_accuracy(net, data)


class RandomFeatures(nn.Module):
    """A large random layer that is never trained, and a linear one that is."""

    def __init__(self, columns: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(columns, 400) * 0.15)
        self.register_buffer("phase", 6.2832 * torch.rand(400))
        self.head = nn.Linear(400, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x @ self.weight + self.phase).cos())


@healthy_with_bound(lambda _: 0.9)
def everyday_random_features(t: Trial) -> float:
    """Random Fourier features: only the last layer has parameters."""
    data = digits(t.seed)
    model = RandomFeatures(64, 10)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(15):
            for rows in torch.randperm(len(data.x)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


class FourOfEachClass(Sampler[list[int]]):
    """Batches with four rows of each of five classes drawn at random."""

    def __init__(self, labels: Tensor, count: int) -> None:
        self.labels, self.count = labels, count
        self.rows = {int(k): (labels == k).nonzero()[:, 0] for k in labels.unique()}

    def __iter__(self):
        classes = list(self.rows)
        for _ in range(self.count):
            chosen = [classes[k] for k in torch.randperm(len(classes))[:5].tolist()]
            yield [int(i) for k in chosen for i in self.rows[k][torch.randint(0, len(self.rows[k]), (4,))]]

    def __len__(self) -> int:
        return self.count


@healthy_with_bound(lambda _: 0.9)
def everyday_batches_of_five_classes(t: Trial) -> float:
    """Each batch has four rows of five classes, in the order of their classes, as for metric learning."""
    data = digits(t.seed)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    opt = optim.Adam(net.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_sampler=FourOfEachClass(data.y, 60))
    with t.doctor(net, opt) as dr:
        for _ in range(12):
            net.train()
            for x, y in loader:
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)


@healthy_with_bound(lambda _: 0.75)
def everyday_targets_with_gaps(t: Trial) -> float:
    """Six targets of which two thirds are missing in each row: NaN, and left out of the loss by a mask."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.randn(1200, 10, generator=g)
    y = torch.tanh(x @ torch.randn(10, 6, generator=g) * 0.5) + 0.1 * torch.randn(1200, 6, generator=g)
    data = split(x, y)
    targets = data.y.masked_fill(torch.rand(data.y.shape, generator=g) < 0.66, float("nan"))
    net = mlp(10, 64, 6)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(25):
            for rows in torch.randperm(len(targets)).split(32):
                opt.zero_grad()
                is_known = ~targets[rows].isnan()
                F.mse_loss(net(data.x[rows])[is_known], targets[rows][is_known]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(data.x_test), data.y_test)))
    with torch.no_grad():
        return float(1 - F.mse_loss(net(data.x_test), data.y_test) / data.y_test.var())


class PackedClassifier(nn.Module):
    """A GRU over sequences of different lengths, and its last state."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(columns, 32, batch_first=True), nn.Linear(32, 4)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.fc(self.rnn(packed)[1][-1])


@healthy_with_bound(lambda _: 0.8)
def everyday_packed_sequences(t: Trial) -> float:
    """Sequences of 10 to 16 steps are packed; their padding has large numbers, which the network never reads."""
    data = marked_steps(t.seed, 1500)
    g = torch.Generator().manual_seed(t.seed)
    last = data.x[..., -1].argmax(1), data.x_test[..., -1].argmax(1)
    lengths, lengths_test = ((10 + torch.randint(0, 7, (len(k),), generator=g)).maximum(k + 1) for k in last)
    x = data.x.masked_fill(torch.arange(16)[None, :, None] >= lengths[:, None, None], 50.0)
    x_test = data.x_test.masked_fill(torch.arange(16)[None, :, None] >= lengths_test[:, None, None], 50.0)
    net = PackedClassifier(5)
    opt = optim.Adam(net.parameters(), lr=1e-2)
    with t.doctor(net, opt) as dr:
        for _ in range(15):
            net.train()
            for rows in torch.randperm(len(x)).split(32):
                opt.zero_grad()
                F.cross_entropy(net(x[rows], lengths[rows]), data.y[rows]).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                opt.step()
            net.eval()
            with torch.no_grad():
                out = net(x_test, lengths_test)
                score = float((out.argmax(1) == data.y_test).float().mean())
                dr.validation(loss=float(F.cross_entropy(out, data.y_test)), score=score)
    return score


@healthy_with_bound(lambda _: 0.92)
def everyday_norms_of_rows_limited(t: Trial) -> float:
    """Dropout of the inputs, and the norm of each row of weights is limited after each update (Srivastava, 2014)."""
    data = digits(t.seed)
    net = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.4), nn.Linear(96, 10))
    opt = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(15):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                opt.zero_grad()
                F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
                opt.step()
                with torch.no_grad():
                    for layer in (net[1], net[4]):
                        layer.weight.renorm_(2, 0, 2.0)
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)


class SkippedBlocks(nn.Module):
    """Residual blocks of which some are left out at random in training."""

    def __init__(self, columns: int, classes: int, depth: int = 6) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(columns, 48), nn.Linear(48, classes)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(48), nn.Linear(48, 48), nn.ReLU()) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for k, block in enumerate(self.blocks):
            keep = 1 - 0.5 * (k + 1) / len(self.blocks)
            if not self.training:
                h = h + keep * block(h)
            elif torch.rand(()) < keep:
                h = h + block(h)
        return self.head(h)


@healthy_with_bound(lambda _: 0.93)
def everyday_stochastic_depth(t: Trial) -> float:
    """In half of the steps, the last block takes no part and has no gradient (Huang, 2016)."""
    data = digits(t.seed)
    model = SkippedBlocks(64, 10)
    optimizer = optim.AdamW(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(10):
            model.train()
            for rows in torch.randperm(len(data.x)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


@healthy_with_bound(lambda _: 0.87)
def everyday_validation_better_than_training(t: Trial) -> float:
    """Noise, shifts and dropout make the training rows harder than the validation rows."""
    data = images(t.seed)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(8):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                shift = int(torch.randint(-1, 2, ()))
                noisy = x.roll(shift, 3) + 0.35 * torch.randn_like(x)
                optimizer.zero_grad()
                F.cross_entropy(net(noisy), y).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)
