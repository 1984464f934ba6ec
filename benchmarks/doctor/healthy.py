"""Trainings in which all is well, chosen to tempt one that looks for trouble.

The odd ones are for development, the even ones are held out.
"""

from __future__ import annotations

import itertools
import math

import torch
from parts import (
    Data,
    Trial,
    accuracy,
    agreement,
    batches,
    binary_accuracy,
    diabetes,
    healthy,
    images,
    lenet,
    made,
    mlp,
    table,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@healthy
def plain_digits(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@healthy
def plain_images(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def spikes_of_the_warm_up(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 64, 10)
    optimizer = SGD(model.parameters(), lr=0.25, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 20) * (1.0 if step < 40 else 0.05)
    )
    train(t, model, optimizer, data, schedule=schedule)
    return accuracy(model, data)


@healthy
def one_cycle(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.08, total_steps=250)
    train(t, model, optimizer, data, schedule=schedule)
    return accuracy(model, data)


@healthy
def cosine_with_restarts(t: Trial) -> float:
    data = made("table", t.seed)
    model = mlp(20, 64, 5)
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=50, T_mult=2)
    train(t, model, optimizer, data, steps=350, schedule=schedule)
    return accuracy(model, data)


@healthy
def cosine_to_zero(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 16, 1)
    optimizer = SGD(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=300)
    train(t, model, optimizer, data, F.mse_loss, steps=300, schedule=schedule)
    return agreement(model, data)


@healthy
def long_plateau_of_a_sigmoid_lenet(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Sigmoid)
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.xavier_uniform_(p)
    train(t, model, Adam(model.parameters(), lr=2e-3), data, steps=700)
    return accuracy(model, data)


@healthy
def plateau_of_sigmoids_with_adam(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10, act=nn.Sigmoid)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=400)
    return accuracy(model, data)


@healthy
def much_dropout(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    optimizer = Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer):
        for epoch in range(6):
            model.train()
            for x, y in batches(data, 32, 40, t.seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(data.x_test), data.y_test)
    return accuracy(model, data)


@healthy
def dropout_and_batch_norm_in_an_image_network(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(288, 10)
    )
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    with t.doctor(model, optimizer):
        for epoch in range(4):
            model.train()
            for x, y in batches(data, 32, 39, t.seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x in data.x_test.split(100):
                    model(x)
    return accuracy(model, data)


@healthy
def smoothed_labels(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, nn.CrossEntropyLoss(label_smoothing=0.2))
    return accuracy(model, data)


@healthy
def mixed_rows(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 64, 250, t.seed):
            share, rows = float(torch.rand(())), torch.randperm(len(x))
            soft = F.one_hot(y, 10).float()
            optimizer.zero_grad()
            out = model(share * x + (1 - share) * x[rows])
            F.cross_entropy(out, share * soft + (1 - share) * soft[rows]).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def raw_targets_and_huge_gradients(t: Trial) -> float:
    data = diabetes(t.seed, True, False)
    model = mlp(10, 32, 1)
    train(t, model, Adam(model.parameters(), lr=0.1), data, F.mse_loss, steps=300)
    return agreement(model, data)


@healthy
def raw_targets_of_a_line(t: Trial) -> float:
    found = made("regression", t.seed)
    data = Data(found.x, found.y * 200 + 1000, found.x_test, found.y_test * 200 + 1000)
    model = nn.Linear(20, 1)
    train(t, model, SGD(model.parameters(), lr=0.02), data, lambda out, y: ((out - y) ** 2).mean(), steps=300)
    return agreement(model, data)


def pretrained(data: Data, seed: int) -> nn.Sequential:
    """A body and a head; the body was trained on half of the classes."""
    torch.manual_seed(seed + 77)
    model = nn.Sequential(lenet()[:-1], nn.Linear(64, 10))
    optimizer = Adam(model.parameters(), lr=3e-3)
    for x, y in batches(data, 32, 150, seed):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y % 5).backward()
        optimizer.step()
    model[1] = nn.Linear(64, 10)
    return model


