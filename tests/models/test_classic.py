"""Sizes, weight names, styles and errors of the classic networks, checked without allocating weights."""

from __future__ import annotations

import itertools

import pytest
import torch

from yisheng import models
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec

PUBLISHED = {
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg11-bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13-bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16-bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19-bn": 143_678_248,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "squeezenet1-0": 1_248_424,
    "squeezenet1-1": 1_235_496,
}
"""torchvision's parameters for 1000 classes."""
CLASSIC = [*PUBLISHED, "nin"]
VGG = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
RESNET = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def images(channels: int, height: int, width: int, classes: int = 10) -> Spec:
    return Spec("classification", (channels, height, width), classes=tuple(map(str, range(classes))))


def build_without_memory(name: str, spec: Spec, **options: object) -> torch.nn.Module:
    """Build the network on the device meta: shapes, and no memory."""
    with torch.device("meta"):
        return models.build(name, spec, **options)


def count_parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_style_has_the_published_number_of_parameters(name):
    model = build_without_memory(name, images(3, 224, 224, classes=1000))
    assert count_parameters(model) == PUBLISHED[name]
    assert model(torch.zeros(2, 3, 224, 224, device="meta")).shape == (2, 1000)


@pytest.mark.parametrize("name", VGG)
def test_the_number_of_parameters_of_vgg_follows_from_its_layers(name):
    """Derives the numbers that are not in the paper's table."""
    channels, convolutions, norms = 3, 0, 0
    for width, depth in zip((64, 128, 256, 512, 512), VGG[name], strict=True):
        for _ in range(depth):
            convolutions += 9 * channels * width + width
            norms += 2 * width
            channels = width
    linear = (512 * 49 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    assert convolutions + linear == PUBLISHED[name]
    assert convolutions + norms + linear == PUBLISHED[f"{name}-bn"]


@pytest.mark.parametrize(
    ("name", "side", "options", "count"),
    [
        ("alexnet", 224, {}, 46_764_746),
        ("vgg11", 224, {}, 128_806_154),
        ("vgg11", 224, {"ratio": 4}, 43_093_322),
        ("nin", 224, {}, 1_992_166),
        ("googlenet", 96, {}, 5_977_530),
        ("resnet18", 96, {}, 11_178_378),
    ],
)
def test_the_textbook_style_has_the_textbooks_number_of_parameters(name, side, options, count):
    model = build_without_memory(name, images(1, side, side), style="textbook", **options)
    assert count_parameters(model) == count
    assert model(torch.zeros(2, 1, side, side, device="meta")).shape == (2, 10)


def weight_and_bias(*names: str) -> list[str]:
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


def alexnet_keys(name: str) -> list[str]:
    return [
        *weight_and_bias(*(f"features.{i}" for i in (0, 3, 6, 8, 10))),
        *weight_and_bias(*(f"classifier.{i}" for i in (1, 4, 6))),
    ]


def vgg_keys(name: str) -> list[str]:
    keys, index = [], 0
    for depth in VGG[name.removesuffix("-bn")]:
        for _ in range(depth):
            keys += weight_and_bias(f"features.{index}")
            if name.endswith("-bn"):
                keys += [f"features.{index + 1}.{part}" for part in NORM]
                index += 1
            index += 2  # the convolution and its relu
        index += 1  # the pool
    return [*keys, *weight_and_bias(*(f"classifier.{i}" for i in (0, 3, 6)))]


def googlenet_keys(name: str) -> list[str]:
    blocks = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    branches = ("1", "2.0", "2.1", "3.0", "3.1", "4.1")  # 4.0 is a pool
    convs = [*(f"conv{i}" for i in (1, 2, 3)), *(f"inception{b}.branch{branch}" for b in blocks for branch in branches)]
    keys = [[f"{conv}.conv.weight", *(f"{conv}.bn.{part}" for part in NORM)] for conv in convs]
    return [*itertools.chain(*keys), *weight_and_bias("fc")]


def resnet_keys(name: str) -> list[str]:
    bottleneck = name == "resnet50"
    keys = ["conv1.weight", *(f"bn1.{part}" for part in NORM)]
    for stage, depth in enumerate(RESNET[name], start=1):
        for block in (f"layer{stage}.{i}" for i in range(depth)):
            for i in range(1, 4 if bottleneck else 3):
                keys += [f"{block}.conv{i}.weight", *(f"{block}.bn{i}.{part}" for part in NORM)]
            if block.endswith(".0") and (bottleneck or stage > 1):
                keys += [f"{block}.downsample.0.weight", *(f"{block}.downsample.1.{part}" for part in NORM)]
    return [*keys, *weight_and_bias("fc")]


def squeezenet_keys(name: str) -> list[str]:
    fires = (3, 4, 5, 7, 8, 9, 10, 12) if name == "squeezenet1-0" else (3, 4, 6, 7, 9, 10, 11, 12)
    inner = [f"features.{i}.{layer}" for i in fires for layer in ("squeeze", "expand1x1", "expand3x3")]
    return weight_and_bias("features.0", *inner, "classifier.1")


KEYS = {
    "alexnet": alexnet_keys,
    "vgg": vgg_keys,
    "googlenet": googlenet_keys,
    "resnet": resnet_keys,
    "squeezenet": squeezenet_keys,
}
LENGTHS = {
    "alexnet": 16,
    "vgg11": 22,
    "vgg11-bn": 62,
    "vgg16": 32,
    "resnet18": 122,
    "resnet50": 320,
    "squeezenet1-0": 52,
    "squeezenet1-1": 52,
    "googlenet": 364 - 20,  # without two heads of a convolution, its norm and two linear layers
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_have_torchvisions_names_and_order(name):
    (keys,) = (rule for prefix, rule in KEYS.items() if name.startswith(prefix))
    assert list(build_without_memory(name, images(3, 224, 224)).state_dict()) == keys(name)
    assert len(keys(name)) == LENGTHS.get(name, len(keys(name)))


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith(("resnet", "squeezenet", "googlenet"))])
def test_the_small_style_differs_in_the_first_convolution_only(name):
    """So the other published weights could be loaded."""
    published_weights, small_weights = (
        build_without_memory(name, images(3, side, side)).state_dict() for side in (224, 32)
    )
    assert list(published_weights) == list(small_weights)
    different = [key for key in published_weights if published_weights[key].shape != small_weights[key].shape]
    first_convolutions = {"googlenet": "conv1.conv.weight", "resnet": "conv1.weight", "squeezenet": "features.0.weight"}
    assert different == ([] if name == "squeezenet1-1" else [first_convolutions[name.rstrip("0123458-")]])


