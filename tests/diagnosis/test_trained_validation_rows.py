"""Loops that update on the validation rows that the doctor was given, and loops that only read them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset, random_split

import yisheng

from .small_trainings import list_alarms

CHECK = "trained-on-validation"


def make_rows(kind):
    torch.manual_seed(0)
    x = torch.randn(400, 1, 6, 6) if kind == "images" else torch.randn(400, 8)
    signal = x.flatten(1)[:, :3].sum(1)
    y = {
        "numbers": (signal + 0.3 * torch.randn(400))[:, None],
        "binary": (signal > 0).float()[:, None],
    }.get(kind, (signal > 0).long())
    return x, y


def make_network(kind):
    if kind == "images":
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2 if kind == "classes" else 1))


LOSSES = {"numbers": F.mse_loss, "binary": F.binary_cross_entropy_with_logits}


@pytest.mark.parametrize("kind", ["classes", "numbers", "binary", "images"])
@pytest.mark.parametrize("fault", ["updates", "mode and updates", "gradients", ""])
def test_validation_loop(kind, fault):
    """A copy of the training loop with backward() and step(), and one that only keeps the graph."""
    x, y = make_rows(kind)
    net, loss_of = make_network(kind), LOSSES.get(kind, F.cross_entropy)
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    with yisheng.doctor(net, adam, data=(x[:280], y[:280]), validation=(x[280:], y[280:])) as dr:
        for _ in range(8):
            net.train()
            for a, b in DataLoader(TensorDataset(x[:280], y[:280]), batch_size=40, shuffle=True):
                adam.zero_grad()
                loss_of(net(a), b).backward()
                adam.step()
            net.train("mode" not in fault)
            total = 0.0
            for a, b in DataLoader(TensorDataset(x[280:], y[280:]), batch_size=30):
                with torch.set_grad_enabled(bool(fault)):
                    loss = loss_of(net(a), b)
                if "updates" in fault:
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                total += loss.item() * len(a)
            dr.validation(loss=total / 120)
    assert (CHECK in list_alarms(dr)) == ("updates" in fault)
    if "updates" in fault:
        assert next(f for f in dr.findings if f.check == CHECK).remedy.startswith("evaluate under torch.no_grad()")


@pytest.mark.parametrize("fault", ["all rows", "concatenated", "split again", ""])
def test_training_loader_with_validation_rows(fault):
    x, y = make_rows("classes")
    dataset = TensorDataset(x, y)
    train, valid = random_split(dataset, [280, 120], torch.Generator().manual_seed(1))
    data, validation = ((x[part.indices], y[part.indices]) for part in (train, valid))
    drawn = {"all rows": dataset, "concatenated": ConcatDataset([train, valid])}.get(fault, train)
    if fault == "split again":
        drawn = random_split(dataset, [280, 120], torch.Generator().manual_seed(2))[0]
    net = make_network("classes")
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    with yisheng.doctor(net, adam, data=data, validation=validation) as dr:
        for _ in range(5):
            for a, b in DataLoader(drawn, batch_size=20, shuffle=True):
                adam.zero_grad()
                F.cross_entropy(net(a), b).backward()
                adam.step()
            with torch.no_grad():
                F.cross_entropy(net(validation[0]), validation[1])
    assert (CHECK in list_alarms(dr)) == bool(fault)
    if fault:
        assert "draw the training batches" in next(f for f in dr.findings if f.check == CHECK).remedy


@pytest.mark.parametrize("kind", ["last training on all rows", "inputs without targets", "all nodes of a graph"])
def test_validation_rows_that_are_read_rightly(kind):
    x, y = make_rows("classes")
    net = make_network("classes")
    adam = torch.optim.Adam(net.parameters(), lr=0.01)

    def step(loss):
        adam.zero_grad()
        loss.backward()
        adam.step()

    with yisheng.doctor(net, adam, data=(x[:280], y[:280]), validation=(x[280:], y[280:])) as dr:
        for _ in range(6):
            for rows in torch.randperm(280).split(28):
                if kind == "all nodes of a graph":
                    step(F.cross_entropy(net(x)[:280][rows], y[rows]))
                elif kind == "inputs without targets":
                    noisy = x[280:] + 0.1 * torch.randn(120, 8)
                    loss = F.mse_loss(net(noisy), net(x[280:]).detach())
                    step(F.cross_entropy(net(x[rows]), y[rows]) + loss)
                else:
                    step(F.cross_entropy(net(x[rows]), y[rows]))
            with torch.no_grad():
                F.cross_entropy(net(x[280:]), y[280:])
        if kind == "last training on all rows":
            for _ in range(6):
                for rows in torch.randperm(400).split(40):
                    step(F.cross_entropy(net(x[rows]), y[rows]))
    assert CHECK not in list_alarms(dr)