@healthy
def frozen_backbone(t: Trial) -> float:
    data = images(t.seed)
    model = pretrained(data, t.seed)
    model[0].requires_grad_(False)
    train(t, model, SGD(model[1].parameters(), lr=0.02), data)
    return accuracy(model, data)


@healthy
def frozen_backbone_in_the_optimiser(t: Trial) -> float:
    data = images(t.seed)
    model = pretrained(data, t.seed)
    for p in model[0].parameters():
        p.requires_grad = False
    train(t, model, Adam(model.parameters(), lr=5e-3), data)
    return accuracy(model, data)


@healthy
def backbone_in_evaluation_mode(t: Trial) -> float:
    data = images(t.seed)
    body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2))
    model = nn.Sequential(body, nn.Linear(288, 10))
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    for x, y in batches(data, 32, 100, t.seed):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    model[1] = nn.Linear(288, 10)
    body.requires_grad_(False)
    model.train()
    body.eval()
    optimizer = SGD(model[1].parameters(), lr=0.05, momentum=0.9)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def features_of_a_trained_body_without_gradient(t: Trial) -> float:
    data = images(t.seed)
    trained = pretrained(data, t.seed)

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = trained[0], nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                x = self.body(x)
            return self.head(x)

    model = Head()
    train(t, model, Adam(model.head.parameters(), lr=1e-2), data)
    return accuracy(model, data)


@healthy
def a_body_in_small_steps(t: Trial) -> float:
    data = images(t.seed)
    model = pretrained(data, t.seed)
    groups = [{"params": model[0].parameters(), "lr": 1e-5}, {"params": model[1].parameters(), "lr": 5e-3}]
    train(t, model, Adam(groups), data)
    return accuracy(model, data)


@healthy
def fine_tuned_in_small_steps(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10)
    optimizer = Adam(model.parameters(), lr=3e-3)
    for x, y in batches(data, 32, 300, t.seed):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    train(t, model, torch.optim.AdamW(model.parameters(), lr=1e-5), data)
    return accuracy(model, data)


@healthy
def half_of_the_relus_are_zero(t: Trial) -> float:
    data = made("table", t.seed)
    model = mlp(20, 256, 256, 5)
    nn.init.constant_(model[0].bias, -1.0)
    nn.init.constant_(model[2].bias, -0.3)
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def many_relus_and_few_active(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(nn.Flatten(), mlp(64, 512, 10))
    train(t, model, SGD(model.parameters(), lr=0.3), data)
    return accuracy(model, data)


@healthy
def batches_of_four(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.02), data, steps=600, size=4)
    return accuracy(model, data)


@healthy
def single_rows(t: Trial) -> float:
    data = table("iris", t.seed)
    model = mlp(4, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.01)
    with t.doctor(model, optimizer):
        for i in torch.randperm(len(data.x)).repeat(4).tolist():
            optimizer.zero_grad()
            F.cross_entropy(model(data.x[i : i + 1]), data.y[i : i + 1]).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def two_hundred_rows(t: Trial) -> float:
    found = table("digits", t.seed)
    data = Data(found.x[:200], found.y[:200], found.x_test, found.y_test)
    model = mlp(64, 32, 10)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, size=20)
    return accuracy(model, data)


@healthy
def few_rows_of_wine_in_one_batch(t: Trial) -> float:
    data = table("wine", t.seed)
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    with t.doctor(model, optimizer):
        for _ in range(150):
            optimizer.zero_grad()
            F.cross_entropy(model(data.x), data.y).backward()
            optimizer.step()
    return accuracy(model, data)


