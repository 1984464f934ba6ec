"""Faulty trainings of trained, adapted, generative, contrastive and other networks."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import ConvNet, Net, digits, fit, generator, loader, split
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


# Trained networks


def pretrain(seed: int, shift: float = 0.0, scale: float = 1.0, norm: bool = False) -> tuple[ConvNet, Data]:
    """Return a network trained on digits, and other digits with the classes even and odd for the task that follows."""
    data = images(seed)
    net = ConvNet(norm=norm)
    optimizer = Adam(net.parameters(), lr=3e-3)
    x, y = (data.x[:800] - shift) / scale, data.y[:800]
    for _ in range(5):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net, Data(data.x[800:], data.y[800:] % 2, data.x_test, data.y_test % 2)


@faulty("inputs")
def pretrained_with_other_normalization(t: Trial) -> float:
    """The frozen body expects standardized images, and gets images that were divided by 255 twice."""
    net, data = pretrain(t.seed, 0.3, 0.38, norm=True)
    x, x_test = ((x - 0.3) / 0.38 if t.fixed else x / 255 for x in (data.x, data.x_test))
    data = Data(x, data.y, x_test, data.y_test)
    for p in net.parameters():
        p.requires_grad = False
    net.fc2 = nn.Linear(48, 2)
    fit(t, Frozen(net), Adam(net.fc2.parameters(), lr=3e-3), data, epochs=8)
    return accuracy(Frozen(net), data)


class Frozen(nn.Module):
    """A network whose batch norm stays in evaluation mode."""

    def __init__(self, net: ConvNet) -> None:
        super().__init__()
        self.net = net

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.net.norm1.eval()
        self.net.norm2.eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@faulty("frozen-parameters")
def weights_loaded_under_other_names(t: Trial) -> float:
    """`load_state_dict(strict=False)` of names with "module." loads nothing, and the body is frozen."""
    trained, data = pretrain(t.seed)
    saved = {f"module.{name}": value for name, value in trained.state_dict().items()}
    if t.fixed:
        saved = {name.removeprefix("module."): value for name, value in saved.items()}
    net = ConvNet()
    net.load_state_dict(saved, strict=False)
    for p in net.parameters():
        p.requires_grad = False
    net.fc2 = nn.Linear(48, 2)
    fit(t, net, Adam(net.fc2.parameters(), lr=1e-2), data, epochs=8)
    return accuracy(net, data)


@faulty("high-learning-rate", "dead-relu", "non-finite-loss")
def finetuned_at_the_rate_for_new_weights(t: Trial) -> float:
    """SGD at 0.3 with momentum destroys what the network knew."""
    net, data = pretrain(t.seed)
    net.fc2 = nn.Linear(48, 2)
    fit(t, net, SGD(net.parameters(), lr=0.01 if t.fixed else 0.3, momentum=0.9), data, epochs=5)
    return accuracy(net, data)


class LoRA(nn.Module):
    """A frozen linear layer and a trained product of two narrow matrices."""

    def __init__(self, layer: nn.Linear, rank: int, zero_both: bool) -> None:
        super().__init__()
        self.layer = layer
        for p in layer.parameters():
            p.requires_grad = False
        self.a = nn.Parameter(torch.zeros(rank, layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))
        if not zero_both:
            nn.init.kaiming_uniform_(self.a, 5**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + 2 * (x @ self.a.T @ self.b.T)


@faulty("no-gradient", "symmetric-weights", "vanishing-gradients")
def adapters_of_two_zero_matrices(t: Trial) -> float:
    """Both matrices of LoRA begin at zero, so that neither gets a gradient."""
    data = digits(t.seed)
    net = Net(64, 10, hidden=48, layers=2)
    optimizer = Adam(net.parameters(), lr=3e-3)
    for _ in range(4):
        for x, y in loader(data):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
    rotated = Data(data.x.flip(1), data.y, data.x_test.flip(1), data.y_test)
    for p in net.parameters():
        p.requires_grad = False
    for i, layer in enumerate(net.hidden):
        net.hidden[i] = LoRA(layer, 8, not t.fixed)  # type: ignore[arg-type]
    trained = [p for p in net.parameters() if p.requires_grad]
    fit(t, net, Adam(trained, lr=1e-2), rotated, epochs=6)
    return accuracy(net, rotated)


# Losses of several dimensions


class Segmenter(nn.Module):
    """A class for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(16, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))


