"""A user's own components in trainings: networks, metrics, augmentation, initialization, callbacks, and errors."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score, log_loss, make_scorer, roc_auc_score
from torch import nn

import yisheng
from tests.own_components.small_data import classes, numbers, train
from yisheng import EpochEnd, StepEnd, UsageError
from yisheng.core.events import Event
from yisheng.training.state import State


class Net(nn.Module):
    """A network whose sizes are given by name."""

    def __init__(self, in_features: int, num_classes: int, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.view(-1, 6))


def last_weights(run: yisheng.TrainedRun) -> dict[str, torch.Tensor]:
    return load_file(run.path / "model.safetensors")


def test_options_reach_the_constructor(tmp_path: Path) -> None:
    run = train(tmp_path, model=Net, width=5)
    assert last_weights(run)["layers.0.weight"].shape == (5, 6)
    assert run.run.config["model"]["width"] == 5


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first, second, other = (last_weights(train(tmp_path, model=Net, seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_instance_is_unchanged_where_several_are_trained(tmp_path: Path) -> None:
    network = Net(6, 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(tmp_path, model=network, folds=2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_search_over_own_networks_and_their_options(tmp_path: Path) -> None:
    def line(in_features: int, num_classes: int) -> nn.Module:
        return nn.Linear(in_features, num_classes)

    data = classes()
    result = yisheng.tune(data=data, model=[Net, line], epochs=1, folds=2, out=tmp_path, quiet=True)
    assert [name.rpartition(":")[2] for name in result.trials["model"]] == ["Net", "line"]
    result = yisheng.tune(data=data, model=Net, width=[2, 3], epochs=1, folds=2, out=tmp_path, quiet=True)
    assert result.trials["width"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": lambda depth: nn.Linear(6, 3)}, "needs depth"),
        ({"model": Net, "depth": 3}, "depth"),
        ({"model": lambda: "text"}, "torch.nn.Module"),
        ({"model": lambda: 1 / 0}, "ZeroDivisionError"),
        ({"model": Net, "width": nn.ReLU()}, "width"),
        ({"model": nn.Linear(6, 4)}, "3 classes"),
        ({"model": nn.Linear(5, 3)}, "cannot take inputs"),
        ({"model": 3}, "model must be"),
        ({"loss": lambda o, y: o.sum().item()}, "tensor"),
        ({"loss": lambda o, y: nn.functional.nll_loss(o[:, :1], y)}, "the loss cannot take"),
        ({"loss": lambda o, y: torch.zeros(2, requires_grad=True)}, "one value for each"),
        ({"optimizer": lambda p: None}, "torch.optim.Optimizer"),
        ({"optimizer": torch.optim.SGD(nn.Linear(1, 1).parameters())}, "instance"),
        ({"optimizer": torch.optim.Adagrad, "momentum": 0.5}, "momentum"),
        ({"schedule": lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)}, "step alone"),
        ({"metrics": [lambda y_true, y_pred: "text"]}, "one number"),
        ({"metrics": [lambda y_true, y_pred: 1 / 0]}, "ZeroDivisionError"),
        ({"metrics": [np.mean, np.mean]}, "twice"),
        ({"augment": [lambda x: x[:1]]}, "shape"),
        ({"callbacks": [lambda events: None]}, "must yield"),
        ({"callbacks": ["text"]}, "must be a function"),
        ({"scale": lambda x: x}, "must be a name"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_errors_name_the_problem(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        train(tmp_path, **{"model": Net, **settings})
    assert words in caught.value.problem


def test_weights_and_a_reduced_loss_are_refused(tmp_path: Path) -> None:
    data = classes()
    weighted = yisheng.Dataset("w", data.spec, data.x, data.y, weight=np.ones(len(data.y), np.float32))
    with pytest.raises(UsageError, match="cannot have weights"):
        train(tmp_path, weighted, model=Net, loss=lambda o, y: nn.functional.cross_entropy(o, y))


def macro(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return float(f1_score(y_true, y_pred, average="macro"))


def area(y_true: np.ndarray, y_score: np.ndarray) -> float:
    return float(roc_auc_score(y_true, y_score, multi_class="ovr"))


class Accuracy:
    """A metric of torchmetrics' form."""

    higher_is_better = True

    def reset(self) -> None:
        self.hits = self.rows = 0

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        self.hits += int((preds.argmax(1) == target).sum())
        self.rows += len(target)

    def compute(self) -> torch.Tensor:
        return torch.tensor(self.hits / self.rows)


def test_own_metrics_equal_the_registered_ones(tmp_path: Path) -> None:
    metrics: dict[str, Any] = {
        "scorer": make_scorer(f1_score, average="macro"),
        "torch_accuracy": Accuracy(),
        "own": macro,
        "area": area,
    }
    test = train(tmp_path, model=Net, metrics=metrics, epochs=3).scores["test"]
    assert test["scorer"].value == pytest.approx(test["f1_macro"].value)
    assert test["own"].value == pytest.approx(test["f1_macro"].value)
    assert test["torch_accuracy"].value == pytest.approx(test["accuracy"].value)
    assert test["area"].value == pytest.approx(test["roc_auc_ovr_macro"].value)
    assert test["own"].low <= test["own"].value <= test["own"].high


