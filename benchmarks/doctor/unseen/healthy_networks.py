"""Healthy trainings of networks of many kinds, with the losses that these usually have."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.harness import Trial, accuracy, healthy, r2
from benchmarks.doctor.unseen.faulty_courses import Attention
from benchmarks.doctor.unseen.faulty_networks import LoRA, Messages, Ratings, pretrain
from benchmarks.doctor.unseen.faulty_sequences import (
    Copy,
    Decoder,
    Order,
    Reader,
    chain,
    next_token_accuracy,
    reviews,
    train_language_model,
)
from benchmarks.doctor.unseen.loop import ConvNet, Net, digits, fit, generator, loader, split, validate
from torch import nn
from torch.nn import functional as F

Adam, AdamW, SGD = torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD


@healthy
def unseen_conv_net_with_batch_norm_and_shifts(t: Trial) -> float:
    data, net = images(t.seed), ConvNet(norm=True)
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)

    def move(x: torch.Tensor) -> torch.Tensor:
        i, j = torch.randint(0, 3, (2,)).tolist()
        return F.pad(x, (1,) * 4)[:, :, i : i + 8, j : j + 8]

    fit(t, net, optimizer, data, epochs=6, size=64, augment=move, schedule=schedule)
    return accuracy(net, data)


@healthy
def unseen_perceptron_with_dropout(t: Trial) -> float:
    data = digits(t.seed)
    net = Net(64, 10, hidden=128, layers=2, dropout=0.3)
    fit(t, net, AdamW(net.parameters(), lr=2e-3), data, epochs=8, size=128)
    return accuracy(net, data)


@healthy
def unseen_lstm_of_padded_reviews(t: Trial) -> float:
    data, net = reviews(t.seed), Reader(reads_padding=False)
    fit(t, net, Adam(net.parameters(), lr=8e-3), data, epochs=5, size=50, clip=1.0)
    return accuracy(net, data)


class Counter(nn.Module):
    """A plain recurrent network over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(12, 16), nn.RNN(16, 32, batch_first=True)
        self.fc = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(self.embed(x))[0].mean(1))


@healthy
def unseen_recurrent_network_of_tokens(t: Trial) -> float:
    x = torch.randint(0, 12, (1400, 15), generator=generator(t.seed))
    data = split(x, torch.stack([(x % 3 == k).sum(1) for k in range(3)], 1).argmax(1), 1000)
    net = Counter()
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=6, size=40)
    return accuracy(net, data)


@healthy
def unseen_transformer_with_positions(t: Trial) -> float:
    g = generator(t.seed)
    x = torch.randint(0, 10, (1400, 10), generator=g)
    data = split(x, (x[:, 0] > x[:, 5]).long(), 1000)
    net = Order(positions=True)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=8, size=50)
    return accuracy(net, data)


@healthy
def unseen_causal_language_model(t: Trial) -> float:
    x, net = chain(t.seed), Decoder(causal=True)
    train_language_model(t, net, x)
    return next_token_accuracy(net, x[600:])


@healthy
def unseen_image_transformer_with_a_warm_up(t: Trial) -> float:
    data, net = images(t.seed), Attention()
    optimizer = AdamW(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: [0.3, 1.0, 0.8, 0.5, 0.2, 0.1][min(epoch, 5)])
    fit(t, net, optimizer, data, epochs=6, schedule=schedule)
    return accuracy(net, data)


