"""Networks that others wrote get inputs of every form, as their data gives them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import yisheng
from yisheng.core.errors import UsageError

COUNT = 80
RANDOM = np.random.Generator(np.random.PCG64(3))
Y = RANDOM.integers(0, 2, COUNT)
SEQUENCES = RANDOM.normal(size=(COUNT, 6, 3))
VOLUMES = RANDOM.normal(size=(COUNT, 2, 4, 4, 4))
MAPS = RANDOM.normal(size=(COUNT, 12, 8, 8))
IDS = RANDOM.integers(0, 30, (COUNT, 7))
PIXELS = RANDOM.integers(0, 256, (COUNT, 8, 8, 1), dtype=np.uint8)
IMAGES = PIXELS.transpose(0, 3, 1, 2)  # torch calls this contiguous, and convolutions take it for channels-last


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(3, 8, batch_first=True)
        self.output = nn.Linear(8, 2)

    def forward(self, x):
        return self.output(self.layer(x)[0][:, -1])


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 4)
        self.output = nn.Linear(4, 2)

    def forward(self, tokens):
        return self.output(self.embedding(tokens).mean(1))


class Volumes(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(2, 4, 3)
        self.output = nn.Linear(32, 2)

    def forward(self, x):
        return self.output(self.conv(x).view(-1, 32))


class Flattened(nn.Module):
    """A convolution whose output is flattened by ``view``."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.output = nn.Linear(144, 2)

    def forward(self, x):
        return self.output(self.conv(x).view(x.size(0), -1))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 4)
        self.output = nn.Linear(7, 2)

    def forward(self, tokens, numbers):
        return self.output(torch.cat([self.embedding(tokens).mean(1), numbers[:, 0]], 1))


class OneDict(TwoInputs):
    def forward(self, batch):
        return super().forward(batch["tokens"], batch["numbers"])


BY_NAME = {"numbers": SEQUENCES, "tokens": IDS}
CASES = {
    "sequences": (SEQUENCES, Recurrent),
    "sequences without a network": (SEQUENCES, "auto"),
    "volumes": (VOLUMES, Volumes),
    "volumes without a network": (VOLUMES, "auto"),
    "maps": (MAPS, "lenet"),
    "tokens": (IDS, Embedded),
    "images": (IMAGES, Flattened),
    "two by position": ((IDS, SEQUENCES), TwoInputs),
    "two by name": (BY_NAME, TwoInputs),
    "a dict": (BY_NAME, OneDict),
}


def rows(x, part):
    """Return some rows of one or several inputs."""
    if isinstance(x, dict):
        return {name: values[part] for name, values in x.items()}
    return tuple(values[part] for values in x) if isinstance(x, tuple) else x[part]


@pytest.mark.parametrize("case", CASES)
def test_inputs_of_every_form_are_trained_scored_and_predicted(case, tmp_path):
    x, model = CASES[case]
    run = yisheng.train(data=(x, Y), model=model, epochs=2, doctor="full", out=tmp_path, quiet=True)
    assert 0 <= run.scores["test"]["accuracy"].value <= 1
    loaded = yisheng.load(run.path, None if isinstance(model, str) else model)
    predictions = [loaded.predict(rows(x, slice(3))), run.predict(rows(x, slice(3)))]
    assert [prediction.probabilities for prediction in predictions[0]] == [p.probabilities for p in predictions[1]]
    assert all(prediction.ood_score is not None for prediction in predictions[0])


@pytest.mark.parametrize("case", ["tokens", "two by name"])
@pytest.mark.parametrize("options", [{"precision": "fp64"}, {"accumulate": 2, "batch": 8}, {"folds": 2}])
def test_precision_accumulation_and_folds_take_them(case, options, tmp_path):
    x, model = CASES[case]
    assert yisheng.train(data=(x, Y), model=model, epochs=1, out=tmp_path, quiet=True, **options).scores


def test_an_image_file_is_read_for_a_network_that_uses_view(tmp_path):
    run = yisheng.train(data=(IMAGES, Y), model=Flattened, epochs=1, out=tmp_path, quiet=True)
    Image.fromarray(PIXELS[0, :, :, 0]).save(tmp_path / "image.png")
    by_file, by_array = run.predict([tmp_path / "image.png"]), run.predict(IMAGES[:1])
    assert by_file[0].probabilities == by_array[0].probabilities


def test_a_network_that_uses_view_cannot_be_trained_in_channels_last(tmp_path):
    colors = np.repeat(IMAGES, 3, 1)
    network = nn.Sequential(nn.Conv2d(3, 1, 1), Flattened())
    with pytest.raises(UsageError, match="does not support memory_format=channels-last") as caught:
        yisheng.train(data=(colors, Y), model=network, memory_format="channels-last", out=tmp_path, quiet=True)
    assert "flatten(1)" in caught.value.remedy


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (SEQUENCES, {"boosting": True}, "boosting=true needs rows of numbers"),
        (SEQUENCES, {"augment": "flip"}, "augment=flip needs images"),
        (SEQUENCES, {"scale": "columns"}, "scale=columns needs rows of numbers"),
        (SEQUENCES, {"model": "tabm"}, "model=tabm needs rows"),
        (IDS, {"ids": True}, "no network is the default for ids of shape"),
        (BY_NAME, {}, "no network is the default for 2 inputs"),
        (BY_NAME, {"model": TwoInputs, "augment": "mixup"}, "augment=mixup needs"),
        (IDS, {"model": Embedded, "scale": "standard"}, "scale=standard is for numbers"),
        (SEQUENCES, {"model": Embedded}, "the network cannot take inputs"),
    ],
)
def test_what_does_not_fit_the_inputs_is_said(x, options, message, tmp_path):
    with pytest.raises(UsageError, match=message) as caught:
        yisheng.train(data=(x, Y), out=tmp_path, quiet=True, **options)
    assert caught.value.remedy
    assert not list(tmp_path.iterdir())