def test_score_of_an_own_metric_chooses_the_best_epoch(tmp_path: Path) -> None:
    values = iter([1.0, 5.0, 3.0, *[0.0] * 10_000])

    def rising(y_true: np.ndarray, y_pred: np.ndarray) -> float:  # a metric's signature
        return next(values)

    values_of_error = iter([4.0, 5.0, 3.0, *[0.0] * 10_000])

    def my_error(y_true: np.ndarray, y_pred: np.ndarray) -> float:  # as above
        return next(values_of_error)

    assert train(tmp_path, model=Net, score=rising, epochs=3).run.best["epoch"] == 2
    assert train(tmp_path, model=Net, score=my_error, epochs=3).run.best["epoch"] == 3


def test_metrics_of_regression_and_probabilities(tmp_path: Path) -> None:
    def largest_error(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        assert y_true.shape == y_pred.shape == (len(y_true),)
        return float(np.abs(y_true - y_pred).max())

    run = train(tmp_path, numbers(), model=nn.Linear(4, 1), metrics=largest_error)
    assert run.scores["test"]["largest_error"].value >= run.scores["test"]["mae"].value

    def loss_of_two(y_true: np.ndarray, y_prob: np.ndarray) -> float:
        assert y_prob.ndim == 1
        return float(log_loss(y_true, y_prob))

    test = train(tmp_path, classes(2), model=nn.Linear(6, 2), metrics=loss_of_two).scores["test"]
    assert test["loss_of_two"].value == pytest.approx(test["log_loss"].value, rel=1e-4)


def test_augmentation_draws_are_those_of_the_run(tmp_path: Path) -> None:
    def noise(x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x) + random.random() + float(np.random.rand())

    state = torch.get_rng_state(), random.getstate()
    first, second = (last_weights(train(tmp_path, model=Net, augment=[noise], epochs=2)) for _ in range(2))
    plain = last_weights(train(tmp_path, model=Net, epochs=2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], plain["layers.0.weight"])
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]


def test_init_by_apply_and_by_tensor(tmp_path: Path) -> None:
    def init_weights(m: nn.Module) -> None:
        if type(m) is nn.Linear:
            nn.init.constant_(m.weight, 0.25)

    def events(**settings: Any) -> torch.Tensor:
        fit = yisheng.fit(data=classes(), model=Net, **settings)
        return fit.model.state_dict()["layers.0.weight"]

    assert (events(init=init_weights) == 0.25).all()
    assert (events(init=nn.init.ones_) == 1).all()


# Callbacks


def test_callback_sees_the_events(tmp_path: Path) -> None:
    events_seen: list[Event] = []

    def log(events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            events_seen.append(event)
            yield event

    train(tmp_path, model=Net, callbacks=[log], epochs=2)
    assert [type(event) for event in events_seen].count(EpochEnd) == 2
    assert sum(isinstance(event, StepEnd) for event in events_seen) == events_seen[-1].step


def test_callback_stops_the_training(tmp_path: Path) -> None:
    def stop(events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if isinstance(event, EpochEnd) and event.epoch == 2:
                return

    run = train(tmp_path, model=Net, callbacks=[stop], epochs=9)
    assert (run.path / "events.jsonl").read_text().count('"scores"') == 2
    assert run.scores["test"]


def test_callback_changes_the_rate(tmp_path: Path) -> None:
    def halve(events: Iterator[Event], state: State) -> Iterator[Event]:
        for event in events:
            yield event
            if isinstance(event, StepEnd) and event.step == 3:
                for group in state.optimizer.param_groups:
                    group["initial_lr"] /= 2

    rates: list[float] = []

    def log(events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, StepEnd):
                rates.append(event.lr)
            yield event

    train(tmp_path, model=Net, optimizer="sgd", lr=0.2, callbacks=[halve, log], epochs=2)
    assert rates[:3] == [0.2] * 3
    assert rates[3:] == [0.1] * (len(rates) - 3)


def test_fit_gives_the_same_training_whatever_the_loop_draws() -> None:
    def losses(draw: bool) -> list[float]:
        values = []
        for event in yisheng.fit(
            data=classes(), model=lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.5), nn.Linear(9, 3)), epochs=2
        ):
            if isinstance(event, StepEnd):
                values.append(float(event.loss))
            if draw:
                torch.rand(3), random.random()
        return values

    state = torch.get_rng_state()
    assert losses(draw=True) == losses(draw=False)
    torch.set_rng_state(state)


def test_fit_scores_the_present_weights() -> None:
    fit = yisheng.fit(data=classes(), model=Net, epochs=2)
    for event in fit:
        if isinstance(event, EpochEnd):
            assert fit.score("validation")["validation"]["accuracy"].value == event.scores["accuracy"]
    assert fit.state.epoch == 2
    with pytest.raises(UsageError):
        fit.score("train")


def test_own_metric_has_a_baseline_and_is_scored_in_folds(tmp_path: Path) -> None:
    run = train(tmp_path, model=Net, score=macro)
    assert run.scores["baseline"]["macro"].value == pytest.approx(run.scores["baseline"]["f1_macro"].value)
    folds = train(tmp_path, model=Net, metrics=macro, folds=2)
    for part in ("test", "validation", "out_of_fold", "baseline"):
        assert folds.scores[part]["macro"].value == pytest.approx(folds.scores[part]["f1_macro"].value)
