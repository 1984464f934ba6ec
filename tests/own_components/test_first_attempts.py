"""What people try first, each in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import yisheng
from tests.own_components.networks import ROWS, ResidualMlp, numbers, targets

x, y = numbers(6), targets()
tensors = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
frame = pd.DataFrame(x, columns=list("abcdef")).assign(label=np.array(["cat", "dog", "owl"])[y])
Net = ResidualMlp


def exact(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the fraction of exact predictions."""
    return float((y_true == y_pred).mean())


ATTEMPTS: dict[str, Callable[..., yisheng.TrainedRun]] = {
    "an instance": lambda **settings: yisheng.train(model=Net(), data=(x, y), **settings),
    "a class": lambda **settings: yisheng.train(model=Net, data=(x, y), **settings),
    "arrays": lambda **settings: yisheng.train(data=(x, y), model="mlp", **settings),
    "a TensorDataset": lambda **settings: yisheng.train(data=tensors, model=Net, **settings),
    "a DataFrame": lambda **settings: yisheng.train(data=frame, target="label", **settings),
    "a loss": lambda **settings: yisheng.train(data=(x, y), model=Net, loss=nn.CrossEntropyLoss(), **settings),
    "a lambda": lambda **settings: yisheng.train(
        data=(x, y), model=Net, loss=lambda output, y: nn.functional.cross_entropy(output, y), **settings
    ),
    "an optimizer": lambda **settings: yisheng.train(data=(x, y), model=Net, optimizer=torch.optim.Adagrad, **settings),
    "a score": lambda **settings: yisheng.train(data=(x, y), model=Net, score=exact, **settings),
    "lists": lambda **settings: yisheng.train(data=(x.tolist(), y.tolist()), model=Net, **settings),
    "a loader": lambda **settings: yisheng.train(data=DataLoader(tensors, 8, shuffle=True), model=Net, **settings),
    "a partial": lambda **settings: yisheng.train(
        data=(x, y), model=Net, optimizer=functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9), **settings
    ),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_first_attempt(tmp_path: Path, name: str) -> None:
    run = ATTEMPTS[name](epochs=2, quiet=True, out=tmp_path)
    assert run.scores["test"]["accuracy"].value >= 0
    assert isinstance(run.model, nn.Module)
    assert len(run.predict(x[:3] if name != "a DataFrame" else frame.head(3))) == 3


def test_names_of_classes_come_from_the_frame(tmp_path: Path) -> None:
    run = yisheng.train(data=frame, target="label", epochs=1, quiet=True, out=tmp_path)
    assert set(run.predict(frame.head(1))[0].probabilities) == {"cat", "dog", "owl"}
    assert len(frame) == ROWS