def rare(seed: int) -> Data:
    """Two classes, 5 to 95."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 10, generator=draw)
    y = ((x[:, :3].sum(1) + 0.3 * torch.randn(3000, generator=draw)) > 2.85).long()
    return Data(x[:2000], y[:2000], x[2000:], y[2000:])


@healthy
def one_in_twenty(t: Trial) -> float:
    data = rare(t.seed)
    model = mlp(10, 32, 2)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=400)
    return accuracy(model, data)


@healthy
def one_in_twenty_with_one_unit(t: Trial) -> float:
    data = rare(t.seed)
    model = mlp(10, 32, 1)
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(5.0))
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.1, momentum=0.9),
        data,
        lambda out, y: criterion(out.squeeze(1), y.float()),
        steps=400,
    )
    return binary_accuracy(model, data)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.b.weight)
        nn.init.zeros_(self.b.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.b(F.relu(self.a(x)))


@healthy
def residual_branches_that_begin_at_zero(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Linear(64, 32), *[Residual(32) for _ in range(4)], nn.ReLU(), nn.Linear(32, 10))
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def last_layer_begins_at_zero(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data)
    return accuracy(model, data)


@healthy
def collected_gradients(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.2)
    with t.doctor(model, optimizer):
        for i, (x, y) in enumerate(batches(data, 16, 600, t.seed), 1):
            (F.cross_entropy(model(x), y) / 4).backward()
            if i % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()
    return accuracy(model, data)


@healthy
def collected_and_clipped_gradients(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=5e-3)
    optimizer.zero_grad(set_to_none=False)
    with t.doctor(model, optimizer):
        for i, (x, y) in enumerate(batches(data, 8, 400, t.seed), 1):
            F.mse_loss(model(x), y).backward()
            if i % 2 == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
    return agreement(model, data)


def noisy(seed: int) -> Data:
    """A target of which nine tenths are noise."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(1500, 5, generator=draw)
    y = x[:, :1] + 3 * torch.randn(1500, 1, generator=draw)
    y = (y - y.mean()) / y.std()
    return Data(x[:1000], y[:1000], x[1000:], y[1000:])


@healthy
def mostly_noise(t: Trial) -> float:
    data = noisy(t.seed)
    model = mlp(5, 8, 1)
    train(t, model, SGD(model.parameters(), lr=0.02), data, F.mse_loss)
    return agreement(model, data)


@healthy
def mostly_noise_in_classes(t: Trial) -> float:
    found = noisy(t.seed)
    data = Data(found.x, (found.y[:, 0] > 0).long(), found.x_test, (found.y_test[:, 0] > 0).long())
    model = mlp(5, 16, 2)
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def whole_set_at_once(t: Trial) -> float:
    data = made("moons", t.seed)
    model = mlp(2, 32, 32, 2, act=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=1e-2)
    with t.doctor(model, optimizer):
        for _ in range(300):
            loss = F.cross_entropy(model(data.x), data.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def closures_of_lbfgs(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 16, 1, act=nn.Tanh)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=10)
    with t.doctor(model, optimizer):

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.mse_loss(model(data.x), data.y)
            loss.backward()
            return loss

        for _ in range(20):
            optimizer.step(closure)
    return agreement(model, data)


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.body(x)))


@healthy
def an_optimiser_for_each_part(t: Trial) -> float:
    data = table("digits", t.seed)
    model = TwoParts()
    optimizers = SGD(model.body.parameters(), lr=0.05), Adam(model.head.parameters(), lr=5e-3)
    with t.doctor(model, optimizers[0]):
        for x, y in batches(data, 32, 250, t.seed):
            for optimizer in optimizers:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for optimizer in optimizers:
                optimizer.step()
    return accuracy(model, data)


@healthy
def the_generator_of_two_that_compete(t: Trial) -> float:
    draw = torch.Generator().manual_seed(t.seed)
    maker, judge = mlp(4, 32, 2), mlp(2, 32, 1)
    first, second = Adam(maker.parameters(), lr=2e-3), Adam(judge.parameters(), lr=2e-3)
    loss = nn.BCEWithLogitsLoss()
    with t.doctor(maker, first):
        for _ in range(300):
            real = torch.randn(64, 2, generator=draw) * 0.5 + torch.tensor([2.0, -1.0])
            fake = maker(torch.randn(64, 4, generator=draw))
            second.zero_grad()
            wrong = loss(judge(fake.detach()), torch.zeros(64, 1))
            (loss(judge(real), torch.ones(64, 1)) + wrong).backward()
            second.step()
            first.zero_grad()
            loss(judge(fake), torch.ones(64, 1)).backward()
            first.step()
    with torch.no_grad():
        return -float((maker(torch.randn(256, 4)).mean(0) - torch.tensor([2.0, -1.0])).norm())


