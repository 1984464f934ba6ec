"""Link functions, module modes, and the single pass over the batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from yisheng.core.errors import DataError, NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.spec import Spec
from yisheng.evaluation.outputs import compute_outputs
from yisheng.evaluation.predictions import Predictions, apply_link, predict

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
def test_sigmoid_of_one_unit_equals_softmax_of_two(logits: list[float]) -> None:
    single = torch.tensor(logits)[:, None]
    two = torch.cat([torch.zeros_like(single), single], dim=1)
    probabilities = apply_link(single, ONE_UNIT)
    assert probabilities.shape == (len(logits), 2)
    torch.testing.assert_close(probabilities, two.double().softmax(1).float(), rtol=2e-6, atol=1e-30)


def test_link_function_of_each_task() -> None:
    output = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(apply_link(output, THREE), output.exp() / output.exp().sum(1, keepdim=True))
    torch.testing.assert_close(apply_link(output, LABELS), 1 / (1 + (-output).exp()))
    torch.testing.assert_close(apply_link(output, NUMBER), output)
    torch.testing.assert_close(apply_link(output, NUMBER, lambda values: 10 * values + 3), 10 * output + 3)


@pytest.mark.parametrize("spec", [THREE, ONE_UNIT, LABELS])
def test_links_accept_huge_logits_bfloat16_and_a_model_axis(spec: Spec) -> None:
    output = torch.tensor([[1e4, -1e4, 0.0]])[:, : spec.outputs]
    assert torch.isfinite(apply_link(output, spec)).all()
    assert apply_link(output.bfloat16(), spec).dtype == torch.float32
    assert apply_link(output.double(), spec).dtype == torch.float64
    models = torch.randn(4, 6, spec.outputs)
    torch.testing.assert_close(apply_link(models, spec)[2], apply_link(models[2], spec))


def test_predictions_are_in_the_order_of_the_batches() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    x, y = torch.randn(10, 4), torch.randint(3, (10,))
    predictions = predict(model, batches(x, y), THREE)
    np.testing.assert_allclose(predictions.prediction, model(x).softmax(1).detach().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(predictions.y, y.numpy())
    np.testing.assert_array_equal(predictions.index, np.arange(100, 110))
    assert predictions.y.dtype == np.int64
    assert len(predictions) == 10


def test_targets_and_outputs_are_both_inverted() -> None:
    x = torch.randn(6, 1)
    predictions = predict(nn.Identity(), batches(x, x), Spec("regression", (1,)), invert=lambda values: 2 * values + 1)
    np.testing.assert_array_equal(predictions.y, (2 * x + 1).numpy())
    np.testing.assert_array_equal(predictions.prediction, predictions.y)


def test_classes_are_not_inverted() -> None:
    predictions = predict(
        nn.Identity(), batches(torch.zeros(2, 3), torch.tensor([0, 2])), THREE, invert=lambda v: v + 7
    )
    np.testing.assert_array_equal(predictions.y, [0, 2])


def test_every_module_keeps_its_mode() -> None:
    """A frozen batch norm stays in evaluation mode inside a training model; dropout is off during prediction."""
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model.train()
    model[1].eval()
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = torch.randn(8, 4), torch.zeros(8, dtype=torch.int64)
    first, second = (predict(model, batches(x, y), THREE).prediction for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(initial[name], value) for name, value in model.state_dict().items())


def test_modes_are_restored_after_an_error() -> None:
    model = nn.Linear(4, 3).train()
    with pytest.raises(RuntimeError):
        predict(model, batches(torch.zeros(3, 5), torch.zeros(3)), THREE)
    assert model.training


def test_gradients_are_off_only_in_the_model() -> None:
    """Code that makes the batches may train something; the model's outputs have no graph."""

    def make_batches() -> Iterator[Batch]:
        assert torch.is_grad_enabled()
        yield Batch(torch.zeros(2, 4), torch.zeros(2), torch.arange(2))
        assert torch.is_grad_enabled()

    outputs = compute_outputs(nn.Linear(4, 3), make_batches())
    assert not outputs.output.requires_grad
    assert not outputs.output.is_inference()
    assert torch.is_grad_enabled()


def test_weights_are_kept() -> None:
    batch = Batch(torch.zeros(2, 3), torch.zeros(2), torch.arange(2), torch.tensor([1.0, 3.0]))
    outputs = compute_outputs(nn.Identity(), [batch, batch])
    assert outputs.weight is not None
    assert outputs.weight.tolist() == [1, 3, 1, 3]


def test_no_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="no row"):
        predict(nn.Identity(), [], THREE)


@pytest.mark.parametrize(
    ("y", "prediction"), [((3,), (3,)), ((3,), (2, 4)), ((3, 1), (3,)), ((3, 2), (3, 1)), ((3, 1), (3, 3))]
)
def test_mismatched_shapes_are_refused(y: tuple[int, ...], prediction: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="predictions must be"):
        Predictions(np.zeros(y), np.zeros(prediction), np.arange(3))


def test_non_finite_predictions_are_named() -> None:
    prediction = np.zeros((4, 1))
    prediction[1], prediction[3] = np.nan, np.inf
    predictions = Predictions(np.zeros((4, 1)), prediction, np.array([10, 11, 12, 13]))
    with pytest.raises(NonFiniteError, match=r"2 of 4 rows .* first row 11"):
        predictions.require_finite()


def test_tensors_cached_during_prediction_can_be_used_in_training() -> None:
    class Caching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.scale: torch.Tensor | None = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.scale is None:
                self.scale = torch.ones_like(x)
            return self.layer((x * self.scale).requires_grad_() * self.scale)

    model = Caching()
    predict(model, batches(torch.randn(4, 4), torch.zeros(4, dtype=torch.int64)), THREE)
    model(torch.randn(4, 4)).sum().backward()
    assert model.layer.weight.grad is not None


def test_outputs_that_are_probabilities_are_passed_through():
    random = torch.Generator().manual_seed(0)
    probabilities = torch.rand(5, 3, generator=random).softmax(1)
    assert torch.equal(apply_link(probabilities, replace(THREE, link="probabilities")), probabilities)
    assert torch.equal(apply_link(probabilities, replace(LABELS, link="probabilities")), probabilities)
    second = torch.rand(5, 1, generator=random)
    pair = apply_link(second, replace(ONE_UNIT, link="probabilities"))
    assert torch.equal(pair[:, 1:], second)
    torch.testing.assert_close(pair.sum(1), torch.ones(5))
