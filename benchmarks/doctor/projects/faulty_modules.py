"""Project faults of modules: loops over layers, cells, pretrained vectors, norms, pooling, graphs."""

from __future__ import annotations

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import fit, nonlinear
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class DilatedConvolutions(nn.Module):
    """A temporal convolutional network with layers in a `ModuleList`."""

    def __init__(self, fixed: bool, channels: int = 12) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, channels, 1)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 2, dilation=d) for d in (1, 2, 4))
        self.head, self.fixed = nn.Linear(channels, 1), fixed

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.unsqueeze(1))
        for layer in self.layers:
            padded = F.pad(x, (layer.dilation[0], 0))
            if self.fixed:
                x = out = F.relu(layer(padded))
            else:
                out = F.relu(layer(padded))
        return self.head(out[:, :, -1])


# Each layer gets the input of the loop, and what it returns is overwritten: only the last one counts.
@faulty("no-gradient", "unused-layers", "overwritten-outputs", "disconnected-layers")
def projects_loop_of_layers_on_the_same_input(t: Trial) -> float:
    """`for layer in self.layers: out = F.relu(layer(x))` where `x = F.relu(layer(x))` was meant."""
    g = generator(t.seed)
    x = torch.randn(1000, 16, generator=g)
    y = 0.5 * x[:, -1] + torch.tanh(x[:, -1] * x[:, -2]) + 0.7 * x[:, -4] + x[:, -7].abs()
    y = y + 0.2 * torch.randn(1000, generator=g)
    data = split(x, ((y - y.mean()) / y.std())[:, None])
    net = DilatedConvolutions(t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=15)
    return explained(net, data)