@healthy
def the_judge_of_two_that_compete(t: Trial) -> float:
    draw = torch.Generator().manual_seed(t.seed)
    maker, judge = mlp(4, 32, 2), mlp(2, 32, 1)
    first, second = Adam(maker.parameters(), lr=2e-3), Adam(judge.parameters(), lr=2e-3)
    with t.doctor(judge, second):
        for _ in range(300):
            real = torch.randn(64, 2, generator=draw) * 0.5 + torch.tensor([2.0, -1.0])
            fake = maker(torch.randn(64, 4, generator=draw))
            second.zero_grad()
            F.binary_cross_entropy_with_logits(judge(real), torch.ones(64, 1)).backward()
            F.binary_cross_entropy_with_logits(judge(fake.detach()), torch.zeros(64, 1)).backward()
            second.step()
            first.zero_grad()
            F.binary_cross_entropy_with_logits(judge(fake), torch.ones(64, 1)).backward()
            first.step()
    with torch.no_grad():
        return -float((maker(torch.randn(256, 4)).mean(0) - torch.tensor([2.0, -1.0])).norm())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(64, 16)
        self.decode = nn.Linear(16, 64)
        self.decode.weight = nn.Parameter(self.encode.weight.data.T.clone())
        self.bias = nn.Parameter(torch.zeros(64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(torch.tanh(self.encode(x)), self.encode.weight.T, self.bias)


@healthy
def tied_weights(t: Trial) -> float:
    data = table("digits", t.seed)
    data = Data(data.x, data.x, data.x_test, data.x_test)
    model = Tied()
    del model.decode
    train(t, model, Adam(model.parameters(), lr=5e-3), data, F.mse_loss)
    return agreement(model, data)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.kind, self.size = nn.Linear(64, 32), nn.Linear(32, 10), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.relu(self.body(x))
        return self.kind(x), self.size(x)


@healthy
def two_losses_in_one(t: Trial) -> float:
    data = table("digits", t.seed)
    model = TwoHeads()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 300, t.seed):
            optimizer.zero_grad()
            kind, size = model(x)
            (F.cross_entropy(kind, y) + 0.3 * F.mse_loss(size, x.mean(1, keepdim=True))).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(data.x_test)[0].argmax(1) == data.y_test).float().mean())


@healthy
def one_unit_and_two_classes(t: Trial) -> float:
    data = table("breast_cancer", t.seed)
    model = nn.Sequential(mlp(30, 16, 1), nn.Sigmoid())
    criterion = nn.BCELoss()
    train(t, model, Adam(model.parameters(), lr=5e-3), data, lambda out, y: criterion(out[:, 0], y.float()))
    return binary_accuracy(model, data, 0.5)


@healthy
def positive_targets_and_a_relu(t: Trial) -> float:
    found = made("regression", t.seed)
    data = Data(found.x, (found.y + 0.5).clamp(min=0), found.x_test, (found.y_test + 0.5).clamp(min=0))
    model = mlp(20, 32, 1)
    nn.init.constant_(model[2].bias, 0.5)
    model.append(nn.ReLU())
    train(t, model, Adam(model.parameters(), lr=5e-3), data, F.mse_loss)
    return agreement(model, data)


@healthy
def raw_columns_and_batch_norm(t: Trial) -> float:
    data = table("wine", t.seed, False)
    model = nn.Sequential(nn.BatchNorm1d(13), mlp(13, 16, 3))
    train(t, model, Adam(model.parameters(), lr=1e-2), data, size=32, steps=150)
    return accuracy(model, data)


@healthy
def softmax_and_the_squared_error(t: Trial) -> float:
    data = table("iris", t.seed)
    model = nn.Sequential(mlp(4, 16, 3), nn.Softmax(1))
    train(t, model, Adam(model.parameters(), lr=2e-2), data, lambda out, y: F.mse_loss(out, F.one_hot(y, 3).float()))
    return accuracy(model, data)


