"""Faulty networks: lost activations, positions, edges, derivatives, variances, final states, boxes."""

from __future__ import annotations

import math

import torch
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.fresh.loop import train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import Net, digits, generator, split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Adam = torch.optim.Adam


class ThreeLayers(nn.Module):
    """A perceptron whose activations may be thrown away."""

    def __init__(self, keeps_activations: bool) -> None:
        super().__init__()
        self.keeps_activations = keeps_activations
        self.fc1, self.fc2, self.fc3 = nn.Linear(2, 48), nn.Linear(48, 48), nn.Linear(48, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.fc1, self.fc2):
            x = layer(x)
            activated = F.relu(x)
            if self.keeps_activations:
                x = activated
        return self.fc3(x)


@faulty("missing-activation")
def recent_result_of_relu_thrown_away(t: Trial) -> float:
    """`F.relu(x)` on a line of its own is not in place: the network is a line."""
    data, net = generate("moons", t.seed), ThreeLayers(t.fixed)
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=15)
    return accuracy(net, data)


class Ordered(nn.Module):
    """A transformer with sines of positions, which its class expects as (length, rows, features)."""

    def __init__(self, by_length: bool) -> None:
        super().__init__()
        self.by_length = by_length
        self.embed, self.head = nn.Embedding(16, 24), nn.Linear(24, 2)
        angle = torch.arange(500)[:, None] * torch.exp(torch.arange(0, 24, 2) * (-math.log(1000.0) / 24))
        table = torch.zeros(500, 1, 24)
        table[:, 0, 0::2], table[:, 0, 1::2] = angle.sin(), angle.cos()
        self.register_buffer("table", table)
        self.block = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.0, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x)
        places = self.table[: tokens.shape[1], 0] if self.by_length else self.table[: tokens.shape[0]]
        return self.head(self.block(tokens + places).mean(1))


@faulty("missing-positions", "mixed-rows")
def recent_positions_of_rows_not_tokens(t: Trial) -> float:
    """The sines of positions are added along the rows of the batch, since the tutorial has the length first."""
    g = generator(t.seed)
    x = torch.randint(2, 16, (1600, 8), generator=g)
    places = torch.stack([torch.randperm(8, generator=g)[:2] for _ in range(1600)])
    x[torch.arange(1600), places[:, 0]], x[torch.arange(1600), places[:, 1]] = 0, 1
    data = split(x, (places[:, 0] < places[:, 1]).long(), 1200)
    net = Ordered(t.fixed)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=8)
    return accuracy(net, data)


