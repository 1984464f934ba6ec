from __future__ import annotations

import pytest
import torch
from torch import nn

from yisheng import models
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.models.summary import LayerSummary, summarize, summarize_by_name

TEN = tuple("0123456789")


@pytest.fixture
def open_hooks(monkeypatch):
    """The handles of forward hooks that have been registered and not removed."""
    handles = set()

    def record(register):
        def register_and_record(*arguments, **options):
            handle = register(*arguments, **options)
            handles.add(handle)
            remove_hook = handle.remove

            def remove():
                remove_hook()
                handles.discard(handle)

            handle.remove = remove
            return handle

        return register_and_record

    for name in ("register_forward_hook", "register_forward_pre_hook"):
        monkeypatch.setattr(nn.Module, name, record(getattr(nn.Module, name)))
    return handles


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
def test_multiply_adds_equal_the_published_numbers(name, spec, options, millions):
    summary = summarize_by_name(name, spec, **options)
    assert round(summary.multiply_adds / 1e6, 1 if millions < 1 else 0) == millions


def test_rows_of_a_small_network():
    net = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5, bias=False))
    summary = summarize(net, images(4, 6, 5))
    assert summary.rows == (
        LayerSummary("0", "Conv2d", (6, 2, 2), 6 * 2 * 9 + 6, 6 * 4 * 2 * 9),
        LayerSummary("1", "ReLU", (6, 2, 2), 0, 0),
        LayerSummary("2", "Flatten", (24,), 0, 0),
        LayerSummary("3", "Linear", (5,), 120, 120),
    )
    assert (summary.parameters, summary.multiply_adds) == (114 + 120, 432 + 120)


class Irregular(nn.Module):
    """A parameter next to a layer, a layer called twice, one never called, and a tuple as output."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.called_twice = nn.Linear(3, 3)
        self.not_called = nn.Linear(7, 7)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return self.called_twice(self.called_twice(x * self.scale)), 1


class FirstOutput(nn.Module):
    def forward(self, pair: tuple[torch.Tensor, int]) -> torch.Tensor:
        return pair[0]


def test_every_weight_is_counted_once_and_every_call_has_a_row():
    net = nn.Sequential(Irregular(), FirstOutput())
    summary = summarize(net, Spec("regression", (3,), outputs=3))
    assert summary.rows == (
        LayerSummary("0", "Irregular", (), 3, 0),  # before its layers
        LayerSummary("0.called_twice", "Linear", (3,), 12, 9),
        LayerSummary("0.called_twice", "Linear", (3,), 0, 9),
        LayerSummary("1", "FirstOutput", (3,), 0, 0),
    )
    assert summary.parameters == 3 + 12 + 56
    assert summary.multiply_adds == 18


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_model_is_not_changed(device, open_hooks):
    with torch.device(device):
        model = models.build("resnet18", images(1, 8))
    model.get_submodule("layer1").eval()
    modes = {name: module.training for name, module in model.named_modules()}
    tensors = {key: value.clone() for key, value in model.state_dict().items()}
    summarize(model, images(1, 8))
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert not open_hooks
    if device == "cpu":
        assert all(torch.equal(value, tensors[key]) for key, value in model.state_dict().items())


def test_hooks_are_removed_after_an_error(open_hooks):
    model = models.build("linear", Spec("regression", (3,)))
    with pytest.raises(RuntimeError):
        summarize(model, Spec("regression", (4,)))
    assert not open_hooks
    assert model.training


class ValueDependent(nn.Module):
    """A network that computes with values, which the device meta does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(x) if x.sum().item() == 0 else x


def test_a_network_that_depends_on_values_is_built_with_weights():
    @registry.register(kind="models")
    def value_dependent(spec: Spec) -> nn.Module:
        return ValueDependent()

    try:
        summary = summarize_by_name("value-dependent", Spec("regression", (2,)))
    finally:
        del registry._entries["models", "value-dependent"]
    assert [row.name for row in summary.rows] == ["output"]
    assert summary.parameters == 3


def test_data_and_options_that_do_not_fit_are_errors():
    with pytest.raises(UsageError, match="resnet18 needs images"):
        summarize_by_name("resnet18", Spec("regression", (3,)))
    with pytest.raises(UsageError, match="ratio must be"):
        summarize_by_name("vgg11", images(1, 28), ratio=0)
