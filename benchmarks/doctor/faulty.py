"""Trainings with a fault in how they are put together; each with its twin that has it not.

They come in pairs of the same kind on other data: the odd ones are for development, the even ones are held out.
"""

from __future__ import annotations

import copy
import itertools

import torch
from parts import (
    Trial,
    accuracy,
    agreement,
    batches,
    binary_accuracy,
    diabetes,
    faulty,
    images,
    lenet,
    made,
    mlp,
    photos,
    table,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


# The optimiser and what it holds


@faulty("uncovered-parameters")
def optimiser_of_an_older_network(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    if not t.fixed:
        model = mlp(64, 32, 10)
    train(t, model, optimizer, data)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def optimiser_of_the_original_of_a_copy(t: Trial) -> float:
    data = images(t.seed)
    original = lenet()
    optimizer = Adam(original.parameters(), lr=3e-3)
    model = original if t.fixed else copy.deepcopy(original)
    train(t, model, optimizer, data, steps=150)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def head_replaced_after_the_optimiser(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 16, 1000)
    if t.fixed:
        model[2] = nn.Linear(16, 10)
    optimizer = SGD(model.parameters(), lr=0.02)
    if not t.fixed:
        model[2] = nn.Linear(16, 10)
    train(t, model, optimizer, data)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def layers_added_later(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh())
    if t.fixed:
        model.append(nn.Linear(16, 10))
    optimizer = SGD(model.parameters(), lr=0.1)
    if not t.fixed:
        model.append(nn.Linear(16, 10))
    train(t, model, optimizer, data, steps=200)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def only_the_head_is_trained(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Tanh)
    optimizer = SGD(model.parameters() if t.fixed else model[-1].parameters(), lr=0.1)
    train(t, model, optimizer, data)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def only_the_first_layer_is_trained(t: Trial) -> float:
    data = made("table", t.seed)
    model = mlp(20, 32, 32, 5)
    optimizer = Adam(model.parameters() if t.fixed else model[0].parameters(), lr=1e-3)
    train(t, model, optimizer, data)
    return accuracy(model, data)


class ListNet(nn.Module):
    def __init__(self, sizes: list[int], registered: bool) -> None:
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes[:-1])]
        self.layers = nn.ModuleList(layers) if registered else layers
        self.head = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


@faulty("unregistered-parameters")
def layers_in_a_plain_list(t: Trial) -> float:
    data = table("digits", t.seed)
    model = ListNet([64, 16, 16, 16, 10], registered=t.fixed)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("unregistered-parameters")
def layers_in_a_plain_list_of_a_table(t: Trial) -> float:
    data = made("moons", t.seed)
    model = ListNet([2, 8, 8, 2], registered=t.fixed)
    train(t, model, Adam(model.parameters(), lr=1e-2), data)
    return accuracy(model, data)