class Messages(nn.Module):
    """Two steps of messages along edges, and the mean of the nodes of each graph."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 24), nn.Linear(48, 24)])
        self.head = nn.Linear(24, 2)

    def forward(self, x: torch.Tensor, edges: torch.Tensor, graph: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            incoming = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
            x = F.relu(layer(torch.cat([x, incoming], 1)))
        rows = int(graph.max()) + 1
        sums = x.new_zeros(rows, x.shape[1]).index_add(0, graph, x)
        return self.head(sums / graph.bincount(minlength=rows)[:, None])


@faulty("mixed-rows", "unconnected-nodes", "batch-offset")
def recent_edges_without_an_offset(t: Trial) -> float:
    """Graphs are put into one batch, but their edges are not shifted: all edges are in the first graph."""
    g = generator(t.seed)
    features = torch.randint(0, 2, (700, 7, 4), generator=g).float()
    sources, targets = torch.randint(0, 7, (2, 700, 9), generator=g)
    same = (
        features.gather(1, sources[..., None].expand(-1, -1, 4))
        * features.gather(1, targets[..., None].expand(-1, -1, 4))
    )[..., 0]
    counts = same.sum(1)
    y = (counts > counts.median()).long()
    net = Messages()
    optimizer = Adam(net.parameters(), lr=8e-3)

    def collate(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        offset = torch.arange(len(rows))[:, None] * (7 if t.fixed else 0)
        edges = torch.stack([(sources[rows] + offset).flatten(), (targets[rows] + offset).flatten()])
        return features[rows].flatten(0, 1), edges, torch.arange(len(rows)).repeat_interleave(7)

    held_out = torch.arange(500, 700)
    with t.doctor(net, optimizer) as dr:
        for _ in range(14):
            for rows in torch.randperm(500).split(20):
                optimizer.zero_grad()
                F.cross_entropy(net(*collate(rows)), y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                out = net(*collate(held_out))
            score = float((out.argmax(1) == y[held_out]).float().mean())
            dr.validation(loss=float(F.cross_entropy(out, y[held_out])), score=score)
    return score


@faulty("no-gradient", "detached-loss", "cut-graph")
def recent_derivative_without_a_graph(t: Trial) -> float:
    """The second derivative of an equation is computed without `create_graph`: its term has no gradient."""
    net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = Adam(net.parameters(), lr=5e-3)
    ends = torch.tensor([[0.0], [1.0]])
    with t.doctor(net, optimizer):
        for _ in range(500):
            x = torch.rand(48, 1, requires_grad=True)
            u = net(x)
            (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=t.fixed, retain_graph=True)
            residual = bend + math.pi**2 * torch.sin(math.pi * x.detach())
            loss = residual.square().mean() + 50 * net(ends).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x = torch.linspace(0, 1, 101)[:, None]
    with torch.no_grad():
        return -float(F.mse_loss(net(x), torch.sin(math.pi * x)))


class Coder(nn.Module):
    """A variational autoencoder whose last activation may also be applied to means and variances."""

    def __init__(self, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded
        self.enter, self.code = nn.Linear(64, 64), nn.Linear(64, 16)
        self.decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        code = self.code(F.relu(self.enter(x)))
        mean, log_variance = (F.relu(code) if self.bounded else code).chunk(2, 1)
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(drawn), mean, log_variance


@faulty("bounded-scores", "bounded-code", "target-range", "collapsed-outputs", "dead-relu")
def recent_relu_on_means_and_variances(t: Trial) -> float:
    """The encoder ends with a relu: no variance is below 1, and no mean is negative."""
    data, net = digits(t.seed), Coder(bounded=not t.fixed)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(12):
            for rows in torch.randperm(len(data.x)).split(32):
                out, mean, log_variance = net(data.x[rows])
                divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
                optimizer.zero_grad()
                (F.mse_loss(out, data.x[rows], reduction="none").sum(1).mean() + 0.5 * divergence).backward()
                optimizer.step()
    with torch.no_grad():
        return -float(F.mse_loss(net(data.x_test)[0], data.x_test))


@faulty("final-states", "bootstrapped-terminal", "missing-mask")
def recent_value_beyond_the_final_state(t: Trial) -> float:
    """The target of a Q network adds the value of the next state also where the episode has ended."""
    length, discount = 9, 0.95
    net, target = Net(length, 2, hidden=32), Net(length, 2, hidden=32)
    target.load_state_dict(net.state_dict())
    optimizer = Adam(net.parameters(), lr=3e-3)
    states = torch.eye(length)
    with t.doctor(net, optimizer):
        for step in range(900):
            s = torch.randint(1, length - 1, (32,))
            action = torch.randint(0, 2, (32,))
            after = s + 2 * action - 1
            is_done = (after == 0) | (after == length - 1)
            reward = torch.where(after == length - 1, 1.0, -0.05)
            with torch.no_grad():
                beyond = target(states[after]).amax(1)
            goal = reward + discount * (beyond.masked_fill(is_done, 0.0) if t.fixed else beyond)
            optimizer.zero_grad()
            F.mse_loss(net(states[s]).gather(1, action[:, None])[:, 0], goal).backward()
            optimizer.step()
            if step % 20 == 19:
                target.load_state_dict(net.state_dict())
    values = torch.zeros(length)
    for _ in range(60):
        gain_up, gain_down = torch.full((length,), -0.05), torch.full((length,), -0.05)
        gain_up[length - 2] = 1.0
        gain_up[:-2] += discount * values[1:-1]
        gain_down[2:] += discount * values[1:-1]
        values = torch.maximum(gain_up, gain_down)
        values[0] = values[-1] = 0
    with torch.no_grad():
        return -float((net(states[1:-1]).amax(1) - values[1:-1]).abs().mean())


def box_scores(boxes: torch.Tensor, targets: torch.Tensor, *, centers: bool) -> torch.Tensor:
    """Return the overlap of boxes, as corners or as centers and sizes, with boxes as corners."""
    if centers:
        boxes = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    low, high = torch.maximum(boxes[:, :2], targets[:, :2]), torch.minimum(boxes[:, 2:], targets[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(1).abs() + (targets[:, 2:] - targets[:, :2]).prod(1) - shared)


@faulty("evaluated-scores", "box-format")
def recent_corners_read_as_centers(t: Trial) -> float:
    """The network learns corners of boxes, and the score reads them as centers and sizes."""
    g = generator(t.seed)
    corner, size = torch.rand(1600, 2, generator=g) * 6, 2 + torch.rand(1600, 2, generator=g) * 4
    places = torch.arange(12) + 0.5
    inside = [
        ((places > corner[:, i : i + 1]) & (places < corner[:, i : i + 1] + size[:, i : i + 1])).float() for i in (0, 1)
    ]
    x = (inside[1][:, :, None] * inside[0][:, None])[:, None] + 0.2 * torch.randn(1600, 1, 12, 12, generator=g)
    data = split(x, torch.cat([corner, corner + size], 1) / 12, 1300)
    net = Net(144, 4, hidden=96)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(15):
            for rows, boxes in DataLoader(TensorDataset(data.x, data.y), 32, shuffle=True):
                optimizer.zero_grad()
                F.smooth_l1_loss(net(rows), boxes, beta=0.1).backward()
                optimizer.step()
            with torch.no_grad():
                out = net(data.x_test)
            score = float(box_scores(out, data.y_test, centers=not t.fixed).mean())
            dr.validation(loss=float(F.smooth_l1_loss(out, data.y_test, beta=0.1)), score=score)
    return score


def mixed_tasks(seed: int) -> Data:
    """Return rows of two classes in the plane that no line separates."""
    g = generator(seed)
    x = torch.rand(900, 2, generator=g) * 2 - 1
    return split(x, (x.prod(1) > 0).long(), 600)


class Summed(nn.Module):
    """A residual network of many blocks, whose shortcuts may be forgotten."""

    def __init__(self, has_shortcuts: bool, blocks: int = 14) -> None:
        super().__init__()
        self.has_shortcuts = has_shortcuts
        self.enter, self.leave = nn.Linear(2, 24), nn.Linear(24, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 24)) for _ in range(blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = x + block(x) if self.has_shortcuts else block(x)
        return self.leave(x)


@faulty("vanishing-gradients", "missing-shortcuts")
def recent_shortcuts_forgotten(t: Trial) -> float:
    """`x = block(x)` is written for `x = x + block(x)` in a network of 28 layers."""
    data, net = mixed_tasks(t.seed), Summed(t.fixed)
    train_epochs(t, net, Adam(net.parameters(), lr=2e-3), data, epochs=10)
    return accuracy(net, data)
