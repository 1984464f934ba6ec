"""A training with a user's own components makes the updates of a plain loop in torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from tests.own_components.small_data import classes, numbers, train
from yisheng.core.dataset import Dataset
from yisheng.core.seeds import generator
from yisheng.data.split import hold_out
from yisheng.training.checkpoint import load_weights

EPOCHS, BATCH = 2, 16


def own_net(inputs: int, outputs: int) -> nn.Module:
    """Return a network with a layer of each kind of parameter."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(inputs, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, outputs))


def train_by_hand(
    network: nn.Module,
    data: Dataset,
    loss: Callable[..., torch.Tensor],
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> None:
    """Train in the order of rows that a run with seed 0 has."""
    rows = torch.from_numpy(hold_out(data, validation=0.15, test=0.15, seed=0, method="random").train)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    network.train()
    for epoch in range(EPOCHS):
        order = rows[torch.randperm(len(rows), generator=generator(0, "order", epoch))]
        for part in order.split(BATCH):
            optimizer.zero_grad()
            loss(network(x[part]), y[part]).backward()
            optimizer.step()
        if scheduler is not None:
            scheduler.step()


OPTIMIZERS: dict[str, tuple[Any, Callable[[Any], torch.optim.Optimizer], dict[str, Any]]] = {
    "class": (torch.optim.Adagrad, lambda p: torch.optim.Adagrad(p, lr=0.05), {"lr": 0.05}),
    "function": (lambda p: torch.optim.RMSprop(p, lr=0.01), lambda p: torch.optim.RMSprop(p, lr=0.01), {}),
    "class with options": (
        torch.optim.SGD,
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, nesterov=True),
        {"lr": 0.1, "momentum": 0.5, "nesterov": True},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_own_optimizer(tmp_path: Path, name: str) -> None:
    component, build, options = OPTIMIZERS[name]
    data, network = classes(), own_net(6, 3)
    expected = copy.deepcopy(network)
    train_by_hand(expected, data, F.cross_entropy, build(expected.parameters()))
    run = train(
        tmp_path, data, model=network, optimizer=component, scale="none", loss=nn.CrossEntropyLoss(), epochs=EPOCHS,
        score="loss", validation=0.15, test=0.15, **options,
    )  # fmt: skip
    assert_last_weights_equal(run.path, expected)


def assert_last_weights_equal(folder: Path, expected: nn.Module) -> None:
    """Compare the weights of the last update with those of a network."""
    tensors = load_weights(folder / "checkpoint")
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(tensors[name], value, rtol=1e-5, atol=1e-6)


def test_optimizer_instance_keeps_groups_and_state(tmp_path: Path) -> None:
    data, network = classes(), own_net(6, 3)
    groups = [{"params": network[0].parameters(), "lr": 0.01}, {"params": network[3].parameters()}]
    optimizer = torch.optim.Adam(groups, lr=0.1, weight_decay=0.01)
    network(torch.zeros(2, 6)).sum().backward()
    optimizer.step()  # it has a state already
    optimizer.zero_grad()
    expected, by_hand = copy.deepcopy((network, optimizer))
    train_by_hand(expected, data, F.cross_entropy, by_hand)
    run = train(
        tmp_path, data, model=network, optimizer=optimizer, scale="none", epochs=EPOCHS, validation=0.15, test=0.15
    )
    assert_last_weights_equal(run.path, expected)


SCHEDULERS: dict[str, tuple[Any, Callable[[Any], Any], dict[str, Any]]] = {
    "function of the optimizer": (
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 1, 0.1),
        {},
    ),
    "class": (
        torch.optim.lr_scheduler.ExponentialLR,
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5),
        {"gamma": 0.5},
    ),
    "function of the epoch": (
        lambda epoch: 0.5**epoch,
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda e: 0.5**e),
        {},
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_own_schedule(tmp_path: Path, name: str) -> None:
    component, build, options = SCHEDULERS[name]
    data, network = classes(), own_net(6, 3)
    expected = copy.deepcopy(network)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    train_by_hand(expected, data, F.cross_entropy, optimizer, build(optimizer))
    run = train(
        tmp_path, data, model=network, optimizer=torch.optim.SGD, lr=0.1, schedule=component, scale="none",
        epochs=EPOCHS, validation=0.15, test=0.15, **options,
    )  # fmt: skip
    assert_last_weights_equal(run.path, expected)


LOSSES: dict[str, tuple[Any, Callable[..., torch.Tensor], int]] = {
    "module": (nn.CrossEntropyLoss(), F.cross_entropy, 3),
    "module with options": (
        nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda o, y: F.cross_entropy(o, y, label_smoothing=0.1),
        3,
    ),
    "class": (nn.MultiMarginLoss, F.multi_margin_loss, 3),
    "function with reduction": (F.cross_entropy, F.cross_entropy, 3),
    "function of a mean": (
        lambda o, y: -o.log_softmax(1).gather(1, y[:, None]).mean(),
        F.cross_entropy,
        3,
    ),
    "function of each sample": (
        lambda o, y: -o.log_softmax(1).gather(1, y[:, None])[:, 0],
        F.cross_entropy,
        3,
    ),
    "mse on classes": (nn.MSELoss(), lambda o, y: F.mse_loss(o, F.one_hot(y, 3).float()), 3),
    "bce on two classes": (
        nn.BCEWithLogitsLoss(),
        lambda o, y: F.binary_cross_entropy_with_logits(o[:, 0], y.float()),
        1,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_own_loss(tmp_path: Path, name: str) -> None:
    component, by_hand, outputs = LOSSES[name]
    data, network = classes(2 if outputs == 1 else 3), own_net(6, outputs)
    expected = copy.deepcopy(network)
    train_by_hand(expected, data, by_hand, torch.optim.SGD(expected.parameters(), lr=0.1))
    run = train(
        tmp_path, data, model=network, loss=component, optimizer=torch.optim.SGD, lr=0.1, scale="none", epochs=EPOCHS,
        validation=0.15, test=0.15,
    )  # fmt: skip
    assert_last_weights_equal(run.path, expected)


def test_regression_output_without_axis(tmp_path: Path) -> None:
    """A network that returns (B,) trains as one that returns (B, 1): no broadcasting to (B, B)."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = own_net(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x).squeeze(-1)

    data, network = numbers(), Flat()
    expected = copy.deepcopy(network)
    train_by_hand(expected, data, lambda o, y: F.mse_loss(o, y[:, 0]), torch.optim.SGD(expected.parameters(), lr=0.05))
    run = train(
        tmp_path, data, model=network, loss=nn.MSELoss(), optimizer=torch.optim.SGD, lr=0.05, scale="none",
        target_scale="none", epochs=EPOCHS, validation=0.15, test=0.15,
    )  # fmt: skip
    assert_last_weights_equal(run.path, expected)
    assert run.scores["test"]["rmse"].value > 0


def test_bce_on_probabilities(tmp_path: Path) -> None:
    """nn.BCELoss takes probabilities: the predictions are the network's outputs, not their sigmoid."""
    network = nn.Sequential(own_net(6, 1), nn.Sigmoid())
    run = train(tmp_path, classes(2), model=network, loss=nn.BCELoss(), epochs=20, optimizer="adam", lr=0.05)
    assert run.scores["test"]["accuracy"].value > 0.9
    assert run.scores["test"]["log_loss"].value < 0.3  # it could not be below 0.31 after a second sigmoid


def test_given_network_holds_the_best_weights_afterwards(tmp_path: Path) -> None:
    network = own_net(6, 3)
    run = train(tmp_path, model=network, epochs=3)
    saved = load_file(run.path / "model.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
    assert not network[0]._forward_hooks
