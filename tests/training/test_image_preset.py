"""Small color images without a named network get the preset; everything that a user names stays."""

import numpy as np
import pytest

import yisheng
from yisheng.core.choice import AUTO, Choice
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.training.image_preset import DEFAULT_WIDTHS, choose_for_small_images


def make_images(shape=(3, 32, 32), task="classification"):
    classes = ("cat", "dog", "frog") if task == "classification" else ()
    y = np.arange(6) % 3 if task == "classification" else np.arange(6, dtype=np.float32)[:, None]
    return Dataset("images", Spec(task, shape, classes=classes), np.zeros((6, *shape), np.uint8), y)


@pytest.mark.parametrize(("rows", "epochs", "batch"), [(850, 30, AUTO), (4000, 26, AUTO), (45_000, 4, 256)])
def test_the_preset_takes_four_tenths_of_the_default_epochs(rows, epochs, batch):
    config, notes = choose_for_small_images(Config(), make_images(), rows)
    assert config.model == Choice(name="airbench", options={"mirror": False, "widths": DEFAULT_WIDTHS})
    assert (config.optimizer.name, config.loss.name) == ("muon", AUTO)
    assert (config.epochs, config.batch) == (epochs, batch)
    assert [choice.name for choice in config.augment] == ["crop"]
    assert len(notes) == 1


def test_images_that_may_be_mirrored_are_flipped():
    config, _ = choose_for_small_images(Config(data=Choice(name="cifar10")), make_images(), 45_000)
    assert config.model.options["mirror"]
    assert [choice.name for choice in config.augment] == ["flip", "crop"]


@pytest.mark.parametrize(
    ("config", "images"),
    [
        (Config(), make_images((1, 28, 28))),
        (Config(), make_images((3, 8, 8))),
        (Config(), make_images((3, 224, 224))),
        (Config(), make_images(task="regression")),
        (Config(model=Choice(name="lenet")), make_images()),
        (Config(model=Choice(name=AUTO, options={"style": "classic"})), make_images()),
        (Config(weights="resnet18"), make_images()),
        (Config(scratch=True), make_images()),
    ],
)
def test_everything_else_stays(config, images):
    assert choose_for_small_images(config, images, 1000) == (config, ())


def test_what_the_user_names_stays():
    options = {"optimizer": Choice(name="adam", options={"lr": 0.01}), "epochs": 2, "batch": 8, "augment": ()}
    config, _ = choose_for_small_images(Config(**options), make_images(), 45_000)
    assert {key: getattr(config, key) for key in options} == options
    config, _ = choose_for_small_images(Config(optimizer=Choice(name=AUTO, options={"lr": 0.03})), make_images(), 100)
    assert config.optimizer == Choice(name="muon", options={"lr": 0.03})


@pytest.mark.slow
def test_a_folder_of_small_color_images_is_trained_with_the_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    y = np.arange(120) % 2
    x = random.integers(0, 120, (120, 3, 16, 16)).astype(np.uint8)
    x[y == 1, :, 4:12, 6:10] += 100  # a bar
    run = yisheng.train(data=(x, y), epochs=6, quiet=True)
    assert run.config["model"]["name"] == "airbench"
    assert run.scores["test"]["accuracy"].value == 1
