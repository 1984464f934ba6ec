"""What a user's own loop throws away: each fault is found first, and without it there is no alarm."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms, make_classes, make_mlp

X, Y = make_classes(rows=480, columns=8, classes=2)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def make_adam(net):
    return torch.optim.Adam(net.parameters(), 3e-3)


@pytest.mark.parametrize("way", ["outside the loop", "inside", "added up"])
def test_backward_pass_outside_the_loop_over_the_batches(way):
    net = make_mlp(8, 16, 2)
    optimizer = make_adam(net)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(12):
            total = torch.zeros(())
            for rows in torch.randperm(480).split(48):
                loss = F.cross_entropy(net(X[rows]), Y[rows])
                total = total + loss / 10
                if way == "inside":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            if way != "inside":
                optimizer.zero_grad()
                (loss if way == "outside the loop" else total).backward()
                optimizer.step()
    assert list_alarms(dr)[:1] == (["discarded-batches"] if way == "outside the loop" else [])


@pytest.mark.parametrize("clears", ["before each backward pass", "after the update"])
def test_gradients_that_are_cleared_before_the_update(clears):
    net = make_mlp(8, 16, 2)
    optimizer = make_adam(net)
    with yisheng.doctor(net, optimizer) as dr:
        for number in range(160):
            rows = torch.randint(0, 480, (16,))
            if clears == "before each backward pass":
                optimizer.zero_grad()
            (F.cross_entropy(net(X[rows]), Y[rows]) / 8).backward()
            if number % 8 == 7:
                optimizer.step()
                optimizer.zero_grad()
    assert list_alarms(dr)[:1] == (["discarded-gradients"] if clears == "before each backward pass" else [])


def test_two_losses_of_two_networks_are_not_discarded():
    """The gradients that one loss leaves in the other network are cleared on purpose."""
    maker, critic = make_mlp(2, 16, 2), make_mlp(2, 16, 1)
    first, second = make_adam(maker), make_adam(critic)
    with yisheng.doctor(maker, first) as dr:
        for _ in range(60):
            fake = maker(torch.randn(16, 2))
            second.zero_grad()
            (critic(fake).mean() - critic(torch.randn(16, 2)).mean()).backward(retain_graph=True)
            second.step()
            first.zero_grad()
            (-critic(fake).mean()).backward(inputs=list(maker.parameters()))
            first.step()
    assert "discarded-gradients" not in list_alarms(dr)


@pytest.mark.parametrize("phases", [6, 2])
def test_optimizer_that_is_built_in_each_epoch(phases):
    net = make_mlp(8, 16, 2)
    optimizer = make_adam(net)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(phases):
            for rows in torch.randperm(480).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(X[rows]), Y[rows]).backward()
                optimizer.step()
            optimizer = make_adam(net)
    assert ("reset-optimizer" in list_alarms(dr)) == (phases == 6)
    if phases == 6:
        assert list_alarms(dr)[0] == "reset-optimizer"


@pytest.mark.parametrize("steps_by", ["optimizer", "scaler", "plain factor"])
def test_optimizer_that_steps_in_place_of_the_scaler(steps_by):
    net = make_mlp(8, 16, 2)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            rows = torch.randint(0, 480, (32,))
            loss = F.cross_entropy(net(X[rows]), Y[rows])
            optimizer.zero_grad()
            (100 * loss if steps_by == "plain factor" else scaler.scale(loss)).backward()
            if steps_by == "scaler":
                scaler.step(optimizer)
                scaler.update()
            else:
                optimizer.step()
    assert ("scaled-gradients" in list_alarms(dr)) == (steps_by == "optimizer")


@pytest.mark.parametrize("rows", [20, 480])
def test_loader_without_a_batch(rows):
    net = make_mlp(8, 16, 2)
    optimizer = make_adam(net)
    part = torch.utils.data.TensorDataset(X[:rows], Y[:rows])
    loader = torch.utils.data.DataLoader(part, batch_size=64, drop_last=True)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(4):
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                F.cross_entropy(net(X[:100]), Y[:100])
    assert ("missing-update" in list_alarms(dr)) == (rows == 20)


@pytest.mark.parametrize("shape", ["column", "same", "pairs"])
def test_rows_that_are_combined_with_all_rows(shape):
    net, weight = make_mlp(8, 16, 2), torch.rand(480, 1)
    optimizer = make_adam(net)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            rows = torch.randint(0, 480, (32,))
            log_p = net(X[rows]).log_softmax(1)[torch.arange(32), Y[rows]]
            if shape == "pairs":  # each score with each other one, on purpose
                loss = F.softplus(log_p[:, None] - log_p).mean() - log_p.mean()
            else:
                loss = -(log_p * (weight[rows] if shape == "column" else weight[rows, 0])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert ("broadcast-loss" in list_alarms(dr)) == (shape == "column")


@pytest.mark.parametrize("kind", ["no bound", "density"])
def test_loss_without_a_lower_bound(kind):
    x = torch.randn(400, 4)
    y = x[:, :1] + 0.3 * torch.randn(400, 1)
    net = make_mlp(4, 32, 2)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(150):
            rows = torch.randint(0, 400, (32,))
            mean, log_variance = net(x[rows]).chunk(2, 1)
            error = (mean - y[rows]).square()
            optimizer.zero_grad()
            loss = (
                0.5 * (error * log_variance - log_variance)
                if kind == "no bound"
                else (0.5 * (error * torch.exp(-log_variance) + log_variance))
            )
            loss.mean().backward()
            optimizer.step()
    assert ("unbounded-loss" in list_alarms(dr)) == (kind == "no bound")


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_pairs_of_cosines_need_both_signs(low):
    net = make_mlp(8, 16, 6)
    optimizer = make_adam(net)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            a, b = torch.randint(0, 480, (2, 32))
            label = torch.where(Y[a] == Y[b], 1.0, low)
            optimizer.zero_grad()
            nn.CosineEmbeddingLoss()(net(X[a]), net(X[b]), label).backward()
            optimizer.step()
    assert ("target-range" in list_alarms(dr)) == (low == 0)