@faulty("frozen-parameters")
def everything_but_the_head_frozen_by_mistake(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    if not t.fixed:
        for p in model[:-1].parameters():
            p.requires_grad = False
    train(t, model, SGD(model.parameters(), lr=0.1), data, steps=200)
    return accuracy(model, data)


@faulty("frozen-parameters")
def frozen_before_the_weights_were_trained(t: Trial) -> float:
    data = made("table", t.seed)
    body, head = mlp(20, 8, 8), nn.Linear(8, 5)
    model = nn.Sequential(body, nn.ReLU(), head)
    body.requires_grad_(t.fixed)
    train(t, model, Adam(model.parameters(), lr=5e-3), data)
    return accuracy(model, data)


# The graph


class Cut(nn.Module):
    def __init__(self, way: str, columns: int, classes: int) -> None:
        super().__init__()
        self.way = way
        self.first, self.second, self.last = nn.Linear(columns, 16), nn.Linear(16, 16), nn.Linear(16, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        if self.way == "detach":
            x = x.detach()
        elif self.way == "no_grad":
            with torch.no_grad():
                x = F.relu(self.second(x))
            return self.last(x)
        elif self.way == "data":
            x = torch.tensor(x.tolist())
        return self.last(F.relu(self.second(x)))


@faulty("no-gradient")
def detached_features(t: Trial) -> float:
    data = table("digits", t.seed)
    model = Cut("" if t.fixed else "detach", 64, 10)
    train(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("no-gradient")
def features_without_gradient(t: Trial) -> float:
    data = made("blobs", t.seed)
    model = Cut("" if t.fixed else "no_grad", 20, 6)
    train(t, model, SGD(model.parameters(), lr=0.05), data, steps=100)
    return accuracy(model, data)


@faulty("no-gradient")
def features_through_a_list(t: Trial) -> float:
    data = table("wine", t.seed)
    model = Cut("" if t.fixed else "data", 13, 3)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=60)
    return accuracy(model, data)


@faulty("no-gradient")
def gradients_cleared_before_the_step(t: Trial) -> float:
    data = table("iris", t.seed)
    model = mlp(4, 16, 3)
    optimizer = Adam(model.parameters(), lr=1e-2)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 16, 150, t.seed):
            if t.fixed:
                optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            if not t.fixed:
                optimizer.zero_grad()
            optimizer.step()
    return accuracy(model, data)


# Initial weights


@faulty("symmetric-weights")
def constant_weights(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    if not t.fixed:
        for p in model.parameters():
            nn.init.constant_(p, 0.1)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("symmetric-weights")
def zero_weights(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Tanh)
    if not t.fixed:
        for p in model.parameters():
            nn.init.zeros_(p)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=150)
    return accuracy(model, data)


@faulty("symmetric-weights")
def equal_hidden_weights(t: Trial) -> float:
    data = made("table", t.seed)
    model = mlp(20, 32, 5, act=nn.Sigmoid)
    if not t.fixed:
        nn.init.ones_(model[0].weight)
        nn.init.zeros_(model[2].weight)
    train(t, model, SGD(model.parameters(), lr=0.5), data)
    return accuracy(model, data)


@faulty("symmetric-weights")
def equal_weights_of_own_parameters(t: Trial) -> float:
    data = made("friedman", t.seed)

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1 = nn.Parameter(torch.randn(16, 10) * 0.3 if t.fixed else torch.full((16, 10), 0.1))
            self.b1 = nn.Parameter(torch.zeros(16))
            self.w2 = nn.Parameter(torch.randn(1, 16) * 0.3 if t.fixed else torch.full((1, 16), 0.1))
            self.b2 = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(torch.relu(F.linear(x, self.w1, self.b1)), self.w2, self.b2)

    model = Own()
    train(t, model, SGD(model.parameters(), lr=0.05), data, F.mse_loss, steps=400)
    return agreement(model, data)


# The loss and what it is fed with


@faulty("loss-pairing")
def softmax_before_cross_entropy(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    if not t.fixed:
        model.append(nn.Softmax(dim=1))
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("loss-pairing")
def softmax_in_forward_before_cross_entropy(t: Trial) -> float:
    data = images(t.seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 8, 3), nn.Linear(8 * 9, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(F.relu(self.conv(x)), 2).flatten(1)
            return self.fc(x) if t.fixed else F.softmax(self.fc(x), dim=1)

    model, criterion = Net(), nn.CrossEntropyLoss()
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, criterion, steps=150)
    return accuracy(model, data)


@faulty("loss-pairing")
def sigmoid_before_cross_entropy(t: Trial) -> float:
    data = made("blobs", t.seed)
    model = mlp(20, 32, 6)
    if not t.fixed:
        model.append(nn.Sigmoid())
    train(t, model, SGD(model.parameters(), lr=0.05), data, steps=150)
    return accuracy(model, data)


@faulty("loss-pairing")
def sigmoid_before_cross_entropy_of_a_table(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.0)
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.1),
        data,
        lambda out, y: criterion(out if t.fixed else torch.sigmoid(out), y),
        steps=200,
    )
    return accuracy(model, data)


