"""A small training for tests: dropout, batch norm, momentum, a schedule, and a smaller last batch."""

import json

import numpy as np
import torch
from torch import nn

from yisheng.core.dataset import Dataset
from yisheng.core.events import Batch, EpochEnd, StepEnd
from yisheng.core.seeds import seed_everything
from yisheng.core.spec import Spec
from yisheng.data.batches import make_batches
from yisheng.training.loop import fit
from yisheng.training.state import State
from yisheng.training.update import make_update

CPU = torch.device("cpu")
BATCH = Batch(torch.zeros(3, 1), torch.zeros(3), torch.tensor([4, 8, 15]))
OPTIMIZERS = {
    "adam": lambda parameters: torch.optim.AdamW(parameters, lr=0.02),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01),
}


class Identity:
    def apply(self, x):
        return x


def make_training(optimizer="adam", seed=0):
    """Return a state, training batches and validation batches."""
    random = np.random.default_rng(0)
    x = random.normal(size=(47, 5)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(np.int64)
    data = Dataset("d", Spec("classification", (5,), classes=("a", "b")), x, y)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 2))
    torch_optimizer = OPTIMIZERS[optimizer](model.parameters())
    for group in torch_optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    parts = (np.arange(37), np.arange(37, 47))
    train, valid = (
        make_batches(data, rows, size=8, scale=Identity(), target_scale=None, device=CPU, seed=seed) for rows in parts
    )
    seed_everything(seed + 1)
    return State(model, torch_optimizer), train, valid


def loss(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def score(model, batches):
    training = model.training
    model.eval()
    with torch.no_grad():
        outputs = [(model(b.x), b.y) for b in batches]
    model.train(training)
    output, y = (torch.cat(values) for values in zip(*outputs, strict=True))
    return {"loss": float(loss(output, y).mean()), "accuracy": float((output.argmax(1) == y).float().mean())}


def fit_small(state, train, valid, epochs=4):
    """Return the events of the training."""

    def schedule(step, steps, steps_per_epoch):
        return 1 - step / (steps + steps_per_epoch)

    return fit(state, train, valid, loss=loss, score=score, epochs=epochs, schedule=schedule, step=make_update())


def fingerprint(state):
    """Return every number of the state, for exact comparison."""
    tensors, plain = state.dump()
    return {name: value.numpy().tobytes() for name, value in tensors.items()}, json.dumps(plain)


def step_end(step, loss=1.0):
    return StepEnd(step, 0, 0.1, torch.tensor(loss), BATCH)


def epoch_end(epoch, value, name="accuracy"):
    return EpochEnd(epoch * 10, epoch, 0.5, {} if value is None else {name: value})
