"""ImageNet's scaling: torchvision's formula, nothing fitted, saved and read again."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp

from yisheng import transforms
from yisheng.core.errors import DataError, UsageError
from yisheng.core.resolved_config import resolve_config
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.transforms.imagenet import MEAN, STD, imagenet

images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=6))


def normalize(x, mean, std):
    """Return the images of torchvision's ToTensor and Normalize."""
    x = x.to(torch.float64) / 255
    mean, std = (torch.tensor(v, dtype=torch.float64).view(-1, 1, 1) for v in (mean, std))
    return (x - mean) / std


def to_rgb(x):
    return np.repeat(x[:, :1], 3, axis=1)


@given(x=images)
def test_scaling_equals_that_of_torchvision(x):
    x = to_rgb(x)
    scale = imagenet.fit(x)
    got = scale.apply(torch.from_numpy(x))
    assert got.dtype is torch.float32
    torch.testing.assert_close(got.double(), normalize(torch.from_numpy(x), MEAN, STD), atol=2e-6, rtol=0)
    torch.testing.assert_close(scale.invert(got), torch.from_numpy(x).float(), atol=1e-3, rtol=0)


@given(x=images)
def test_fit_does_not_depend_on_the_pixels(x):
    x = to_rgb(x)
    assert imagenet.fit(x) == imagenet.fit(255 - x) == imagenet()


def test_gray_images_are_scaled_by_the_average():
    scale = imagenet.fit(np.zeros((1, 1, 2, 2), np.uint8))
    assert scale.mean == pytest.approx([np.mean(MEAN)])
    assert scale.std == pytest.approx([np.mean(STD)])
    gray = torch.full((1, 1, 1, 1), 100, dtype=torch.uint8)
    three = imagenet().apply(gray.expand(1, 3, 1, 1))
    assert abs(float(scale.apply(gray)) - float(three.mean())) < 0.02


def test_one_value_is_used_for_all_channels():
    scale = imagenet.fit(np.zeros((1, 3, 2, 2), np.uint8), mean=(0.5,), std=(0.5,))
    assert scale == imagenet(mean=(0.5,) * 3, std=(0.5,) * 3)
    assert scale.apply(torch.tensor([0, 255], dtype=torch.uint8).repeat(3, 1)[None, :, None]).unique().tolist() == [
        -1.0,
        1.0,
    ]


def test_options_are_saved_and_read():
    scale = imagenet.fit(np.zeros((1, 3, 2, 2), np.uint8), std=(0.25,))
    assert transforms.from_json(json.loads(json.dumps(transforms.to_json(scale)))) == scale
    with pytest.raises(DataError):
        transforms.from_json({"name": "imagenet", "mean": [0.5], "std": [0.0]})
    with pytest.raises(DataError):
        transforms.from_json({"name": "imagenet", "mean": [0.5, 0.5], "std": [0.5]})


@pytest.mark.parametrize(
    ("shape", "options", "cause"),
    [
        ((2, 4, 3, 3), {}, "3 values of mean for images of 4 channels"),
        ((2, 3, 3, 3), {"std": (0.5, 0.5)}, "2 values of std for images of 3 channels"),
        ((2, 1, 3, 3), {"mean": ()}, "0 values of mean"),
        ((2, 5), {}, "for images, got rows"),
    ],
)
def test_unsuitable_values_and_images_are_refused(shape, options, cause):
    with pytest.raises(DataError, match=cause):
        imagenet.fit(np.zeros(shape, np.uint8), **options)


def test_another_number_of_channels_is_refused():
    with pytest.raises(DataError, match="fitted on 3 channels"):
        imagenet().apply(torch.zeros(1, 1, 2, 2))


def test_scaling_is_a_setting():
    config = merge_settings([("scale", "imagenet", "command line"), ("scale.mean", "0.5", "command line")]).config
    assert config.scale.options == {"mean": (0.5,)}
    resolved = resolve_config(config, Spec("classification", (3, 8, 8), classes=("a", "b")), 100)
    assert resolved.scale.options == {"mean": (0.5,), "std": STD}
    with pytest.raises(UsageError, match="scale=imagenet needs images"):
        resolve_config(config, Spec("classification", (3,), classes=("a", "b")), 100)
    with pytest.raises(UsageError):
        merge_settings([("scale", "imagenet", "command line"), ("scale.std", "0", "command line")])
