"""The learning-rate range test: what it computes, what it leaves alone, and what it says about itself."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import yisheng
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.experiments.run_folders.manage import delete_runs
from yisheng.experiments.run_folders.table import list_runs
from yisheng.search.lr_range_test import find_rates, run_range_test, smooth_losses
from yisheng.training.setup import assemble

SETTINGS = {"data": "digits", "model": "mlp", "hidden": [16], "quiet": True}


def assembly(**settings):
    values = {"data": "iris", "model": "mlp", "hidden": "5", "precision": "fp64", **settings}
    config = merge_settings([(key, value, "command line") for key, value in values.items()]).config
    data = load_dataset(config)
    return assemble(config, data, split_dataset(config, data), torch.device("cpu"))


def test_losses_equal_a_loop_in_plain_pytorch():
    curve = run_range_test(assembly(optimizer="sgd"), seed=0, low=1e-4, high=1e-1, steps=30)
    plain = assembly(optimizer="sgd")
    model, losses = plain.state.model, []
    batches = (batch for epoch in range(30) for batch in plain.train.epoch(epoch))
    for lr, batch in zip(np.geomspace(1e-4, 1e-1, 30), batches, strict=False):
        optimizer = torch.optim.SGD(
            model.parameters(), lr=lr, weight_decay=plain.config.optimizer.options["weight_decay"]
        )
        loss = nn.functional.cross_entropy(model(batch.x), batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(curve.loss, losses, rtol=1e-9)
    np.testing.assert_allclose(curve.lr, np.geomspace(1e-4, 1e-1, 30))
    assert curve.diverged is None


def test_the_test_stops_at_divergence():
    curve = run_range_test(assembly(data="diabetes", optimizer="sgd"), seed=0, low=1e-4, high=1e6, steps=200)
    assert curve.diverged is not None
    assert curve.diverged < 1e6
    assert len(curve.lr) == len(curve.loss) == len(curve.smooth) < 200
    assert curve.steepest <= curve.minimum < curve.diverged


def test_rates_of_a_known_curve():
    rates = np.geomspace(1e-6, 10, 141)
    position = np.log10(rates)
    losses = 2 - 1.5 / (1 + np.exp(-4 * (position + 3))) + 10.0 ** (4 * (position - 0.3))
    steepest, minimum = find_rates(rates.tolist(), losses.tolist(), skip=7)
    assert steepest == pytest.approx(1e-3, rel=0.3)
    assert minimum == pytest.approx(rates[int(np.argmin(losses))])
    assert find_rates(rates.tolist(), np.ones(141).tolist(), skip=7) == (None, None)
    assert find_rates([0.1, 0.2], [1.0, 0.5], skip=1) == (None, None)


def test_smoothing_does_not_lag():
    ramp = np.arange(50.0)
    assert smooth_losses(ramp, 2.0)[10:40] == pytest.approx(ramp[10:40])
    assert smooth_losses([], 2.0) == []


def test_suggestion_report_and_caveats(tmp_path):
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    test = yisheng.lr_find(**SETTINGS, steps=60, out=tmp_path / "runs")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [curve.seed for curve in test.curves] == [0, 1, 2]
    tenth = test.minimum_tenth
    assert tenth.low <= test.suggestion == tenth.lr <= tenth.high
    assert 1e-4 < test.suggestion < 1
    assert test.current == 0.001 or test.current > 0
    text = " ".join(test.caveats)
    for word in ("first 60 updates", "batches of", "schedule", "warm-up", "yisheng tune"):
        assert word in text
    (folder,) = (tmp_path / "runs").iterdir()
    assert str(folder) == test.path
    assert sorted(path.name for path in folder.iterdir()) == ["lr_find.json", "report.html"]
    page = (folder / "report.html").read_text()
    assert "<svg" in page
    assert "misleads" in page
    assert "<script" not in page
    assert all(sentence.split(".")[0][:40] in page for sentence in test.caveats)
    plain = json.loads((folder / "lr_find.json").read_text())
    assert plain["suggestion"] == test.suggestion
    assert len(plain["curves"][0]["lr"]) == len(test.curves[0].lr)
    assert list_runs([tmp_path / "runs"]) == []  # it is not a run
    delete_runs([folder])
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_same_arguments_give_the_same_curves(tmp_path):
    first, second = (yisheng.lr_find(**SETTINGS, steps=30, seeds=1, out=tmp_path / name) for name in "ab")
    assert first.curves == second.curves


def test_own_network_is_left_as_it_was(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    test = yisheng.lr_find(data="digits", model=network, steps=40, seeds=2, out=tmp_path, quiet=True)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert test.curves[0].loss[0] > 0


def test_a_range_that_ends_too_early_is_reported(tmp_path):
    test = yisheng.lr_find(**SETTINGS, low=1e-4, high=0.05, steps=50, seeds=1, out=tmp_path)
    assert test.caveats[0] == "The loss still fell near the largest rate: use a larger high= than 0.05."


def test_nothing_is_suggested_if_the_loss_does_not_fall(tmp_path):
    test = yisheng.lr_find(**SETTINGS, low=1e-9, high=1e-8, steps=30, seeds=1, out=tmp_path)
    assert test.suggestion is None
    assert test.caveats[0].startswith("The loss did not fall")
    assert "Nothing can be suggested" in test.describe()


@pytest.mark.parametrize(
    "options", [{"low": 1, "high": 0.1}, {"low": 0}, {"high": float("inf")}, {"steps": 3}, {"seeds": 0}], ids=str
)
def test_wrong_numbers_are_refused(options, tmp_path):
    with pytest.raises(UsageError):
        yisheng.lr_find(**SETTINGS, **options, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