def shapes(seed: int) -> Data:
    """Return images with bright and dark rectangles in noise, and their masks of three classes."""
    g = generator(seed)
    x, y = torch.zeros(500, 1, 12, 12), torch.zeros(500, 12, 12, dtype=torch.long)
    for i in range(500):
        for kind, value in ((1, 1.0), (2, -1.0)):
            a, b = torch.randint(0, 8, (2,), generator=g).tolist()
            x[i, 0, a : a + 4, b : b + 4] = value
            y[i, a : a + 4, b : b + 4] = kind
    return split(x + 0.4 * torch.randn(x.shape, generator=g), y, 350)


@torch.no_grad()
def pixel_balance(net: nn.Module, data: Data) -> float:
    """Return the mean recall of the classes of the pixels."""
    net.eval()
    out = net(data.x_test).argmax(1)
    return float(torch.stack([(out[data.y_test == k] == k).float().mean() for k in range(3)]).mean())


@faulty("loss-pairing")
def classes_of_pixels_reshaped_not_permuted(t: Trial) -> float:
    """`out.reshape(-1, 3)` of (B, 3, H, W) mixes pixels and classes."""
    data, net = shapes(t.seed), Segmenter()

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = out.permute(0, 2, 3, 1) if t.fixed else out
        return F.cross_entropy(out.reshape(-1, 3), y.reshape(-1))

    fit(t, net, Adam(net.parameters(), lr=5e-3), data, loss, epochs=6, size=25)
    return pixel_balance(net, data)


@faulty("refused-loss", "loss-pairing")
def loss_that_torch_refuses(t: Trial) -> float:
    """A cross-entropy of class numbers in float32 stops the program in its first step."""
    data, net = digits(t.seed), Net(64, 10)
    try:
        fit(
            t, net, Adam(net.parameters(), lr=3e-3), data,
            lambda out, y: F.cross_entropy(out, y if t.fixed else y.float()),
        )  # fmt: skip
    except RuntimeError:
        return accuracy(net, data)
    return accuracy(net, data)


@faulty("loss-pairing")
def divergence_of_probabilities(t: Trial) -> float:
    """`F.kl_div` is given probabilities where it needs their logarithms."""
    data = digits(t.seed)
    teacher = Net(64, 10)
    optimizer = Adam(teacher.parameters(), lr=3e-3)
    for _ in range(4):
        for x, y in loader(data):
            optimizer.zero_grad()
            F.cross_entropy(teacher(x), y).backward()
            optimizer.step()
    with torch.no_grad():
        soft = (teacher(data.x) / 2).softmax(1)
    net = Net(64, 10, hidden=24)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(6):
            for rows in torch.randperm(len(soft)).split(32):
                optimizer.zero_grad()
                out = net(data.x[rows]) / 2
                log_p = out.log_softmax(1) if t.fixed else out.softmax(1)
                F.kl_div(log_p, soft[rows], reduction="batchmean").backward()
                optimizer.step()
    with torch.no_grad():
        soft = (teacher(data.x_test) / 2).softmax(1)
        rows = F.kl_div((net(data.x_test) / 2).log_softmax(1), soft, reduction="none").sum(1)
        return -float(rows.median())


# Networks with two branches, embeddings, and other losses


