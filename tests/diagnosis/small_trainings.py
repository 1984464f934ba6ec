"""Small networks and data sets for trainings of a second."""

import itertools

import torch
from torch import nn

import yisheng


def make_mlp(*widths, activation=nn.ReLU):
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def make_classes(rows=480, columns=8, classes=3):
    """Return classes around random centers."""
    generator = torch.Generator().manual_seed(5)
    y = torch.arange(rows) % classes
    centers = 2.5 * torch.randn(classes, columns, generator=generator)
    return centers[y] + torch.randn(rows, columns, generator=generator), y


def make_line(rows=480, columns=8):
    """Return a linear regression without noise."""
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(rows, columns, generator=generator)
    return x, x @ torch.randn(columns, 1, generator=generator) / columns**0.5


def train(net, compute_loss, steps=60, lr=5e-3):
    """Train a network on a loss of it by Adam, and return its doctor."""
    optimizer = torch.optim.Adam(net.parameters(), lr)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(steps):
            optimizer.zero_grad()
            compute_loss(net).backward()
            optimizer.step()
    return dr


def list_alarms(dr):
    """Return the checks of the errors and warnings that a doctor names."""
    return [finding.check for finding in dr.findings if finding.severity != "note"]
