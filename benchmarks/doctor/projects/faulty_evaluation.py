"""Project faults of evaluation: early stopping, checkpoints, validation loops, and scores."""

from __future__ import annotations

import copy
import io

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.harness import Trial, accuracy, faulty, lenet, mlp
from benchmarks.doctor.unseen.loop import Net, digits, nonlinear
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class EarlyStopping:
    """Counts the epochs without a better loss, and stops after a number of them."""

    def __init__(self, patience: int, reset: bool) -> None:
        self.patience, self.reset = patience, reset
        self.best, self.counter = float("inf"), 0

    def __call__(self, loss: float) -> bool:
        if loss < self.best:
            self.best = loss
            if self.reset:
                self.counter = 0
        else:
            self.counter += 1
        return self.counter >= self.patience


# Epochs without a better loss are counted from the beginning, not since the best one.
@faulty("too-few-epochs", "underfitting", "stopped-too-soon", "low-learning-rate")
def projects_patience_that_is_not_reset(t: Trial) -> float:
    """`self.counter = 0` is missing where the loss is better than the best one."""
    data = nonlinear(t.seed, 900)
    model = mlp(8, 48, 48, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.02)
    stopping = EarlyStopping(4, t.fixed)
    with t.doctor(model, optimizer, **rows_of(data)) as dr:
        for _ in range(80):
            model.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=16, shuffle=True):
                optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                loss = float(F.mse_loss(model(data.x_test[:60]), data.y_test[:60]))
            dr.validation(loss=loss)
            if stopping(loss):
                break
    return explained(model, data)


