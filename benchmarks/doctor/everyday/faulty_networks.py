"""Everyday faults of networks and rows: pooling, plain tensors, one unit for ten classes, pairs torn apart."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.everyday.rows import cross_entropy_and_accuracy, explained_places, split, spots
from benchmarks.doctor.harness import Trial, accuracy, faulty, lenet, mlp
from benchmarks.doctor.unseen.loop import digits
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset


class SpotFinder(nn.Module):
    """Predicts the place of a spot."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular"), nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(6 if fixed else 1)
        self.head = nn.Linear(16 * 36 if fixed else 16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))


# The mean over all pixels is the same wherever the spot is.
@faulty("pooled-positions", "no-signal", "underfitting", "missing-positions")
def everyday_place_behind_a_global_pooling(t: Trial) -> float:
    """A network for classes, with `AdaptiveAvgPool2d(1)`, is to predict coordinates."""
    data = spots(t.seed)
    model = SpotFinder(t.fixed)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(10):
            model.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(model(data.x_test), data.y_test)))
    return explained_places(model, data)


class Products(nn.Module):
    """Scores of products of two learned projections."""

    def __init__(self, columns: int, classes: int, fixed: bool) -> None:
        super().__init__()
        weight_a, weight_b = torch.randn(32, columns) * 0.2, torch.randn(32, columns) * 0.2
        if fixed:
            self.a, self.b = nn.Parameter(weight_a.t()), nn.Parameter(weight_b.t())
        else:
            self.a, self.b = nn.Parameter(weight_a).t(), nn.Parameter(weight_b).t()
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x @ self.a) * (x @ self.b))


# What `.t()`, `.view()`, `.to(device)` or `* 0.1` returns is a plain tensor: the module has no such parameter.
@faulty("unregistered-parameters", "uncovered-parameters")
def everyday_transposed_parameters(t: Trial) -> float:
    """`self.a = nn.Parameter(torch.randn(32, columns)).t()`."""
    data = generate("table", t.seed, 900, 20)
    net = Products(20, 5, t.fixed)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)):
        for _ in range(20):
            for rows in torch.randperm(len(data.x)).split(30):
                opt.zero_grad()
                F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
                opt.step()
    return accuracy(net, data)


# Class numbers are no amounts: 3 is not between 1 and 5.
@faulty("target-kind", "loss-pairing", "class-numbers")
def everyday_one_unit_for_ten_classes(t: Trial) -> float:
    """`nn.MSELoss()(net(x).squeeze(), y.float())`, and the prediction is rounded to a class."""
    data = digits(t.seed)
    net = mlp(64, 64, 10 if t.fixed else 1)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    criterion: nn.Module = nn.CrossEntropyLoss() if t.fixed else nn.MSELoss()

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        out = net(x)
        return criterion(out, y) if t.fixed else criterion(out.squeeze(1), y.float())

    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(12):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                optimizer.zero_grad()
                loss_of(data.x[rows], data.y[rows]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(loss_of(data.x_test, data.y_test)))
    with torch.no_grad():
        out = net(data.x_test)
    predicted = out.argmax(1) if t.fixed else out.squeeze(1).round().long()
    return float((predicted == data.y_test).float().mean())


