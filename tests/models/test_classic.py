"""What the classic networks have in common: published sizes and names, forms, and refusals. All without weights."""

from __future__ import annotations

import itertools

import pytest
import torch

from yisheng import models
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.types import Spec

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


def bare(name: str, spec: Spec, **options: object) -> torch.nn.Module:
    """The network on the device meta: shapes, and no memory."""
    with torch.device("meta"):
        return models.build(name, spec, **options)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_form_has_the_published_parameters(name):
    model = bare(name, images(3, 224, 224, classes=1000))
    assert parameters(model) == PUBLISHED[name]
    assert model(torch.zeros(2, 3, 224, 224, device="meta")).shape == (2, 1000)


@pytest.mark.parametrize("name", VGG)
def test_vggs_parameters_are_those_of_the_formula(name):
    """Here the counts that no table gave are derived."""
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
def test_the_textbooks_form_has_the_textbooks_parameters(name, side, options, count):
    model = bare(name, images(1, side, side), style="textbook", **options)
    assert parameters(model) == count
    assert model(torch.zeros(2, 1, side, side, device="meta")).shape == (2, 10)


def both(*names: str) -> list[str]:
    return [f"{name}.{what}" for name in names for what in ("weight", "bias")]


def alexnet_keys(name: str) -> list[str]:
    return [*both(*(f"features.{i}" for i in (0, 3, 6, 8, 10))), *both(*(f"classifier.{i}" for i in (1, 4, 6)))]


def vgg_keys(name: str) -> list[str]:
    keys, place = [], 0
    for depth in VGG[name.removesuffix("-bn")]:
        for _ in range(depth):
            keys += both(f"features.{place}")
            if name.endswith("-bn"):
                keys += [f"features.{place + 1}.{what}" for what in NORM]
                place += 1
            place += 2  # the convolution and its relu
        place += 1  # the pool
    return [*keys, *both(*(f"classifier.{i}" for i in (0, 3, 6)))]


def googlenet_keys(name: str) -> list[str]:
    blocks = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    branches = ("1", "2.0", "2.1", "3.0", "3.1", "4.1")  # 4.0 is a pool
    convs = [*(f"conv{i}" for i in (1, 2, 3)), *(f"inception{b}.branch{way}" for b in blocks for way in branches)]
    keys = [[f"{conv}.conv.weight", *(f"{conv}.bn.{what}" for what in NORM)] for conv in convs]
    return [*itertools.chain(*keys), *both("fc")]


def resnet_keys(name: str) -> list[str]:
    deep = name == "resnet50"
    keys = ["conv1.weight", *(f"bn1.{what}" for what in NORM)]
    for stage, depth in enumerate(RESNET[name], start=1):
        for block in (f"layer{stage}.{i}" for i in range(depth)):
            for i in range(1, 4 if deep else 3):
                keys += [f"{block}.conv{i}.weight", *(f"{block}.bn{i}.{what}" for what in NORM)]
            if block.endswith(".0") and (deep or stage > 1):
                keys += [f"{block}.downsample.0.weight", *(f"{block}.downsample.1.{what}" for what in NORM)]
    return [*keys, *both("fc")]


def squeezenet_keys(name: str) -> list[str]:
    fires = (3, 4, 5, 7, 8, 9, 10, 12) if name == "squeezenet1-0" else (3, 4, 6, 7, 9, 10, 11, 12)
    inner = [f"features.{i}.{layer}" for i in fires for layer in ("squeeze", "expand1x1", "expand3x3")]
    return both("features.0", *inner, "classifier.1")


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
def test_names_and_order_are_torchvisions(name):
    (keys,) = (rule for prefix, rule in KEYS.items() if name.startswith(prefix))
    assert list(bare(name, images(3, 224, 224)).state_dict()) == keys(name)
    assert len(keys(name)) == LENGTHS.get(name, len(keys(name)))


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith(("resnet", "squeezenet", "googlenet"))])
def test_the_small_form_differs_in_the_first_convolution_only(name):
    """So the other published weights could be taken over."""
    large, small = (bare(name, images(3, side, side)).state_dict() for side in (224, 32))
    assert list(large) == list(small)
    different = [key for key in large if large[key].shape != small[key].shape]
    wide = {"googlenet": "conv1.conv.weight", "resnet": "conv1.weight", "squeezenet": "features.0.weight"}
    assert different == ([] if name == "squeezenet1-1" else [wide[name.rstrip("0123458-")]])


