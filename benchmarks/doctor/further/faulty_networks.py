"""Faulty trainings whose network or its use is wrong: normalization, rounding, replicas, old classes, ensembles."""

from __future__ import annotations

import copy
from collections import deque

import torch
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.further.shapes import explained, loaders, loss_and_accuracy
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import digits
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F


class Forecaster(nn.Module):
    """A normalized series of one measurement, a recurrent network and a linear layer."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.rnn = nn.LSTM(1, 24, batch_first=True)
        self.head = nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(self.norm(x))
        return self.head(h[:, -1])


# A LayerNorm of one feature subtracts the feature from itself.
@faulty("constant-outputs", "collapsed-outputs", "normalized-away", "constant-activations")
def further_layer_norm_of_one_feature(t: Trial) -> float:
    """`nn.LayerNorm(1)` for a series with one measurement at each time: all of its outputs are equal."""
    g = torch.Generator().manual_seed(t.seed)
    start, speed = torch.rand(900, 1, generator=g) * 6.28, 0.2 + 0.4 * torch.rand(900, 1, generator=g)
    series = torch.sin(start + speed * torch.arange(17)) + 0.1 * torch.randn(900, 17, generator=g)
    x, y = series[:, :16, None], series[:, 16:]
    model = Forecaster(nn.Identity() if t.fixed else nn.LayerNorm(1))
    opt = torch.optim.Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, opt, data=(x[:600], y[:600]), validation=(x[600:], y[600:])) as dr:
        for _ in range(15):
            for rows in torch.randperm(600).split(30):
                opt.zero_grad()
                F.mse_loss(model(x[rows]), y[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(model(x[600:]), y[600:])))
    return explained(model(x[600:]).detach(), y[600:])


# Without running statistics each evaluated batch is normalized by itself, and these batches have one class each.
@faulty("batch-norm-statistics", "batch-statistics", "mode")
def further_statistics_of_the_evaluated_batch(t: Trial) -> float:
    """`track_running_stats=False`, and the rows to evaluate are read folder by folder."""
    data = digits(t.seed)
    order = torch.argsort(data.y_test)
    folders = order.split(50)
    norm = nn.BatchNorm1d(64, track_running_stats=t.fixed)
    net = nn.Sequential(nn.Linear(64, 64), norm, nn.ReLU(), nn.Linear(64, 10))
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

    @torch.no_grad()
    def evaluate() -> float:
        net.eval()
        hits = [net(data.x_test[rows]).argmax(1) == data.y_test[rows] for rows in folders]
        return float(torch.cat(hits).float().mean())

    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test[order], data.y_test[order])) as dr:
        for _ in range(6):
            net.train()
            for x, y in loaders(data)[0]:
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
            dr.validation(score=evaluate())
    return evaluate()


class QuantizedLinear(nn.Linear):
    """A linear layer whose weights are rounded to multiples of 1/8 in the forward pass."""

    straight = True

    def forward(self, x: Tensor) -> Tensor:
        rounded = torch.round(self.weight * 8) / 8
        if self.straight:
            rounded = self.weight + (rounded - self.weight).detach()
        return F.linear(x, rounded, self.bias)


# The derivative of rounding is zero: of each layer only the bias learns.
@faulty("no-gradient", "rounded-weights", "missing-straight-through")
def further_rounded_weights_without_a_straight_path(t: Trial) -> float:
    """A quantization-aware training rounds its weights and has no straight-through estimator."""
    data = digits(t.seed)
    net = nn.Sequential(QuantizedLinear(64, 64), nn.ReLU(), QuantizedLinear(64, 10))
    for layer in (net[0], net[2]):
        layer.straight = t.fixed
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(8):
            net.train()
            for x, y in loaders(data)[0]:
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
            dr.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


class LogFeatures(nn.Module):
    """Logarithms of learned non-negative mixtures of amounts, where they are positive, and a small network."""

    def __init__(self, inputs: int, fixed: bool) -> None:
        super().__init__()
        self.mix, self.fixed = nn.Parameter(torch.rand(inputs, 12) * 0.5), fixed
        self.out = mlp(12, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        amount = x @ self.mix.abs()
        if self.fixed:
            amount = torch.where(amount > 0, amount, torch.ones_like(amount))
        logarithm = torch.where(amount > 0, amount.log(), torch.zeros_like(amount))
        return self.out(logarithm)


# `torch.where` hides the -inf of the branch that is not taken, but not the nan of its gradient.
@faulty("non-finite-loss", "non-finite-gradients")
def further_logarithm_behind_a_where(t: Trial) -> float:
    """`torch.where(a > 0, a.log(), 0)`: the loss stays finite, but a row without any amount makes the mixtures nan."""
    g = torch.Generator().manual_seed(t.seed)
    x = torch.rand(900, 5, generator=g) * 4
    x[::60] = 0
    y = (x.sum(1, keepdim=True) + 1).log() + 0.1 * torch.randn(900, 1, generator=g)
    net = LogFeatures(5, t.fixed)
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt, data=(x[:600], y[:600]), validation=(x[600:], y[600:])) as dr:
        for _ in range(12):
            for rows in torch.randperm(600).split(20):
                opt.zero_grad()
                F.mse_loss(net(x[rows]), y[rows]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(x[600:]), y[600:])))
    return explained(net(x[600:]).detach(), y[600:])


# Each worker begins with its own random weights: the mean of their gradients fits none of the replicas.
@faulty("unsynchronized-replicas", "foreign-gradients")
def further_replicas_that_begin_differently(t: Trial) -> float:
    """Data parallelism from scratch: gradients are averaged, but the initial weights are not broadcast."""
    data, workers = digits(t.seed), 8
    replicas = [mlp(64, 48, 48, 48, 10) for _ in range(workers)]
    if t.fixed:
        replicas = [copy.deepcopy(replicas[0]) for _ in range(workers)]
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9) for net in replicas]
    net = replicas[0]
    with t.doctor(net, optimizers[0], data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _epoch in range(6):
            for batch in torch.randperm(len(data.x))[:1216].split(64):
                shards = batch.chunk(workers)
                for replica, opt, shard in zip(replicas, optimizers, shards, strict=True):
                    replica.train()
                    opt.zero_grad()
                    F.cross_entropy(replica(data.x[shard]), data.y[shard]).backward()
                for same_place in zip(*(replica.parameters() for replica in replicas), strict=True):
                    mean = torch.stack([p.grad for p in same_place]).mean(0)  # all_reduce
                    for p in same_place:
                        p.grad = mean.clone()
                for opt in optimizers:
                    opt.step()
            dr.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


# A trained network is trained on with new classes only, and forgets the old ones.
@faulty("forgetting", "absent-classes", "missed-classes", "shifted-rows")
def further_continued_without_the_old_classes(t: Trial) -> float:
    """A network of the digits 0 to 4 is extended to all ten with rows of 5 to 9 alone."""
    data = digits(t.seed)
    is_new = data.y >= 5
    net = mlp(64, 64, 10)
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)

    def epoch(x: Tensor, y: Tensor) -> None:
        net.train()
        for rows in torch.randperm(len(x)).split(32):
            opt.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            opt.step()

    for _ in range(4):
        epoch(data.x[~is_new], data.y[~is_new])
    rehearsed = torch.ones_like(is_new) if t.fixed else is_new
    x, y = data.x[rehearsed], data.y[rehearsed]
    with t.doctor(net, opt, data=(x, y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6):
            epoch(x, y)
            dr.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


class Recommender(nn.Module):
    """The product of vectors of users and films, with a bias for each."""

    def __init__(self, users: int, films: int, width: int = 12) -> None:
        super().__init__()
        self.user, self.film = nn.Embedding(users, width), nn.Embedding(films, width)
        self.bias = nn.Embedding(films, 1)
        for table in (self.user, self.film):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, pairs: Tensor) -> Tensor:
        users, films = pairs.unbind(1)
        return (self.user(users) * self.film(films)).sum(1) + self.bias(films).squeeze(1)


# Films are drawn at random as not watched, also those that the user has watched.
@faulty("false-negatives", "conflicting-rows", "label-noise")
def further_negatives_that_were_watched(t: Trial) -> float:
    """The negative samples are not compared with the list of what a user has watched."""
    g = torch.Generator().manual_seed(t.seed)
    taste, genre = torch.randn(80, 3, generator=g), torch.randn(40, 3, generator=g)
    score = taste @ genre.T
    watched = score > score.quantile(0.5)
    for_test = torch.rand(watched.shape, generator=g) < 0.25
    positive = (watched & ~for_test).nonzero()
    if t.fixed:
        pool = (~watched & ~for_test).nonzero()
        negative = pool[torch.randint(0, len(pool), (len(positive),), generator=g)]
    else:  # more often what is popular
        chosen = positive[torch.randint(0, len(positive), (len(positive),), generator=g), 1]
        negative = torch.stack([positive[:, 0], chosen], 1)
    pairs = torch.cat([positive, negative])
    y = torch.cat([torch.ones(len(positive)), torch.zeros(len(negative))])
    net = Recommender(80, 40)
    opt = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=1e-4)
    test_pairs, truth = for_test.nonzero(), watched[for_test]
    with t.doctor(net, opt, data=(pairs, y), validation=(test_pairs, truth.float())) as dr:
        for _ in range(10):
            for rows in torch.randperm(len(pairs)).split(64):
                opt.zero_grad()
                F.binary_cross_entropy_with_logits(net(pairs[rows]), y[rows]).backward()
                opt.step()
            with torch.no_grad():
                loss = F.binary_cross_entropy_with_logits(net(test_pairs), truth.float())
            dr.validation(loss=float(loss))
    return float(roc_auc_score(truth.numpy(), net(test_pairs).detach().numpy()))


# The rows are predicted in another order than that of the labels.
@faulty("shuffled-predictions", "evaluated-scores", "misaligned-targets")
def further_predictions_of_a_shuffled_loader(t: Trial) -> float:
    """Predictions are collected from a loader with `shuffle=True` and compared with the column of the file."""
    data = generate("table", t.seed, 900, 20)
    net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5))
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    test_loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(data.x_test), batch_size=64, shuffle=not t.fixed
    )

    def predict() -> Tensor:
        net.eval()
        with torch.no_grad():
            return torch.cat([net(x).argmax(1) for (x,) in test_loader])

    score = 0.0
    with t.doctor(net, opt, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(8):
            net.train()
            for x, y in loaders(data)[0]:
                opt.zero_grad()
                F.cross_entropy(net(x), y).backward()
                opt.step()
            score = float((predict() == data.y_test).float().mean())
            dr.validation(score=score)
    return score


class Committee(nn.Module):
    """Several networks that are trained together, each with its own loss."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(mlp(64, 32, 10) for _ in range(members))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members])


