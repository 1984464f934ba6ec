from __future__ import annotations

import pytest
import torch
from torch import nn

from yisheng import models
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.models.summary import Row, outline, summary

TEN = tuple("0123456789")


def images(channels: int, side: int, classes: int = 10) -> Spec:
    return Spec("classification", (channels, side, side), classes=tuple(map(str, range(classes))))


@pytest.mark.parametrize(
    ("name", "spec", "options", "millions"),
    [
        ("lenet", images(1, 28), {"style": "classic"}, 0.4),
        ("alexnet", images(1, 224), {"style": "textbook"}, 938),
        ("vgg11", images(1, 224), {"style": "textbook"}, 7547),
        ("vgg11", images(1, 224), {"style": "textbook", "ratio": 4}, 512),
        ("nin", images(1, 224), {"style": "textbook"}, 762),
        ("googlenet", images(1, 96), {"style": "textbook"}, 276),
        ("resnet18", images(1, 96), {"style": "textbook"}, 319),
        ("resnet18", images(1, 224), {"style": "textbook"}, 1735),
        ("alexnet", images(3, 224, 1000), {}, 714),
        ("vgg16", images(3, 224, 1000), {}, 15470),
        ("resnet18", images(3, 224, 1000), {}, 1814),
        ("resnet50", images(3, 224, 1000), {}, 4089),
        ("squeezenet1-1", images(3, 224, 1000), {}, 349),
    ],
)
def test_multiply_adds_are_the_published_ones(name, spec, options, millions):
    found = outline(name, spec, **options)
    assert round(found.multiply_adds / 1e6, 1 if millions < 1 else 0) == millions


def test_a_small_net_by_hand():
    net = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5, bias=False))
    found = summary(net, images(4, 6, 5))
    assert found.rows == (
        Row("0", "Conv2d", (6, 2, 2), 6 * 2 * 9 + 6, 6 * 4 * 2 * 9),
        Row("1", "ReLU", (6, 2, 2), 0, 0),
        Row("2", "Flatten", (24,), 0, 0),
        Row("3", "Linear", (5,), 120, 120),
    )
    assert (found.parameters, found.multiply_adds) == (114 + 120, 432 + 120)


class Odd(nn.Module):
    """Weights of its own beside a layer, a layer called twice, one never called, and a pair for an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.twice = nn.Linear(3, 3)
        self.never = nn.Linear(7, 7)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return self.twice(self.twice(x * self.scale)), 1


class First(nn.Module):
    def forward(self, pair: tuple[torch.Tensor, int]) -> torch.Tensor:
        return pair[0]


def test_every_weight_is_counted_once_and_every_call_has_its_row():
    net = nn.Sequential(Odd(), First())
    found = summary(net, Spec("regression", (3,), outputs=3))
    assert found.rows == (
        Row("0", "Odd", (), 3, 0),  # before what is in it
        Row("0.twice", "Linear", (3,), 12, 9),
        Row("0.twice", "Linear", (3,), 0, 9),
        Row("1", "First", (3,), 0, 0),
    )
    assert found.parameters == 3 + 12 + 56
    assert found.multiply_adds == 18


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_model_is_left_as_it_was(device):
    with torch.device(device):
        model = models.build("resnet18", images(1, 8))
    model.get_submodule("layer1").eval()
    before = {name: module.training for name, module in model.named_modules()}
    tensors = {key: value.clone() for key, value in model.state_dict().items()}
    summary(model, images(1, 8))
    assert {name: module.training for name, module in model.named_modules()} == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    if device == "cpu":
        assert all(torch.equal(value, tensors[key]) for key, value in model.state_dict().items())


def test_hooks_are_removed_even_if_it_fails():
    model = models.build("linear", Spec("regression", (3,)))
    with pytest.raises(RuntimeError):
        summary(model, Spec("regression", (4,)))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model.training


class Looks(nn.Module):
    """A network that looks at values, which the device meta has not."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(x) if x.sum().item() == 0 else x


def test_a_net_that_looks_at_values_is_built_in_earnest():
    @registry.register(kind="models")
    def looks(spec: Spec) -> nn.Module:
        return Looks()

    try:
        found = outline("looks", Spec("regression", (2,)))
    finally:
        del registry._entries["models", "looks"]
    assert [row.name for row in found.rows] == ["output"]
    assert found.parameters == 3


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="resnet18 needs images"):
        outline("resnet18", Spec("regression", (3,)))
    with pytest.raises(UsageError, match="ratio must be"):
        outline("vgg11", images(1, 28), ratio=0)
