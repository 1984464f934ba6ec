"""Every loss equals its equation in float64, with its gradient, and with a model axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec

THREE = Spec("classification", (4,), classes=("a", "b", "c"))
TWO = Spec("classification", (4,), classes=("no", "yes"))
LABELS = Spec("multilabel", (4,), classes=("p", "q", "r"))
NUMBER = Spec("regression", (4,))
PAIR = Spec("regression", (4,), outputs=2)
SPECS = (THREE, TWO, LABELS, NUMBER, PAIR)
FITTING = [
    pytest.param(name, spec, id=f"{name}-{spec.task}-{max(len(spec.classes), spec.outputs)}")
    for name in registry.names("losses")
    for spec in SPECS
    if registry.find("losses", name).meta["fits"](spec)
]


def count_units(name: str, spec: Spec) -> int:
    return registry.find("losses", name).meta.get("outputs", lambda spec: spec.outputs)(spec)


def draw_targets(spec: Spec, n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if spec.task == "classification":
        return torch.randint(len(spec.classes), (n,), generator=generator)
    if spec.task == "multilabel":
        return (torch.rand(n, len(spec.classes), generator=generator) < 0.4).double()
    return torch.randn(n, spec.outputs, generator=generator, dtype=torch.float64)


def draw_outputs(shape: tuple[int, ...], seed: int = 1) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_loss(name: str, spec: Spec, y: torch.Tensor, **options: object) -> Callable[..., torch.Tensor]:
    return registry.find("losses", name).build(spec, y.numpy(), **options)


def compute_equation(name: str, spec: Spec, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Compute the equation of each loss with its default options."""
    error = output - y if spec.task == "regression" else torch.zeros(1)
    if name == "mse":
        return (error * error).sum(1) / error.shape[1]
    if name == "half-mse":
        return (error * error).sum(1) / error.shape[1] / 2
    if name == "l1":
        return error.abs().sum(1) / error.shape[1]
    if name == "pinball":
        return (error.abs() / 2).sum(1) / error.shape[1]
    if name == "huber":
        return torch.where(error.abs() <= 1, error**2 / 2, error.abs() - 0.5).sum(1) / error.shape[1]
    if name == "cross-entropy":
        return output.exp().sum(1).log() - output[torch.arange(len(y)), y]
    p = 1 / (1 + (-output).exp())
    positive = y.double().reshape(len(y), -1)
    return -(positive * p.log() + (1 - positive) * (1 - p).log()).mean(1)


@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_value_and_gradient_equal_the_equation(name: str, spec: Spec) -> None:
    y = draw_targets(spec, 12)
    output, reference_output = (draw_outputs((12, count_units(name, spec))).requires_grad_() for _ in range(2))
    value = make_loss(name, spec, y)(output, y)
    expected = compute_equation(name, spec, reference_output, y)
    assert value.shape == (12,)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    value.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(output.grad, reference_output.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("name", "spec"), FITTING)
