"""The output of a user's own network: picked, shaped and checked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.models.custom_output import fit_output

THREE = Spec("classification", (4,), classes=("a", "b", "c"))
TWO = Spec("classification", (4,), classes=("a", "b"))
LABELS = Spec("multilabel", (4,), classes=("p", "q"))
NUMBER = Spec("regression", (4,))
X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A linear layer whose output a function changes."""

    def __init__(self, outputs: int, change: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.change = nn.Linear(4, outputs), change

    def forward(self, x: torch.Tensor) -> Any:
        return self.change(self.layer(x))


ACCEPTED: dict[str, tuple[int, Callable[[torch.Tensor], Any], Spec, str | None]] = {
    "tensor": (3, lambda y: y, THREE, None),
    "tuple": (3, lambda y: (y, y.sum()), THREE, None),
    "tuple of tuples": (3, lambda y: ((y, y[:1]), None), THREE, None),
    "list": (3, lambda y: [y], THREE, None),
    "logits of a dictionary": (3, lambda y: {"hidden": y[:, :1], "logits": y}, THREE, None),
    "named entry": (3, lambda y: {"first": y[:, :1], "second": y}, THREE, "second"),
    "position": (3, lambda y: (y[:, :1], y), THREE, "1"),
    "path": (3, lambda y: {"heads": [y[:, :1], y]}, THREE, "heads.1"),
    "one logit of two classes": (1, lambda y: y, TWO, None),
    "one logit without axis": (1, lambda y: y.squeeze(1), TWO, None),
    "number without axis": (1, lambda y: y[:, 0], NUMBER, None),
    "axes of one": (3, lambda y: y[:, :, None, None], THREE, None),
    "labels": (2, lambda y: y, LABELS, None),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_output_becomes_a_row_of_values(name: str) -> None:
    outputs, change, spec, output = ACCEPTED[name]
    network = Net(outputs, change)
    fitted, _ = fit_output(network, X, spec, output=output)
    assert fitted.outputs == outputs
    expected = network.layer(X)
    for module in (network, copy.deepcopy(network)):
        assert torch.equal(module(X), expected)
    assert list(network.state_dict()) == ["layer.weight", "layer.bias"]


REFUSED: dict[str, tuple[int, Callable[[torch.Tensor], Any], Spec, str | None, str]] = {
    "classes": (2, lambda y: y, THREE, None, "3 classes"),
    "one logit of three classes": (1, lambda y: y, THREE, None, "3 classes"),
    "labels": (3, lambda y: y, LABELS, None, "2 labels"),
    "numbers": (3, lambda y: y, NUMBER, None, "the target has 1"),
    "missing batch axis": (3, lambda y: y.mean(0), THREE, None, "batch axis"),
    "scalar": (3, lambda y: y.sum(), THREE, None, "batch axis"),
    "sequence": (3, lambda y: y[:, None].expand(-1, 7, -1), THREE, None, "shape (5, 7, 3)"),
    "nan": (3, lambda y: y / 0 * 0, THREE, None, "NaN"),
    "integers": (3, lambda y: y.argmax(1), THREE, None, "gradient"),
    "unknown entry": (3, lambda y: {"a": y}, THREE, "b", "a dictionary of a"),
    "unclear dictionary": (3, lambda y: {"a": y, "b": y}, THREE, None, "not clear"),
    "nothing": (3, lambda y: None, THREE, None, "None"),
    "wrong position": (3, lambda y: (y,), THREE, "4", "output=4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_output_that_does_not_fit_is_refused(name: str) -> None:
    outputs, change, spec, output, words = REFUSED[name]
    with pytest.raises(UsageError) as caught:
        fit_output(Net(outputs, change), X, spec, output=output)
    assert words in caught.value.problem
    assert caught.value.remedy


def test_wrong_input_size_is_explained() -> None:
    with pytest.raises(UsageError) as caught:
        fit_output(nn.Linear(5, 3), X, THREE)
    assert "shape (5, 4)" in caught.value.problem


def test_probe_changes_nothing() -> None:
    """Neither buffers, modes nor generators change."""
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))
    network[2].eval()
    before = copy.deepcopy(network.state_dict())
    state = torch.get_rng_state()
    fit_output(network, X, THREE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network] == [True, True, False, True]
    assert torch.equal(torch.get_rng_state(), state)


def test_several_inputs() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.layer(a) + self.layer(b)

    for x in ((X, 2 * X), {"b": 2 * X, "a": X}):
        network = Sum()
        fit_output(network, x, THREE)
        assert torch.equal(network(x), network.forward(X, 2 * X))
        assert torch.equal(network(X, 2 * X), network.forward(X, 2 * X))


def test_dictionary_as_one_argument() -> None:
    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.layer(batch["a"])

    network = Takes()
    fit_output(network, {"a": X}, THREE)
    assert network({"a": X}).shape == (5, 3)
