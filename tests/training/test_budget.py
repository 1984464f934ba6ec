"""From a time that is granted to a config."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import yisheng
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.types import Dataset, Spec, Split
from yisheng.training import budget as module
from yisheng.training.setup import Pretrained, assemble

CPU = torch.device("cpu")


def data(size: int = 16, n: int = 300) -> Dataset:
    random = np.random.default_rng(0)
    y = random.integers(2, size=n)
    x = random.integers(128, size=(n, 1, size, size)).astype(np.uint8)
    x[np.arange(n), 0, y] = 255
    return Dataset("lines", Spec("classification", (1, size, size), classes=("a", "b")), x, y)


def planned(given: Dataset, **settings: object):
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    rows = np.arange(len(given.x))
    return module.plan_budget(config, given, Split(rows[:240], rows[240:], rows[:0]), CPU)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), (" .5 m ", 30), (60, 60), (2.5, 2.5)]
)
def test_a_time_is_written_as_people_write_it(text, seconds):
    assert merge_settings([("budget", text, "command line")]).config.budget == seconds


@pytest.mark.parametrize("text", ["soon", "5 days", "-1m", "0", "nan", "1e400", 0, -3, True])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="budget"):
        merge_settings([("budget", text, "command line")])


@pytest.mark.parametrize("key", [("epochs", 3), ("folds", 5), ("scratch", True)], ids=str)
def test_a_budget_contradicts_what_decides_otherwise(key):
    with pytest.raises(UsageError, match="contradict"):
        merge_settings([("budget", "1m", "command line"), (*key, "command line")])


def test_for_small_images_it_is_the_config_of_our_own():
    config, remark = planned(data(), budget="3s")
    assert (config.model.name, config.optimizer.name, config.loss.options["smoothing"]) == ("airbench", "muon", 0.1)
    assert [choice.name for choice in config.augment] == ["crop"]  # nobody said that these may be mirrored
    assert config.budget is None
    assert config.epochs > 1
    assert f"{config.epochs} epochs" in remark


def test_what_the_user_said_is_kept():
    config, _ = planned(data(), budget=2, optimizer="adam", augment="none", smoothing=0.2, batch=32)
    assert (config.optimizer.name, config.augment, config.batch) == ("adam", (), 32)
    assert config.loss.options["smoothing"] == 0.2


def test_our_network_may_be_named_to_say_its_options():
    config, _ = planned(data(), budget=2, model="airbench", mirror=True, widths="8,12", augment="flip")
    assert config.model.options == {"mirror": True, "widths": (8, 12)}
    assert (config.optimizer.name, config.batch) == ("muon", 256)
    assert [choice.name for choice in config.augment] == ["flip"]


@pytest.mark.parametrize("name", ["folder", "labels", "mnist"])
def test_what_says_nothing_of_mirror_images_is_not_mirrored(name):
    assert not registry.find("data.datasets", name).meta.get("mirror")


def test_a_network_that_is_named_gets_its_epochs_and_nothing_else():
    config, _ = planned(data(), budget=2, model="lenet")
    assert (config.model.name, config.optimizer.name, config.batch) == ("lenet", "auto", "auto")
    assert config.epochs > 1


def test_gradual_unfreezing_gets_epochs_too():
    rows = np.arange(300)
    split = Split(rows[:240], rows[240:], rows[:0])
    said = [("model", "lenet"), ("weights", "some.pth"), ("finetune", "gradual"), ("budget", 2)]
    config = merge_settings([(key, value, "command line") for key, value in said]).config
    plain = config.model_copy(update={"weights": None, "finetune": None, "budget": None})
    trained = Pretrained(assemble(plain, data(), split, CPU).state.model.state_dict())
    found, _ = module.plan_budget(config, data(), split, CPU, trained)
    assert found.finetune == "gradual"
    assert found.epochs >= 2
    assert assemble(found, data(), split, CPU, trained).config.epochs == found.epochs


def test_small_data_is_not_repeated_for_ever():
    assert planned(data(n=30), budget="10h", model="linear")[0].epochs == module.MAX_EPOCHS


def test_images_of_other_sizes_keep_the_default():
    config, _ = planned(data(size=8), budget=2)
    assert config.model.name == "auto"


def test_the_more_time_the_more_epochs_or_the_wider(monkeypatch):
    seconds = {(64, 128, 256): 10.0, (48, 96, 192): 5.0, (32, 64, 128): 2.0, (16, 32, 64): 1.0}
    monkeypatch.setattr(
        module, "_time_epoch", lambda assembly, *_: seconds[tuple(assembly.config.model.options["widths"])]
    )
    found = {granted: planned(data(), budget=granted)[0] for granted in (1, 5, 30, 100, 600)}
    widths = [found[granted].model.options["widths"] for granted in found]
    assert widths == [(16, 32, 64), (16, 32, 64), (32, 64, 128), (48, 96, 192), (64, 128, 256)]
    assert [found[granted].epochs for granted in found] == [1, 4, 14, 18, 56]
    rates = [found[granted].optimizer.options["lr"] for granted in found]
    assert rates == sorted(rates, reverse=True)
    assert planned(data(), budget=600, optimizer="muon", lr=0.5)[0].optimizer.options["lr"] == 0.5


def test_a_study_has_no_budget(tmp_path):
    with pytest.raises(UsageError, match="budget"):
        yisheng.tune(data="iris", lr="0.1,0.2", budget="1m", out=str(tmp_path), quiet=True)


def test_a_run_says_what_its_budget_came_to(tmp_path, capsys):
    run = yisheng.train(data=data(), budget=1, out=str(tmp_path))
    written = (run.path / "config.toml").read_text()
    assert 'name = "airbench"' in written
    assert "budget" not in written
    assert "budget of 1 s" in capsys.readouterr().err
    assert yisheng.reproduce(run.path, data=data(), quiet=True).same
