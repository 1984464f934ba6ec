"""L-BFGS: equal to torch's, exact for linear models, resumed to the same bits."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import nn
from torch.nn import functional as F

import yisheng
from tests.own_components.small_data import classes
from yisheng import Dataset, Spec, UsageError
from yisheng.core import registry
from yisheng.core.events import Batch, Event
from yisheng.training.state import State
from yisheng.training.update import make_update


def test_step_equals_torch() -> None:
    torch.manual_seed(0)
    network, x, y = nn.Linear(3, 1), torch.randn(20, 3), torch.randn(20, 1)
    expected = copy.deepcopy(network)
    by_hand = torch.optim.LBFGS(expected.parameters(), max_iter=3)

    def closure() -> torch.Tensor:
        by_hand.zero_grad()
        loss = F.mse_loss(expected(x), y)
        loss.backward()
        return loss

    state = State(network, torch.optim.LBFGS(network.parameters(), max_iter=3))
    step = make_update()
    for _ in range(3):
        expected_loss = by_hand.step(closure)
        loss = step(state, Batch(x, y, torch.arange(20)), lambda o, t: F.mse_loss(o, t, reduction="none").mean(1))
        torch.testing.assert_close(loss, torch.as_tensor(expected_loss).detach())
    for parameter, expected_parameter in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected_parameter)


def ill_conditioned(rows: int = 120) -> Dataset:
    """Return rows with columns that are nearly multiples of one another, and are 1,000 times larger than others."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4))
    x[:, 1] = x[:, 0] + 0.05 * rng.normal(size=rows)
    x[:, 2] *= 1000
    y = x @ np.array([[3.0], [-2.0], [0.001], [1.0]]) + 0.1 * rng.normal(size=(rows, 1))
    return Dataset("stiff", Spec("regression", (4,)), x.astype(np.float32), y.astype(np.float32))


def test_linear_model_is_least_squares_by_default(tmp_path: Path) -> None:
    data = ill_conditioned()
    run = yisheng.train(data=data, model="linear", out=tmp_path, quiet=True, test=0.25)
    assert run.run.config["optimizer"]["name"] == "lbfgs"
    split = yisheng.fit(data=data, model="linear", test=0.25)
    train, test = split._assembly.train.rows.numpy(), split._assembly.test.rows.numpy()
    closed = LinearRegression().fit(data.x[train].astype(np.float64), data.y[train])
    rmse = float(np.sqrt(((closed.predict(data.x[test].astype(np.float64)) - data.y[test]) ** 2).mean()))
    assert run.scores["test"]["rmse"].value == pytest.approx(rmse, rel=0.02)


@pytest.mark.parametrize("name", ["polynomial", "diabetes", "wine", "breast-cancer"])
def test_shipped_sets_reach_the_closed_form(tmp_path: Path, name: str) -> None:
    fit = yisheng.fit(data=name, model="linear")
    for _ in fit:
        pass
    fit.model.load_state_dict(fit.state.best.weights)

    def rows(part: str) -> tuple[np.ndarray, np.ndarray]:
        batches = list(getattr(fit._assembly, part))
        return torch.cat([b.x for b in batches]).double().numpy(), torch.cat([b.y for b in batches]).numpy()

    (x, y), (x_test, y_test) = rows("train"), rows("test")
    with torch.no_grad():
        output = fit.model(torch.from_numpy(x_test).float())
    if fit.spec.task == "regression":
        closed = np.sqrt(((LinearRegression().fit(x, y).predict(x_test) - y_test) ** 2).mean())
        assert np.sqrt(((output.numpy() - y_test) ** 2).mean()) <= 1.02 * closed
    else:
        predicted = output.argmax(1) if fit.spec.outputs > 1 else (output[:, 0] > 0).long()
        closed = LogisticRegression(C=1e6, max_iter=5000).fit(x, y).score(x_test, y_test)
        assert (predicted.numpy() == y_test).mean() >= 0.98 * closed


def test_broken_off_and_resumed(tmp_path: Path) -> None:
    """The lists of past steps are in the checkpoint."""

    class PowerCutError(Exception): ...

    def cut(events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if event.step == 5:
                raise PowerCutError

    data = classes(3)
    settings = {"data": data, "model": "linear", "epochs": 9, "quiet": True, "checkpoint_every": 0}
    expected = yisheng.train(out=tmp_path / "a", **settings)
    with pytest.raises(PowerCutError):
        yisheng.train(out=tmp_path / "b", callbacks=[cut], **settings)
    (folder,) = (tmp_path / "b").iterdir()
    resumed = yisheng.resume(folder, data=data, quiet=True)
    hashes = {hashlib.sha256((run.path / "model.safetensors").read_bytes()).digest() for run in (expected, resumed)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "settings", [{"lr": 0.1}, {"batch": 8}, {"optimizer": "sgd"}, {"scratch": True}, {"accumulate": 2, "batch": 4}]
)
def test_settings_of_small_batches_keep_the_other_default(settings: dict[str, object]) -> None:
    fit = yisheng.fit(data="iris", model="linear", epochs=1, **settings)
    assert fit.config.optimizer.name != "lbfgs"


def test_several_learning_rates_are_refused() -> None:
    from yisheng.core import registry

    with pytest.raises(UsageError):
        registry.build("optim", "lbfgs", [{"params": [], "lr_scale": 1.0}, {"params": [], "lr_scale": 10.0}])


def test_no_alarm_about_the_rate(tmp_path: Path) -> None:
    run = yisheng.train(data="xor", model="linear", out=tmp_path, quiet=True)
    text = (run.path / "findings.json").read_text()
    assert '"check": "high-learning-rate"' not in text
    assert '"check": "low-learning-rate"' not in text


def test_hooks_run_once_although_another_optimizer_of_torch_exists():
    torch.optim.LBFGS([torch.zeros(1, requires_grad=True)])  # torch wraps the step of its class now
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = registry.build("optim", "lbfgs", [{"params": [weight]}])
    calls: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure():
        with torch.enable_grad():
            optimizer.zero_grad()
            loss = weight.square().sum()
            loss.backward()
        return loss

    optimizer.step(closure)
    assert calls == ["before", "after"]
    assert float(weight.detach().abs().max()) < 1e-3
