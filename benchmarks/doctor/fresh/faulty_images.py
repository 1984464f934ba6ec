"""Faulty trainings on images: masks, boxes, channels, shared batch norm."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.fresh.loop import train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import ConvNet, generator, split
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


class PixelNet(nn.Module):
    """Three convolutions that keep the size, and a class for each pixel."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 12, 3, padding=1)
        self.middle, self.up = nn.Conv2d(12, 12, 3, padding=1), nn.Conv2d(12, classes, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(F.relu(self.middle(F.relu(self.down(x)))))


def cells(seed: int, rows: int = 320) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (1, 12, 12) with spots of three kinds, and masks of half the size with classes 0 to 3."""
    g = generator(seed)
    mask = torch.zeros(rows, 6, 6, dtype=torch.long)
    for i in range(rows):
        for kind in (1, 2, 3):
            a, b = torch.randint(0, 5, (2,), generator=g).tolist()
            mask[i, a : a + 2, b : b + 2] = kind
    level = torch.tensor([0.0, -1.0, 2.0, 1.0])[mask]
    x = F.interpolate(level[:, None], scale_factor=2, mode="nearest")
    return x + 0.3 * torch.randn(x.shape, generator=g), mask


@faulty("interpolated-targets", "label-noise", "target-kind")
def fresh_masks_resized_bilinearly(t: Trial) -> float:
    """Masks of class numbers are enlarged as images are: between 0 and 2 lies a border of class 1."""
    x, mask = cells(t.seed)
    true_mask = F.interpolate(mask[:, None].float(), scale_factor=2, mode="nearest")[:, 0].long()
    resized = F.interpolate(mask[:, None].float(), scale_factor=2, mode="bilinear")[:, 0].long()
    y = true_mask if t.fixed else resized
    data, net = Data(x[:220], y[:220], x[220:], y[220:]), PixelNet(4)
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=8, size=16)
    with torch.no_grad():
        out, goal = net(x[220:]).argmax(1), true_mask[220:]
    return float(torch.stack([(out[goal == k] == k).float().mean() for k in range(4)]).mean())


class BoxNet(nn.Module):
    """The middle, the width and the height of a box from an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.fc1, self.fc2 = nn.Linear(16 * 36, 48), nn.Linear(48, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


@faulty("label-changing-augmentation")
def fresh_boxes_that_are_not_flipped(t: Trial) -> float:
    """Half of the images are mirrored in the loop, and their boxes stay where they were."""
    g = generator(t.seed)
    x, box = 0.2 * torch.randn(900, 1, 12, 12, generator=g), torch.zeros(900, 4)
    for i in range(900):
        h, w = torch.randint(2, 6, (2,), generator=g).tolist()
        a, b = (int(torch.randint(0, 13 - side, (1,), generator=g)) for side in (h, w))
        x[i, 0, a : a + h, b : b + w] += 1
        box[i] = torch.tensor([(b + w / 2) / 12, (a + h / 2) / 12, w / 12, h / 12])
    data, net = split(x, box, 600), BoxNet()
    optimizer = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(10):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                x, y = data.x[rows], data.y[rows].clone()
                if torch.rand(()) < 0.5:
                    x = x.flip(3)
                    if t.fixed:
                        y[:, 0] = 1 - y[:, 0]
                optimizer.zero_grad()
                F.smooth_l1_loss(net(x), y, beta=0.1).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(data.x_test)
            dr.validation(loss=float(F.smooth_l1_loss(out, data.y_test, beta=0.1)))
    net.eval()
    with torch.no_grad():
        error = (net(data.x_test) - data.y_test).square().mean(0) / data.y_test.var(0)
    return float((1 - error).mean())


@faulty("reshaped-images", "scrambled-inputs")
def fresh_channels_by_view(t: Trial) -> float:
    """Images (H, W, C) become (C, H, W) by `view`, which mixes colors and places, instead of `permute`."""
    gray = images(t.seed)
    g = generator(t.seed)

    def paint(x: torch.Tensor) -> torch.Tensor:
        front, back = torch.rand(2, len(x), 3, 1, 1, generator=g)
        front, back = 0.6 + 0.4 * front, 0.3 * back
        colored = (x * front + (1 - x) * back + 0.1 * torch.randn(len(x), 3, 8, 8, generator=g)).permute(0, 2, 3, 1)
        return colored.permute(0, 3, 1, 2) if t.fixed else colored.contiguous().view(len(x), 3, 8, 8)

    data = Data(paint(gray.x), gray.y, paint(gray.x_test), gray.y_test)
    net = ConvNet(channels=3)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=7)
    return accuracy(net, data)


class SharedNorm(nn.Module):
    """Two convolutions of equal width, followed by one batch norm or by one each."""

    def __init__(self, is_shared: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.norm2 = self.norm1 if is_shared else nn.BatchNorm2d(16)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return self.fc(x.flatten(1))


@faulty("shared-normalization", "batch-norm-statistics", "shared-module")
def fresh_one_batch_norm_at_two_places(t: Trial) -> float:
    """`self.bn` is called after both convolutions: its running statistics fit neither."""
    data, net = images(t.seed), SharedNorm(is_shared=not t.fixed)
    train_epochs(t, net, SGD(net.parameters(), lr=0.05, momentum=0.9), data, epochs=4)
    return accuracy(net, data)