@faulty("loss-pairing")
def relu_before_cross_entropy(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    if not t.fixed:
        model.append(nn.ReLU())
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("loss-pairing")
def relu_at_the_end_of_a_convolution(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    last = (lambda z: z) if t.fixed else F.relu
    train(t, model, SGD(model.parameters(), lr=0.1), data, lambda out, y: F.cross_entropy(last(out), y))
    return accuracy(model, data)


@faulty("loss-pairing")
def nll_on_raw_outputs(t: Trial) -> float:
    data = table("iris", t.seed)
    model = mlp(4, 16, 3)
    train(t, model, SGD(model.parameters(), lr=0.05), data, F.cross_entropy if t.fixed else F.nll_loss)
    return accuracy(model, data)


@faulty("loss-pairing")
def nll_on_probabilities(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    last = nn.LogSoftmax(1) if t.fixed else nn.Softmax(1)
    criterion = nn.NLLLoss()
    train(t, model, SGD(model.parameters(), lr=0.1), data, lambda out, y: criterion(last(out), y), steps=150)
    return accuracy(model, data)


@faulty("loss-pairing")
def sigmoid_twice(t: Trial) -> float:
    data = table("breast_cancer", t.seed)
    model = mlp(30, 16, 1)
    last = (lambda z: z) if t.fixed else torch.sigmoid
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.01),
        data,
        lambda out, y: F.binary_cross_entropy_with_logits(last(out).squeeze(1), y.float()),
        steps=150,
    )
    return binary_accuracy(nn.Sequential(model) if t.fixed else nn.Sequential(model, nn.Sigmoid()), data)


@faulty("loss-pairing")
def sigmoid_twice_in_the_network(t: Trial) -> float:
    data = made("binary", t.seed)
    model = mlp(20, 16, 1)
    if not t.fixed:
        model.append(nn.Sigmoid())
    criterion = nn.BCEWithLogitsLoss()
    train(t, model, Adam(model.parameters(), lr=1e-2), data, lambda out, y: criterion(out, y.float()[:, None]))
    return binary_accuracy(model, data)


@faulty("loss-pairing")
def softmax_of_one_unit(t: Trial) -> float:
    data = made("moons", t.seed)
    model = mlp(2, 16, 1)
    model.append(nn.Sigmoid() if t.fixed else nn.Softmax(dim=1))
    train(
        t, model, Adam(model.parameters(), lr=1e-2), data, lambda out, y: F.binary_cross_entropy(out[:, 0], y.float())
    )
    return binary_accuracy(model, data, 0.5)


@faulty("loss-pairing")
def softmax_of_one_unit_and_squares(t: Trial) -> float:
    data = table("breast_cancer", t.seed)
    model = mlp(30, 16, 1)
    model.append(nn.Sigmoid() if t.fixed else nn.Softmax(dim=-1))
    train(t, model, SGD(model.parameters(), lr=0.1), data, lambda out, y: ((out[:, 0] - y) ** 2).mean())
    return binary_accuracy(model, data, 0.5)


@faulty("loss-pairing")
def softmax_over_the_batch(t: Trial) -> float:
    data = table("wine", t.seed)
    model = mlp(13, 16, 3)
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.05),
        data,
        lambda out, y: F.nll_loss(F.log_softmax(out, dim=1 if t.fixed else 0), y),
        steps=60,
    )
    return accuracy(model, data)