# The mean of the classes 1 and 7 is the class 4.
@faulty("evaluated-scores", "averaged-class-numbers")
def further_mean_of_class_numbers(t: Trial) -> float:
    """An ensemble averages the predicted numbers of classes instead of the probabilities."""
    data, net = digits(t.seed), Committee(5)
    data = Data(data.x[:240], data.y[:240], data.x_test, data.y_test)
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)

    @torch.no_grad()
    def evaluate() -> float:
        out = net(data.x_test)
        predicted = out.softmax(-1).mean(0).argmax(-1) if t.fixed else out.argmax(-1).float().mean(0).long()
        return float((predicted == data.y_test).float().mean())

    with t.doctor(net, opt, data=(data.x, data.y)) as dr:
        for _ in range(15):
            for x, y in loaders(data)[0]:
                opt.zero_grad()
                sum(F.cross_entropy(out, y) for out in net(x)).backward()
                opt.step()
            dr.validation(score=evaluate())
    return evaluate()


class Cart:
    """A cart on a line that is pushed to the left or the right; the middle is rewarded."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.state = torch.zeros(2)
        self.reset()

    def reset(self) -> Tensor:
        self.state[0], self.state[1] = 2 * torch.rand(1, generator=self.generator).item() - 1, 0.0
        return self.state

    def step(self, action: int) -> tuple[Tensor, float]:
        self.state[1] = 0.8 * self.state[1] + (0.15 if action else -0.15)
        self.state[0] = (self.state[0] + self.state[1]).clamp(-2, 2)
        return self.state, -float(self.state[0].abs())


# The environment changes its state in place: state and next state of all stored steps are one tensor.
@faulty("aliased-rows", "repeated-rows", "conflicting-rows")
def further_replay_of_one_mutable_state(t: Trial) -> float:
    """`buffer.append((state, action, reward, next_state))` stores references to the array of the environment."""
    net = mlp(2, 48, 2)
    target = copy.deepcopy(net)
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    environment = Cart(t.seed)
    memory: deque[tuple[Tensor, int, float, Tensor]] = deque(maxlen=2000)
    store = torch.clone if t.fixed else (lambda state: state)
    with t.doctor(net, opt):
        for step in range(900):
            if step % 25 == 0:
                state = store(environment.reset())
            is_random = torch.rand(1).item() < max(0.1, 1 - step / 400)
            action = int(torch.rand(1) < 0.5) if is_random else int(net(state).argmax())
            next_state, reward = environment.step(action)
            memory.append((state, action, reward, store(next_state)))
            state = store(next_state)
            if step < 64:
                continue
            states, actions, rewards, following = zip(
                *(memory[i] for i in torch.randint(0, len(memory), (48,)).tolist()), strict=True
            )
            with torch.no_grad():
                value = torch.tensor(rewards) + 0.9 * target(torch.stack(following)).amax(1)
            chosen = net(torch.stack(states)).gather(1, torch.tensor(actions)[:, None]).squeeze(1)
            opt.zero_grad()
            F.smooth_l1_loss(chosen, value).backward()
            opt.step()
            if step % 20 == 0:
                target.load_state_dict(net.state_dict())
    total, environment = 0.0, Cart(t.seed + 1000)
    for _ in range(10):
        state = environment.reset()
        for _ in range(25):
            state, reward = environment.step(int(net(state).argmax()))
            total += reward / 250
    return total


# A network of tanh units does not go on with a trend: the held-out part of the series is above all it has learned.
@faulty("shifted-rows", "shifted-targets", "trend")
def further_levels_of_a_rising_series(t: Trial) -> float:
    """The sales of later years are predicted from levels, not from differences."""
    g = torch.Generator().manual_seed(t.seed)
    days = torch.arange(1012, dtype=torch.float32)
    series = 0.006 * days + torch.sin(days * 0.4) + 0.1 * torch.randn(1012, generator=g)
    windows, y = series[:-1].unfold(0, 11, 1), series[11:, None]
    level = windows[:, -1:]
    x = windows - level if t.fixed else windows
    target = y - level if t.fixed else y
    mean, std = x[:700].mean(), x[:700].std()
    x, scale = (x - mean) / std, target[:700].std()
    center = target[:700].mean()
    target = (target - center) / scale
    net = mlp(11, 32, 1, act=nn.Tanh)
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    rows = Data(x[:700], target[:700], x[700:], target[700:])
    with t.doctor(net, opt, data=(rows.x, rows.y), validation=(rows.x_test, rows.y_test)) as dr:
        for _ in range(15):
            for xb, yb in loaders(rows)[0]:
                opt.zero_grad()
                F.mse_loss(net(xb), yb).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(rows.x_test), rows.y_test)))
    forecast = net(rows.x_test).detach() * scale + center + (level[700:] if t.fixed else 0)
    return explained(forecast, y[700:])