@pytest.mark.parametrize("same_rows", [True, False])
def test_a_model_axis_equals_one_model_at_a_time(name: str, spec: Spec, same_rows: bool) -> None:
    """Under vmap over a leading axis, values and gradients are those of each model."""
    models, rows = 3, 7
    options: dict[str, object] = {}
    if name == "cross-entropy":
        options = {"smoothing": 0.1, "class_weight": "balanced"}
    if name == "binary-cross-entropy":
        options = {"smoothing": 0.1, "pos_weight": "balanced"}
    y = torch.stack([draw_targets(spec, rows, seed=0 if same_rows else k) for k in range(models)])
    loss = make_loss(name, spec, y.flatten(0, 1), **options)
    output = draw_outputs((models, rows, count_units(name, spec)))
    axes = (0, None if same_rows else 0)
    batch_y = y[0] if same_rows else y

    def total(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return loss(output, y).sum()

    values = torch.func.vmap(loss, in_dims=axes)(output, batch_y)
    gradients = torch.func.vmap(torch.func.grad(total), in_dims=axes)(output, batch_y)
    for k in range(models):
        torch.testing.assert_close(values[k], loss(output[k], y[k]), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradients[k], torch.func.grad(total)(output[k], y[k]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_shapes_are_not_broadcast(name: str, spec: Spec) -> None:
    y = draw_targets(spec, 4)
    loss = make_loss(name, spec, y)
    output = draw_outputs((4, count_units(name, spec)))
    mismatched = [(output[:, 0], y), (output[None], y), (output[:3], y), (output, y[:1])]
    if spec.task == "classification":
        mismatched += [(output, y[:, None]), (output.repeat(1, 2), torch.zeros(4, 7))]
    else:
        mismatched += [(output, y[:, 0]), (output, y.repeat(1, 2))]
    for mismatched_output, mismatched_y in mismatched:
        if mismatched_output.shape == output.shape and mismatched_y.shape == y.shape:
            continue
        with pytest.raises(DataError, match="got "):
            loss(mismatched_output, mismatched_y)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.task}-{max(len(spec.classes), spec.outputs)}")
def test_every_task_has_one_default(spec: Spec) -> None:
    expected = "mse" if spec.task == "regression" else "cross-entropy" if spec is THREE else "binary-cross-entropy"
    entry = registry.default("losses", spec)
    assert entry.name == expected
    assert entry.meta["fits"](spec)
    assert count_units(entry.name, spec) == {THREE: 3, TWO: 1, LABELS: 3, NUMBER: 1, PAIR: 2}[spec]


@pytest.mark.parametrize("name", registry.names("losses"))
def test_metadata_is_complete(name: str) -> None:
    entry = registry.find("losses", name)
    assert entry.meta["requires"]
    assert all(option.help for option in entry.options.values())
    assert any(entry.meta["fits"](spec) for spec in SPECS)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.0)])
def test_cross_entropy_with_smoothing_and_weights(smoothing: float, weights: tuple[float, ...] | None) -> None:
    y, output = draw_targets(THREE, 9), draw_outputs((9, 3))
    w = torch.tensor(weights or (1.0, 1.0, 1.0), dtype=torch.float64)
    loss = make_loss("cross-entropy", THREE, y, smoothing=smoothing, class_weight=weights)
    soft = F.one_hot(y, 3).double() * (1 - smoothing) + smoothing / 3
    expected = -(soft * w * torch.log_softmax(output, 1)).sum(1)
    torch.testing.assert_close(loss(output, y), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(loss(output, F.one_hot(y, 3).double()), expected, rtol=1e-12, atol=1e-12)


def test_cross_entropy_accepts_soft_labels() -> None:
    y, output = torch.softmax(draw_outputs((9, 3), seed=5), 1), draw_outputs((9, 3))
    value = make_loss("cross-entropy", THREE, torch.zeros(9, dtype=torch.int64))(output, y)
    torch.testing.assert_close(value, -(y * torch.log_softmax(output, 1)).sum(1), rtol=1e-12, atol=1e-12)


def test_balanced_class_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    y = torch.tensor([0, 0, 0, 1, 2, 2, 0])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y.numpy())
    value = make_loss("cross-entropy", THREE, y, class_weight="balanced")(torch.zeros(7, 3, dtype=torch.float64), y)
    np.testing.assert_allclose(value.numpy(), expected[y.numpy()] * np.log(3))
    assert value.mean().item() == pytest.approx(np.log(3))


def test_balanced_weights_of_an_absent_class_are_finite() -> None:
    y = torch.tensor([0, 0, 1])
    loss = make_loss("cross-entropy", THREE, y, class_weight="balanced")
    assert torch.isfinite(loss(torch.zeros(1, 3), torch.tensor([2]))).all()
    binary = make_loss("binary-cross-entropy", TWO, torch.zeros(5, dtype=torch.int64), pos_weight="balanced")
    assert torch.isfinite(binary(torch.zeros(1, 1), torch.tensor([1]))).all()


