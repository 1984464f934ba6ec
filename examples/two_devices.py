"""Model parallel: a network whose two halves are on two devices, for weights that one of them cannot hold.

    python examples/two_devices.py cuda:0 cuda:1

The first half computes on one device and sends its output to the second half on the other one; autograd sends the
gradient back. Each device waits while the other one computes: two GPUs hold a larger network, and are not faster.
`yisheng.train` moves a network to one device, so the loop is your own. With ``cpu cpu`` it runs without GPUs.
"""

from __future__ import annotations

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn


class TwoDevices(nn.Module):
    """The halves of a sequence of layers, each on a device.

    Args:
        layers: the network ``(B, ...) -> (B, O)``; its parameters are moved.
        split: number of layers of the first half.
        devices: of the two halves.
    """

    def __init__(self, layers: nn.Sequential, split: int, devices: tuple[torch.device, torch.device]) -> None:
        super().__init__()
        self.devices = devices
        self.bottom = layers[:split].to(devices[0])
        self.top = layers[split:].to(devices[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, on the second device."""
        return self.top(self.bottom(x.to(self.devices[0])).to(self.devices[1]))


def make_network() -> nn.Sequential:
    """Return a network for images of 8 x 8 pixels."""
    convolutions = (
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10))


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, epochs: int, device: torch.device) -> list[float]:
    """Train by stochastic gradient descent; return the mean loss of each epoch.

    Args:
        model: the network.
        x: images ``(N, 1, 8, 8)``.
        y: classes ``(N,)``.
        epochs: passes over the images.
        device: of the network's outputs, where the loss is computed.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(epochs):
        total = torch.zeros((), device=device)
        for rows in torch.randperm(len(x), generator=generator).split(64):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        losses.append(float(total) / len(x))
    return losses


def main(names: list[str]) -> int:
    """Train on two devices; print the losses and the accuracy on held-out rows."""
    if len(names) != 2:
        print("usage: python examples/two_devices.py cuda:0 cuda:1   (or: cpu cpu)", file=sys.stderr)
        return 2
    bottom, top = map(torch.device, names)
    images, classes = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(classes)
    torch.manual_seed(0)
    model = TwoDevices(make_network(), 5, (bottom, top))
    for epoch, loss in enumerate(train(model, x[:1400], y[:1400], epochs=5, device=top), 1):
        print(f"epoch {epoch}: loss {loss:.3f}")
    with torch.no_grad():
        accuracy = (model(x[1400:]).argmax(1).cpu() == y[1400:]).float().mean()
    print(f"accuracy on {len(x) - 1400} other rows: {accuracy:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