@healthy
def sparse_codes_of_saturated_sigmoids(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10, act=nn.Sigmoid)
    nn.init.normal_(model[0].weight, std=0.6)
    train(t, model, Adam(model.parameters(), lr=5e-3), data)
    return accuracy(model, data)


@healthy
def variances_learned_too(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 32, 2)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        mean, log_var = out[:, :1], out[:, 1:]
        return 0.5 * (log_var + (y - mean) ** 2 / log_var.exp()).mean()

    train(t, model, Adam(model.parameters(), lr=5e-3), data, loss, steps=300)
    return agreement(model[0:2].append(Slice(model[2])), data)


class Slice(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[:, :1]


@healthy
def a_head_that_waits(t: Trial) -> float:
    data = table("digits", t.seed)
    model = TwoHeads()
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 250, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model.kind(F.relu(model.body(x))), y).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(data.x_test)[0].argmax(1) == data.y_test).float().mean())


@healthy
def recurrent_and_clipped(t: Trial) -> float:
    data = images(t.seed)

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.GRU(8, 32, batch_first=True), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.rnn(x[:, 0])[1][0])

    model = Rows()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return accuracy(model, data)


@healthy
def scaled_for_half_precision(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = Adam(model.parameters(), lr=3e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=50)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return accuracy(model, data)


@healthy
def embedding_and_attention(t: Trial) -> float:
    draw = torch.Generator().manual_seed(t.seed)
    x = torch.randint(0, 20, (1500, 12), generator=draw)
    y = ((x == 3).sum(1) > (x == 7).sum(1)).long()
    data = Data(x[:1000], y[:1000], x[1000:], y[1000:])

    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(20, 16)
            self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
            self.out = nn.Linear(16, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.block(self.embed(x)).mean(1))

    model = Text()
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=200)
    return accuracy(model, data)


@healthy
def adversarial_rows_are_made_in_evaluation_mode(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 150, t.seed):
            model.eval()
            near = x.clone().requires_grad_(True)
            step = torch.autograd.grad(F.cross_entropy(model(near), y), near)[0].sign()
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x + 0.05 * step), y).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def penalised_weights_in_the_loss(t: Trial) -> float:
    data = made("regression", t.seed)
    model = mlp(20, 32, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(out, y) + 1e-4 * sum(p.abs().sum() for p in model.parameters())

    train(t, model, Adam(model.parameters(), lr=5e-3), data, loss)
    return agreement(model, data)


@healthy
def bounded_logits(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    train(
        t, model, Adam(model.parameters(), lr=2e-3), data, lambda out, y: F.cross_entropy(15 * torch.tanh(out / 15), y)
    )
    return accuracy(model, data)


@healthy
def easy_rows_first(t: Trial) -> float:
    data = made("blobs", t.seed)
    middle = torch.stack([data.x[data.y == k].mean(0) for k in range(6)])
    hard = (data.x - middle[data.y]).norm(dim=1).argsort()
    model = mlp(20, 32, 6)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for step in range(250):
            known = hard[: max(64, math.ceil(len(hard) * min(1, step / 150)))]
            rows = known[torch.randint(0, len(known), (32,))]
            optimizer.zero_grad()
            F.cross_entropy(model(data.x[rows]), data.y[rows]).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def judged_by_a_trained_network(t: Trial) -> float:
    data = images(t.seed)
    teacher = pretrained(data, t.seed)[0]
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1))
    optimizer = Adam(model.parameters(), lr=1e-2)
    with t.doctor(model, optimizer):
        for (x, _), _ in zip(batches(data, 32, 200, t.seed), itertools.count(), strict=False):
            optimizer.zero_grad()
            found = model(x + 0.3 * torch.randn_like(x))
            (F.mse_loss(found, x) + 0.1 * F.mse_loss(teacher(found), teacher(x).detach())).backward()
            optimizer.step()
    with torch.no_grad():
        return -float(F.mse_loss(model(data.x_test), data.x_test))