@faulty("loss-pairing")
def softmax_module_over_the_batch(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    model.append(nn.Softmax(dim=1 if t.fixed else 0))

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -torch.log(out[torch.arange(len(y)), y] + 1e-9).mean()

    train(t, model, SGD(model.parameters(), lr=0.1), data, loss)
    return accuracy(model, data)


@faulty("loss-pairing")
def broadcast_regression(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 16, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((out - (y if t.fixed else y.squeeze(1))) ** 2).mean()

    train(t, model, SGD(model.parameters(), lr=0.05), data, loss)
    return agreement(model, data)


@faulty("loss-pairing")
def broadcast_absolute_error(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 32, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (out.squeeze(1) - (y.squeeze(1) if t.fixed else y)).abs().mean()

    train(t, model, Adam(model.parameters(), lr=5e-3), data, loss)
    return agreement(model, data)


@faulty("loss-pairing")
def the_sign_of_the_loss(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 16, 10)
    sign = 1 if t.fixed else -1
    train(t, model, SGD(model.parameters(), lr=1e-2), data, lambda out, y: sign * F.cross_entropy(out, y))
    return accuracy(model, data)


@faulty("loss-pairing")
def the_sign_of_the_squares(t: Trial) -> float:
    data = made("regression", t.seed)
    model = mlp(20, 1)
    train(
        t,
        model,
        SGD(model.parameters(), lr=1e-2),
        data,
        lambda out, y: F.mse_loss(out, y) if t.fixed else -F.mse_loss(out, y),
        steps=100,
    )
    return agreement(model, data)


@faulty("target-range")
def sigmoid_on_wide_targets(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 16, 1)
    if not t.fixed:
        model.append(nn.Sigmoid())
    train(t, model, SGD(model.parameters(), lr=0.05), data, F.mse_loss)
    return agreement(model, data)


@faulty("target-range")
def relu_on_negative_targets(t: Trial) -> float:
    data = made("regression", t.seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(20, 32), nn.Linear(32, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.b(F.relu(self.a(x)))
            return x if t.fixed else F.relu(x)

    model = Net()
    train(t, model, Adam(model.parameters(), lr=5e-3), data, nn.SmoothL1Loss())
    return agreement(model, data)


@faulty("target-range")
def classes_one_and_two(t: Trial) -> float:
    data = made("binary", t.seed)
    model = mlp(20, 16, 1)
    more = 0.0 if t.fixed else 1.0
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.1),
        data,
        lambda out, y: F.binary_cross_entropy_with_logits(out.squeeze(1), y.float() + more),
    )
    return binary_accuracy(model, data)


@faulty("target-range")
def tanh_on_wide_targets(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 32, 1)
    train(
        t,
        model,
        Adam(model.parameters(), lr=5e-3),
        data,
        lambda out, y: ((out if t.fixed else torch.tanh(out)) - y).pow(2).mean(),
    )
    return agreement(model if t.fixed else nn.Sequential(model, nn.Tanh()), data)


# The loop


@faulty("carried-gradients")
def no_zero_grad(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            if t.fixed:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("carried-gradients")
def no_zero_grad_with_adam(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 150, t.seed):
            if t.fixed:
                optimizer.zero_grad(set_to_none=False)
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("carried-gradients")
def zero_grad_once_an_epoch(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 16, 1)
    optimizer = SGD(model.parameters(), lr=0.2)
    with t.doctor(model, optimizer):
        for epoch in range(12):
            optimizer.zero_grad()
            for x, y in batches(data, 32, 18, t.seed + 100 * epoch):
                if t.fixed:
                    optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
    return agreement(model, data)


@faulty("carried-gradients")
def zero_grad_of_the_wrong_optimiser(t: Trial) -> float:
    data = table("wine", t.seed)
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    other = SGD(mlp(2, 2, 2).parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 16, 100, t.seed):
            (optimizer if t.fixed else other).zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("missing-update")
def no_step(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 100, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if t.fixed:
                optimizer.step()
    return accuracy(model, data)


@faulty("missing-update")
def the_schedule_steps_but_not_the_optimiser(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 150, t.seed):
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            if t.fixed:
                optimizer.step()
    return agreement(model, data)


class BatchNormNet(nn.Module):
    def __init__(self, columns: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(columns, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


@faulty("mode")
def evaluated_with_dropout(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.6), nn.Linear(64, 10))
    optimizer = SGD(model.parameters(), lr=0.1)
    right = 0.0
    with t.doctor(model, optimizer):
        for epoch in range(5):
            model.train()
            for x, y in batches(data, 32, 40, t.seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            if t.fixed:
                model.eval()
            with torch.no_grad():
                right = float((model(data.x_test).argmax(1) == data.y_test).float().mean())
    return right


@faulty("mode")
def evaluated_in_small_batches_with_batch_norm(t: Trial) -> float:
    data = made("table", t.seed)
    model = BatchNormNet(20, 5)
    optimizer = Adam(model.parameters(), lr=5e-3)
    right = 0.0
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if t.fixed:
            model.eval()
        with torch.no_grad():
            for x, y in zip(data.x_test.split(2), data.y_test.split(2), strict=True):
                right += float((model(x).argmax(1) == y).sum())
    return right / len(data.y_test)


@faulty("mode")
def trained_in_evaluation_mode(t: Trial) -> float:
    data = table("digits", t.seed, False)
    layers = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    optimizer = SGD(model.parameters(), lr=0.05)
    model.train(t.fixed)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 60, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("mode")
def never_back_in_training_mode(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Tanh(), nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.Tanh()
    )
    model = nn.Sequential(model, nn.Flatten(), nn.Linear(256, 10))
    optimizer = SGD(model.parameters(), lr=0.02)
    with t.doctor(model, optimizer):
        for epoch in range(4):
            for x, y in batches(data, 32, 30, t.seed + epoch):
                if t.fixed:
                    model.train()
                elif epoch == 0:
                    model.eval()
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                model(data.x_test)
    return accuracy(model, data)


@faulty("sorted-batches")
def rows_in_the_order_of_their_classes(t: Trial) -> float:
    data = table("digits", t.seed)
    order = data.y.argsort(stable=True)
    rows = torch.utils.data.TensorDataset(data.x[order], data.y[order])
    loader = torch.utils.data.DataLoader(rows, batch_size=32, shuffle=t.fixed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for _ in range(5):
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    return accuracy(model, data)


@faulty("sorted-batches")
def images_class_by_class(t: Trial) -> float:
    data = images(t.seed)
    order = data.y.argsort(stable=True)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer):
        for epoch in range(4):
            torch.manual_seed(t.seed + epoch)
            rows = torch.randperm(len(order)) if t.fixed else order
            for some in rows.split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(data.x[some]), data.y[some]).backward()
                optimizer.step()
    return accuracy(model, data)


@faulty("loss-pairing", data="fashion-mnist")
def softmax_before_cross_entropy_of_clothes(t: Trial) -> float:
    data = photos("fashion-mnist", t.seed)
    model = lenet(side=28)
    if not t.fixed:
        model.append(nn.Softmax(1))
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=100)
    return accuracy(model, data)


@faulty("uncovered-parameters", data="cifar10")
def old_optimiser_of_photos(t: Trial) -> float:
    data = photos("cifar10", t.seed)
    model = lenet(channels=3, side=32)
    optimizer = Adam(model.parameters(), lr=2e-3)
    if not t.fixed:
        model = lenet(channels=3, side=32)
    train(t, model, optimizer, data, steps=100)
    return accuracy(model, data)