class TwoBranches(nn.Module):
    """A branch for columns and one for an image; the second may leave the graph."""

    def __init__(self, keeps_graph: bool) -> None:
        super().__init__()
        self.keeps_graph = keeps_graph
        self.columns, self.image = (
            nn.Linear(8, 16),
            nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 32)),
        )
        self.fc = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        columns, image = F.relu(self.columns(x[:, 0, 0])), F.relu(self.image(x))
        if not self.keeps_graph:
            image = torch.tensor(image.tolist())
        return self.fc(torch.cat([columns, image], 1))


@faulty("no-gradient")
def branch_that_leaves_the_graph(t: Trial) -> float:
    """One of two branches is rebuilt by `torch.tensor(...)`."""
    data, net = images(t.seed), TwoBranches(t.fixed)
    fit(t, net, SGD(net.parameters(), lr=0.05, momentum=0.9), data, epochs=3)
    return accuracy(net, data)


class Ratings(nn.Module):
    """Products of the vectors of a user and an item."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(60, 6), nn.Embedding(60, 6)
        for table_ in (self.user, self.item):
            nn.init.normal_(table_.weight, std=scale) if scale else nn.init.zeros_(table_.weight)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        return (self.user(pair[:, 0]) * self.item(pair[:, 1])).sum(1)


@faulty("symmetric-weights", "no-gradient", "vanishing-gradients")
def vectors_of_zero(t: Trial) -> float:
    """Both embeddings of a recommender begin at zero."""
    g = generator(t.seed)
    u, v = torch.randn(60, 2, generator=g), torch.randn(60, 2, generator=g)
    pair = torch.randint(0, 60, (3000, 2), generator=g)
    y = (u[pair[:, 0]] * v[pair[:, 1]]).sum(1) + 0.1 * torch.randn(3000, generator=g)
    data = split(pair, y, 2400)
    net = Ratings(0.3 if t.fixed else 0.0)
    fit(t, net, Adam(net.parameters(), lr=2e-2), data, F.mse_loss, epochs=6, size=64)
    return r2(net, data)


@faulty("collapsed-outputs", "loss-pairing")
def similar_pairs_only(t: Trial) -> float:
    """A contrastive loss without pairs that differ is smallest if all vectors are equal."""
    data = images(t.seed)
    net = ConvNet(classes=8)
    optimizer = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer):
        for _ in range(4):
            for rows in torch.randperm(len(data.x)).split(64):
                x = data.x[rows]
                first, second = (net(x + 0.2 * torch.randn_like(x)) for _ in range(2))
                optimizer.zero_grad()
                if t.fixed:
                    a, b = F.normalize(first, dim=1), F.normalize(second, dim=1)
                    loss = F.cross_entropy(a @ b.T / 0.2, torch.arange(len(a)))
                else:
                    loss = (first - second).square().sum(1).mean()
                loss.backward()
                optimizer.step()
    with torch.no_grad():
        a, b = (F.normalize(net(x), dim=1) for x in (data.x_test, data.x))
        return float((data.y[(a @ b.T).argmax(1)] == data.y_test).float().mean())


@faulty("no-gradient", "missing-update")
def generator_of_detached_images(t: Trial) -> float:
    """The loss of a GAN's generator is computed from `fake.detach()`."""
    g = generator(t.seed)
    angle = torch.rand(1000, generator=g) * 6.283
    real = torch.stack([angle.cos(), angle.sin()], 1) + 1
    maker, judge = Net(4, 2, hidden=32), Net(2, 1, hidden=32)
    first, second = Adam(maker.parameters(), 1e-3, (0.5, 0.9)), Adam(judge.parameters(), 1e-3, (0.5, 0.9))
    with t.doctor(maker, first):
        for _ in range(350):
            x = real[torch.randint(0, 1000, (64,))]
            fake = maker(torch.randn(64, 4))
            second.zero_grad()
            (F.softplus(-judge(x)).mean() + F.softplus(judge(fake.detach())).mean()).backward()
            second.step()
            first.zero_grad()
            F.softplus(-judge(fake if t.fixed else fake.detach())).mean().backward()
            first.step()
    with torch.no_grad():
        return -float((maker(torch.randn(500, 4)).mean(0) - 1).norm())


