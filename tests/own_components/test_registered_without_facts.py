"""A component of every kind that is registered with nothing but its kind trains, is saved, and is used again."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import yisheng
from yisheng.core import registry
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.registration import ARGUMENTS
from yisheng.core.registry import register
from yisheng.core.spec import Spec


@pytest.fixture(autouse=True)
def _forget():
    yield
    for key in [key for key in registry._entries if key[1].startswith("bare")]:
        del registry._entries[key]


def add_model():
    @register(kind="models")
    def bare_model(spec):
        return nn.Linear(spec.shape[0], spec.outputs)

    return {"model": "bare-model"}


def add_model_class():
    @register(kind="models")
    class BareNet(nn.Module):
        def __init__(self, spec, *, width: int = 4):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(spec.shape[0], width), nn.ReLU(), nn.Linear(width, spec.outputs))

        def forward(self, x):
            return self.layers(x)

    return {"model": "barenet", "width": 5}


def add_init():
    @register(kind="init")
    def bare_init(weight):
        with torch.no_grad():
            weight.fill_(0.01)

    return {"init": "bare-init"}


def add_loss():
    @register(kind="losses")
    def bare_loss(spec, y):
        return nn.CrossEntropyLoss(reduction="none")

    return {"loss": "bare-loss"}


def add_metric():
    @register(kind="metrics")
    def bare_metric(y, prediction):
        return float((prediction.argmax(1) == y).mean())

    return {"score": "bare-metric"}


def add_reported_metric():
    return {"metrics": add_metric()["score"]}


def add_optimizer():
    @register(kind="optim")
    def bare_optimizer(groups, *, lr: float = 0.05):
        return torch.optim.SGD(groups, lr=lr)

    return {"optimizer": "bare-optimizer", "lr": 0.1}


def add_schedule():
    @register(kind="optim.schedules")
    def bare_schedule():
        return lambda step, steps, per_epoch: 1 / (1 + step)

    return {"schedule": "bare-schedule"}


def add_augmentation():
    @register(kind="transforms.augment")
    def bare_augmentation(spec):
        return lambda x, y, draw: (x + 0.01 * torch.randn(x.shape, generator=draw), y)

    return {"augment": "bare-augmentation"}


def add_scaling():
    @register(kind="transforms")
    @dataclasses.dataclass(frozen=True)
    class bare_scaling:  # noqa: N801  # its name is the registered name
        factor: float

        @classmethod
        def fit(cls, x):
            return cls(float(np.abs(np.asarray(x)).max()))

        def apply(self, x):
            return x / self.factor

        def invert(self, y):
            return y * self.factor

    return {"scale": "bare-scaling"}


def add_data():
    @register(kind="data.datasets")
    def bare_data(*, n: int = 90):
        x = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
        return Dataset("bare-data", Spec("classification", (4,), classes=("a", "b")), x, (x[:, 0] > 0).astype(np.int64))

    return {"data": "bare-data", "n": 80}


ADDITIONS = {
    "models": add_model,
    "a class": add_model_class,
    "init": add_init,
    "losses": add_loss,
    "metrics": add_metric,
    "more metrics": add_reported_metric,
    "optim": add_optimizer,
    "optim.schedules": add_schedule,
    "transforms.augment": add_augmentation,
    "transforms": add_scaling,
    "data.datasets": add_data,
}


def test_every_kind_is_tried():
    assert {*ARGUMENTS, "transforms"} <= ADDITIONS.keys()


@pytest.mark.parametrize("kind", ADDITIONS)
def test_a_component_without_facts_trains_and_is_used_again(tmp_path, kind):
    settings = {"data": "iris", "model": "linear", "optimizer": "sgd", "epochs": 2} | ADDITIONS[kind]()
    run = yisheng.train(**settings, out=tmp_path, quiet=True)
    assert run.predict(np.zeros((1, 4), np.float32))[0].prediction is not None
    assert run.scores["test"]
    assert yisheng.evaluate(run)["test"]
    assert yisheng.resume(run.path, epochs=3, force=True, quiet=True).config["epochs"] == 3
    assert run.report().exists()


@pytest.mark.parametrize("kind", sorted(ARGUMENTS))
def test_a_class_or_function_without_arguments_is_refused_where_some_are_given(kind):
    class Wrong:
        def __init__(self, a, b, c): ...

    with pytest.raises(UsageError, match=r"is called with \(.*\), but is defined as Wrong\(a, b, c\)\n  define it as"):
        register(kind=kind)(Wrong)