class Standardized(nn.Module):
    """Standardizes each batch by itself before a perceptron."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.net, self.fixed = mlp(10, 48, 1), fixed
        self.register_buffer("mean", torch.zeros(10))
        self.register_buffer("std", torch.ones(10))

    def forward(self, x: Tensor) -> Tensor:
        if self.fixed:
            return self.net((x - self.mean) / self.std)
        return self.net((x - x.mean(0)) / x.std(0))


# 545 rows in batches of 32 leave a batch of one row, whose standard deviation is not a number.
@faulty("non-finite-loss", "non-finite-gradients", "non-finite-inputs")
def everyday_deviation_of_the_row_left_over(t: Trial) -> float:
    """`(x - x.mean(0)) / x.std(0)` in the forward pass, and the last batch has one row."""
    data = generate("friedman", t.seed, 802, 10)
    x, y = data.x[:545], data.y[:545]
    model = Standardized(t.fixed)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    with t.doctor(model, optimizer, data=(x, y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(15):
            model.train()
            for a, b in DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True):
                optimizer.zero_grad()
                F.mse_loss(model(a), b).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(model(data.x_test), data.y_test)))
    return explained_places(model, data)


# `repeat` puts the copies of all rows one after another; `repeat_interleave` puts those of each row together.
@faulty("conflicting-rows", "misaligned-targets", "shuffled-targets", "label-noise", "no-signal")
def everyday_tiled_rows_and_repeated_labels(t: Trial) -> float:
    """`x.repeat(4, 1, 1, 1)` and `y.repeat_interleave(4)`, to have four noisy copies of each image."""
    data = images(t.seed)
    x, y = data.x[:400], data.y[:400]
    copies = x.repeat_interleave(4, 0) if t.fixed else x.repeat(4, 1, 1, 1)
    labels = y.repeat_interleave(4)
    model = lenet()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    loader = DataLoader(TensorDataset(copies, labels), batch_size=32, shuffle=True)
    with t.doctor(model, optimizer, data=(copies, labels), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(5):
            model.train()
            for images_of_batch, labels_of_batch in loader:
                noisy = images_of_batch + 0.1 * torch.randn_like(images_of_batch)
                optimizer.zero_grad()
                F.cross_entropy(model(noisy), labels_of_batch).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


class FilesOfDigits(Dataset):
    """Reads `images/0.png`, `images/1.png`, ... and a table of labels whose rows are in the order of the numbers."""

    def __init__(self, data: Data, fixed: bool) -> None:
        names = [f"{k}.png" for k in range(len(data.x))]
        self.names = names if fixed else sorted(names)
        self.x, self.labels = data.x, data.y

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = int(self.names[index].removesuffix(".png"))
        return self.x[number], self.labels[index]


# As text, "10.png" comes before "2.png": the images are in another order than the labels.
@faulty("misaligned-targets", "shuffled-targets", "label-noise", "no-signal")
def everyday_files_sorted_as_text(t: Trial) -> float:
    """`sorted(os.listdir(folder))` next to a table that is sorted by number."""
    data = images(t.seed)
    model = lenet()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    loader = DataLoader(FilesOfDigits(data, t.fixed), batch_size=32, shuffle=True)
    with t.doctor(model, optimizer) as dr:
        for _ in range(6):
            model.train()
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(model, data))
    return accuracy(model, data)


def colored_fruit(seed: int, rows: int = 900, side: int = 10) -> Data:
    """Return images (N, 3, side, side) of a disc whose color, one of six hues, is the class."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 6, (rows,), generator=g)
    hue = (y + 0.3 * torch.randn(rows, generator=g)) * torch.pi / 3
    phase = torch.tensor([0.0, 2 * torch.pi / 3, 4 * torch.pi / 3])
    color = 0.5 + 0.4 * torch.cos(hue[:, None] - phase)
    grid = torch.linspace(-1, 1, side)
    center = (torch.rand(rows, 2, generator=g) - 0.5) * 0.8
    disc = (grid[None, :, None] - center[:, :1, None]).square() + (
        grid[None, None] - center[:, 1:, None]
    ).square() < 0.3
    x = disc[:, None] * color[:, :, None, None] + 0.1 * torch.randn(rows, 3, side, side, generator=g)
    return split(x, y)


def turn_hues(x: Tensor) -> Tensor:
    """Return images with their channels in a random order, one for each image, as a strong color jitter does."""
    order = torch.rand(len(x), 3).argsort(1)
    return x.gather(1, order[:, :, None, None].expand(x.shape))


# The color is what distinguishes the classes, and the augmentation changes it.
@faulty("label-changing-augmentation", "evaluated-inputs", "no-signal")
def everyday_color_jitter_of_classes_of_color(t: Trial) -> float:
    """An augmentation for photos turns the hues of fruit that differ by their color only."""
    data = colored_fruit(t.seed)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(300, 32), nn.ReLU(),
        nn.Linear(32, 6),
    )  # fmt: skip
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(10):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(x if t.fixed else turn_hues(x)), y).backward()
                optimizer.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)


# A convolution runs over the last dimension: here over the columns, with the steps as its channels.
@faulty("unpermuted-sequence", "swapped-dimensions", "memorization", "overfitting")
def everyday_convolution_over_the_columns(t: Trial) -> float:
    """`nn.Conv1d(length, ...)` for sequences (B, T, D) that were to be permuted to (B, D, T)."""
    g = torch.Generator().manual_seed(t.seed)
    length, columns, rows = 40, 6, 500
    x = 0.7 * torch.randn(rows, length, columns, generator=g)
    y = torch.randint(0, 3, (rows,), generator=g)
    start = torch.randint(0, length - 6, (rows,), generator=g)
    shapes = torch.tensor([[2.0, 1, 0, -1, -2, 0], [2.0, -2, 2, -2, 2, -2], [-2.0, -1, 0, 1, 2, 0]])
    for i in range(rows):
        x[i, start[i] : start[i] + 6, 2] += shapes[y[i]]
    data = split(x, y)

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(columns if t.fixed else length, 24, 5, padding=2)
            self.head = nn.Linear(24, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.relu(self.conv(x.transpose(1, 2) if t.fixed else x)).amax(2))

    net = Detector()
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(20):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), 25, shuffle=True):
                opt.zero_grad()
                F.cross_entropy(net(a), b).backward()
                opt.step()
            dr.validation(**cross_entropy_and_accuracy(net, data))
    return accuracy(net, data)