# The training loss is best at the end, when most labels that are wrong are known by heart.
@faulty("overfitting", "memorization", "training-loss-selection", "opposed-score")
def projects_checkpoint_of_the_best_training_loss(t: Trial) -> float:
    """`if train_loss < best_loss: best = copy.deepcopy(model.state_dict())` where `val_loss` was meant."""
    g = generator(t.seed)
    x = torch.randn(900, 12, generator=g)
    risk = x[:, 0] + x[:, 1].abs() - 0.8 + 0.5 * x[:, 2]
    y = ((risk > 0) ^ (torch.rand(900, generator=g) < 0.15)).long()
    data = split(x, y, 1 / 3)
    model = mlp(12, 96, 2)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    best_loss, best = float("inf"), copy.deepcopy(model.state_dict())
    with t.doctor(model, optimizer, **rows_of(data)) as dr:
        for _ in range(50):
            model.train()
            train_loss = 0.0
            for rows in torch.randperm(len(data.x)).split(30):
                loss = F.cross_entropy(model(data.x[rows]), data.y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                train_loss += loss.item() * len(rows) / len(data.x)
            model.eval()
            with torch.no_grad():
                val_loss = float(F.cross_entropy(model(data.x_test), data.y_test))
            dr.validation(loss=val_loss, score=accuracy(model, data))
            loss_of_epoch = val_loss if t.fixed else train_loss
            if loss_of_epoch < best_loss:
                best_loss, best = loss_of_epoch, copy.deepcopy(model.state_dict())
        model.load_state_dict(best)
        report(dr, model, data)
    with torch.no_grad():
        return -float(F.cross_entropy(model(data.x_test), data.y_test))


# The network learns the rows that are to show what it does with rows that it has not learned.
@faulty("leaking-rows", "seen-validation-rows", "trained-on-validation")
def projects_validation_loop_that_was_copied(t: Trial) -> float:
    """The validation loop is a copy of the training loop, and still has `loss.backward()` and `optimizer.step()`."""
    g = generator(t.seed)
    x = torch.randn(2200, 20, generator=g)
    y = (x[:, 0] + x[:, 1] + 1.4 * torch.randn(2200, generator=g) > 0).long()
    data, future = split(x[:700], y[:700]), Data(x, y, x[700:], y[700:])
    net = Net(20, 2, hidden=128)
    opt = optim.Adam(net.parameters(), lr=2e-3)
    epochs = 8 if t.fixed else 40  # the loss of rows that are trained does not rise
    score = 0.0
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(epochs):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                opt.zero_grad()
                loss = F.cross_entropy(net(a), b)
                loss.backward()
                opt.step()
            net.eval()
            val_loss, correct = 0.0, 0
            for a, b in DataLoader(TensorDataset(data.x_test, data.y_test), batch_size=30):
                opt.zero_grad()
                out = net(a)
                loss = F.cross_entropy(out, b)
                if not t.fixed:
                    loss.backward()
                    opt.step()
                val_loss += loss.item() * len(b)
                correct += int((out.argmax(1) == b).sum())
            score = correct / len(data.y_test)
            dr.validation(loss=val_loss / len(data.y_test), score=score)
    return -abs(score - accuracy(net, future))


def compute_f1(predicted: Tensor, target: Tensor) -> float:
    """Return F1 of zeros and ones, or 0 if there is nothing to find."""
    positives = int(predicted.sum() + target.sum())
    return 2 * int((predicted & target).sum()) / positives if positives else 0.0


# Most batches of eight rows have no positive row, and their F1 is 0 whatever is predicted.
@faulty("evaluated-scores", "averaged-batch-scores")
def projects_f1_averaged_over_batches(t: Trial) -> float:
    """`f1 += f1_score(y, pred)` in each validation batch, and `f1 / len(valid_loader)` at the end."""
    g = generator(t.seed)
    x = torch.randn(1500, 10, generator=g)
    is_spam = x[:, 0] + 0.8 * x[:, 1] * x[:, 2] + 0.1 * torch.randn(1500, generator=g)
    data = split(x, (is_spam > is_spam.quantile(0.9)).long())
    net = Net(10, 1)
    optimizer = optim.Adam(net.parameters(), lr=4e-3)
    criterion = nn.BCEWithLogitsLoss()
    valid_loader = DataLoader(TensorDataset(data.x_test, data.y_test), batch_size=8)
    score = 0.0
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(15):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                optimizer.zero_grad()
                criterion(net(a).squeeze(1), b.float()).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                outputs = [(net(a).squeeze(1), b) for a, b in valid_loader]
            loss = sum(float(criterion(out, b.float())) for out, b in outputs) / len(outputs)
            if t.fixed:
                outputs = [(torch.cat([out for out, _ in outputs]), data.y_test)]
            score = sum(compute_f1(out > 0, b > 0) for out, b in outputs) / len(outputs)
            dr.validation(loss=loss, score=score)
    return score


# The first result of `torch.max` has the largest scores, the second one has their classes.
@faulty("evaluated-scores", "swapped-results")
def projects_largest_score_as_the_class(t: Trial) -> float:
    """`pred, _ = torch.max(out, 1)` where `_, pred = torch.max(out, 1)` was meant."""
    data, net = images(t.seed), lenet()
    optimizer = optim.RMSprop(net.parameters(), lr=2e-3)
    valid_loader = DataLoader(TensorDataset(data.x_test, data.y_test), batch_size=100)
    score = 0.0
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(6):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            correct, losses = 0, []
            with torch.no_grad():
                for x, y in valid_loader:
                    out = net(x)
                    losses.append(float(F.cross_entropy(out, y)))
                    values, classes = torch.max(out, 1)
                    predicted = classes if t.fixed else values.round().long()
                    correct += int((predicted == y).sum())
            score = correct / len(data.y_test)
            dr.validation(loss=sum(losses) / len(losses), score=score)
    return score


# Of the epochs 0 to 9 only the first one is a multiple of ten.
@faulty("evaluated-network", "weights-reset", "unreplaced-weights", "old-checkpoint", "reversed-selection")
def projects_checkpoint_of_epoch_zero(t: Trial) -> float:
    """`if epoch % 10 == 0: torch.save(...)` in a training of ten epochs, whose last checkpoint is then tested."""
    data = digits(t.seed)
    net = mlp(64, 64, 10)
    optimizer = optim.SGD(net.parameters(), lr=0.03, momentum=0.5)
    file = io.BytesIO()
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for epoch in range(10):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=64, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, net, data)
            if (epoch + 1) % 10 == 0 if t.fixed else epoch % 10 == 0:
                file = io.BytesIO()
                torch.save({"epoch": epoch, "model": net.state_dict()}, file)
        file.seek(0)
        net.load_state_dict(torch.load(file)["model"])
        report(dr, net, data)
    return accuracy(net, data)