class WearOfMachines(Dataset):
    """Recordings of machines, one measurement of each sensor per hour, and how worn the machine is."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i], self.y[i]


class StepwiseLSTM(nn.Module):
    """An `LSTMCell` that is called for each hour."""

    def __init__(self, sensors: int, fixed: bool, hidden: int = 24) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(sensors, hidden), nn.Linear(hidden, 3)
        self.hidden, self.fixed = hidden, fixed

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), self.hidden)
        for hour in range(x.shape[1]):
            if self.fixed:
                h, c = self.cell(x[:, hour], (h, c))
            else:
                h, c = self.cell(x[:, hour])
        return self.head(h)


# Without its second argument the cell begins with zeros in each hour: the network sees the last hour only.
@faulty("forgotten-state", "unpassed-state", "unread-steps", "ignored-inputs", "no-gradient")
def projects_cell_called_without_its_state(t: Trial) -> float:
    """`h, c = self.cell(x[:, hour])` where `self.cell(x[:, hour], (h, c))` was meant."""
    g = generator(t.seed)
    x = torch.randn(900, 8, 4, generator=g)
    wear = (x[:, :, 0].sum(1) - x[:, :, 1].sum(1)) / 8**0.5 + 0.3 * torch.randn(900, generator=g)
    data = split(x, (wear > -0.6).long() + (wear > 0.6).long())
    net = StepwiseLSTM(4, t.fixed)
    optimizer = optim.Adam(net.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    train_loader = DataLoader(WearOfMachines(data.x, data.y), batch_size=32, shuffle=True)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(12):
            net.train()
            for recordings, labels in train_loader:
                optimizer.zero_grad()
                loss = criterion(net(recordings), labels)
                loss.backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)


class BagOfVectors(nn.Module):
    """Vectors of words that come from a file, their mean, and a classifier."""

    def __init__(self, vectors: Tensor, fixed: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=not fixed)
        self.classifier = nn.Sequential(nn.Linear(vectors.shape[1], 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, words: Tensor) -> Tensor:
        return self.classifier(self.embedding(words).mean(1))


# `from_pretrained` freezes by default: the words that the file lacks keep the random vectors that they began with.
@faulty("frozen-parameters", "untrained-vectors", "unknown-tokens")
def projects_vectors_of_missing_words_frozen(t: Trial) -> float:
    """`nn.Embedding.from_pretrained(vectors)` for a vocabulary of which most words are not in the file."""
    g = generator(t.seed)
    mood = torch.randn(200, generator=g)
    vectors = 0.3 * torch.randn(200, 16, generator=g)
    vectors[:50, 0] += mood[:50]
    words = torch.randint(0, 200, (1500, 10), generator=g)
    data = split(words, (mood[words].sum(1) > 0).long())
    net = BagOfVectors(vectors, t.fixed)
    optimizer = optim.Adam([p for p in net.parameters() if p.requires_grad], lr=3e-3)
    fit(t, net, optimizer, data, epochs=15)
    return accuracy(net, data)


class UnitVectors(nn.Module):
    """An encoder to vectors of length one, and a head that reads them."""

    def __init__(self, columns: int, fixed: bool) -> None:
        super().__init__()
        self.encoder, self.head = mlp(columns, 64, 32), nn.Linear(32, 1)
        self.fixed = fixed

    def forward(self, x: Tensor) -> Tensor:
        z = self.encoder(x)
        z = z / (z.norm(dim=1, keepdim=True) if self.fixed else z.norm())
        return self.head(z)


# Without `dim` the length is that of all rows together: vectors get shorter with each further row of the batch.
@faulty("mixed-rows", "batch-statistics", "batch-dependent-outputs", "evaluated-inputs")
def projects_length_of_all_rows_together(t: Trial) -> float:
    """`z = z / z.norm()` where `z.norm(dim=1, keepdim=True)` was meant, and validation has larger batches."""
    data = nonlinear(t.seed)
    net = UnitVectors(8, t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=15)
    return explained(net, data)


class SignalClassifier(nn.Module):
    """Two convolutions, the mean over the time, and a linear layer."""

    def __init__(self, length: int, classes: int, fixed: bool, channels: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, channels, 7, padding=3),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 5, padding=2),
            nn.ReLU(),
        )
        self.fixed = fixed
        self.fc = nn.Linear(channels if fixed else length, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.fc(x.mean(2) if self.fixed else x.mean(1))


# The linear layer was given the size that the error message named. It reads one mean of all channels at each time.
@faulty("pooled-channels", "pooled-dimension", "swapped-dimensions", "underfitting", "narrow-layer")
def projects_mean_of_the_channels(t: Trial) -> float:
    """`x.mean(1)` of features (B, C, T) where the mean over the time, `x.mean(2)`, was meant."""
    g = generator(t.seed)
    shapes = torch.randn(5, 9, generator=g)
    label = torch.randint(0, 5, (900,), generator=g)
    x = 0.5 * torch.randn(900, 1, 40, generator=g)
    for i, start in enumerate(torch.randint(0, 31, (900,), generator=g).tolist()):
        x[i, 0, start : start + 9] += 1.3 * shapes[label[i]]
    data = split(x, label)
    net = SignalClassifier(40, 5, t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, epochs=12)
    return accuracy(net, data)


class GraphConvolutions(nn.Module):
    """Two layers of a graph convolutional network (Kipf and Welling, 2017)."""

    def __init__(self, columns: int, classes: int, adjacency: Tensor, fixed: bool) -> None:
        super().__init__()
        if fixed:
            adjacency = adjacency + torch.eye(len(adjacency))
        degree = adjacency.sum(1).clamp(min=1).rsqrt()
        self.register_buffer("adjacency", degree[:, None] * adjacency * degree)
        self.layer1, self.layer2 = nn.Linear(columns, 32), nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.adjacency @ self.layer1(x))
        return self.layer2(F.dropout(x, 0.3, self.training))


# A node is not its neighbor: without the identity, what is known about the node itself never enters its prediction.
@faulty("ignored-inputs", "missing-self-loops", "unread-columns", "no-signal", "underfitting")
def projects_graph_without_self_loops(t: Trial) -> float:
    """`degree ** -0.5 * A * degree ** -0.5` where `A + I` was meant."""
    g = generator(t.seed)
    nodes = 500
    x = torch.randn(nodes, 10, generator=g)
    label = (x @ torch.randn(10, 3, generator=g)).argmax(1)
    chance = torch.where(label[:, None] == label, 0.004, 0.002)
    adjacency = (torch.rand(nodes, nodes, generator=g) < chance).float()
    adjacency = (adjacency + adjacency.T).clamp(max=1).fill_diagonal_(0)
    is_train = torch.arange(nodes) < 300
    net = GraphConvolutions(10, 3, adjacency, t.fixed)
    optimizer = optim.Adam(net.parameters(), lr=1e-2, weight_decay=5e-4)
    with t.doctor(net, optimizer) as dr:
        for _ in range(150):
            net.train()
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x)[is_train], label[is_train])
            loss.backward()
            optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(x)[~is_train]
            score = float((out.argmax(1) == label[~is_train]).float().mean())
            dr.validation(loss=float(F.cross_entropy(out, label[~is_train])), score=score)
    return score
