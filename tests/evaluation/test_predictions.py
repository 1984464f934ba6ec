"""Links, modes, and the one pass over the batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from yisheng.core.errors import DataError, NonFiniteError
from yisheng.core.types import Batch, Spec
from yisheng.evaluation.outputs import run
from yisheng.evaluation.predictions import Predictions, link, predict

THREE = Spec("classification", (4,), classes=("a", "b", "c"))
ONE_UNIT = Spec("classification", (4,), classes=("no", "yes"), outputs=1)
LABELS = Spec("multilabel", (4,), classes=("p", "q", "r"))
NUMBER = Spec("regression", (4,))


def batches(x: torch.Tensor, y: torch.Tensor, size: int = 4) -> Iterator[Batch]:
    for at in range(0, len(x), size):
        rows = slice(at, at + size)
        yield Batch(x[rows], y[rows], torch.arange(100, 100 + len(x))[rows])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8))
def test_one_unit_is_the_softmax_of_two(logits: list[float]) -> None:
    one = torch.tensor(logits)[:, None]
    two = torch.cat([torch.zeros_like(one), one], dim=1)
    both = link(one, ONE_UNIT)
    assert both.shape == (len(logits), 2)
    torch.testing.assert_close(both, two.double().softmax(1).float(), rtol=2e-6, atol=1e-30)


def test_links_by_task() -> None:
    output = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(link(output, THREE), output.exp() / output.exp().sum(1, keepdim=True))
    torch.testing.assert_close(link(output, LABELS), 1 / (1 + (-output).exp()))
    torch.testing.assert_close(link(output, NUMBER), output)
    torch.testing.assert_close(link(output, NUMBER, lambda values: 10 * values + 3), 10 * output + 3)


@pytest.mark.parametrize("spec", [THREE, ONE_UNIT, LABELS])
def test_links_stand_huge_logits_half_precision_and_a_model_axis(spec: Spec) -> None:
    output = torch.tensor([[1e4, -1e4, 0.0]])[:, : spec.outputs]
    assert torch.isfinite(link(output, spec)).all()
    assert link(output.bfloat16(), spec).dtype == torch.float32
    assert link(output.double(), spec).dtype == torch.float64
    models = torch.randn(4, 6, spec.outputs)
    torch.testing.assert_close(link(models, spec)[2], link(models[2], spec))


def test_predictions_are_the_models_own_in_order() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    x, y = torch.randn(10, 4), torch.randint(3, (10,))
    seen = predict(model, batches(x, y), THREE)
    np.testing.assert_allclose(seen.prediction, model(x).softmax(1).detach().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(seen.y, y.numpy())
    np.testing.assert_array_equal(seen.index, np.arange(100, 110))
    assert seen.y.dtype == np.int64
    assert len(seen) == 10


def test_targets_and_outputs_are_inverted_alike() -> None:
    x = torch.randn(6, 1)
    seen = predict(nn.Identity(), batches(x, x), Spec("regression", (1,)), invert=lambda values: 2 * values + 1)
    np.testing.assert_array_equal(seen.y, (2 * x + 1).numpy())
    np.testing.assert_array_equal(seen.prediction, seen.y)


def test_inverse_is_not_for_classes() -> None:
    seen = predict(nn.Identity(), batches(torch.zeros(2, 3), torch.tensor([0, 2])), THREE, invert=lambda v: v + 7)
    np.testing.assert_array_equal(seen.y, [0, 2])


def test_every_module_keeps_its_mode() -> None:
    """A frozen batch norm in evaluation mode inside a training model stays so; dropout is off meanwhile."""
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model.train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = torch.randn(8, 4), torch.zeros(8, dtype=torch.int64)
    first, second = (predict(model, batches(x, y), THREE).prediction for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_modes_are_restored_after_an_error() -> None:
    model = nn.Linear(4, 3).train()
    with pytest.raises(RuntimeError):
        predict(model, batches(torch.zeros(3, 5), torch.zeros(3)), THREE)
    assert model.training


def test_gradients_are_off_only_in_the_model() -> None:
    """Code that makes the batches may train something itself; the model's outputs carry no graph."""

    def making() -> Iterator[Batch]:
        assert torch.is_grad_enabled()
        yield Batch(torch.zeros(2, 4), torch.zeros(2), torch.arange(2))
        assert torch.is_grad_enabled()

    outputs = run(nn.Linear(4, 3), making())
    assert not outputs.output.requires_grad
    assert not outputs.output.is_inference()
    assert torch.is_grad_enabled()


def test_weights_are_kept() -> None:
    batch = Batch(torch.zeros(2, 3), torch.zeros(2), torch.arange(2), torch.tensor([1.0, 3.0]))
    outputs = run(nn.Identity(), [batch, batch])
    assert outputs.weight is not None
    assert outputs.weight.tolist() == [1, 3, 1, 3]


def test_no_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="no row"):
        predict(nn.Identity(), [], THREE)


@pytest.mark.parametrize(
    ("y", "prediction"), [((3,), (3,)), ((3,), (2, 4)), ((3, 1), (3,)), ((3, 2), (3, 1)), ((3, 1), (3, 3))]
)
def test_shapes_must_fit(y: tuple[int, ...], prediction: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="predictions must be"):
        Predictions(np.zeros(y), np.zeros(prediction), np.arange(3))


def test_non_finite_predictions_are_named() -> None:
    prediction = np.zeros((4, 1))
    prediction[1], prediction[3] = np.nan, np.inf
    seen = Predictions(np.zeros((4, 1)), prediction, np.array([10, 11, 12, 13]))
    with pytest.raises(NonFiniteError, match=r"2 of 4 rows .* first row 11"):
        seen.require_finite()


def test_what_a_model_keeps_from_its_first_pass_serves_training() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.scale: torch.Tensor | None = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.scale is None:
                self.scale = torch.ones_like(x)
            return self.layer((x * self.scale).requires_grad_() * self.scale)

    model = Keeping()
    predict(model, batches(torch.randn(4, 4), torch.zeros(4, dtype=torch.int64)), THREE)
    model(torch.randn(4, 4)).sum().backward()
    assert model.layer.weight.grad is not None