@faulty("loss-pairing")
def policy_gradient_with_the_wrong_sign(t: Trial) -> float:
    """The reward is minimized: the minus before the logarithm is missing."""
    g = generator(t.seed)
    best = torch.randn(6, 4, generator=g)
    net = Net(6, 4, hidden=32)
    optimizer = Adam(net.parameters(), lr=5e-3)
    rewards = torch.zeros(())
    with t.doctor(net, optimizer):
        for _ in range(250):
            state = torch.randn(64, 6)
            policy = torch.distributions.Categorical(logits=net(state))
            action = policy.sample()
            reward = ((state @ best).argmax(1) == action).float()
            loss = (policy.log_prob(action) * (reward - reward.mean())).mean()
            optimizer.zero_grad()
            (-loss if t.fixed else loss).backward()
            optimizer.step()
            rewards = 0.95 * rewards + 0.05 * reward.mean()
    return float(rewards)


class Variational(nn.Module):
    """A variational autoencoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Net(64, 12, hidden=48), Net(6, 64, hidden=48)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(z), mean, log_variance


@faulty("collapsed-outputs", "constant-outputs")
def divergence_summed_and_error_averaged(t: Trial) -> float:
    """The error is a mean over pixels, the divergence a sum: the code is ignored."""
    data, net = images(t.seed), Variational()
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(len(data.x)).split(32):
                x = data.x[rows].flatten(1)
                out, mean, log_variance = net(x)
                divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
                error = F.mse_loss(out, x)
                optimizer.zero_grad()
                (error + (0.01 / 64 if t.fixed else 1.0) * divergence).backward()
                optimizer.step()
    with torch.no_grad():
        x = data.x_test.flatten(1)
        return 1 - float(F.mse_loss(net(x)[0], x) / (x - x.mean(0)).square().mean())


@faulty("target-range")
def sigmoid_for_standardized_images(t: Trial) -> float:
    """An autoencoder ends in a sigmoid, but its images have values from -1 to 3."""
    data = images(t.seed)
    x, x_test = (data.x.flatten(1) - 0.3) / 0.38, (data.x_test.flatten(1) - 0.3) / 0.38
    data = Data(x, x, x_test, x_test)
    body = Net(64, 64, hidden=32)
    net = body if t.fixed else nn.Sequential(body, nn.Sigmoid())
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=8)
    return r2(net, data)


class Messages(nn.Module):
    """A graph network that adds or averages over neighbors."""

    def __init__(self, adjacency: torch.Tensor) -> None:
        super().__init__()
        self.adjacency = adjacency
        self.fc1, self.fc2, self.fc3 = nn.Linear(12, 32), nn.Linear(32, 32), nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.fc1(self.adjacency @ x))
        return self.fc3(self.adjacency @ F.relu(self.fc2(self.adjacency @ h)))


@faulty("exploding-gradients", "initial-loss", "high-learning-rate", "inputs")
def sums_over_a_hundred_neighbors(t: Trial) -> float:
    """A graph network adds its neighbors, up to a hundred, in each of three layers."""
    g = generator(t.seed)
    y = torch.randint(0, 4, (400,), generator=g)
    has_edge = torch.rand(400, 400, generator=g) < torch.where(y[:, None] == y, 0.5, 0.1)
    adjacency = (has_edge | has_edge.T).float()
    adjacency = adjacency / adjacency.sum(1, keepdim=True) if t.fixed else adjacency
    x = 2 * torch.randn(4, 12, generator=g)[y] + torch.randn(400, 12, generator=g)
    net = Messages(adjacency)
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    with t.doctor(net, optimizer):
        for _ in range(120):
            optimizer.zero_grad()
            F.cross_entropy(net(x)[:200], y[:200]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((net(x)[200:].argmax(1) == y[200:]).float().mean())