def test_a_wrong_number_of_class_weights_is_an_error() -> None:
    with pytest.raises(UsageError, match="each of the 3 classes, got 2"):
        make_loss("cross-entropy", THREE, draw_targets(THREE, 5), class_weight=(1.0, 2.0))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_logit_equals_two_logits(smoothing: float) -> None:
    """Binary cross-entropy on the difference of two logits is their cross-entropy, smoothed or not."""
    y, logits = draw_targets(TWO, 20), draw_outputs((20, 2))
    two_logits = make_loss("cross-entropy", TWO, y, smoothing=smoothing)(logits, y)
    loss = make_loss("binary-cross-entropy", TWO, y, smoothing=smoothing)
    one_logit = loss(logits[:, 1:] - logits[:, :1], y)
    torch.testing.assert_close(one_logit, two_logits, rtol=1e-12, atol=1e-12)
    soft = F.one_hot(y, 2).double()
    torch.testing.assert_close(loss(logits[:, 1:] - logits[:, :1], soft), two_logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", [TWO, LABELS], ids=["two-classes", "labels"])
def test_balanced_pos_weight_is_the_ratio_of_negatives_to_positives(spec: Spec) -> None:
    y = draw_targets(spec, 30)
    positive = y.double().reshape(30, -1)
    ratio = (1 - positive).sum(0) / positive.sum(0)
    output = draw_outputs((30, positive.shape[1]))
    expected = F.binary_cross_entropy_with_logits(output, positive, pos_weight=ratio, reduction="none").mean(1)
    value = make_loss("binary-cross-entropy", spec, y, pos_weight="balanced")(output, y)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    value = make_loss("binary-cross-entropy", spec, y, pos_weight=3.0)(output, y)
    expected = F.binary_cross_entropy_with_logits(
        output, positive, pos_weight=torch.tensor(3.0), reduction="none"
    ).mean(1)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("delta", [0.1, 1.0, 5.0])
def test_huber_is_quadratic_up_to_delta_and_linear_beyond(delta: float) -> None:
    output, y = draw_outputs((50, 2)), draw_targets(PAIR, 50)
    error = (output - y).abs()
    expected = torch.where(error <= delta, error**2 / 2, delta * (error - delta / 2)).mean(1)
    torch.testing.assert_close(make_loss("huber", PAIR, y, delta=delta)(output, y), expected, rtol=1e-12, atol=1e-12)


def test_weights_copied_during_evaluation_are_usable_in_training() -> None:
    """An inference tensor cannot be saved for backward, so the weights must not be one."""
    y = draw_targets(THREE, 6)
    for name, spec, options in [
        ("cross-entropy", THREE, {"class_weight": "balanced"}),
        ("binary-cross-entropy", TWO, {"pos_weight": 2.0}),
    ]:
        loss = make_loss(name, spec, y.clamp(max=len(spec.classes) - 1), **options)
        output = torch.zeros(6, count_units(name, spec))
        with torch.inference_mode():
            loss(output, y.clamp(max=len(spec.classes) - 1))
        trained = output.requires_grad_()
        loss(trained, y.clamp(max=len(spec.classes) - 1)).sum().backward()
        assert trained.grad is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "spec"), FITTING)
def test_values_on_a_gpu(name: str, spec: Spec) -> None:
    y, output = draw_targets(spec, 12), draw_outputs((12, count_units(name, spec)))
    options = {"cross-entropy": {"class_weight": "balanced"}, "binary-cross-entropy": {"pos_weight": "balanced"}}
    loss = make_loss(name, spec, y, **options.get(name, {}))
    torch.testing.assert_close(loss(output.cuda(), y.cuda()).cpu(), loss(output, y), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.9])
def test_pinball_is_scikit_learns_and_its_minimum_is_the_quantile(quantile: float) -> None:
    from sklearn.metrics import mean_pinball_loss

    y = draw_targets(PAIR, 200)
    output = draw_outputs((200, 2))
    loss = make_loss("pinball", PAIR, y, quantile=quantile)
    expected = mean_pinball_loss(y.numpy(), output.numpy(), alpha=quantile)
    torch.testing.assert_close(float(loss(output, y).mean()), expected, rtol=1e-12, atol=1e-12)
    candidates = torch.linspace(-3, 3, 601, dtype=torch.float64)
    means = torch.stack([loss(c.expand(200, 2), y).mean() for c in candidates])
    best = float(candidates[means.argmin()])
    assert abs(float((y <= best).double().mean()) - quantile) < 0.02
