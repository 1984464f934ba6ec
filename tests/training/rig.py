"""A small run that the training tests share: dropout, batch norm, momentum, a schedule, an uneven last batch."""

import json

import numpy as np
import torch
from torch import nn

from yisheng.core.seeds import seed_everything
from yisheng.core.types import Dataset, Spec
from yisheng.data.batches import make_batches
from yisheng.training.loop import fit
from yisheng.training.state import State
from yisheng.training.update import make_update

CPU = torch.device("cpu")


class Same:
    def apply(self, x):
        return x


def make(optimizer="adam", seed=0):
    """State, training and validation batches."""
    random = np.random.default_rng(0)
    x = random.normal(size=(47, 5)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(np.int64)
    data = Dataset("d", Spec("classification", (5,), classes=("a", "b")), x, y)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 2))
    kinds = {
        "adam": lambda p: torch.optim.AdamW(p, lr=0.02),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    }
    made = kinds[optimizer](model.parameters())
    for group in made.param_groups:
        group["initial_lr"] = group["lr"]
    parts = (np.arange(37), np.arange(37, 47))
    train, valid = (
        make_batches(data, rows, size=8, scale=Same(), target_scale=None, device=CPU, seed=seed) for rows in parts
    )
    seed_everything(seed + 1)
    return State(model, made), train, valid


def loss(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def score(model, batches):
    training, outputs = model.training, []
    model.eval()
    with torch.no_grad():
        outputs = [(model(b.x), b.y) for b in batches]
    model.train(training)
    output, y = (torch.cat(values) for values in zip(*outputs, strict=True))
    return {"loss": float(loss(output, y).mean()), "accuracy": float((output.argmax(1) == y).float().mean())}


def events(state, train, valid, epochs=4):
    def schedule(step, steps, per_epoch):
        return 1 - step / (steps + per_epoch)

    return fit(state, train, valid, loss=loss, score=score, epochs=epochs, schedule=schedule, step=make_update())


def fingerprint(state):
    """Every number of the state, for exact comparison."""
    tensors, plain = state.dump()
    return {name: value.numpy().tobytes() for name, value in tensors.items()}, json.dumps(plain)
