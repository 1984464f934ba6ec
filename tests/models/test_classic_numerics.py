"""The classic networks equal functions of their weights from torch.nn.functional, in double precision."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng import models
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec

Weights = Mapping[str, torch.Tensor]
VGG = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def build_perturbed(
    name: str, shape: tuple[int, int, int], *, task: str = "classification", **options: object
) -> nn.Module:
    """Build a network in evaluation mode whose norms and biases are not those of a new one."""
    torch.manual_seed(3)
    classes = tuple("abcde") if task != "regression" else ()
    model = models.build(name, Spec(task, shape, classes=classes), **options).double()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 2)
            if getattr(module, "bias", None) is not None:
                module.bias.normal_(std=0.1)
    return model.eval()


def assert_agrees(model: nn.Module, shape: tuple[int, int, int], reference: object) -> None:
    x = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        torch.testing.assert_close(model(x), reference(model.state_dict(), x))


def conv(w: Weights, name: str, x: torch.Tensor, stride: int = 1, padding: int = 0) -> torch.Tensor:
    return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), stride, padding)


def norm(w: Weights, name: str, x: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    mean, var, weight, bias = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, eps=eps)


def linear(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def linear_classifier(w: Weights, names: tuple[str, str, str], x: torch.Tensor) -> torch.Tensor:
    x = F.relu(linear(w, names[0], x.flatten(1)))
    return linear(w, names[2], F.relu(linear(w, names[1], x)))


@pytest.mark.parametrize("style", ["published", "textbook", "small"])
def test_alexnet(style):
    shape = (2, 40, 33) if style == "small" else (2, 97, 84)
    stride, padding, pooled = {"published": (4, 2, 0), "textbook": (4, 1, 0), "small": (1, 2, 1)}[style]

    def reference(w: Weights, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(conv(w, "features.0", x, stride, padding)), 3, 2, pooled)
        x = F.max_pool2d(F.relu(conv(w, "features.3", x, padding=2)), 3, 2, pooled)
        for i in (6, 8, 10):
            x = F.relu(conv(w, f"features.{i}", x, padding=1))
        x = F.max_pool2d(x, 3, 2, pooled)
        if style == "textbook":
            return linear_classifier(w, ("classifier.0", "classifier.3", "classifier.6"), x)
        x = F.adaptive_avg_pool2d(x, (6, 6) if style == "published" else (4, 4))
        return linear_classifier(w, ("classifier.1", "classifier.4", "classifier.6"), x)

    assert_agrees(build_perturbed("alexnet", shape, style=style), shape, reference)


@pytest.mark.parametrize(
    ("name", "style", "batch_norm"),
    [("vgg11", "textbook", False), *itertools.product(VGG, ["published", "small"], [False, True])],
)
def test_vgg(name, style, batch_norm):
    shape = (2, 28, 35) if style == "small" else (2, 70, 41)
    # An image of 28 rows is halved to 14, 7 and 3; a fourth pool would leave a single cell.
    pools = 3 if style == "small" else 5

    def reference(w: Weights, x: torch.Tensor) -> torch.Tensor:
        index = 0
        for block, depth in enumerate(VGG[name]):
            for _ in range(depth):
                x = conv(w, f"features.{index}", x, padding=1)
                if batch_norm:
                    index += 1
                    x = norm(w, f"features.{index}", x)
                x = F.relu(x)
                index += 2
            x = F.max_pool2d(x, 2) if block < pools else x
            index += 1
        if style == "small":
            return linear(w, "classifier.1", x.mean((2, 3)))
        if style == "published":
            x = F.adaptive_avg_pool2d(x, (7, 7))
        return linear_classifier(w, ("classifier.0", "classifier.3", "classifier.6"), x)

    assert_agrees(build_perturbed(name + "_bn" * batch_norm, shape, style=style, ratio=16), shape, reference)


@pytest.mark.parametrize(("style", "task"), [("textbook", "classification"), ("textbook", "regression"), ("small", "")])
def test_nin(style, task):
    shape = (2, 33, 28) if style == "small" else (2, 131, 99)

    def block(w: Weights, name: str, x: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        x = F.relu(conv(w, f"{name}.conv1", x, stride, padding))
        return conv(w, f"{name}.conv3", F.relu(conv(w, f"{name}.conv2", x)))

    def textbook_reference(w: Weights, x: torch.Tensor) -> torch.Tensor:
        for name, stride, padding in (("block1", 4, 0), ("block2", 1, 2), ("block3", 1, 1)):
            x = F.max_pool2d(F.relu(block(w, name, x, stride, padding)), 3, 2)
        x = block(w, "block4", x, 1, 1)
        return (x if task == "regression" else F.relu(x)).mean((2, 3))

    def small_reference(w: Weights, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(block(w, "block1", x, 1, 2)), 3, 2, ceil_mode=True)
        x = F.avg_pool2d(F.relu(block(w, "block2", x, 1, 2)), 3, 2, ceil_mode=True)
        return block(w, "block3", x, 1, 1).mean((2, 3))

    model = build_perturbed("nin", shape, task=task or "classification", style=style)
    assert_agrees(model, shape, small_reference if style == "small" else textbook_reference)


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
@pytest.mark.parametrize(
    ("style", "task"), [("published", "classification"), ("published", "multilabel"), ("small", "")]
)
def test_squeezenet(name, style, task):
    shape = (2, 30, 33) if style == "small" else (2, 79, 66)  # sizes that the pools do not divide
    pools = (2, 6, 11) if name == "squeezenet1_0" else (2, 5, 8)

    def reference(w: Weights, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(conv(w, "features.0", x, *((1, 1) if style == "small" else (2, 0))))
        for i in range(2, 13):
            if i in pools:
                x = x if style == "small" and i == 2 else F.max_pool2d(x, 3, 2, ceil_mode=True)
                continue
            s = F.relu(conv(w, f"features.{i}.squeeze", x))
            expanded = conv(w, f"features.{i}.expand1x1", s), conv(w, f"features.{i}.expand3x3", s, padding=1)
            x = F.relu(torch.cat(expanded, 1))
        x = conv(w, "classifier.1", x)
        return (F.relu(x) if task == "classification" else x).mean((2, 3))

    assert_agrees(build_perturbed(name, shape, task=task or "classification", style=style), shape, reference)


@pytest.mark.parametrize(
    ("style", "batch_norm"),
    [("published", True), ("small", True), ("textbook", False), ("textbook", True), ("small", False)],
)
def test_googlenet(style, batch_norm):
    shape = (2, 27, 30) if style == "small" else (2, 75, 97)
    textbook = style == "textbook"

    def layer(w: Weights, name: str, x: torch.Tensor, stride: int = 1, padding: int = 0) -> torch.Tensor:
        x = conv(w, f"{name}.conv", x, stride, padding)
        return F.relu(norm(w, f"{name}.bn", x, eps=1e-3) if batch_norm else x)

    def pool(x: torch.Tensor, kernel: int = 3) -> torch.Tensor:
        return F.max_pool2d(x, 3, 2, 1) if textbook else F.max_pool2d(x, kernel, 2, ceil_mode=True)

    def inception(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
        branches = [layer(w, f"{name}.branch1", x)]
        branches += [layer(w, f"{name}.branch2.1", layer(w, f"{name}.branch2.0", x), padding=1)]
        branches += [layer(w, f"{name}.branch3.1", layer(w, f"{name}.branch3.0", x), padding=2 if textbook else 1)]
        branches += [layer(w, f"{name}.branch4.1", F.max_pool2d(x, 3, 1, 1))]
        return torch.cat(branches, 1)

    def reference(w: Weights, x: torch.Tensor) -> torch.Tensor:
        assert w["inception3a.branch3.1.conv.weight"].shape[-1] == (5 if textbook else 3)
        x = layer(w, "conv1", x, padding=1) if style == "small" else pool(layer(w, "conv1", x, 2, 3))
        x = pool(layer(w, "conv3", layer(w, "conv2", x), padding=1))
        x = pool(inception(w, "inception3b", inception(w, "inception3a", x)))
        for block in "abcde":
            x = inception(w, f"inception4{block}", x)
        x = pool(x, kernel=2)
        x = inception(w, "inception5b", inception(w, "inception5a", x))
        return linear(w, "fc", x.mean((2, 3)))

    options = {} if batch_norm != textbook else {"batch_norm": batch_norm}  # otherwise the same as auto
    assert_agrees(build_perturbed("googlenet", shape, style=style, **options), shape, reference)


RESNET = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


@pytest.mark.parametrize(
    ("name", "style", "preactivation"),
    [("resnet18", "textbook", False), *itertools.product(RESNET, ["published", "small"], [False, True])],
)
def test_resnet(name, style, preactivation):
    shape = (2, 18, 21) if style == "small" else (2, 66, 45)
    bottleneck = name == "resnet50"

    def block(w: Weights, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
        layers = (1, 2, 3) if bottleneck else (1, 2)
        strided = 2 if bottleneck else 1  # the 3 x 3 convolution has the stride
        shortcut_input, shortcut = x, x
        for i in layers:
            padding = w[f"{name}.conv{i}.weight"].shape[-1] // 2
            if preactivation:
                x = F.relu(norm(w, f"{name}.bn{i}", x))
                shortcut_input = x if i == 1 else shortcut_input
            x = conv(w, f"{name}.conv{i}", x, stride if i == strided else 1, padding)
            if not preactivation:
                x = norm(w, f"{name}.bn{i}", x)
                x = x if i == layers[-1] else F.relu(x)
        if f"{name}.downsample.0.weight" in w:
            shortcut = conv(w, f"{name}.downsample.0", shortcut_input, stride)
            if not preactivation and style != "textbook":
                shortcut = norm(w, f"{name}.downsample.1", shortcut)
        return x + shortcut if preactivation else F.relu(x + shortcut)

    def reference(w: Weights, x: torch.Tensor) -> torch.Tensor:
        x = conv(w, "conv1", x, *((1, 1) if style == "small" else (2, 3)))
        if not preactivation:
            x = F.relu(norm(w, "bn1", x))
        x = x if style == "small" else F.max_pool2d(x, 3, 2, 1)
        for stage, depth in enumerate(RESNET[name], start=1):
            for i in range(depth):
                x = block(w, f"layer{stage}.{i}", x, 2 if stage > 1 and i == 0 else 1)
        if preactivation:
            x = F.relu(norm(w, "norm", x))
        return linear(w, "fc", x.mean((2, 3)))

    assert_agrees(build_perturbed(name, shape, style=style, preactivation=preactivation), shape, reference)


def test_the_textbook_style_has_no_preactivation():
    with pytest.raises(UsageError, match="resnet18 style=textbook has no pre-activation"):
        build_perturbed("resnet18", (3, 64, 64), style="textbook", preactivation=True)


@pytest.mark.parametrize(("name", "side"), [("vgg19", 8), ("vgg16", 28), ("vgg11", 64)])
def test_the_signal_of_a_deep_network_keeps_its_size(name, side):
    """On few cells most inputs of a padded convolution are zeros, which the initial weights compensate."""
    torch.manual_seed(0)
    model = models.build(name, Spec("classification", (3, side, side), classes=tuple("abc")), ratio=4)
    x = torch.randn(8, 3, side, side)
    with torch.no_grad():
        assert 0.2 < model.get_submodule("features")(x).square().mean().sqrt() / x.std() < 5


def test_dropout_is_where_torchvision_has_it():
    expected = {"alexnet": (("classifier.0", 0.5), ("classifier.3", 0.5)), "squeezenet1_1": (("classifier.0", 0.5),)}
    expected |= {
        "vgg16": (("classifier.2", 0.5), ("classifier.5", 0.5)),
        "googlenet": (("dropout", 0.2),),
        "resnet50": (),
    }
    for name, layers in expected.items():
        with torch.device("meta"):
            model = models.build(name, Spec("classification", (3, 224, 224), classes=("a", "b")))
        dropout = tuple((layer, module.p) for layer, module in model.named_modules() if isinstance(module, nn.Dropout))
        assert dropout == layers, name
