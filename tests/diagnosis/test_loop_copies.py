"""Copies, adapters and noise of a user's own loop: each fault is found first, and without it there is no alarm."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms, make_classes, make_mlp

X, Y = make_classes(rows=600, columns=8, classes=2)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


class Agent:
    """Holds its networks in attributes, and trains them in a method."""

    def __init__(self, follows, start=None):
        self.follows = follows
        self.net = make_mlp(2, 32, 3) if start is None else start
        self.target = copy.deepcopy(self.net)

    def train(self, steps=150):
        optimizer = torch.optim.Adam(self.net.parameters(), 3e-3)
        with yisheng.doctor(self.net, optimizer) as dr:
            for step in range(steps):
                state, action = torch.rand(32, 2), torch.randint(0, 3, (32,))
                with torch.no_grad():
                    goal = (state[:, 0] > 0.7).float() + 0.9 * self.target(state + 0.1).max(1)[0]
                optimizer.zero_grad()
                F.smooth_l1_loss(self.net(state).gather(1, action[:, None])[:, 0], goal).backward()
                optimizer.step()
                if self.follows and step % 20 == 19:
                    self.target.load_state_dict(self.net.state_dict())
        return dr


@pytest.mark.parametrize(("follows", "checks"), [(False, ["stale-target"]), (True, [])])
def test_target_network_that_is_never_updated(follows, checks):
    agent = Agent(follows)
    assert list_alarms(agent.train())[:1] == checks
    assert not agent.target._forward_hooks


def test_copy_of_a_trained_network_may_stay_as_it_is():
    """A teacher, or the reference of a policy."""
    trained = make_mlp(2, 32, 32, 3)
    with torch.no_grad():  # a structure that random weights do not have
        trained[2].weight += torch.outer(torch.randn(32), torch.randn(32))
    assert "stale-target" not in list_alarms(Agent(False, trained).train())


@pytest.mark.parametrize("kind", ["parameters", "buffers too", "averaged model", "averaged with buffers"])
def test_average_of_weights_needs_statistics(kind):
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    is_averaged = kind.startswith("averaged")
    average_function = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    average = (
        torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=average_function, use_buffers="buffers" in kind)
        if is_averaged
        else copy.deepcopy(net)
    )
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    x = 3 + 5 * X  # far from the statistics of the beginning
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(4):
            net.train()
            for rows in torch.randperm(400).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows]), Y[rows]).backward()
                optimizer.step()
                if is_averaged:
                    average.update_parameters(net)
                    continue
                with torch.no_grad():
                    for a, p in zip(average.parameters(), net.parameters(), strict=True):
                        a.lerp_(p, 0.1)
                    for a, b in zip(average.buffers(), net.buffers(), strict=True):
                        if kind == "buffers too":
                            a.copy_(b)
            average.eval()
            with torch.no_grad():
                F.cross_entropy(average(x[400:]), Y[400:])
    alarms = list_alarms(dr)
    assert ("batch-norm-statistics" in alarms) == (kind == "parameters")
    assert alarms[:1] in ([], ["batch-norm-statistics"])


class Wrapped(nn.Module):
    """The same layers under another name."""

    def __init__(self):
        super().__init__()
        self.body = make_mlp(8, 32, 2)

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize(
    ("prefix", "network", "checks"),
    [
        ("module.", lambda: make_mlp(8, 32, 2), ["unloaded-weights"]),
        ("", Wrapped, ["unloaded-weights"]),
        ("", lambda: make_mlp(8, 32, 2), []),
        ("body.", Wrapped, []),
    ],
)
def test_weights_whose_names_do_not_fit(prefix, network, checks):
    source = make_mlp(8, 32, 2)
    optimizer = torch.optim.Adam(source.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(source(X), Y).backward()
        optimizer.step()
    state = {f"{prefix}{name}": value for name, value in source.state_dict().items()}
    net = network()
    net.load_state_dict(state, strict=False)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(30):
            rows = torch.randint(0, 600, (32,))
            optimizer.zero_grad()
            F.cross_entropy(net(X[rows]), Y[rows]).backward()
            optimizer.step()
    assert list_alarms(dr)[:1] == checks


class Adapted(nn.Module):
    """A frozen layer with a low-rank adapter."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.is_merged = layer.requires_grad_(False), False
        self.a = nn.Parameter(0.3 * torch.randn(4, layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, 4))

    def forward(self, x):
        return self.layer(x) if self.is_merged else self.layer(x) + 0.5 * x @ self.a.T @ self.b.T

    @torch.no_grad()
    def merge(self, sign):
        self.layer.weight += 0.5 * sign * self.b @ self.a


@pytest.mark.parametrize("way", ["kept", "taken out", "begins again"])
def test_adapter_that_is_merged_for_the_evaluation(way):
    net = nn.Sequential(Adapted(nn.Linear(8, 32)), nn.ReLU(), nn.Linear(32, 2))
    layer = net[0]
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(5):
            for rows in torch.randperm(400).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(X[rows]), Y[rows]).backward()
                optimizer.step()
            layer.merge(1)
            layer.is_merged = True
            with torch.no_grad():
                F.cross_entropy(net(X[400:]), Y[400:])
                if way == "begins again":  # what was learned stays in the weight, and the adapter starts from zero
                    layer.b.zero_()
            layer.is_merged = False
            if way == "taken out":
                layer.merge(-1)
    assert list_alarms(dr)[:1] == (["merged-twice"] if way == "kept" else [])


@pytest.mark.parametrize("draws", ["once", "in each step", "once, of a clean target"])
def test_noise_that_is_drawn_once(draws):
    angle = torch.rand(60) * 6.283
    points = torch.stack([angle.cos(), angle.sin(), angle.cos() * angle.sin()], 1)
    all_times, all_noise = torch.rand(60, 1), torch.randn(60, 3)
    net = make_mlp(3, 64, 3)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(120):
            rows = torch.randint(0, 60, (32,))
            time, noise = all_times[rows], all_noise[rows]
            if draws == "in each step":
                time, noise = torch.rand(32, 1), torch.randn(32, 3)
            noisy = (1 - time).sqrt() * points[rows] + time.sqrt() * noise
            optimizer.zero_grad()
            F.mse_loss(net(noisy), points[rows] if "clean" in draws else noise).backward()
            optimizer.step()
    assert ("frozen-noise" in list_alarms(dr)) == (draws == "once")


class Seeded(nn.Sequential):
    """Seeds the generator in each pass."""

    def forward(self, x):
        torch.manual_seed(3)
        return super().forward(x)


@pytest.mark.parametrize("place", ["in each step", "in forward", "in each epoch", "nowhere", "without random numbers"])
def test_generator_that_is_seeded_in_the_loop(place):
    dropout = nn.Dropout(0.0 if place == "without random numbers" else 0.5)
    kind = Seeded if place == "in forward" else nn.Sequential
    net = kind(nn.Linear(8, 32), nn.ReLU(), dropout, nn.Linear(32, 2))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    order = torch.Generator().manual_seed(1)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(4):
            if place == "in each epoch":
                torch.manual_seed(0)
            for rows in torch.randperm(400, generator=order).split(32):
                if place == "in each step":
                    torch.manual_seed(0)
                optimizer.zero_grad()
                F.cross_entropy(net(X[rows]), Y[rows]).backward()
                optimizer.step()
    assert list_alarms(dr)[:1] == (["repeated-seed"] if place in ("in each step", "in forward") else [])