@pytest.mark.parametrize("name", CLASSIC)
@pytest.mark.parametrize("word", ["-", "_"])
def test_it_is_found_in_both_spellings(name, word):
    assert registry.find("models", name.replace("-", word)).name == name


@pytest.mark.parametrize("name", CLASSIC)
def test_auto_is_small_up_to_64_pixels(name):
    full = "textbook" if name == "nin" else "published"
    for shape, form in (((64, 300), "small"), ((28, 28), "small"), ((67, 67), full), ((224, 80), full)):
        spec = images(3, *shape)
        assert str(bare(name, spec)) == str(bare(name, spec, style=form))


def test_auto_never_asks_for_more_pixels_than_there_are():
    assert str(bare("nin", images(1, 66, 66))) == str(bare("nin", images(1, 66, 66), style="small"))


def styles(name: str) -> list[str]:
    options = registry.find("models", name).options
    return [style for style in options["style"].type.__args__ if style != "auto"]


FORMS = [(name, style) for name in CLASSIC for style in styles(name)]


LEAST = {
    ("alexnet", "published"): 63,  # the last pool needs 3 x 3 cells, and so on upwards
    ("alexnet", "textbook"): 65,
    ("nin", "textbook"): 67,
    ("squeezenet1-0", "published"): 21,  # as torchvision documents
    ("squeezenet1-1", "published"): 17,
}


@pytest.mark.parametrize(("name", "style"), FORMS)
def test_it_takes_every_size_from_the_least_on(name, style):
    least = LEAST.get((name, style), 8 if style == "small" else 32)
    for height, width in ((least, least), (least + 1, least), (least, least + 9), (129, least + 2)):
        model = bare(name, images(2, height, width, classes=3), style=style)
        assert model(torch.zeros(2, 2, height, width, device="meta")).shape == (2, 3)
    for shape in ((least - 1, least), (least, least - 1), (1, 1)):
        with pytest.raises(UsageError) as error:
            bare(name, images(2, *shape), style=style)
        assert error.value.problem == (
            f"{name} style={style} needs images of at least {least} x {least} pixels, got {shape[0]} x {shape[1]}"
        )
        fitting = [other for other in styles(name) if taken(name, other, images(2, *shape))]
        said = " or ".join(f"style={other}" for other in fitting) if fitting else "model=mlp"
        assert sorted(error.value.remedy.split()) == sorted(f"say {said}".split())


def taken(name: str, style: str, spec: Spec) -> bool:
    try:
        bare(name, spec, style=style)
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("name", ["nin", "squeezenet1-0", "squeezenet1-1"])
def test_outputs_that_need_both_signs_have_them(name):
    """Their last relu would keep a number, a label or a yes/no from ever being negative."""
    large = (3, 68, 68)
    torch.manual_seed(0)
    x = torch.randn(4, *large)
    for spec in (
        Spec("regression", large, outputs=4),
        Spec("multilabel", large, classes=tuple("abcd")),
        Spec("classification", large, classes=("no", "yes"), outputs=1),
    ):
        model = models.build(name, spec).eval()
        with torch.no_grad():
            layer = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            layer.bias.fill_(-1.0)
            assert (model(x) < 0).any()
    classes = models.build(name, Spec("classification", large, classes=("a", "b"))).eval()
    with torch.no_grad():
        assert (classes(x) > 0).all(), "every relu begins open"
