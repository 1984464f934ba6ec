"""Budget: from a time limit to a config."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import yisheng
from yisheng.core import registry
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.training import budget
from yisheng.training.pretrained import Pretrained
from yisheng.training.setup import assemble

CPU = torch.device("cpu")


def images(size: int = 16, n: int = 300) -> Dataset:
    random = np.random.default_rng(0)
    y = random.integers(2, size=n)
    x = random.integers(128, size=(n, 1, size, size)).astype(np.uint8)
    x[np.arange(n), 0, y] = 255
    return Dataset("lines", Spec("classification", (1, size, size), classes=("a", "b")), x, y)


def plan(dataset: Dataset, **settings: object):
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    rows = np.arange(len(dataset.x))
    return budget.plan_budget(config, dataset, Split(rows[:240], rows[240:], rows[:0]), CPU)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), (" .5 m ", 30), (60, 60), (2.5, 2.5)]
)
def test_budget_is_parsed_as_a_duration(text, seconds):
    assert merge_settings([("budget", text, "command line")]).config.budget == seconds


@pytest.mark.parametrize("text", ["soon", "5 days", "-1m", "0", "nan", "1e400", 0, -3, True])
def test_invalid_durations_are_refused(text):
    with pytest.raises(UsageError, match="budget"):
        merge_settings([("budget", text, "command line")])


@pytest.mark.parametrize("key", [("epochs", 3), ("scratch", True)], ids=str)
def test_budget_contradicts_epochs_and_scratch(key):
    with pytest.raises(UsageError, match="contradict"):
        merge_settings([("budget", "1m", "command line"), (*key, "command line")])


def test_small_images_use_the_preset():
    config, remark = plan(images(), budget="3s")
    assert (config.model.name, config.optimizer.name, config.loss.options["smoothing"]) == ("airbench", "muon", 0.1)
    assert [choice.name for choice in config.augment] == ["crop"]  # flips need a declaration of the data set
    assert config.budget is None
    assert config.epochs > 1
    assert f"{config.epochs} epochs" in remark


def test_values_of_the_user_are_kept():
    config, _ = plan(images(), budget=2, optimizer="adam", augment="none", smoothing=0.2, batch=32)
    assert (config.optimizer.name, config.augment, config.batch) == ("adam", (), 32)
    assert config.loss.options["smoothing"] == 0.2


def test_options_of_the_preset_network_can_be_given():
    config, _ = plan(images(), budget=2, model="airbench", mirror=True, widths="8,12", augment="flip")
    assert config.model.options == {"mirror": True, "widths": (8, 12)}
    assert (config.optimizer.name, config.batch) == ("muon", 256)
    assert [choice.name for choice in config.augment] == ["flip"]


@pytest.mark.parametrize("name", ["folder", "labels", "mnist"])
def test_data_sets_are_not_mirrored_by_default(name):
    assert not registry.find("data.datasets", name).meta.get("mirror")


def test_named_network_gets_only_its_epochs():
    config, _ = plan(images(), budget=2, model="lenet")
    assert (config.model.name, config.optimizer.name, config.batch) == ("lenet", "auto", "auto")
    assert config.epochs > 1


def test_gradual_unfreezing_gets_two_epochs_or_more():
    rows = np.arange(300)
    split = Split(rows[:240], rows[240:], rows[:0])
    settings = [("model", "lenet"), ("weights", "some.pth"), ("finetune", "gradual"), ("budget", 2)]
    config = merge_settings([(key, value, "command line") for key, value in settings]).config
    plain = config.model_copy(update={"weights": None, "finetune": None, "budget": None})
    trained = Pretrained(assemble(plain, images(), split, CPU).state.model.state_dict())
    planned, _ = budget.plan_budget(config, images(), split, CPU, trained)
    assert planned.finetune == "gradual"
    assert planned.epochs >= 2
    assert assemble(planned, images(), split, CPU, trained).config.epochs == planned.epochs


def test_epochs_are_limited():
    assert plan(images(n=30), budget="10h", model="linear")[0].epochs == budget.MAX_EPOCHS


def test_other_image_sizes_do_not_use_the_preset():
    config, _ = plan(images(size=8), budget=2)
    assert config.model.name == "auto"


def test_more_time_gives_more_epochs_or_a_wider_network(monkeypatch):
    seconds = {(64, 128, 256): 10.0, (48, 96, 192): 5.0, (32, 64, 128): 2.0, (16, 32, 64): 1.0}
    monkeypatch.setattr(
        budget, "_time_epoch", lambda assembly, *_: seconds[tuple(assembly.config.model.options["widths"])]
    )
    configs = {
        seconds_of_budget: plan(images(), budget=seconds_of_budget)[0] for seconds_of_budget in (1, 5, 30, 100, 600)
    }
    widths = [configs[seconds_of_budget].model.options["widths"] for seconds_of_budget in configs]
    assert widths == [(16, 32, 64), (16, 32, 64), (32, 64, 128), (48, 96, 192), (64, 128, 256)]
    assert [configs[seconds_of_budget].epochs for seconds_of_budget in configs] == [1, 4, 14, 18, 56]
    rates = [configs[seconds_of_budget].optimizer.options["lr"] for seconds_of_budget in configs]
    assert rates == sorted(rates, reverse=True)
    assert plan(images(), budget=600, optimizer="muon", lr=0.5)[0].optimizer.options["lr"] == 0.5


def test_search_refuses_a_budget(tmp_path):
    with pytest.raises(UsageError, match="budget"):
        yisheng.tune(data="iris", lr="0.1,0.2", budget="1m", out=str(tmp_path), quiet=True)


def test_folds_of_a_network_refuse_a_budget(tmp_path):
    with pytest.raises(UsageError, match="several are trained"):
        yisheng.train(data="iris", model="mlp", budget="1m", folds=2, out=str(tmp_path), quiet=True)


def test_run_reports_its_budget(tmp_path, capsys):
    run = yisheng.train(data=images(), budget=1, out=str(tmp_path))
    written = (run.path / "config.toml").read_text()
    assert 'name = "airbench"' in written
    assert "budget" not in written
    assert "budget of 1 s" in capsys.readouterr().err
    assert yisheng.reproduce(run.path, data=images(), quiet=True).identical