class Residual(nn.Module):
    """Two residual blocks with group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.Linear(12, 10)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(3, 12), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1)) for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x.mean((2, 3)))


@healthy
def unseen_residual_network_of_group_norm(t: Trial) -> float:
    data, net = images(t.seed), Residual()
    fit(t, net, Adam(net.parameters(), lr=4e-3), data, epochs=8, size=16)
    return accuracy(net, data)


@healthy
def unseen_graph_network(t: Trial) -> float:
    g = generator(t.seed)
    y = torch.randint(0, 4, (300,), generator=g)
    has_edge = torch.rand(300, 300, generator=g) < torch.where(y[:, None] == y, 0.05, 0.01)
    adjacency = (has_edge | has_edge.T | torch.eye(300, dtype=torch.bool)).float()
    net = Messages(adjacency / adjacency.sum(1, keepdim=True))
    x = torch.randn(4, 12, generator=g)[y] + 1.5 * torch.randn(300, 12, generator=g)
    optimizer = Adam(net.parameters(), lr=1e-2, weight_decay=5e-4)
    with t.doctor(net, optimizer):
        for _ in range(80):
            optimizer.zero_grad()
            F.cross_entropy(net(x)[:150], y[:150]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((net(x)[150:].argmax(1) == y[150:]).float().mean())


@healthy
def unseen_vectors_of_users_and_items(t: Trial) -> float:
    g = generator(t.seed)
    u, v = torch.randn(60, 2, generator=g), torch.randn(60, 2, generator=g)
    pair = torch.randint(0, 60, (3000, 2), generator=g)
    y = (u[pair[:, 0]] * v[pair[:, 1]]).sum(1) + 0.1 * torch.randn(3000, generator=g)
    data, net = split(pair, y, 2400), Ratings(0.3)
    fit(t, net, Adam(net.parameters(), lr=2e-2), data, F.mse_loss, epochs=8, size=64)
    return r2(net, data)


@healthy
def unseen_encoder_and_decoder(t: Trial) -> float:
    x = torch.randint(1, 9, (900, 4), generator=generator(t.seed))
    y = x.flip(1)
    previous = F.pad(y[:, :-1], (1, 0))
    net = Copy(sees_encoder=True)
    optimizer = Adam(net.parameters(), lr=1e-2)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(700).split(35):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows], previous[rows]).flatten(0, 1), y[rows].flatten()).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimizer.step()
    with torch.no_grad():
        return float((net(x[700:], previous[700:]).argmax(-1) == y[700:]).float().mean())


# Trained weights


@healthy
def unseen_adapters(t: Trial) -> float:
    data = digits(t.seed)
    net = Net(64, 10, hidden=48, layers=2)
    optimizer = Adam(net.parameters(), lr=3e-3)
    for _ in range(3):
        for x, y in loader(data):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
    rotated = Data(data.x.flip(1), data.y, data.x_test.flip(1), data.y_test)
    for p in net.parameters():
        p.requires_grad = False
    for i, layer in enumerate(net.hidden):
        net.hidden[i] = LoRA(layer, 8, zero_both=False)  # type: ignore[arg-type]
    fit(t, net, Adam([p for p in net.parameters() if p.requires_grad], lr=5e-3), rotated, epochs=6)
    return accuracy(net, rotated)


@healthy
def unseen_finetuned_network(t: Trial) -> float:
    net, data = pretrain(t.seed)
    net.fc2 = nn.Linear(48, 2)
    body = [*net.conv1.parameters(), *net.conv2.parameters(), *net.fc1.parameters()]
    optimizer = SGD([{"params": net.fc2.parameters(), "lr": 0.05}, {"params": body}], lr=0.01, momentum=0.9)
    fit(t, net, optimizer, data, epochs=5)
    return accuracy(net, data)


@healthy
def unseen_trained_head_of_other_labels(t: Trial) -> float:
    """The head is kept, so that the first loss is far above that of a guess: its outputs meant other classes."""
    net, _ = pretrain(t.seed)
    data = images(t.seed)
    data = Data(data.x[800:], 9 - data.y[800:], data.x_test, 9 - data.y_test)
    fit(t, net, Adam(net.parameters(), lr=2e-3), data, epochs=14, size=16)
    return accuracy(net, data)


@healthy
def unseen_average_of_weights(t: Trial) -> float:
    data, net = images(t.seed), ConvNet()
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.95))
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(5):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                average.update_parameters(net)
            validate(average, data, F.cross_entropy, dr)
    return accuracy(average, data)


@healthy
def unseen_stopped_early(t: Trial) -> float:
    data = generate("table", t.seed)
    net = Net(20, 5, hidden=64)
    optimizer = Adam(net.parameters(), lr=2e-3)
    best, bad_epochs = float("inf"), 0
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(40):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            loss = validate(net, data, F.cross_entropy, dr)
            best, bad_epochs = min(best, loss), 0 if loss < best else bad_epochs + 1
            if bad_epochs == 3:
                break
    return accuracy(net, data)