@pytest.mark.parametrize("name", CLASSIC)
@pytest.mark.parametrize("separator", ["-", "_"])
def test_names_may_have_hyphens_or_underscores(name, separator):
    assert registry.find("models", name.replace("-", separator)).name == name


@pytest.mark.parametrize("name", CLASSIC)
def test_auto_chooses_small_up_to_64_pixels(name):
    large_style = "textbook" if name == "nin" else "published"
    for shape, style in (((64, 300), "small"), ((28, 28), "small"), ((67, 67), large_style), ((224, 80), large_style)):
        spec = images(3, *shape)
        assert str(build_without_memory(name, spec)) == str(build_without_memory(name, spec, style=style))


def test_auto_chooses_a_style_that_fits_the_image():
    assert str(build_without_memory("nin", images(1, 66, 66))) == str(
        build_without_memory("nin", images(1, 66, 66), style="small")
    )


def styles(name: str) -> list[str]:
    options = registry.find("models", name).options
    return [style for style in options["style"].type.__args__ if style != "auto"]


NAMES_AND_STYLES = [(name, style) for name in CLASSIC for style in styles(name)]


MIN_SIDES = {
    ("alexnet", "published"): 63,  # leaves the 3 x 3 cells that the last pool needs
    ("alexnet", "textbook"): 65,
    ("nin", "textbook"): 67,
    ("squeezenet1-0", "published"): 21,  # as torchvision documents
    ("squeezenet1-1", "published"): 17,
}


@pytest.mark.parametrize(("name", "style"), NAMES_AND_STYLES)
def test_every_size_from_the_minimum_on_is_accepted(name, style):
    min_side = MIN_SIDES.get((name, style), 8 if style == "small" else 32)
    for height, width in (
        (min_side, min_side),
        (min_side + 1, min_side),
        (min_side, min_side + 9),
        (129, min_side + 2),
    ):
        model = build_without_memory(name, images(2, height, width, classes=3), style=style)
        assert model(torch.zeros(2, 2, height, width, device="meta")).shape == (2, 3)
    for shape in ((min_side - 1, min_side), (min_side, min_side - 1), (1, 1)):
        with pytest.raises(UsageError) as error:
            build_without_memory(name, images(2, *shape), style=style)
        assert error.value.problem == (
            f"{name} style={style} needs images of at least {min_side} x {min_side} pixels, got {shape[0]} x {shape[1]}"
        )
        fitting = [fitting_style for fitting_style in styles(name) if fits(name, fitting_style, images(2, *shape))]
        remedy = " or ".join(f"style={fitting_style}" for fitting_style in fitting) if fitting else "model=mlp"
        assert sorted(error.value.remedy.split()) == sorted(f"use {remedy}".split())


def fits(name: str, style: str, spec: Spec) -> bool:
    try:
        build_without_memory(name, spec, style=style)
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("name", ["nin", "squeezenet1-0", "squeezenet1-1"])
def test_outputs_can_be_negative_unless_they_are_class_scores(name):
    """A relu after the last convolution would keep a number, a label or a yes/no question from being negative."""
    shape = (3, 68, 68)
    torch.manual_seed(0)
    x = torch.randn(4, *shape)
    for spec in (
        Spec("regression", shape, outputs=4),
        Spec("multilabel", shape, classes=tuple("abcd")),
        Spec("classification", shape, classes=("no", "yes"), outputs=1),
    ):
        model = models.build(name, spec).eval()
        with torch.no_grad():
            layer = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            layer.bias.fill_(-1.0)
            assert (model(x) < 0).any()
    classifier = models.build(name, Spec("classification", shape, classes=("a", "b"))).eval()
    with torch.no_grad():
        assert (classifier(x) > 0).all(), "a relu is inactive at first"
